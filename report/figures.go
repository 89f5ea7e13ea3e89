package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
)

// Figures that are not a series over the run, in the looks of one.

// axes is the frame of such a figure: both axes from 0, at round numbers.
type axes struct {
	right, top float64
}

func (a axes) x(v float64) float64 {
	return padLeft + innerW*math.Max(0, math.Min(v/a.right, 1))
}

func (a axes) y(v float64) float64 {
	return padTop + innerH*(1-math.Max(0, math.Min(v/a.top, 1)))
}

func (a axes) plot(id, title string, xUnit, yUnit func(float64) string) plot {
	p := plot{Class: "free", ID: id, Title: title, W: num(plotW), H: num(plotH), Left: num(padLeft), Right: num(plotW - padRight), Top: num(padTop), Bottom: num(plotH - padBottom), YTicks: yTicks(a.top, a.y, yUnit)}
	for k := range 5 {
		v := a.right * float64(k) / 4
		m := mark{X: num(a.x(v)), Text: xUnit(v), Anchor: "middle"}
		switch k {
		case 0:
			m.Anchor, m.Text = "start", "0"
		case 4:
			m.Anchor = "end"
		}
		p.XTicks = append(p.XTicks, m)
	}
	return p
}

// drawDistribution draws which share of the requests is how fast, now and with
// the mechanism gone.
func drawDistribution(id string, i *Impact) *plot {
	if i == nil || len(i.Distribution) < 3 {
		return nil
	}
	a := axes{right: niceTop([]analyzers.Line{{Values: quantileValues(i.Distribution)}}, 0), top: 1}
	p := a.plot(id, "Latency of "+i.target()+", now and with this gone", seconds, percent)
	now := func(q analyzers.Quantile) float64 { return q.Now }
	then := func(q analyzers.Quantile) float64 { return q.Then }
	p.Lines = []curve{
		{Class: "l1", Name: "now", Line: a.steps(i.Distribution, now), Note: i.Percentile + " " + seconds(i.Now)},
		{Class: "l0", Name: "with this gone", Line: a.steps(i.Distribution, then), Note: i.Percentile + " " + seconds(i.Then)},
	}
	p.Table = table{Caption: "Latency that a share of the requests keeps within", Head: []string{"share", "now", "with this gone"}}
	for _, q := range i.Distribution {
		if k := math.Round(q.Share * 1000); math.Mod(k, 100) == 0 || k == 950 || k == 990 {
			p.Table.Rows = append(p.Table.Rows, []string{percent(q.Share), seconds(q.Now), seconds(q.Then)})
		}
	}
	p.Desc = "Share of the requests over their latency, two rising curves. " + nowThen(i)
	p.XName, p.YName = "latency", "share of requests"
	return &p
}

func quantileValues(d []analyzers.Quantile) []float64 {
	var out []float64
	for _, q := range d {
		out = append(out, q.Now, q.Then)
	}
	return out
}

func (a axes) steps(d []analyzers.Quantile, of func(analyzers.Quantile) float64) string {
	var b strings.Builder
	b.WriteString("M" + num(a.x(of(d[0]))) + " " + num(a.y(0)))
	for _, q := range d {
		b.WriteString("L" + num(a.x(of(q))) + " " + num(a.y(q.Share)))
	}
	return b.String()
}

// drawThroughput draws every bin of the run as its rate against its latency;
// slow bins are squares.
func drawThroughput(id string, r *Report, s *Symptom) *plot {
	if len(s.Throughput) < 5 {
		return nil
	}
	var rates, latencies []float64
	for _, x := range s.Throughput {
		rates, latencies = append(rates, x.Rate), append(latencies, x.P95)
	}
	a := axes{right: niceTop([]analyzers.Line{{Values: rates}}, 0), top: niceTop([]analyzers.Line{{Values: latencies}}, 0)}
	p := a.plot(id, "Load and latency of "+operationName(*s), func(v float64) string { return digits(v) + "/s" }, seconds)
	p.XName, p.YName = "requests/s", "p95"
	p.Table = table{Caption: "Rate and p95 of every stretch of the run", Head: []string{"from", "requests/s", "p95", "slow"}}
	slow := 0
	for _, x := range s.Throughput {
		p.Points = append(p.Points, dot{X: num(a.x(x.Rate)), Y: num(a.y(x.P95)), Corner: num(a.x(x.Rate) - 4), Edge: num(a.y(x.P95) - 4), Slow: x.Slow})
		word := "no"
		if x.Slow {
			word = "yes"
			slow++
		}
		p.Table.Rows = append(p.Table.Rows, []string{r.offset(x.At), digits(x.Rate), seconds(x.P95), word})
	}
	p.Desc = fmt.Sprintf("Scatter of %d stretches of the run: requests per second against p95; %d of them slow. ", len(s.Throughput), slow) + p.kneeOf(a, s.Throughput)
	p.Keys = []key{{"calm", "o"}, {"slow", "s"}}
	return &p
}

// kneeOf marks the rate from which every bin is slow, and says so.
func (p *plot) kneeOf(a axes, points []LoadPoint) string {
	rate, ok := knee(points)
	if !ok {
		p.Note = "Calm and slow stretches have the same rates: load alone does not tell them apart."
		return p.Note
	}
	p.Marks = []mark{{X: num(a.x(rate)), Text: "slow from " + digits(rate) + "/s"}}
	p.Note = "No stretch with " + digits(rate) + " requests/s or more was fast."
	return p.Note
}

// drawOnset draws a cause's measure and the latency on one time axis, each
// relative to its own peak, with the moments at which they rose.
func (f *frame) drawOnset(id string, o *Onset) *plot {
	if !o.usable() {
		return nil
	}
	lines := []analyzers.Line{relative(o.Measure), relative(o.Latency)}
	p := f.draw(id, analyzers.Chart{Title: "Which came first", Unit: "1", Lines: lines})
	p.YName = "share of own peak"
	p.Lines[0].Note, p.Lines[1].Note = "peak "+quantity(peak(o.Measure), o.Unit), "peak "+seconds(peak(o.Latency))
	p.Table.Caption = "Each as a share of its own peak, mean of each interval"
	p.Class, p.Marks = "free", nil // the stages are in the other charts
	for _, at := range []struct {
		ms   int64
		what string
	}{{o.Cause, "cause"}, {o.Symptom, "latency"}} {
		if at.ms > 0 {
			p.Marks = append(p.Marks, mark{X: num(f.x(at.ms)), Text: at.what})
		}
	}
	p.Marks = spread(p.Marks)
	p.Note = f.report.onsetText(o)
	p.Desc += " " + p.Note
	return &p
}

// spread joins the words of two marks that would run into each other.
func spread(marks []mark) []mark {
	if len(marks) < 2 {
		return marks
	}
	var a, b float64
	fmt.Sscan(marks[0].X, &a)
	fmt.Sscan(marks[1].X, &b)
	if math.Abs(a-b) < 60 {
		marks[0].Text, marks[1].Text = "cause, latency", ""
		if b < a {
			marks[0].Text, marks[1].Text = "", "latency, cause"
		}
	}
	return marks
}

func relative(l analyzers.Line) analyzers.Line {
	top := math.Max(peak(l), 1e-12)
	out := analyzers.Line{Name: l.Name, Times: l.Times, Values: make([]float64, len(l.Values))}
	for i, v := range l.Values {
		out.Values[i] = math.Max(v, 0) / top
	}
	return out
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
