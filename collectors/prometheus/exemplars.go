package prometheus

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	// slowShare: an exemplar is of interest from this quantile of its
	// operation's latency on.
	slowShare = 0.9
	// mostExemplars are kept of one operation, spread over the window, and of
	// all operations together.
	mostExemplars, mostOfAll = 12, 240
	// maxExemplars are read of one answer.
	maxExemplars = 20_000
)

// found holds what one collector learned for another, until somebody asks.
type found struct {
	once      sync.Once
	ready     chan struct{}
	exemplars []evidence.Exemplar
}

func (f *found) settle(exemplars []evidence.Exemplar) {
	f.once.Do(func() {
		f.exemplars = exemplars
		close(f.ready)
	})
}

// Exemplars are the slow requests that the histograms name by their traces:
// those of the first collection, which it waits for; none where the context
// ends before, where that collection failed or where the server keeps none. They
// are looked for only with Config.Exemplars.
func (c *Collector) Exemplars(ctx context.Context) []evidence.Exemplar {
	select {
	case <-c.found.ready:
		return c.found.exemplars
	case <-ctx.Done():
		return nil
	}
}

// slowExemplars asks for the exemplars of every latency histogram that was
// read. A server without them, or that does not know the question, has none.
func (r *run) slowExemplars(ctx context.Context) []evidence.Exemplar {
	var out []evidence.Exemplar
	asked := map[string]bool{}
	for i := range r.results {
		res := &r.results[i]
		selector := res.fillIn("", "$1{$SEL}", res.names, r.grid)
		if res.read.Kind != evidence.ServerLatency || res.detail == byInstance || len(res.histograms) == 0 || asked[selector] {
			continue
		}
		asked[selector] = true
		all, err := r.exemplars(ctx, res.query, selector)
		if err != nil {
			continue // the metrics lack nothing by it
		}
		out = append(out, slowest(all, res.slowFrom(r.window))...)
	}
	if len(out) > mostOfAll {
		out = evenly(out, mostOfAll)
	}
	return out
}

// slowFrom is the latency from which a request to each operation is slow, in s:
// where the bucket begins that holds the quantile.
func (r *result) slowFrom(w evidence.Window) map[evidence.Entity]float64 {
	out := map[evidence.Entity]float64{}
	for i := range r.histograms {
		h := &r.histograms[i]
		if v, low, _ := h.Quantile(slowShare, w.Start.UnixMilli(), w.End.UnixMilli()+1); v == v { // not NaN
			out[h.Entity] = low
		}
	}
	return out
}

// slowest keeps a few slow exemplars of every operation, in the order of time.
func slowest(all []evidence.Exemplar, from map[evidence.Entity]float64) []evidence.Exemplar {
	byOperation := map[evidence.Entity][]evidence.Exemplar{}
	for _, x := range all {
		if limit, known := from[x.Entity]; known && x.Value >= limit {
			byOperation[x.Entity] = append(byOperation[x.Entity], x)
		}
	}
	var out []evidence.Exemplar
	for _, list := range byOperation {
		slices.SortFunc(list, compareExemplars)
		out = append(out, evenly(slices.Compact(list), mostExemplars)...)
	}
	slices.SortFunc(out, compareExemplars)
	return out
}

func compareExemplars(a, b evidence.Exemplar) int {
	return cmp.Or(cmp.Compare(a.At, b.At), a.Entity.Compare(b.Entity), slices.Compare(a.Trace[:], b.Trace[:]), cmp.Compare(a.Value, b.Value))
}

// evenly keeps n of a list, spread over it.
func evenly(list []evidence.Exemplar, n int) []evidence.Exemplar {
	if len(list) <= n {
		return list
	}
	out := make([]evidence.Exemplar, n)
	for i := range out {
		out[i] = list[i*len(list)/n]
	}
	return out
}

// exemplars of the series that a query reads.
func (r *run) exemplars(ctx context.Context, q query, selector string) ([]evidence.Exemplar, error) {
	form := between(r.window)
	form.Set("query", selector)
	return fetch(ctx, r.client, call{path: "api/v1/query_exemplars", form: form, get: true}, func(s *scanner) ([]evidence.Exemplar, error) {
		d := &exemplarDecoder{matrixDecoder: &matrixDecoder{scanner: s, interned: map[string]string{}}, query: q}
		_, err := decodeEnvelope(s, func() error { return s.array(d.series) })
		return d.out, err
	})
}

// exemplarDecoder reads the exemplars of series: each with the labels of its
// series, its own, a value and a time.
type exemplarDecoder struct {
	*matrixDecoder
	query query
	out   []evidence.Exemplar
}

func (d *exemplarDecoder) series() error {
	var of evidence.Entity
	first := len(d.out)
	err := d.object(func(key []byte) error {
		switch string(key) {
		case "seriesLabels":
			l, err := d.labels()
			of = d.query.entity(l)
			return err
		case "exemplars":
			return d.array(d.exemplar)
		}
		return d.skip()
	})
	for i := range d.out[first:] {
		d.out[first+i].Entity = of
	}
	return err
}

// traceLabels name the trace of an exemplar: OpenMetrics leaves it open,
// OpenTelemetry says trace_id, Grafana's and Jaeger's users traceID.
var traceLabels = []string{"trace_id", "traceid"}

func (d *exemplarDecoder) exemplar() error {
	var x evidence.Exemplar
	err := d.object(func(key []byte) (err error) {
		switch string(key) {
		case "labels":
			var l labels
			if l, err = d.labels(); err == nil {
				x.Trace = traceOf(l)
			}
		case "value":
			x.Value, err = d.quoted()
		case "timestamp":
			var at float64
			at, err = d.number()
			x.At = millis(at)
		default:
			err = d.skip()
		}
		return err
	})
	if err == nil && !x.Trace.IsZero() && len(d.out) < maxExemplars {
		x.Value *= d.query.read.Scale
		d.out = append(d.out, x)
	}
	return err
}

// traceOf labels of an exemplar; zero where they name none.
func traceOf(l labels) (id evidence.TraceID) {
	for _, x := range l {
		if slices.Contains(traceLabels, strings.ToLower(x.Name)) {
			if id, err := evidence.ParseTraceID(x.Value); err == nil {
				return id
			}
		}
	}
	return evidence.TraceID{}
}
