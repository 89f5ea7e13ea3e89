package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// pattern is one occurrence of a mechanism within one request.
type pattern struct {
	server int32  // where the request entered the service that shows it
	to     callee // what it is about
	spans  []int32
	value  float64
	facts  map[string]string
	// cut takes the mechanism out of the trace, all that it costs and nothing
	// else.
	cut func(Cuts)
}

// detector finds one mechanism in a trace. The same detector serves one trace
// (`culprit trace`) and many (an analyzer).
type detector struct {
	rule  string // id of the rule that names the mechanism
	finds Kind   // of the finding: median value a request that shows it
	unit  string
	find  func(*Trace) []pattern
	text  func(*occurrences) string
	// also reports what else is to be said of one place, nil for nothing.
	also func(*Pass, *occurrences, evidence.Entity)
	// warning says why the gain is an upper bound only, "" where it is not; nil: never.
	warning func(*occurrences) string
	// ownCut: the bound is the pattern's own cut, not the request without its calls.
	ownCut bool
}

// recurrence is the kind of the share of requests that show a mechanism.
func (d *detector) recurrence() Kind { return d.finds + ".recurrence" }

// maxGroups bounds the findings of one detector, most costly first.
const maxGroups = 40

// occurrences of a mechanism at one place: service, operation and callee.
type occurrences struct {
	place   evidence.Entity
	to      callee
	traces  []*Trace
	found   [][]pattern // by trace
	cost    float64     // ns of the mechanism's spans, weighted, over all
	median  float64     // of value, by request
	tail    float64     // its 95th percentile
	most    float64     // the greatest
	share   float64     // of the operation's requests that show it
	example *pattern
}

// analyze runs a detector over all traces and reports what it found, by place.
func (d *detector) analyze(p *Pass) error {
	groups := d.gather(p.Facts.Traces)
	slices.SortFunc(groups, func(a, b *occurrences) int {
		return cmp.Or(cmp.Compare(b.cost, a.cost), a.place.Compare(b.place), a.to.compare(b.to))
	})
	for _, g := range groups[:min(len(groups), maxGroups)] {
		g.measure(p.Facts.index.served[g.place])
		d.report(p, g, len(groups)-maxGroups)
	}
	return nil
}

func (d *detector) gather(traces []*Trace) []*occurrences {
	type key struct {
		place *evidence.Entity
		to    callee
	}
	at := map[key]*occurrences{}
	var groups []*occurrences
	for _, t := range traces {
		for _, found := range d.find(t) {
			k := key{t.place(found.server), found.to}
			g := at[k]
			if g == nil {
				g = &occurrences{place: *k.place, to: k.to}
				at[k] = g
				groups = append(groups, g)
			}
			g.add(t, found)
		}
	}
	return groups
}

func (g *occurrences) add(t *Trace, found pattern) {
	if n := len(g.traces); n == 0 || g.traces[n-1] != t {
		g.traces = append(g.traces, t)
		g.found = append(g.found, nil)
	}
	last := len(g.found) - 1
	g.found[last] = append(g.found[last], found)
	for _, i := range found.spans {
		g.cost += t.Weight * float64(t.Spans[i].Duration())
	}
}

// measure takes the median value and the greatest, the share of the requests
// served and the example whose value is the median's.
func (g *occurrences) measure(served float64) {
	type valued struct {
		pattern *pattern
		weight  float64
	}
	var values []valued
	total := 0.0
	for k, t := range g.traces {
		for j := range g.found[k] {
			values = append(values, valued{&g.found[k][j], t.Weight})
			total += t.Weight
		}
	}
	slices.SortStableFunc(values, func(a, b valued) int { return cmp.Compare(a.pattern.value, b.pattern.value) })
	sum := 0.0
	for _, v := range values {
		if sum += v.weight; sum >= total/2 && g.example == nil {
			g.example, g.median = v.pattern, v.pattern.value
		}
		if g.most = v.pattern.value; sum <= tracedTail*total || g.tail == 0 {
			g.tail = g.most
		}
	}
	g.share = g.requests() / served
}

// requests that show the mechanism, weighted.
func (g *occurrences) requests() float64 {
	n := 0.0
	var servers []int32
	for k, t := range g.traces {
		servers = servers[:0]
		for _, f := range g.found[k] {
			servers = append(servers, f.server)
		}
		slices.Sort(servers)
		n += t.Weight * float64(len(slices.Compact(servers)))
	}
	return n
}

// cut takes the mechanism out of a trace; nil where it does not occur.
func (g *occurrences) cut(t *Trace) Cuts {
	k, ok := slices.BinarySearchFunc(g.traces, t, compareTraces)
	if !ok {
		return nil
	}
	c := t.NewCuts()
	for _, f := range g.found[k] {
		if f.cut != nil {
			f.cut(c)
		}
	}
	return c
}

// asked lists the operations of the roots of the traces that show it, the
// busiest first.
func (g *occurrences) asked() []evidence.Entity {
	traffic := map[evidence.Entity]float64{}
	var out []evidence.Entity
	for _, t := range g.traces {
		e := t.Entity()
		if _, seen := traffic[e]; !seen {
			out = append(out, e)
		}
		traffic[e] += t.Weight
	}
	slices.SortFunc(out, func(a, b evidence.Entity) int { return cmp.Or(cmp.Compare(traffic[b], traffic[a]), a.Compare(b)) })
	return out
}

// bound says that every gain is an upper bound, and of what.
func bound(what string) func(*occurrences) string {
	return func(*occurrences) string { return "the gain is an upper bound: " + what }
}

// report says what was found at one place. left is how many places were not
// reported, where positive.
func (d *detector) report(p *Pass, g *occurrences, left int) {
	asked := g.asked()
	entity := g.place
	entity.Resource = g.to.String()
	f := Finding{
		Kind: d.finds, Entity: entity, Value: g.median, Unit: d.unit, Text: d.text(g), Victims: asked,
		Refs: typicalSlow(g.traces, 3), Facts: g.facts(d.unit), Held: g.held(),
		Impact: p.Facts.predict(asked[0], g.traces, d.without(p, g, asked[0])),
	}
	if left > 0 {
		f.Warnings = append(f.Warnings, fmt.Sprintf("%d more places that cost less were left off", left))
	}
	if d.warning != nil && d.warning(g) != "" {
		f.Warnings = append(f.Warnings, d.warning(g))
		f.Impact.limit()
	}
	if len(g.traces) < fewestTraces {
		f.Warnings = append(f.Warnings, "seen in "+evidence.Counted(len(g.traces), "trace")+" only")
	}
	p.Report(f)
	p.Report(Finding{Kind: d.recurrence(), Entity: entity, Value: g.share, Unit: "1", Refs: f.Refs,
		Text: fmt.Sprintf("%s of the sampled requests to %s show it.", percent(g.share), g.place.Operation)})
	if d.also != nil {
		d.also(p, g, entity)
	}
}

// facts are the example's, with what every remedy may want to say.
func (g *occurrences) facts(unit string) map[string]string {
	facts := map[string]string{"callee": g.to.String(), "system": g.to.system, "recurrence": percent(g.share), "traces": strconv.Itoa(len(g.traces))}
	facts["median"], facts["p95"], facts["most"] = strconv.Itoa(int(g.median)), strconv.Itoa(int(g.tail)), strconv.Itoa(int(g.most))
	if unit == "s" {
		facts["median"], facts["p95"], facts["most"] = duration(g.median), duration(g.tail), duration(g.most)
	}
	for k, v := range g.example.facts {
		facts[k] = v
	}
	return facts
}

// mostHeld bounds the operations that are listed as held up.
const mostHeld = 32

// held lists the operations that stand still while the mechanism lasts: those
// through which the requests came that show it, each with what it holds.
func (g *occurrences) held() []evidence.Entity {
	var out []evidence.Entity
	for k, t := range g.traces {
		server := g.found[k][0].server
		for up := 0; server >= 0 && up < maxDepth && len(out) < mostHeld; up++ {
			if e := t.entity(server); !slices.Contains(out, e) {
				out = append(out, e)
			}
			if server = t.Parent[server]; server >= 0 {
				server = t.server[server]
			}
		}
	}
	slices.SortFunc(out, evidence.Entity.Compare)
	return out
}

// tracedTail is the percentile that predictions are made for.
const tracedTail = 0.95

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// typicalSlow picks traces that show a tail without being its last outlier:
// from the 95th percentile of the root's duration downwards.
func typicalSlow(traces []*Trace, n int) []evidence.Ref {
	type slowness struct {
		root  int64 // ns
		trace int
	}
	slow := make([]slowness, len(traces))
	for k, t := range traces {
		slow[k] = slowness{t.Spans[t.Root].Duration(), k}
	}
	slices.SortFunc(slow, func(a, b slowness) int { return cmp.Or(cmp.Compare(b.root, a.root), cmp.Compare(a.trace, b.trace)) })
	slow = slow[len(slow)/20:]
	var refs []evidence.Ref
	for _, s := range slow[:min(n, len(slow))] {
		refs = append(refs, evidence.Ref{Source: "traces", Trace: traces[s.trace].ID.String()})
	}
	return refs
}

// spanFacts are what a remedy may say about one call: statement and the place
// in the code that made it.
func (t *Trace) spanFacts(i int32) map[string]string {
	facts := map[string]string{}
	s := &t.Spans[i]
	for name, key := range map[string]string{"statement": evidence.AttrDBQuery, "statement_key": evidence.AttrDBKey, "table": evidence.AttrDBCollection, "address": evidence.AttrServerAddress} {
		if v := s.Attr(key); v != "" {
			facts[name] = v
		}
	}
	if code := codeLocation(s); code != "" {
		facts["code"] = code
	} else if p := t.Parent[i]; p >= 0 && t.Spans[p].Service == s.Service && codeLocation(&t.Spans[p]) != "" {
		facts["code"] = codeLocation(&t.Spans[p])
	}
	return facts
}

// codeLocation is "function (file:line)" as far as the span knows.
func codeLocation(s *evidence.Span) string {
	function, file, line := s.Attr(evidence.AttrCodeFunction), s.Attr(evidence.AttrCodeFile), s.Attr(evidence.AttrCodeLine)
	switch {
	case file == "":
		return function
	case line != "":
		file += ":" + line
	}
	if function == "" {
		return file
	}
	return function + " (" + file + ")"
}

// sum of the values, weighted.
func (g *occurrences) sum() float64 {
	sum := 0.0
	for k, t := range g.traces {
		for _, f := range g.found[k] {
			sum += t.Weight * f.value
		}
	}
	return sum
}

// brief is a callee within a sentence: its first words where it is long.
func (g *occurrences) brief() string { return shorten(g.to.String(), 100) }

// shorten cuts a text to at most n runes.
func shorten(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return strings.TrimSpace(string(r[:n-1])) + "…"
	}
	return text
}

// duration writes seconds for people, to three digits.
func duration(s float64) string {
	switch {
	case s >= 1:
		return fmt.Sprintf("%.3g s", s)
	case s >= 1e-3:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g µs", s*1e6)
}
