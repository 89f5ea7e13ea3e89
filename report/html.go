package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// page is what the template shows: the report and the geometry made from it.
type page struct {
	R                 *Report
	Style             template.CSS // constant: page.css
	StyleHash         string
	Status            string
	Window, Baseline  string
	Zone              string
	SlowText, NoCause string
	Operations        []Symptom // in sight; More are folded away
	More              []Symptom
	AnySlow           bool
	Clock             string // who measured the operations
	Method            string
	Symptoms          []plot
	Marks             *eventMarks // drawn once, and shown on every time axis
	Events            []eventRow
	MoreEvents        string
	Headroom          []string
	Modules           []moduleView
	Map               *mapView
	Onsets            bool // any cause has one
	Causes            []causeView
	Leads             []causeView
	Housekeeping      []causeView
	Gaps              []gap
	Shortened         string
}

// htmlBudget is what a page may weigh in bytes, so that every tracker takes it
// as an attachment and every browser opens it at once.
const htmlBudget = 1_500_000

// pageLimits are what a page shows of long lists: causes in full, lines of
// evidence a cause, rows a table. 0 is all.
type pageLimits struct{ causes, account, rows int }

var pageSteps = []pageLimits{{}, {20, 40, 200}, {5, 12, 50}, {1, 4, 10}}

// causeView is a cause with its pictures.
type causeView struct {
	ID, Label     string // cause-1, Cause 1
	C             Cause
	Subject       []part
	Bar           *bar
	Score         string
	Gain          *gain
	Pros, Cons    []Evidence
	Follows       []string
	Ledger        *ledgerView
	Spread        *plot // latency now and then
	Onset         string
	Where, Action string // for the ranking
	Proof         *Query // the first query; OtherQueries are the rest
	OtherQueries  []Query
	Plots         []plot
	Waterfalls    []fall
}

// fall is a trace drawn as a table with a bar in every row.
type fall struct {
	Trace
	Rows []fallRow
}

type fallRow struct {
	TraceSpan
	Indent       string // class
	Label        string // name, cut
	X, W, Colour string
	Path         []box // on the critical path
}

type part struct{ Name, Value string }

// bar is a saving against the largest of the report, in percent of its width.
type bar struct{ Value, Low, High string }

// gain is the picture of now and then, in the units of its viewBox.
type gain struct{ Now, Then, From, Range, NowText, ThenText, Text string }

// writeHTML is one page that loads nothing: html/template escapes every text,
// the policy in the page forbids scripts and anything from elsewhere.
func writeHTML(w io.Writer, r *Report) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"coverageWord": coverageWord, "coverageDetail": coverageDetail, "operationName": operationName, "digits": digits, "percent": percent,
		"seconds": seconds, "orDash": orDash, "p95Text": p95Text, "bucketText": bucketText, "baselineText": baselineText, "savedText": savedText,
		"scoreText": scoreText, "scoreWord": scoreWord, "tallyText": tallyText, "pieces": pieces, "kindsText": kindsText, "verdictMark": verdictMark,
		"entityText": entityText, "eventColumns": func() []string { return eventColumns }, "limitColumns": func() []string { return limitColumns }, "rateText": rateText, "shareText": shareText, "signClass": signClass, "signWord": signWord, "loadText": loadText, "symptomsTitle": symptomsTitle, "target": (*Impact).target,
	}).Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("parse page template: %w", err)
	}
	var out bytes.Buffer
	for _, l := range pageSteps {
		out.Reset()
		if err := t.Execute(&out, newPage(l.of(r))); err != nil {
			return fmt.Errorf("write html: %w", err)
		}
		if out.Len() <= htmlBudget {
			break
		}
	}
	_, err = out.WriteTo(w)
	return err
}

// of is a report with its lists cut, and a word for what was left out.
func (l pageLimits) of(r *Report) (*Report, string) {
	if l.causes == 0 {
		return r, ""
	}
	out := *r
	out.Causes, out.Leads, out.Housekeeping = first(r.Causes, l.causes), first(r.Leads, l.causes), first(r.Housekeeping, l.causes)
	out.Symptoms, out.Rejected, out.Unweighed = first(r.Symptoms, l.rows), first(r.Rejected, l.rows), first(r.Unweighed, l.rows)
	out.Modules = first(r.Modules, l.rows)
	if o := r.Objectives; o != nil {
		cut := *o
		cut.Results = first(o.Results, l.rows)
		out.Objectives = &cut
	}
	out.Coverage = slices.Clone(r.Coverage)
	for i := range out.Coverage {
		out.Coverage[i].Gaps, out.Coverage[i].Notes = first(out.Coverage[i].Gaps, l.rows), first(out.Coverage[i].Notes, l.rows)
	}
	out.Causes = slices.Clone(out.Causes)
	for i := range out.Causes {
		out.Causes[i].Evidence = first(out.Causes[i].Evidence, l.account)
	}
	return &out, fmt.Sprintf("Shortened to fit: at most %d causes, %d lines of evidence for each and %d rows a table are shown; report.json has everything.", l.causes, l.account, l.rows)
}

func first[T any](s []T, n int) []T { return s[:min(n, len(s))] }

func newPage(r *Report, shortened string) page {
	p := page{
		R: r, Style: template.CSS(pageCSS), StyleHash: styleHash(pageCSS), Status: statusWord(r), Window: r.windowText(r.Window),
		Zone: r.location().String(), SlowText: slowText(r), NoCause: noCause(r), Method: methodText, Gaps: r.gaps(), Shortened: shortened,
		Causes: causeViews(r, "Cause", r.Causes), Leads: causeViews(r, "Lead", r.Leads), Housekeeping: causeViews(r, "Keep", r.Housekeeping),
	}
	if r.Baseline != nil {
		p.Baseline = r.windowText(*r.Baseline)
	}
	p.Operations, p.More = r.inSight()
	p.AnySlow, p.Clock = r.anySlow(), r.clock()
	p.Modules = r.moduleViews()
	p.Headroom = r.headroomText()
	p.Marks = r.frame(nil).events()
	p.Events, p.MoreEvents = r.eventRows(), r.moreEvents()
	for i := range r.Symptoms {
		s := &r.Symptoms[i]
		p.Symptoms = append(p.Symptoms, r.frame(s.SlowSpans).drawAll(fmt.Sprintf("symptom-%d", i+1), s.Charts)...)
	}
	if i := slices.IndexFunc(r.Symptoms, func(s Symptom) bool { return len(s.Charts) > 0 }); i >= 0 {
		p.Symptoms = appendPlot(p.Symptoms, drawThroughput("throughput", r, &r.Symptoms[i]))
	}
	p.Map = mapViewOf(r.Map)
	p.Onsets = slices.ContainsFunc(r.Causes, func(c Cause) bool { return c.Onset != nil && c.Onset.Cause != 0 })
	return p
}

func appendPlot(plots []plot, p *plot) []plot {
	if p == nil {
		return plots
	}
	return append(plots, *p)
}

// styleHash is the source expression that lets exactly this style through.
func styleHash(css string) string {
	sum := sha256.Sum256([]byte(css))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (r *Report) frame(slow []Span) *frame {
	return &frame{from: r.Window.Start.UnixMilli(), to: r.Window.End.UnixMilli(), report: r, slow: slow}
}

func (f *frame) drawAll(id string, charts []analyzers.Chart) []plot {
	var out []plot
	for i, c := range charts {
		out = append(out, f.draw(fmt.Sprintf("%s-%d", id, i+1), c))
	}
	return out
}

func causeViews(r *Report, label string, cs []Cause) []causeView {
	largest := 0.0
	for _, c := range cs {
		if c.Impact != nil {
			largest = math.Max(largest, math.Max(c.Impact.Saved, c.Impact.High))
		}
	}
	var out []causeView
	for i, c := range cs {
		id := fmt.Sprintf("%s-%d", strings.ToLower(label), i+1)
		f := r.frame(r.slowSpans(&c))
		plots := append(appendPlot(nil, f.drawOnset(id+"-onset", c.Onset)), f.drawAll(id, c.Charts)...)
		out = append(out, causeView{
			Where: r.where(c), Action: c.action(), Proof: c.proof(), OtherQueries: c.otherQueries(),
			Ledger: ledgerViewOf(r, &c), Spread: drawDistribution(id+"-spread", c.Impact), Onset: r.onsetWord(c),
			ID: id, Label: fmt.Sprintf("%s %d", label, i+1), C: c, Subject: parts(c.Subject), Bar: barOf(c.Impact, largest), Score: num(100 * c.Score), Gain: gainOf(c.Impact),
			Pros: c.pros(), Cons: c.cons(), Follows: follows(r, c), Plots: plots, Waterfalls: falls(c.Traces),
		})
	}
	return out
}

// falls lays out the traces that have spans; every service has one colour.
func falls(traces []Trace) []fall {
	var out []fall
	for _, t := range traces {
		if len(t.Spans) == 0 {
			continue
		}
		f := fall{Trace: t}
		var services []string
		for _, s := range t.Spans {
			if !slices.Contains(services, s.Service) {
				services = append(services, s.Service)
			}
			x := func(v float64) float64 { return 100 * math.Max(0, math.Min(v/math.Max(t.Seconds, 1e-9), 1)) }
			f.Rows = append(f.Rows, fallRow{
				Path: pathBoxes(s.Path, x), TraceSpan: s, Label: shorten(s.Name, ledgerWhat), Indent: "d" + strconv.Itoa(min(s.Depth, waterfallDepth)), X: num(x(s.Start)), W: num(math.Max(x(math.Max(s.Seconds, s.Extent)), 0.4)),
				Colour: "f" + strconv.Itoa(slices.Index(services, s.Service)%linesPerChart),
			})
		}
		out = append(out, f)
	}
	return out
}

// pathBoxes places the stretches of the critical path below a span's bar.
func pathBoxes(path []float64, x func(float64) float64) []box {
	var out []box
	for i := 0; i+1 < len(path); i += 2 {
		from := x(path[i])
		out = append(out, box{X: num(from), W: num(math.Max(x(path[i+1])-from, 0.3))})
	}
	return out
}

func parts(e evidence.Entity) []part {
	var out []part
	for _, p := range []part{{"service", e.Service}, {"instance", e.Instance}, {"operation", e.Operation}, {"resource", e.Resource}} {
		if p.Value != "" {
			out = append(out, p)
		}
	}
	return out
}

func barOf(i *Impact, largest float64) *bar {
	if i == nil || largest <= 0 {
		return nil
	}
	x := func(v float64) string { return num(100 * math.Max(0, math.Min(v/largest, 1))) }
	return &bar{Value: x(i.Saved), Low: x(i.Low), High: x(i.High)}
}

// gainOf draws now as the full width; the pale end of then is its interval.
func gainOf(i *Impact) *gain {
	if i == nil || i.Now <= 0 {
		return nil
	}
	const width = 560.0
	x := func(v float64) float64 { return width * math.Max(0, math.Min(v/i.Now, 1)) }
	then, from, to := x(i.Then), x(i.Now-i.High), x(i.Now-i.Low)
	if i.High <= i.Low {
		from, to = then, then
	}
	return &gain{
		Now: num(width), Then: num(then), From: num(from), Range: num(math.Max(to-from, 0)),
		NowText: num(width + 8), ThenText: num(math.Max(then, to) + 8), Text: nowThen(i),
	}
}

func follows(r *Report, c Cause) []string {
	var out []string
	for _, rank := range c.Explains {
		if rank >= 1 && rank <= len(r.Causes) {
			v := r.Causes[rank-1]
			out = append(out, fmt.Sprintf("%s: %s (rank %d)", v.Title, entityText(v.Subject), rank))
		}
	}
	for _, v := range c.Explained {
		out = append(out, strings.TrimSuffix(v.Title+": "+entityText(v.Subject), ": "))
	}
	return out
}

func signClass(e Evidence) string {
	return map[string]string{"+": "plus", "−": "minus", "?": "unk"}[verdictMark(e)]
}

func signWord(e Evidence) string {
	return map[string]string{"+": "supports", "−": "speaks against", "?": "not known"}[verdictMark(e)]
}

func tallyText(c Cause) string {
	s, a, u := c.tally()
	return fmt.Sprintf("%d for, %d against, %d unknown", s, a, u)
}

// methodText says how the order came about; it holds for every report.
const methodText = "Causes are ranked by the latency that removing each would save at the tail of the operations it slows, tempered by the weight of the evidence for and against it. " +
	"Where traces exist the saving is found by replaying them without the mechanism; else from the time that metrics account for. Without a slow operation no cause is named."

func slowText(r *Report) string {
	spans := r.slowSpans(nil)
	if len(spans) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("Slow ")
	for i, s := range spans {
		if i == 4 {
			fmt.Fprintf(&b, " and %d more", len(spans)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(r.span(s))
	}
	return b.String() + "; shaded in the charts."
}

func noCause(r *Report) string {
	switch r.Verdict.Status {
	case rules.NoProblem:
		return "None: no operation was slow."
	case rules.RunUnusable:
		return "None can be named: the run itself cannot be judged."
	}
	return "No cause reached the evidence that naming one takes."
}

func loadText(l evidence.LoadRun) string {
	var parts []string
	for _, s := range l.Requests {
		if s.Name == "" {
			parts = append(parts, fmt.Sprintf("%s requests, client p95 %s", digits(s.Count), seconds(s.P95)))
		}
	}
	for _, c := range l.Checks {
		if !c.OK {
			parts = append(parts, "threshold missed: "+c.Metric+" "+c.Expr)
		}
	}
	if l.ExitCode != 0 {
		parts = append(parts, fmt.Sprintf("exit code %d", l.ExitCode))
	}
	if l.Dropped > 0 {
		parts = append(parts, digits(l.Dropped)+" iterations dropped: the generator could not keep up")
	}
	return strings.Join(parts, "; ")
}
