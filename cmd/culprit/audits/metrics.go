package audits

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/culprit-rca/culprit/report/archive"
)

// metrics are the service's own. Their labels come from the configuration
// alone, so that nobody can make them many.
type metrics struct {
	registry    *prometheus.Registry
	runs        *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	last, nexts *prometheus.GaugeVec
	causes      *prometheus.GaugeVec
	queue, busy prometheus.Gauge
	posts       *prometheus.CounterVec
	refused     *prometheus.CounterVec
	sinkErrors  *prometheus.CounterVec
	storeErrors prometheus.Counter
}

func newMetrics(targets []Target, sinks []archive.Sink) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "culprit_serve_" + name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "culprit_serve_" + name, Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		runs:     counter("runs_total", "Runs that this process ended, by target, trigger and state.", "target", "trigger", "state"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "culprit_serve_run_seconds", Help: "Time that a run took.",
			Buckets: prometheus.ExponentialBuckets(0.25, 2, 12)}, []string{"target"}),
		last:        gauge("last_report_timestamp_seconds", "When the last report of a target was made, Unix time.", "target"),
		nexts:       gauge("next_slot_timestamp_seconds", "When the next audit of a target is due by its schedule, Unix time.", "target"),
		causes:      gauge("causes", "Causes in the last report of a target.", "target"),
		queue:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "culprit_serve_queued_runs", Help: "Runs in the queue, of all replicas."}),
		busy:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "culprit_serve_running_runs", Help: "Runs at work, of all replicas."}),
		posts:       counter("alert_posts_total", "Posts to the webhook, by the code of the answer.", "code"),
		refused:     counter("refused_requests_total", "Requests that were turned away before they reached a page or the webhook, by reason.", "reason"),
		sinkErrors:  counter("sink_errors_total", "Reports that could not be announced, by sink.", "sink"),
		storeErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "culprit_serve_store_errors_total", Help: "Calls of the history that failed."}),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector(),
		m.runs, m.seconds, m.last, m.nexts, m.causes, m.queue, m.busy, m.posts, m.refused, m.sinkErrors, m.storeErrors)
	m.begin(targets, sinks)
	return m
}

// begin has every series there at 0 that may come, so that its first increase
// is seen.
func (m *metrics) begin(targets []Target, sinks []archive.Sink) {
	for i := range targets {
		t := &targets[i]
		for trigger, on := range map[archive.Trigger]bool{archive.Schedule: t.Plan != nil, archive.Alert: len(t.Route) > 0} {
			for _, state := range []archive.State{archive.Done, archive.Failed, archive.Skipped, archive.Missed, archive.Interrupted} {
				if on {
					m.runs.WithLabelValues(t.Name, string(trigger), string(state))
				}
			}
		}
	}
	m.refused.WithLabelValues(http.StatusText(http.StatusUnauthorized))
	for _, s := range sinks {
		m.sinkErrors.WithLabelValues(s.Name())
	}
}

// Gatherer gives the metrics to whoever serves them.
func (s *Service) Gatherer() prometheus.Gatherer { return s.metrics.registry }

func (m *metrics) ended(r archive.Run) {
	m.runs.WithLabelValues(r.Target, string(r.Trigger), string(r.State)).Inc()
	if !r.Began.IsZero() && !r.Ended.IsZero() {
		m.seconds.WithLabelValues(r.Target).Observe(r.Ended.Sub(r.Began).Seconds())
	}
	if r.Reported {
		m.last.WithLabelValues(r.Target).Set(float64(r.Ended.Unix()))
		m.causes.WithLabelValues(r.Target).Set(float64(len(r.Causes)))
	}
}

func (m *metrics) next(target string, t time.Time) {
	m.nexts.WithLabelValues(target).Set(float64(t.Unix()))
}

func (m *metrics) depth(queued, running int) {
	m.queue.Set(float64(queued))
	m.busy.Set(float64(running))
}
