package report

import (
	"math"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
)

// Geometry of a chart in its own units; the page scales it to its column.
const (
	plotW, plotH              = 640.0, 200.0
	padLeft, padRight         = 74.0, 10.0
	padTop, padBottom         = 22.0, 24.0
	tableRows                 = 12 // of the data table behind a chart
	innerW, innerH    float64 = plotW - padLeft - padRight, plotH - padTop - padBottom
)

// plot is a chart turned into geometry: numbers and inert text, which the
// template alone turns into SVG.
type plot struct {
	ID, Title, Desc string
	Class           string // free: neither the run's stages nor its slow times are marked
	W, H            string
	Left, Right     string // x of the frame
	Top, Bottom     string
	Bands           []box // slow windows
	Marks           []mark
	Events          bool // the run's are marked
	XTicks, YTicks  []mark
	Lines           []curve
	Limit           *mark
	Points          []dot
	Keys            []key  // of points
	XName, YName    string // of the axes, where it is not the run's time
	Note            string // what the picture shows
	Table           table
}

// dot is a point of a scatter; slow ones are drawn as squares.
type dot struct {
	X, Y, Corner, Edge string
	Slow               bool
}

// key explains a shape: o is a circle, s a square.
type key struct{ Name, Shape string }

type box struct{ X, Y, W, H string }

type mark struct{ X, Y, Text, Anchor string }

type curve struct {
	Class string // l0, l1, ...: colour and dash
	Name  string
	Line  string // path data
	Area  string // path data, for stacks
	Note  string // for the legend: peak 21 ms
	Last  string // the last value, for the description
}

type table struct {
	Caption string
	Head    []string
	Rows    [][]string
}

// frame is what all charts of a report share: one time axis, the stages of the
// load and the slow windows.
type frame struct {
	from, to int64 // Unix ms
	report   *Report
	slow     []Span
}

func (f *frame) x(ms int64) float64 {
	span := max(f.to-f.from, 1)
	t := min(max(ms, f.from), f.to)
	return padLeft + innerW*float64(t-f.from)/float64(span)
}

// draw lays a chart out. id is unique in the page.
func (f *frame) draw(id string, c analyzers.Chart) plot {
	lines := c.Lines
	if c.Stacked {
		lines = stacked(lines)
	}
	unit := chartUnit(c)
	top := niceTop(lines, c.Limit)
	if isRatio(c) && !c.Stacked {
		top = math.Min(top, 1)
	}
	y := func(v float64) float64 { return padTop + innerH*(1-math.Max(0, math.Min(v, top))/top) }
	p := plot{
		ID: id, Title: c.Title, W: num(plotW), H: num(plotH), Left: num(padLeft), Right: num(plotW - padRight), Top: num(padTop), Bottom: num(plotH - padBottom),
		Bands: f.bands(), Marks: f.stages(), Events: f.events() != nil, XTicks: f.xTicks(), YTicks: yTicks(top, y, tickUnit(c, unit)), Table: f.table(c, unit),
	}
	for i, l := range lines {
		shown := c.Lines[i]
		cv := curve{Class: "l" + strconv.Itoa(i%linesPerChart), Name: l.Name, Line: f.path(l, y), Last: unit(shown.Values[len(shown.Values)-1]), Note: "peak " + unit(peak(shown))}
		if c.Stacked {
			cv.Area = f.area(l, below(lines, i), y)
		}
		p.Lines = append(p.Lines, cv)
	}
	if c.Limit > 0 {
		p.Limit = &mark{Y: num(y(c.Limit)), X: num(y(c.Limit) - 4), Text: strings.TrimSpace(c.LimitName + " " + unit(c.Limit))}
	}
	p.Desc = describe(p, f)
	return p
}

// describe says in words what the picture shows, for those who cannot see it.
func describe(p plot, f *frame) string {
	var b strings.Builder
	b.WriteString("Time series from " + f.report.offset(f.from) + " to " + f.report.offset(f.to) + ".")
	for _, l := range p.Lines {
		b.WriteString(" " + l.Name + ": " + l.Note + ", last " + l.Last + ".")
	}
	if p.Limit != nil {
		b.WriteString(" Line at " + p.Limit.Text + ".")
	}
	for i, s := range f.slow {
		if i == 3 {
			b.WriteString(" And more.")
			break
		}
		b.WriteString(" Slow " + f.report.span(s) + ".")
	}
	return b.String()
}

func peak(l analyzers.Line) float64 {
	m := l.Values[0]
	for _, v := range l.Values {
		m = math.Max(m, v)
	}
	return m
}

// isRatio tells a chart of shares: a plain number that never leaves 0..1 is a
// ratio to every chart that culprit draws.
func isRatio(c analyzers.Chart) bool {
	ratio := (c.Unit == "1" || c.Unit == "") && c.Limit <= 1
	for _, l := range c.Lines {
		ratio = ratio && peak(l) <= 1
	}
	return ratio
}

// chartUnit gives the formatter of a chart's values.
func chartUnit(c analyzers.Chart) func(float64) string {
	if isRatio(c) {
		return percent
	}
	return func(v float64) string { return quantity(v, c.Unit) }
}

// tickUnit leaves out the word of a counted thing, which the title has: an axis
// has room for a number.
func tickUnit(c analyzers.Chart, unit func(float64) string) func(float64) string {
	if !strings.HasPrefix(c.Unit, "{") {
		return unit
	}
	return func(v float64) string { return quantity(v, "1") }
}

// stacked adds each line to the sum of those below it, at its own times.
func stacked(in []analyzers.Line) []analyzers.Line {
	out := make([]analyzers.Line, len(in))
	for i, l := range in {
		sum := analyzers.Line{Name: l.Name, Times: l.Times, Values: make([]float64, len(l.Values))}
		for k, v := range l.Values {
			sum.Values[k] = v
			if i > 0 {
				sum.Values[k] += valueAt(out[i-1], l.Times[k])
			}
		}
		out[i] = sum
	}
	return out
}

func valueAt(l analyzers.Line, t int64) float64 {
	for i := len(l.Times) - 1; i >= 0; i-- {
		if l.Times[i] <= t {
			return l.Values[i]
		}
	}
	return 0
}

func below(lines []analyzers.Line, i int) *analyzers.Line {
	if i == 0 {
		return nil
	}
	return &lines[i-1]
}

// niceTop is the first of 1, 2, 2.5, 5 times a power of ten that holds all.
func niceTop(lines []analyzers.Line, limit float64) float64 {
	m := limit
	for _, l := range lines {
		m = math.Max(m, peak(l))
	}
	if m <= 0 {
		return 1
	}
	m *= 1.04
	p := math.Pow(10, math.Floor(math.Log10(m)))
	for _, k := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8} {
		if m <= k*p {
			return k * p
		}
	}
	return 10 * p
}

func yTicks(top float64, y func(float64) float64, unit func(float64) string) []mark {
	var out []mark
	for _, k := range []float64{0, 0.5, 1} {
		text := unit(top * k)
		if k == 0 {
			text = "0"
		}
		out = append(out, mark{Y: num(y(top * k)), X: num(y(top*k) + 4), Text: text})
	}
	return out
}

// xTicks marks up to six round times since the window's start.
func (f *frame) xTicks() []mark {
	total := (f.to - f.from) / 1000
	step := int64(1)
	for _, s := range []int64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400} {
		if step = s; total/s <= 5 {
			break
		}
	}
	var out []mark
	for t := int64(0); t <= total && len(out) < 40; t += step {
		ms := f.from + t*1000
		m := mark{X: num(f.x(ms)), Text: f.report.offset(ms), Anchor: "middle"}
		if t == 0 {
			m.Anchor = "start"
		}
		if f.x(ms) > plotW-padRight-30 {
			m.Anchor = "end"
		}
		out = append(out, m)
	}
	return out
}

func (f *frame) bands() []box {
	var out []box
	for _, s := range f.slow {
		if s.End <= f.from || s.Start >= f.to {
			continue
		}
		x := f.x(s.Start)
		out = append(out, box{X: num(x), Y: num(padTop), W: num(math.Max(f.x(s.End)-x, 1)), H: num(innerH)})
	}
	return out
}

// stages marks where a stage of the load profile begins. Names that would run
// into each other are left out.
func (f *frame) stages() []mark {
	var out []mark
	free := 0.0
	for _, load := range f.report.Loads {
		for _, s := range load.Stages {
			if s.Start < f.from || s.Start >= f.to {
				continue
			}
			m := mark{X: num(f.x(s.Start))}
			if f.x(s.Start) >= free {
				m.Text = shorten(s.Name, 18)
				free = f.x(s.Start) + 7*float64(len([]rune(m.Text))) + 8
			}
			out = append(out, m)
		}
	}
	return out
}

func (f *frame) path(l analyzers.Line, y func(float64) float64) string {
	var b strings.Builder
	for i, t := range l.Times {
		b.WriteByte("LM"[boolInt(i == 0)])
		b.WriteString(num(f.x(t)) + " " + num(y(l.Values[i])))
	}
	return b.String()
}

// area closes a stack's line with the one below it, or with the axis.
func (f *frame) area(l analyzers.Line, under *analyzers.Line, y func(float64) float64) string {
	var b strings.Builder
	b.WriteString(f.path(l, y))
	for i := len(l.Times) - 1; i >= 0; i-- {
		floor := 0.0
		if under != nil {
			floor = valueAt(*under, l.Times[i])
		}
		b.WriteString("L" + num(f.x(l.Times[i])) + " " + num(y(floor)))
	}
	return b.String() + "Z"
}

// table is the data behind the picture: the mean of each of tableRows
// stretches of the window.
func (f *frame) table(c analyzers.Chart, unit func(float64) string) table {
	t := table{Caption: c.Title + ", mean of each interval", Head: []string{"from"}}
	for _, l := range c.Lines {
		t.Head = append(t.Head, l.Name)
	}
	step := max((f.to-f.from)/tableRows, 1)
	for from := f.from; from < f.to && len(t.Rows) < tableRows; from += step {
		row := []string{f.report.offset(from)}
		for _, l := range c.Lines {
			row = append(row, meanText(l, from, from+step, unit))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func meanText(l analyzers.Line, from, to int64, unit func(float64) string) string {
	sum, n := 0.0, 0
	for i, t := range l.Times {
		if t >= from && t < to {
			sum += l.Values[i]
			n++
		}
	}
	if n == 0 {
		return "–"
	}
	return unit(sum / float64(n))
}

func num(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// shorten cuts a text to n runes, and says so.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
