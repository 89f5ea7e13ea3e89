package analyzers

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// FindContrast is the share of an operation's slow requests that have an
// attribute in common which the others seldom have, 0..1.
const FindContrast Kind = "attribute.contrast"

const (
	// falseDiscoveries is the share of contrasts that may be chance
	// (Benjamini and Hochberg, 1995).
	falseDiscoveries = 0.05
	// leastContrast: the share among the slow must exceed that among the
	// others by so much, and its odds be that many times as high.
	leastContrast, leastOdds = 0.2, 3.0
	// mostlyDistinct: with more values than this share of its sightings an
	// attribute identifies requests and contrasts nothing.
	mostlyDistinct = 0.5
	// fewestSlow requests from which something in common can be told.
	fewestSlow = 8
	// mostContrasts bounds the findings for one operation.
	mostContrasts = 5
)

// contrasted are the attributes that requests may share, the coarsest first:
// of several that tell the same requests apart the first is named.
var contrasted = [...]struct {
	key, name string
}{
	{evidence.AttrVersion, "version"}, {evidence.AttrNode, "node"}, {evidence.AttrHost, "host"}, {evidence.AttrPod, "pod"}, {"", "instance"},
	{evidence.AttrDBNamespace, "database"}, {evidence.AttrServerAddress, "server"}, {evidence.AttrErrorType, "error"},
}

var attributeContrast = Analyzer{
	Name: "attribute-contrast",
	Doc: "Compares the slow requests of each operation (from its 95th percentile on) with the others: which version, node, host, pod, instance, database or server of which service " +
		"do they share. One-sided Fisher exact test with Benjamini-Hochberg correction over all attributes of the operation; value is the share among the slow, baseline that among the others.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindContrast},
	Run:   runContrast,
}

func runContrast(p *Pass) error {
	for _, e := range rootOperations(p.Facts.Traces) {
		for _, c := range contrastsOf(p.Facts.index.asked[e]) {
			p.Report(c.finding(e))
		}
	}
	return nil
}

// feature is one value of one attribute of one service's spans; field is an
// index into contrasted.
type feature struct {
	service string
	field   int
	value   string
}

func (f feature) compare(o feature) int {
	return cmp.Or(cmp.Compare(f.field, o.field), cmp.Compare(f.service, o.service), cmp.Compare(f.value, o.value))
}

// contrast counts the requests that have a feature, among those that have the
// attribute at all.
type contrast struct {
	feature          feature
	slow, slowOf     int
	others, othersOf int
	chance           float64 // p-value
	slowWith         []*Trace
	any              *contrast // any value of the attribute
	values           int       // of the attribute, where this is any of them
	latest           int       // request that was counted
}

func (c *contrast) slowShare() float64   { return float64(c.slow) / float64(max(c.slowOf, 1)) }
func (c *contrast) othersShare() float64 { return float64(c.others) / float64(max(c.othersOf, 1)) }

// odds of the feature among the slow over those among the others, with half a
// request added everywhere (Haldane) so that none is infinite.
func (c *contrast) odds() float64 {
	with, without := float64(c.slow)+0.5, float64(c.slowOf-c.slow)+0.5
	return with / without * (float64(c.othersOf-c.others) + 0.5) / (float64(c.others) + 0.5)
}

// contrastsOf an operation, the largest difference first.
func contrastsOf(s *requestSample) []*contrast {
	if len(s.traces) < 2*fewestSlow {
		return nil
	}
	threshold := s.percentile(ordered{s.durations, s.byDuration}, tracedTail, recorded)
	tally := newContrastTally()
	for k, r := range s.requests {
		tally.add(s.traces[r.trace], r.span, s.durations[k] >= threshold)
	}
	if tally.slow < fewestSlow {
		return nil
	}
	all := discoveries(tally.candidates())
	slices.SortFunc(all, func(a, b *contrast) int {
		return cmp.Or(cmp.Compare(b.slowShare()-b.othersShare(), a.slowShare()-a.othersShare()), a.feature.compare(b.feature))
	})
	return distinct(all)
}

// contrastTally counts features among slow and other requests.
type contrastTally struct {
	requests int
	slow     int
	features map[feature]*contrast
	having   map[feature]*contrast // by service and field: requests that have any value
	said     map[voice][]*contrast
	last     voice // that of the span before, and what it says
	lastSaid []*contrast
	todo     []int32 // scratch
}

// voice is all that decides the features of a span. None of them is among the
// attributes that a span has for itself.
type voice struct {
	list              evidence.AttrList
	service, instance string
}

func newContrastTally() *contrastTally {
	return &contrastTally{features: map[feature]*contrast{}, having: map[feature]*contrast{}, said: map[voice][]*contrast{}}
}

// add counts the features of one request: of all that ran for it.
func (x *contrastTally) add(t *Trace, request int32, slow bool) {
	if slow {
		x.slow++
	}
	x.requests++
	todo := append(x.todo[:0], request)
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], t.children(i)...)
		for _, c := range x.saidBy(&t.Spans[i]) {
			x.count(t, c, slow)
			x.count(t, c.any, slow)
		}
	}
	x.todo = todo
}

// count a request once, however many of its spans have the feature.
func (x *contrastTally) count(t *Trace, c *contrast, slow bool) {
	switch {
	case c.latest == x.requests:
		return
	case slow:
		c.slow++
		c.slowWith = append(c.slowWith, t)
	default:
		c.others++
	}
	c.latest = x.requests
}

// saidBy are the features of a span.
func (x *contrastTally) saidBy(s *evidence.Span) []*contrast {
	v := voice{s.Attrs.Shared(), s.Service, s.Instance}
	if v == x.last {
		return x.lastSaid
	}
	said, known := x.said[v]
	if !known {
		said = x.featuresOf(s)
		x.said[v] = said
	}
	x.last, x.lastSaid = v, said
	return said
}

func (x *contrastTally) featuresOf(s *evidence.Span) []*contrast {
	var out []*contrast
	for field, a := range contrasted {
		value := s.Instance
		if a.key != "" {
			value = s.Attr(a.key)
		}
		if value != "" {
			out = append(out, x.contrast(feature{s.Service, field, value}))
		}
	}
	return out
}

func (x *contrastTally) contrast(f feature) *contrast {
	if c := x.features[f]; c != nil {
		return c
	}
	field := feature{service: f.service, field: f.field}
	any := x.having[field]
	if any == nil {
		any = &contrast{feature: field}
		x.having[field] = any
	}
	any.values++
	c := &contrast{feature: f, any: any}
	x.features[f] = c
	return c
}

// candidates are the features of attributes that have more than one value and
// are no identifiers, with the probability of their counts by chance.
func (x *contrastTally) candidates() []*contrast {
	var out []*contrast
	for _, c := range x.features {
		all := c.any
		if n := all.values; n < 2 || float64(n) > mostlyDistinct*float64(all.slow+all.others) {
			continue
		}
		c.slowOf, c.othersOf = all.slow, all.others
		c.chance = fisher(c.slow, c.slowOf, c.others, c.othersOf)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *contrast) int { return a.feature.compare(b.feature) })
	return out
}

// discoveries keeps what is not chance, at a rate of false ones over all that
// were tested, and large enough to matter.
func discoveries(tested []*contrast) []*contrast {
	byChance := slices.Clone(tested)
	slices.SortStableFunc(byChance, func(a, b *contrast) int { return cmp.Compare(a.chance, b.chance) })
	kept := 0
	for k, c := range byChance {
		if c.chance <= falseDiscoveries*float64(k+1)/float64(len(byChance)) {
			kept = k + 1
		}
	}
	return slices.DeleteFunc(byChance[:kept], func(c *contrast) bool {
		return c.slow < fewestSlow/2 || c.slowShare()-c.othersShare() < leastContrast || c.odds() < leastOdds
	})
}

// distinct leaves out what tells apart the same requests as something before
// it: a pod on its own node.
func distinct(all []*contrast) []*contrast {
	var out []*contrast
	for _, c := range all {
		same := slices.ContainsFunc(out, func(o *contrast) bool {
			return o.others == c.others && slices.Equal(o.slowWith, c.slowWith)
		})
		if !same && len(out) < mostContrasts {
			out = append(out, c)
		}
	}
	return out
}

func (c *contrast) finding(e evidence.Entity) Finding {
	name := contrasted[c.feature.field].name
	what := fmt.Sprintf("%s %s of %s", name, c.feature.value, c.feature.service)
	e.Resource = what
	return Finding{Kind: FindContrast, Entity: e, Value: c.slowShare(), Baseline: c.othersShare(), Unit: "1", Refs: typicalSlow(c.slowWith, 3),
		Text:  fmt.Sprintf("%s of the slow requests to %s involve %s, and %s of the others.", percent(c.slowShare()), e.Operation, shorten(what, 100), percent(c.othersShare())),
		Facts: map[string]string{"attribute": name, "value": c.feature.value, "of": c.feature.service, "chance": fmt.Sprintf("%.2g", c.chance)}}
}

// contrastNotes tells what the requests to slow operations share, for the
// reader: it points at a place, not at a mechanism.
func contrastNotes(r *Result) []string {
	var notes []string
	for i := range r.Findings {
		f := &r.Findings[i]
		slow := f.Kind == FindContrast && slices.ContainsFunc(r.Facts.Slow, func(s Symptom) bool {
			return s.Entity.Service == f.Entity.Service && s.Entity.Operation == f.Entity.Operation
		})
		if slow && len(notes) < mostContrasts {
			notes = append(notes, f.Text)
		}
	}
	return notes
}

// fisher is the probability that at least a of n slow requests have a feature
// which c of m others have, if slowness has nothing to do with it (one-sided
// exact test, hypergeometric).
func fisher(a, n, c, m int) float64 {
	having, p := a+c, 0.0
	for k := a; k <= min(having, n); k++ {
		if having-k <= m {
			p += math.Exp(logChoose(n, k) + logChoose(m, having-k) - logChoose(n+m, having))
		}
	}
	return min(p, 1)
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
