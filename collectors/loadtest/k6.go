package loadtest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// k6 writes its end-of-run summary in three shapes:
//   - --summary-export (legacy): values beside each other in the metric,
//     thresholds {"expr": true} where true means crossed;
//   - handleSummary(data): values under "values", thresholds {"expr": {"ok": true}};
//   - --new-machine-readable-summary: metrics as a list, percentiles "p95",
//     no thresholds.
// In all of them durations are in ms whatever summaryTimeUnit says, and the
// "passes" (or "matches") of http_req_failed count the failed requests.

// k6Metric is one metric of any shape.
type k6Metric struct {
	values     map[string]float64
	thresholds map[string]bool // expression: it held
}

type k6Summary struct {
	metrics  map[string]k6Metric
	duration time.Duration // 0: not said
	end      time.Time     // zero: not said
	notes    []string
}

func parseK6(content []byte) (evidence.LoadRun, error) {
	s, err := decodeK6(content)
	if err != nil {
		return evidence.LoadRun{}, err
	}
	run := evidence.LoadRun{Tool: "k6", Notes: s.notes, Checks: s.thresholds()}
	run.Requests, run.Modules = byScenario(s.requests())
	run.Dropped = s.metrics["dropped_iterations"].values["count"]
	if !s.end.IsZero() {
		run.End = s.end.UnixMilli()
		run.Start = s.end.Add(-s.duration).UnixMilli()
	}
	return run, nil
}

func decodeK6(content []byte) (*k6Summary, error) {
	var head struct {
		Metrics map[string]json.RawMessage `json:"metrics"`
		State   struct {
			DurationMs float64 `json:"testRunDurationMs"`
		} `json:"state"`
		Results  *k6Results `json:"results"`
		Metadata struct {
			GeneratedAt time.Time `json:"generated_at"`
		} `json:"metadata"`
		Config struct {
			Duration float64 `json:"duration"` // s
		} `json:"config"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return nil, fmt.Errorf("neither a result file of k6, JMeter, Locust or Gatling nor a plain CSV: %w", err)
	}
	switch {
	case head.Results != nil:
		s := head.Results.summary()
		s.end, s.duration = head.Metadata.GeneratedAt, time.Duration(head.Config.Duration*float64(time.Second))
		return s, nil
	case len(head.Metrics) > 0:
		s := &k6Summary{metrics: map[string]k6Metric{}, duration: time.Duration(head.State.DurationMs * float64(time.Millisecond))}
		for name, raw := range head.Metrics {
			m, err := decodeK6Metric(raw)
			if err != nil {
				return nil, fmt.Errorf("k6 summary: metric %.60q: %w", name, err)
			}
			s.metrics[name] = m
		}
		return s, nil
	}
	return nil, errors.New("no result of a load tool that culprit knows (k6, JMeter, Locust, Gatling, InfluxDB lines, or a CSV with columns time and duration_ms)")
}

// k6Results is the shape of --new-machine-readable-summary.
type k6Results struct {
	Metrics []struct {
		Name   string             `json:"name"`
		Values map[string]float64 `json:"values"`
	} `json:"metrics"`
}

func (r *k6Results) summary() *k6Summary {
	s := &k6Summary{metrics: map[string]k6Metric{}, notes: []string{"this summary schema of k6 carries no thresholds"}}
	for _, m := range r.Metrics {
		s.metrics[m.Name] = k6Metric{values: m.Values}
	}
	return s
}

// decodeK6Metric reads the two shapes that name metrics as keys.
func decodeK6Metric(raw json.RawMessage) (k6Metric, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return k6Metric{}, err
	}
	m := k6Metric{values: map[string]float64{}, thresholds: map[string]bool{}}
	if nested, ok := fields["values"]; ok {
		if err := json.Unmarshal(nested, &m.values); err != nil {
			return m, err
		}
	} else {
		for key, v := range fields {
			var number float64
			if json.Unmarshal(v, &number) == nil {
				m.values[key] = number
			}
		}
	}
	if t, ok := fields["thresholds"]; ok {
		return m, m.readThresholds(t)
	}
	return m, nil
}

func (m *k6Metric) readThresholds(raw json.RawMessage) error {
	var byExpr map[string]json.RawMessage
	if err := json.Unmarshal(raw, &byExpr); err != nil {
		return err
	}
	for expr, v := range byExpr {
		var crossed bool
		var verdict struct {
			OK bool `json:"ok"`
		}
		switch {
		case json.Unmarshal(v, &crossed) == nil:
			m.thresholds[expr] = !crossed
		case json.Unmarshal(v, &verdict) == nil:
			m.thresholds[expr] = verdict.OK
		default:
			return fmt.Errorf("threshold %.60q is neither true, false nor {ok}", expr)
		}
	}
	return nil
}

// requests gives the latency of all requests first, then of every sub-metric
// that a threshold of the script made k6 keep.
func (s *k6Summary) requests() []evidence.LoadStat {
	base, failed, count := "http_req_duration", "http_req_failed", "http_reqs"
	if _, ok := s.metrics[base]; !ok {
		base, failed, count = "grpc_req_duration", "", ""
	}
	var out []evidence.LoadStat
	for metric, m := range s.metrics {
		name, tags, _ := strings.Cut(metric, "{")
		if name != base || tags == "expected_response:true}" {
			continue
		}
		suffix := strings.TrimPrefix(metric, base)
		out = append(out, m.stat(tagName(strings.TrimSuffix(tags, "}")), s.metrics[failed+suffix], s.metrics[count+suffix]))
	}
	slices.SortFunc(out, func(a, b evidence.LoadStat) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// byScenario takes out the sub-metrics that tell scenarios apart.
func byScenario(all []evidence.LoadStat) (requests []evidence.LoadStat, modules []evidence.LoadModule) {
	for _, r := range all {
		if name, ok := strings.CutPrefix(r.Name, "scenario:"); ok && !strings.Contains(name, ",") {
			r.Name = ""
			modules = append(modules, evidence.LoadModule{Name: name, Requests: []evidence.LoadStat{r}})
			continue
		}
		requests = append(requests, r)
	}
	return requests, modules
}

func (m k6Metric) stat(name string, failed, count k6Metric) evidence.LoadStat {
	ms := func(keys ...string) float64 { return first(m.values, keys...) / 1000 }
	return evidence.LoadStat{
		Name:   name,
		Count:  cmp.Or(count.values["count"], m.values["count"], first(failed.values, "total")),
		Failed: first(failed.values, "passes", "matches"),
		P50:    ms("med", "p(50)", "p50"), P95: ms("p(95)", "p95"), P99: ms("p(99)", "p99"), Max: ms("max"),
	}
}

// tagName names a sub-metric: the request's own name where it has one, else
// the tags as k6 writes them.
func tagName(tags string) string {
	for _, key := range []string{"name:", "url:"} {
		if v, ok := strings.CutPrefix(tags, key); ok && !strings.Contains(v, ",") {
			return v
		}
	}
	return tags
}

func (s *k6Summary) thresholds() []evidence.Threshold {
	var out []evidence.Threshold
	for metric, m := range s.metrics {
		for expr, held := range m.thresholds {
			out = append(out, evidence.Threshold{Metric: metric, Expr: expr, OK: held})
		}
	}
	slices.SortFunc(out, func(a, b evidence.Threshold) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Expr, b.Expr))
	})
	return out
}

func first(values map[string]float64, keys ...string) float64 {
	for _, k := range keys {
		if v, ok := values[k]; ok {
			return v
		}
	}
	return 0
}
