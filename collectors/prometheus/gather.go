package prometheus

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// entity says what the labels of a result are about. The service of a
// container is found later, from all that was read.
func (q query) entity(l labels) evidence.Entity {
	service, instance, operation, resource := q.family.identity()
	get := q.probe.reader(l)
	e := evidence.Entity{Service: serviceName(service.fill(get)), Instance: instance.fill(get),
		Operation: operation.fill(get), Resource: resource.fill(get)}
	if q.detail == byOperation || q.detail == byService {
		e.Instance = ""
	}
	if q.detail == byInstance || q.detail == byService {
		e.Operation = ""
	}
	if q.family.About == aboutContainer {
		e.Resource = lastElement(e.Resource)
	}
	return e
}

// serviceName takes the namespace off a job label as OTLP makes it.
func serviceName(s string) string {
	if head, tail, ok := strings.Cut(s, "/"); ok && head != "" && tail != "" && !strings.Contains(tail, "/") {
		return tail
	}
	return s
}

// labelMap keeps the raw labels, without the buckets' bounds.
func labelMap(l labels) map[string]string {
	if len(l) == 0 {
		return nil
	}
	out := make(map[string]string, len(l))
	for _, x := range l {
		if x.Name != "le" && x.Name != "vmrange" {
			out[x.Name] = x.Value
		}
	}
	return out
}

// over is the window of a rate in s, 0 for a gauge.
func (q query) over() float64 {
	if q.read.spec.Shape == shapeGauge || !strings.Contains(q.text, "["+promDuration(q.window)+"]") {
		return 0
	}
	return q.window.Seconds()
}

// gather turns an answer into series, dropping what is no value: NaN, Inf and
// what stands for "none" or "unlimited".
func (q query) gather(a answer) []evidence.Series {
	var out []evidence.Series
	for _, s := range a.Series {
		e := evidence.Series{Kind: q.read.Kind, Entity: q.entity(s.Labels), Unit: q.read.spec.Unit,
			Labels: labelMap(s.Labels), Query: q.text, Over: q.over()}
		for i, v := range s.Values {
			if q.valid(v) {
				e.Times = append(e.Times, s.Times[i])
				e.Values = append(e.Values, v*q.read.Scale)
			}
		}
		if len(e.Times) > 0 {
			out = append(out, e)
		}
	}
	if q.family.About == aboutContainer && q.probe.has("id") {
		return leaves(out, q.probe.actual["id"])
	}
	return out
}

// leaves drops the control groups that hold others: what they use is told by
// those.
func leaves(all []evidence.Series, id string) []evidence.Series {
	parents := map[string]bool{}
	for _, s := range all {
		for at := strings.LastIndexByte(s.Labels[id], '/'); at > 0; at = strings.LastIndexByte(s.Labels[id][:at], '/') {
			parents[s.Labels[id][:at]] = true
		}
	}
	return slices.DeleteFunc(all, func(s evidence.Series) bool { return parents[s.Labels[id]] })
}

func (q query) valid(v float64) bool {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return false
	}
	return (q.read.Above == nil || v > *q.read.Above) && (q.read.Below == nil || v < *q.read.Below)
}

// gatherClassic puts the buckets of classic histograms together: one series
// for each bound becomes one distribution for each entity.
func (q query) gatherClassic(a, sums answer) []evidence.Histogram {
	type group struct {
		labels labels
		bounds []samples
		sum    samples
	}
	groups := map[string]*group{}
	var order []string
	for _, s := range a.Series {
		k := keyWithout(s.Labels, "le")
		if groups[k] == nil {
			groups[k] = &group{labels: s.Labels}
			order = append(order, k)
		}
		groups[k].bounds = append(groups[k].bounds, s)
	}
	for _, s := range sums.Series {
		if g := groups[keyWithout(s.Labels, "le")]; g != nil {
			g.sum = s
		}
	}
	var out []evidence.Histogram
	for _, k := range order {
		g := groups[k]
		h := evidence.Histogram{Kind: q.read.Kind, Entity: q.entity(g.labels), Unit: q.read.spec.Unit,
			Labels: labelMap(g.labels), Query: q.text, Over: q.window.Seconds()}
		if fillClassic(&h, g.bounds, g.sum, q.read.Scale) {
			out = append(out, h)
		}
	}
	return out
}

func keyWithout(l labels, drop string) string {
	var b strings.Builder
	for _, x := range l {
		if x.Name != drop {
			b.WriteString(x.Name + "\x00" + x.Value + "\x00")
		}
	}
	return b.String()
}

// fillClassic turns cumulative rates into rates of each bucket, at the times
// that all bounds have. Counts of a torn scrape can fall from one bound to the
// next; such a bucket is empty, as in Prometheus.
func fillClassic(h *evidence.Histogram, bounds []samples, sum samples, scale float64) bool {
	les := make([]float64, len(bounds))
	order := make([]int, len(bounds))
	for i, s := range bounds {
		le, err := strconv.ParseFloat(s.Labels.get("le"), 64)
		if err != nil {
			return false
		}
		les[i], order[i] = le, i
	}
	slices.SortFunc(order, func(x, y int) int { return cmpFloat(les[x], les[y]) })
	if len(order) < 2 || !math.IsInf(les[order[len(order)-1]], 1) {
		return false
	}
	for _, i := range order[:len(order)-1] {
		h.Bounds = append(h.Bounds, les[i]*scale)
	}
	at := make([]int, len(bounds)) // next sample of each bound
	sumAt := 0
	for _, t := range bounds[order[0]].Times {
		row, ok := classicRow(bounds, order, at, t)
		if !ok {
			continue
		}
		h.Times = append(h.Times, t)
		h.Rates = append(h.Rates, row)
		if len(sum.Times) > 0 {
			h.Sum = append(h.Sum, valueAt(sum, &sumAt, t)*scale)
		}
	}
	h.Sum = completeOrNil(h.Sum)
	return len(h.Times) > 0
}

// classicRow reads one time of all bounds; false where one is missing.
func classicRow(bounds []samples, order, at []int, t int64) ([]float64, bool) {
	row := make([]float64, len(order))
	below := 0.0
	for b, i := range order {
		v := valueAt(bounds[i], &at[i], t)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, false
		}
		row[b] = max(0, v-below)
		below = max(below, v)
	}
	return row, true
}

// valueAt gives the sample at a time, moving on from *i; NaN where there is none.
func valueAt(s samples, i *int, t int64) float64 {
	for *i < len(s.Times) && s.Times[*i] < t {
		*i++
	}
	if *i < len(s.Times) && s.Times[*i] == t {
		return s.Values[*i]
	}
	return math.NaN()
}

// completeOrNil gives up sums of which one is missing: a mean of some would
// pass for a mean of all.
func completeOrNil(sums []float64) []float64 {
	if slices.ContainsFunc(sums, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
		return nil
	}
	return sums
}

func cmpFloat(x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
