package report

import (
	"math"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
)

// A ledger's lines and its remainder sum to the whole, and so do the segments
// of its bars.
func TestLedgerAddsUp(t *testing.T) {
	r := severalCauses().report()
	if len(r.Ledgers) != 1 {
		t.Fatalf("%d ledgers, want that of the first cause", len(r.Ledgers))
	}
	l := r.Ledgers[0]
	tail, usual := l.RestTail, l.RestUsual
	for _, x := range l.Lines {
		tail, usual = tail+x.TailTime, usual+x.UsualTime
	}
	if math.Abs(tail-l.TailTime) > 1e-9 || math.Abs(usual-l.UsualTime) > 1e-9 || l.TailTime <= l.UsualTime {
		t.Errorf("%g of %g s, %g of %g s", tail, l.TailTime, usual, l.UsualTime)
	}
	if l.Lines[0].What != "pool.acquire" || l.Lines[0].Kind != "driver" {
		t.Errorf("longest is %+v", l.Lines[0])
	}
	for _, f := range []Format{writeHTML, writeMarkdown, writeCommonMark} {
		if text := render(t, f, r); !strings.Contains(text, "driver of orders") || !strings.Contains(text, "the whole request") {
			t.Errorf("no ledger in %.60s", text)
		}
	}
}

func TestLedgerIsShownOnce(t *testing.T) {
	s := severalCauses()
	s.judged.Causes[1].Impact.Operation = s.judged.Causes[0].Impact.Operation
	r := s.report()
	if l, by := r.ledger(&r.Causes[1]); l == nil || by != 1 {
		t.Errorf("%v, shown by %d", l, by)
	}
	if n := strings.Count(render(t, writeHTML, r), `class="ledger"`); n != 1 {
		t.Errorf("drawn %d times", n)
	}
}

func TestOnsetText(t *testing.T) {
	r := noProblem().report()
	start := r.Window.Start.UnixMilli()
	at := func(cause, symptom int64) string {
		o := &Onset{Cause: cause, Symptom: symptom, Tolerance: 2000, Unit: "s", Measure: wave("wait", 90, 1, 2), Latency: wave("p95", 45, 1, 2)}
		return r.onsetText(o)
	}
	for _, c := range []struct {
		cause, symptom int64
		want           string
	}{
		{start + 10_000, start + 30_000, "“wait” rose at T+00:10, the latency at T+00:30: 20 s before it."},
		{start + 30_000, start + 10_000, "20 s after it, which speaks against it."},
		{start + 30_000, start + 31_000, "together, as far as samples within 2 s can tell."},
		{start + 30_000, 0, "in the latency no one step stands out."},
		{0, start + 30_000, "it was there all along, or came and went."},
		{0, 0, ""},
	} {
		if got := at(c.cause, c.symptom); !strings.HasSuffix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestKnee(t *testing.T) {
	point := func(rate float64, slow bool) LoadPoint { return LoadPoint{Rate: rate, P95: 1, Slow: slow} }
	if rate, ok := knee([]LoadPoint{point(1, false), point(5, false), point(4, true), point(7, true), point(9, true)}); !ok || rate != 7 {
		t.Errorf("%g %v, want 7", rate, ok)
	}
	if rate, ok := knee([]LoadPoint{point(8, false), point(5, true)}); ok {
		t.Errorf("%g although the fastest stretch was calm", rate)
	}
	if _, ok := knee([]LoadPoint{point(8, true)}); ok {
		t.Error("a knee without a calm stretch")
	}
}

// The culprit stands out by a word, not by colour alone; requests enter on the
// left, and a circle of calls comes to an end.
func TestServiceMapMarksTheCulprit(t *testing.T) {
	r := severalCauses().report()
	for _, n := range r.Map.Nodes {
		switch n.Name {
		case "gateway":
			if n.Layer != 0 {
				t.Errorf("gateway in layer %d", n.Layer)
			}
		case "orders":
			if len(n.Ranks) != 1 || n.Ranks[0] != 1 || n.Layer != 1 {
				t.Errorf("orders: %+v", n)
			}
		}
	}
	if !strings.Contains(render(t, writeHTML, r), "▼ cause 1") {
		t.Error("no word at the culprit")
	}
	circle := &ServiceMap{Nodes: make([]MapNode, 3), Edges: []MapEdge{{From: 0, To: 1}, {From: 1, To: 2}, {From: 2, To: 0}, {From: 1, To: 1}}}
	circle.arrange()
	if circle.Nodes[2].Layer != 2 {
		t.Errorf("%+v", circle.Nodes)
	}
	if v := mapViewOf(circle); len(v.Edges) != 4 {
		t.Errorf("%d of 4 calls drawn", len(v.Edges))
	}
}

// What a file says of charts is held to what can be drawn.
func TestFileCannotBreakFigures(t *testing.T) {
	r := severalCauses().report()
	r.Map.Edges = append(r.Map.Edges, MapEdge{From: -1, To: 0}, MapEdge{From: 0, To: 99})
	r.Map.Nodes[0].Layer = 1 << 30
	r.Causes[0].Onset = &Onset{Measure: analyzers.Line{Times: []int64{1}, Values: []float64{2, 3}}}
	r.Causes[0].Traces[0].Spans[0].Path = []float64{1}
	r.Causes[0].Impact.Distribution = r.Causes[0].Impact.Distribution[:1]
	again, err := Read(strings.NewReader(render(t, writeJSON, r)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(again.Map.Edges); n != len(r.Map.Edges)-2 {
		t.Errorf("%d calls", n)
	}
	for _, f := range Formats {
		render(t, f.Write, again)
	}
}
