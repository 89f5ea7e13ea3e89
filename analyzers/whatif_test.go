package analyzers

import (
	"math/rand/v2"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestRetimeWithoutCutsIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 10_000 {
		grain := []int64{1, 997, 1_000, 1_000_000}[n%4]
		tr := BuildTraces(&evidence.Bundle{Spans: randomSpans(r, 1+r.IntN(60), grain)})[0]
		for i, d := range new(retimer).trace(tr, tr.NewCuts()) {
			if d != tr.Spans[i].Duration() {
				t.Fatalf("trace %d: span %d re-timed to %d of %d", n, i, d, tr.Spans[i].Duration())
			}
		}
	}
}

// Taking more away never makes a request slower, and never takes more than
// there is.
func TestRetimeIsMonotonic(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for n := range 5_000 {
		tr := BuildTraces(&evidence.Bundle{Spans: randomSpans(r, 1+r.IntN(60), 1_000_000)})[0]
		c := tr.NewCuts()
		before := tr.Retime(c)
		for range 5 {
			i := int32(r.IntN(len(tr.Spans)))
			if r.IntN(2) == 0 {
				tr.CutSubtree(c, i)
			} else {
				tr.CutSelf(c, i, r.Int64N(1+tr.Spans[i].Duration()))
			}
			after := tr.Retime(c)
			if after > before || after < 0 {
				t.Fatalf("trace %d: %d ns became %d", n, before, after)
			}
			before = after
		}
	}
}

func TestRetime(t *testing.T) {
	for name, c := range map[string]struct {
		trace string
		cut   []string // names of spans to remove
		own   int64    // ms to take off the root's own time
		want  float64  // ms
	}{
		"in series":       {"0-100 a server r\n  10-40 a client x\n  50-90 a client y", []string{"x"}, 0, 70},
		"parallel":        {"0-100 a server r\n  10-90 a client x\n  10-60 a client y", []string{"x"}, 0, 70},
		"off the path":    {"0-100 a server r\n  10-90 a client x\n  10-60 a client y", []string{"y"}, 0, 100},
		"both":            {"0-100 a server r\n  10-90 a client x\n  10-60 a client y", []string{"x", "y"}, 0, 20},
		"joined":          {"0-100 a server r\n  10-50 a client x\n  10-30 a client y\n  60-90 a client z", []string{"x"}, 0, 80},
		"chains":          {"0-100 a server r\n  0-50 a client x\n  50-100 a client x2\n  0-40 a client y\n  41-95 a client y2", []string{"x"}, 0, 95},
		"own time":        {"0-100 a server r\n  10-40 a client x\n  50-90 a client y", nil, 15, 85},
		"all own time":    {"0-100 a server r\n  10-40 a client x\n  50-90 a client y", nil, 1000, 70},
		"deep":            {"0-100 a server r\n  10-90 a client c\n    20-80 b server s\n      30-70 b client q", []string{"q"}, 0, 60},
		"outlives":        {"0-100 a server r\n  50-300 a client x", []string{"x"}, 0, 50},
		"not waited for":  {"0-100 a server r\n  10-60 a client x | follows", []string{"x"}, 0, 100},
		"rounded":         {"0-100 a server r\n  0-50.001 a client x\n  50-100 a client y", []string{"x"}, 0, 50},
		"the root itself": {"0-100 a server r\n  10-60 a client x", []string{"r"}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tellOne(t, c.trace)
			cuts := tr.NewCuts()
			for i := range tr.Spans {
				for _, name := range c.cut {
					if tr.Spans[i].Name == name {
						tr.CutSubtree(cuts, int32(i))
					}
				}
			}
			if c.own > 0 {
				tr.CutSelf(cuts, tr.Root, c.own*1e6)
			}
			if got := float64(tr.Retime(cuts)) / 1e6; got != c.want && got != c.want-0.001 && got != c.want+0.001 {
				t.Errorf("%g ms, want %g", got, c.want)
			}
		})
	}
}

func TestSelfTime(t *testing.T) {
	for name, c := range map[string]struct {
		trace string
		want  int64
	}{
		"leaf":     {"0-10 a server r", 10},
		"children": {"0-10 a server r\n  1-4 a client x\n  3-6 a client y\n  8-12 a client z", 3},
		"async":    {"0-10 a server r\n  1-4 a client x | follows", 10},
		"covered":  {"2-10 a server r\n  0-12 a client x", 0},
	} {
		tr := tellOne(t, c.trace)
		if got := tr.SelfTime(tr.Root); got != c.want*1e6 {
			t.Errorf("%s: %d ns, want %d ms", name, got, c.want)
		}
	}
}

// program is what a span does: work by itself and calls, some of them at
// once, all of them awaited.
type program struct {
	steps   []step
	keep    float64 // of its own work
	removed bool
}

type step struct {
	work  int64
	calls []*program // at once
}

func randomProgram(r *rand.Rand, depth int) *program {
	p := &program{keep: 1}
	for range 1 + r.IntN(4) {
		s := step{work: r.Int64N(5) * 1_000_000}
		if depth > 0 {
			for range r.IntN(4) {
				s.calls = append(s.calls, randomProgram(r, depth-1))
			}
		}
		p.steps = append(p.steps, s)
	}
	return p
}

// run records the program's spans and gives its end.
func (p *program) run(at int64, parent evidence.SpanID, spans *[]evidence.Span, made *[]*program) int64 {
	if p.removed {
		return at
	}
	i := len(*spans)
	id := testSpanID(uint64(i + 1))
	*spans, *made = append(*spans, evidence.Span{ID: id, Parent: parent, Start: at, Service: "s"}), append(*made, p)
	for _, s := range p.steps {
		at += int64(float64(s.work) * p.keep)
		joined := at
		for _, c := range s.calls {
			joined = max(joined, c.run(at, id, spans, made))
		}
		at = joined
	}
	(*spans)[i].End = at
	return at
}

// A request re-timed from its trace takes what it takes when it is run again
// with the same work left out.
func TestRetimeAgreesWithARerun(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for n := range 3_000 {
		root := randomProgram(r, 3)
		var spans, again []evidence.Span
		var made, ignored []*program
		root.run(0, evidence.SpanID{}, &spans, &made)
		byID := map[evidence.SpanID]*program{}
		for i, p := range made {
			byID[spans[i].ID] = p
		}
		tr := BuildTraces(&evidence.Bundle{Spans: spans})[0]
		cuts := tr.NewCuts()
		for i := range tr.Spans {
			p := byID[tr.Spans[i].ID]
			switch {
			case tr.Spans[i].Duration() == 0 || r.IntN(3) > 0:
			case int32(i) != tr.Root && r.IntN(2) == 0:
				p.removed = true
				tr.CutSubtree(cuts, int32(i))
			default:
				p.keep = 0.5
				tr.CutSelf(cuts, int32(i), tr.SelfTime(int32(i))/2)
			}
		}
		want := root.run(0, evidence.SpanID{}, &again, &ignored)
		if got := tr.Retime(cuts); got < want-1000 || got > want+1000 {
			t.Fatalf("program %d of %d spans: re-timed to %d, run again in %d", n, len(spans), got, want)
		}
	}
}
