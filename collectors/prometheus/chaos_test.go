package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// chaosExporters answers as the exporters of LitmusChaos and Chaos Mesh do, one
// target for both. Neither runs without a Kubernetes cluster, so that the texts
// are written from what is documented of their names and labels
// (litmuschaos/chaos-exporter, its README; chaos-mesh/chaos-mesh,
// pkg/metrics/chaos-controller-manager.go), and not recorded.
type chaosExporters struct {
	state    atomic.Pointer[string] // idle, active
	injected atomic.Int64           // Unix s
}

func (c *chaosExporters) set(state string) { c.state.Store(&state) }

func (c *chaosExporters) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	text, err := os.ReadFile("testdata/chaos-" + *c.state.Load() + ".prom")
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprint(w, strings.ReplaceAll(string(text), "INJECTED", fmt.Sprint(c.injected.Load())))
}

// Experiments that a real server has scraped become events with a beginning and
// an end: one exporter says 0 between them, the other shows nothing.
func TestChaosExperiments(t *testing.T) { eachRelease(t, checkChaos) }

func checkChaos(t *testing.T, r release) {
	exporters := &chaosExporters{}
	exporters.set("idle")
	exporters.injected.Store(time.Now().Add(-time.Hour).Unix())
	s := httptest.NewServer(exporters)
	defer s.Close()
	url := r.start(t, t.TempDir(), fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n- {job_name: chaos, static_configs: [{targets: ['%s'], labels: {namespace: chaos-mesh}}]}\n", s.Listener.Addr()))
	c, err := New(Config{URL: url, MaxQueries: 1000})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	scraped := func(query string) int64 {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			got, err := c.client.query(context.Background(), query, time.Now(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Series) == 1 {
				return time.Now().UnixMilli()
			}
		}
		t.Fatalf("never %s", query)
		return 0
	}
	awaited := "litmuschaos_awaited_experiments"
	scraped("count_over_time(" + awaited + "[1m]) >= 6")
	began := time.Now().UnixMilli()
	exporters.injected.Store(began/1000 + 1)
	exporters.set("active")
	scraped("sum_over_time(" + awaited + "[1m]) >= 8")
	exporters.set("idle")
	ended := scraped(awaited + " == 0")
	scraped("count_over_time((" + awaited + " == 0)[5s:500ms]) >= 10")
	b, err := c.Collect(context.Background(), evidence.Window{Start: start, End: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	events := analyzers.Run(b).Facts.Events
	for _, name := range []string{"helloservice-pod-delete-pod-delete", "NetworkChaos in shop"} {
		i := slices.IndexFunc(events, func(e evidence.Event) bool { return e.Entity.Resource == name })
		if i < 0 {
			t.Errorf("no event of %s in %+v", name, events)
			continue
		}
		// A series is read every second, and scraped twice in it.
		if e := events[i]; e.Kind != "chaos" || e.Entity.Service != "" || e.At < began-1000 || e.At > began+3000 || e.End < e.At || e.End > ended+2500 {
			t.Errorf("%+v: want from about %d to %d", e, began, ended)
		}
		if events = slices.Delete(events, i, i+1); strings.Contains(fmt.Sprint(events), name) {
			t.Errorf("more than one event of %s: %+v", name, events)
		}
	}
}
