package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// ledgerLines are shown of a ledger; what is smaller is summed up.
const ledgerLines = 7

// ledgerWhat is how much of a statement a line shows, in runes.
const ledgerWhat = 110

// Ledger says where the time of one operation's slow requests goes, beside
// that of its typical ones: means of what held up the request, which sum to
// the whole. Times are in s.
type Ledger struct {
	Service   string                 `json:"service" clean:"name"`
	Operation string                 `json:"operation" clean:"name"`
	Traces    int                    `json:"traces"`
	Tail      int                    `json:"tail_traces"`
	Typical   int                    `json:"typical_traces"`
	Threshold float64                `json:"threshold_s"` // duration from which a request is slow
	TailTime  float64                `json:"tail_s"`
	UsualTime float64                `json:"typical_s"`
	Lines     []analyzers.LedgerLine `json:"lines" clean:"name"` // longest first
	RestTail  float64                `json:"rest_tail_s"`        // of the lines left out
	RestUsual float64                `json:"rest_typical_s"`
	LeftOut   int                    `json:"left_out,omitempty"`
}

// ledgers of the operations that the first causes slow, each once.
func ledgers(traces []*analyzers.Trace, causes []*rules.Hypothesis) []Ledger {
	var out []Ledger
	for _, target := range affected(first(causes, chartedCauses)) {
		if l := analyzers.LedgerOf(traces, target); l != nil && l.TailTime > 0 {
			out = append(out, ledgerOf(l))
		}
	}
	return out
}

func ledgerOf(l *analyzers.Ledger) Ledger {
	lines := slices.Clone(l.Lines)
	slices.SortStableFunc(lines, func(a, b analyzers.LedgerLine) int { return cmp.Compare(b.TailTime, a.TailTime) })
	out := Ledger{
		Service: l.Target.Service, Operation: l.Target.Operation, Traces: l.Traces, Tail: l.Tail, Typical: l.Typical,
		Threshold: l.Threshold, TailTime: l.TailTime, UsualTime: l.UsualTime, Lines: first(lines, ledgerLines),
	}
	out.LeftOut = len(lines) - len(out.Lines)
	out.RestTail, out.RestUsual = l.TailTime, l.UsualTime
	for _, x := range out.Lines {
		out.RestTail, out.RestUsual = out.RestTail-x.TailTime, out.RestUsual-x.UsualTime
	}
	out.RestTail, out.RestUsual = math.Max(out.RestTail, 0), math.Max(out.RestUsual, 0)
	return out
}

// ledger of the operation that a cause slows, and whether no cause before it
// showed it already.
func (r *Report) ledger(c *Cause) (l *Ledger, shownBy int) {
	if c.Impact == nil || c.Rank == 0 {
		return nil, 0
	}
	for i := range r.Ledgers {
		if r.Ledgers[i].Service == c.Impact.Service && r.Ledgers[i].Operation == c.Impact.Operation {
			l = &r.Ledgers[i]
		}
	}
	for _, o := range r.Causes {
		if l != nil && o.Rank < c.Rank && o.Impact != nil && o.Impact.Service == l.Service && o.Impact.Operation == l.Operation {
			return l, o.Rank
		}
	}
	return l, 0
}

func (l *Ledger) target() string {
	return entityText(evidence.Entity{Service: l.Service, Operation: l.Operation})
}

// summary says what is compared with what.
func (l *Ledger) summary() string {
	return fmt.Sprintf("Where the time of %s goes: a slow request takes %s (mean of the %d of %d traces from %s on), a typical one %s (mean of %d in the middle).",
		l.target(), seconds(l.TailTime), l.Tail, l.Traces, seconds(l.Threshold), seconds(l.UsualTime), l.Typical)
}

// ledgerRow is one line in words.
type ledgerRow struct{ What, Kind, Tail, Usual, More, Why string }

var ledgerHead = []string{"What held the request up", ">slow request", ">typical", ">more", "because"}

// rows are the lines, the remainder and the sum.
func (l *Ledger) rows() []ledgerRow {
	var out []ledgerRow
	for _, x := range l.Lines {
		out = append(out, ledgerRow{shorten(x.What, ledgerWhat), x.Whose(), seconds(x.TailTime), seconds(x.UsualTime), signed(x.Excess), ledgerWhy(x)})
	}
	if l.LeftOut > 0 {
		out = append(out, ledgerRow{What: "everything else", Kind: fmt.Sprintf("%d smaller", l.LeftOut), Tail: seconds(l.RestTail), Usual: seconds(l.RestUsual), More: signed(l.RestTail - l.RestUsual)})
	}
	return append(out, ledgerRow{What: "the whole request", Tail: seconds(l.TailTime), Usual: seconds(l.UsualTime), More: signed(l.TailTime - l.UsualTime)})
}

// ledgerWhy names the larger of the two effects behind a line's excess, where
// there is one to speak of.
func ledgerWhy(x analyzers.LedgerLine) string {
	if x.Excess < x.TailTime/20 || x.Excess <= 0 {
		return ""
	}
	if x.Count > x.Duration {
		if x.TailRuns < 1 {
			return fmt.Sprintf("in %s of the requests instead of %s", shareText(x.TailRuns), shareText(x.UsualRuns))
		}
		return fmt.Sprintf("more of them: %s instead of %s", digits(x.TailRuns), digits(x.UsualRuns))
	}
	if x.UsualRuns > 0 && x.UsualTime > 0 {
		return fmt.Sprintf("each takes longer: %s instead of %s", seconds(x.TailTime/math.Max(x.TailRuns, 1e-9)), seconds(x.UsualTime/x.UsualRuns))
	}
	return "not there in typical requests"
}

// signed writes a difference with its sign.
func signed(v float64) string {
	switch s := seconds(math.Abs(v)); {
	case s == "0 ms":
		return s
	case v < 0:
		return "−" + s
	default:
		return "+" + s
	}
}

// ledgerView is a ledger as two stacked bars over a table.
type ledgerView struct {
	Title, Desc string
	Rows        []ledgerRowView
	Segments    []segment
	TailText    string
	UsualText   string
	TailX       string // ends of the bars
	UsualX      string
	ShownBy     int
}

type ledgerRowView struct {
	ledgerRow
	Number, Colour string
}

// segment of a bar; Label where it is wide enough for one.
type segment struct{ X, Y, W, Colour, Label, LabelX, LabelY string }

// Geometry of the two bars in the units of their viewBox.
const (
	ledgerW              = 560.0
	ledgerBar, ledgerGap = 20.0, 7.0
)

func ledgerViewOf(r *Report, c *Cause) *ledgerView {
	l, by := r.ledger(c)
	if l == nil {
		return nil
	}
	if by > 0 {
		return &ledgerView{Title: l.target(), ShownBy: by}
	}
	v := &ledgerView{Title: l.summary(), TailText: "slow", UsualText: "typical"}
	for i, row := range l.rows() {
		x := ledgerRowView{ledgerRow: row}
		if i < len(l.Lines)+min(l.LeftOut, 1) {
			x.Number, x.Colour = fmt.Sprint(i+1), fmt.Sprintf("f%d", i%linesPerChart)
		}
		v.Rows = append(v.Rows, x)
	}
	v.bar(l, ledgerLineTail, 0, &v.TailX)
	v.bar(l, ledgerLineUsual, ledgerBar+ledgerGap, &v.UsualX)
	v.Desc = l.words()
	return v
}

func ledgerLineTail(x analyzers.LedgerLine) float64  { return x.TailTime }
func ledgerLineUsual(x analyzers.LedgerLine) float64 { return x.UsualTime }

// bar stacks one bar's segments, on the scale of the longer one.
func (v *ledgerView) bar(l *Ledger, of func(analyzers.LedgerLine) float64, y float64, end *string) {
	scale := ledgerW / math.Max(math.Max(l.TailTime, l.UsualTime), 1e-9)
	parts := make([]float64, 0, len(l.Lines)+1)
	for _, x := range l.Lines {
		parts = append(parts, of(x))
	}
	rest := of(analyzers.LedgerLine{TailTime: l.RestTail, UsualTime: l.RestUsual})
	x := 0.0
	for i, part := range append(parts, rest) {
		w := math.Max(0, math.Min(part*scale, ledgerW-x))
		s := segment{X: num(x), Y: num(y), W: num(w), Colour: fmt.Sprintf("f%d", i%linesPerChart)}
		if w >= 16 {
			s.Label, s.LabelX, s.LabelY = fmt.Sprint(i+1), num(x+w/2), num(y+ledgerBar/2+4.5)
		}
		if w > 0 {
			v.Segments = append(v.Segments, s)
		}
		x += w
	}
	*end = num(x + 8)
}

// words says the bars for those who cannot see them.
func (l *Ledger) words() string {
	var b strings.Builder
	b.WriteString("Two bars of stacked times. Slow request:")
	for _, x := range l.Lines {
		fmt.Fprintf(&b, " %s %s,", x.What, seconds(x.TailTime))
	}
	fmt.Fprintf(&b, " everything else %s; together %s. Typical request: %s.", seconds(l.RestTail), seconds(l.TailTime), seconds(l.UsualTime))
	return b.String()
}
