package prometheus

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The labels that name a service and an instance, the most telling first. The
// job label comes last: it is always there, and often the exporter's.
var (
	defaultService  = mustPattern("{service_name|service|app_kubernetes_io_name|app|application|exported_service|job}")
	defaultInstance = mustPattern("{pod|kubernetes_pod_name|pod_name|exported_pod|service_instance_id|instance|host_name|container_id}")
	containerThing  = mustPattern("{container|name|container_id|id}")
	containerPlace  = mustPattern("{pod|kubernetes_pod_name|pod_name|container_id|id|name}")
	nodeName        = mustPattern("{node|kubernetes_node|nodename|host_name|instance}")
)

// identity gives the patterns of the family's entities.
func (f *family) identity() (service, instance, operation, resource pattern) {
	switch f.About {
	case aboutContainer:
		return f.Service, f.Instance.or(containerPlace), f.Operation, f.Resource.or(containerThing)
	case aboutNode:
		return f.Service, f.Instance, f.Operation, f.Resource.or(nodeName)
	}
	return f.Service.or(defaultService), f.Instance.or(defaultInstance), f.Operation, f.Resource
}

// detail is what a query keeps apart.
type detail int

const (
	byAll       detail = iota // every field of the entity
	byOperation               // merged over instances
	byInstance                // merged over operations
	byService                 // merged over both: where there is too much to keep apart
)

// query is one range query of the plan.
type query struct {
	*match
	detail detail
	text   string
	sum    string // of a classic histogram, "" where there is none
}

// queries that a match needs: for merged kinds one over all instances, and
// where a service has several, one that keeps them apart.
func (m *match) queries(g grid, up bool) []query {
	details := []detail{byAll}
	if m.read.spec.Merged {
		details = []detail{byOperation}
		if m.severalInstances() {
			details = append(details, byInstance)
		}
	}
	var out []query
	for _, d := range details {
		out = append(out, m.query(d, g, up))
	}
	return out
}

func (m *match) query(d detail, g grid, up bool) query {
	q := query{match: m, detail: d, text: m.render(d, g, up)}
	if m.sum != "" {
		q.sum = m.fillIn(byLabels(m.by(d)), rateQuery, []string{m.sum}, g)
	}
	return q
}

// severalInstances reports whether any service of the match has two.
func (m *match) severalInstances() bool {
	service, instance, _, _ := m.family.identity()
	first := map[string]string{}
	for _, l := range m.probe.sets {
		get := m.probe.reader(l)
		s, i := service.fill(get), instance.fill(get)
		if seen, ok := first[s]; ok && seen != i {
			return true
		}
		first[s] = i
	}
	return false
}

// by lists the labels, as the server spells them, that a query keeps.
func (m *match) by(d detail) []string {
	service, instance, operation, resource := m.family.identity()
	patterns := []pattern{service}
	if d == byAll || d == byInstance {
		patterns = append(patterns, instance)
	}
	if d == byAll || d == byOperation {
		patterns = append(patterns, operation)
	}
	patterns = append(patterns, resource)
	var out []string
	for _, p := range patterns {
		for _, l := range append(p.labels(), "namespace", "cluster") {
			if a := m.probe.actual[l]; a != "" && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

func byLabels(names []string) string {
	refs := make([]string, len(names))
	for i, n := range names {
		refs[i] = labelRef(n)
	}
	return strings.Join(refs, ", ")
}

// The default queries. A counted one adds the first sample of counters that
// were born while their target was already scraped: to rate() that sample is
// where the count starts, and a burst of first errors would be lost. Without
// `up` a first sample may be a count of years, and is left alone.
const (
	rateQuery    = "sum by ($BY) (rate($1{$SEL}[$W]))"
	countedQuery = "sum by ($BY) ((($1{$SEL} unless $1{$SEL} offset $W) and on (job, instance) up offset $W == 1) / $SECONDS or rate($1{$SEL}[$W]))"
	bucketQuery  = "sum by ($BY, le) (rate($1{$SEL}[$W]))"
)

// render writes the query of a match.
func (m *match) render(d detail, g grid, up bool) string {
	template := m.read.Query
	switch {
	case template != "":
	case m.base != "" && !m.native:
		template = bucketQuery
	case m.base != "":
		template = rateQuery
	case !m.read.rate():
		template = m.gaugeQuery(g)
	case m.read.spec.Counted && up && m.probe.has("job") && m.probe.has("instance"):
		template = countedQuery
	default:
		template = rateQuery
	}
	if m.read.Agg != "sum" && m.read.Query == "" {
		template = m.read.Agg + strings.TrimPrefix(template, "sum")
	}
	return m.fillIn(byLabels(m.by(d)), m.unpacked(template), m.names, g)
}

// Rates, and first samples, of counters: all that a catalogue's query may do
// with a _count or a _sum, because from a native histogram these two can be
// taken out only after the rate.
var (
	rateOf    = regexp.MustCompile(`rate\(\$(\d)\{\$SEL(?:,[^}]*)?\}\[\$W\]\)`)
	newbornOf = regexp.MustCompile(`\(\$(\d)\{\$SEL\} unless \$\d\{\$SEL\} offset \$W\)`)
)

// unpacked takes the parts that are meant out of native histograms.
func (m *match) unpacked(template string) string {
	if m.parts == nil {
		return template
	}
	for _, re := range []*regexp.Regexp{rateOf, newbornOf} {
		template = re.ReplaceAllStringFunc(template, func(ref string) string {
			n := re.FindStringSubmatch(ref)[1][0] - '1'
			if ref[0] != '(' {
				ref = "(" + ref + ")"
			}
			return "histogram_" + m.parts[n] + ref
		})
	}
	return template
}

// rate reports whether the metric is a counter to be differentiated.
func (r *read) rate() bool {
	if r.Rated != nil {
		return !*r.Rated && r.spec.Shape == shapeRate
	}
	return r.spec.Shape == shapeRate
}

// gaugeQuery looks at every sample where a step spans several. Samples that
// bring their own times, as those of containers, never go stale: a selector
// would find a dead container alive for the five minutes that it looks back.
func (m *match) gaugeQuery(g grid) string {
	if m.family.About == aboutContainer {
		return "sum by ($BY) (last_over_time($1{$SEL}[$W]))"
	}
	if g.Step < 2*max(m.shortest, time.Second) {
		return "sum by ($BY) ($1{$SEL})"
	}
	over := m.read.Agg
	if over == "sum" {
		over = "max"
	}
	return "sum by ($BY) (" + over + "_over_time($1{$SEL}[$STEP]))"
}

var metricRef = regexp.MustCompile(`\$(\d)\{\$SEL(?:,([^}]*))?\}`)

// fillIn puts names, matchers and windows into a template.
func (m *match) fillIn(by, template string, names []string, g grid) string {
	own := m.matchers()
	text := metricRef.ReplaceAllStringFunc(template, func(ref string) string {
		sub := metricRef.FindStringSubmatch(ref)
		return selector(names[sub[1][0]-'1'], joined(own, sub[2]))
	})
	if by == "" {
		text = strings.ReplaceAll(text, "$BY, ", "")
	}
	return strings.NewReplacer("$BY", by, "$W", promDuration(m.window), "$STEP", promDuration(g.Step),
		"$SECONDS", seconds(m.window)).Replace(text)
}

// needsQuiet reports whether a label has a value that is to be left out, as
// far as its values were read.
func (p *probe) needsQuiet(label string) bool {
	return p.capped || slices.ContainsFunc(p.values(label), quiet.MatchString)
}

var quiet = regexp.MustCompile("^(?:" + strings.ReplaceAll(quietRoutes, `\\`, `\`) + ")$")

// quietRoutes are answered for machines, not users: they would distort the
// distribution of what is under load. Backslashes are doubled for PromQL.
const quietRoutes = `(?i)/?(healthz?|health/.*|livez?|liveness|readyz?|readiness|ready|ping|metrics|favicon\\.ico|-/.*|(.*/)?actuator(/.*)?|debug/pprof.*)`

// matchers of the family and of the read, in the server's spelling.
func (m *match) matchers() string {
	var out []string
	for _, l := range slices.Concat(m.family.Labels, m.read.Labels) {
		out = append(out, labelRef(m.probe.actual[l])+`!=""`)
	}
	for _, l := range m.family.Skip {
		if a := m.probe.actual[l]; a != "" && m.probe.needsQuiet(l) {
			out = append(out, labelRef(a)+`!~"`+quietRoutes+`"`)
		}
	}
	return joined(append(out, m.onlyJobs(), m.oneReplica(), m.family.Select, m.read.Select)...)
}

// onlyJobs selects the jobs of a match that was split.
func (m *match) onlyJobs() string {
	if len(m.jobs) == 0 {
		return ""
	}
	quoted := make([]string, len(m.jobs))
	for i, j := range m.jobs {
		quoted[i] = regexp.QuoteMeta(j)
	}
	return fmt.Sprintf("%s=~%q", labelRef(m.probe.actual["job"]), strings.Join(quoted, "|"))
}

// replicaLabels tell the halves of a highly available pair apart, where
// nothing removes the duplicates: every sum would be double.
var replicaLabels = []string{"prometheus_replica", "__replica__"}

// oneReplica selects the first of several replicas, and what has none.
func (m *match) oneReplica() string {
	for _, l := range replicaLabels {
		if values := m.probe.values(l); len(values) > 1 {
			return fmt.Sprintf("%s=~%q", labelRef(m.probe.actual[l]), regexp.QuoteMeta(values[0])+"|")
		}
	}
	return ""
}

func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" }), ",")
}

// rateWindow is long enough for rate() to see four samples, so that one lost
// scrape does not make a hole, and never leaves a sample out between steps.
func rateWindow(interval time.Duration, g grid) time.Duration {
	return max(4*interval, g.Step).Round(time.Second / 10)
}
