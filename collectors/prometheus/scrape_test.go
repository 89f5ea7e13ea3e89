package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// scrapedTexts by job: recorded from node_exporter 1.5, postgres_exporter 0.11,
// redis_exporter 1.45, cAdvisor 0.60 and the lab's shop.
var scrapedTexts = map[string]string{
	"node": "exporter_node", "postgres": "exporter_postgres", "redis": "exporter_redis", "minicadvisor": "exporter_minicadvisor",
	"gateway": "shop_gateway", "catalog": "shop_catalog", "orders": "shop_orders", "payments": "shop_payments",
}

// Here a real server scrapes what was recorded.
func TestScrapedExporters(t *testing.T) { eachRelease(t, checkScraped) }

func checkScraped(t *testing.T, r release) {
	exporters := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		text, err := os.ReadFile(filepath.Join("testdata", scrapedTexts[filepath.Base(r.URL.Path)]+".prom"))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(text)
	}))
	defer exporters.Close()
	settings := "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n"
	for e := range scrapedTexts {
		settings += fmt.Sprintf("- {job_name: %s, metrics_path: /%s, honor_timestamps: false, static_configs: [{targets: ['%s']}]}\n", e, e, exporters.Listener.Addr())
	}
	url := r.start(t, t.TempDir(), settings)
	c, err := New(Config{URL: url, MaxQueries: 1000})
	if err != nil {
		t.Fatal(err)
	}
	awaitScrapes(t, c, 8)
	now := time.Now()
	b, err := c.Collect(context.Background(), evidence.Window{Start: now.Add(-4 * time.Second), End: now})
	if err != nil {
		t.Fatal(err)
	}
	checkExporters(t, b, exporters.Listener.Addr().String())
	p, err := c.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Join(p.Lines, "\n")
	for _, want := range []string{"answers (version " + r.version, "through cAdvisor, kubelet", "through redis_exporter", "read every 1s"} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
}

// awaitScrapes waits until every target was scraped some times; the first
// comes some seconds after a server's start.
func awaitScrapes(t *testing.T, c *Collector, times int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		got, err := c.client.query(context.Background(), "min(sum_over_time(up[1m]))", time.Now(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Series) == 1 && got.Series[0].Values[0] >= float64(times) {
			return
		}
	}
	t.Fatal("the targets are not scraped")
}

func checkExporters(t *testing.T, b *evidence.Bundle, target string) {
	last := func(k evidence.Kind, e evidence.Entity) float64 {
		s := find(t, b, k, e)
		return s.Values[len(s.Values)-1]
	}
	for _, tc := range []struct {
		kind evidence.Kind
		of   evidence.Entity
		want float64
	}{
		{evidence.MemoryLimit, evidence.Entity{Instance: "/rcalab", Resource: "rcalab"}, 2.68435456e+08},
		{evidence.CPULimit, evidence.Entity{Instance: "/rcalab", Resource: "rcalab"}, 0.3},
		{evidence.NodeMemoryTotal, evidence.Entity{Resource: target}, 2.5276510208e+10},
		{evidence.NodeCPUCount, evidence.Entity{Resource: target}, 2},
		{evidence.DBConnectionsMax, evidence.Entity{Service: "redis", Instance: target}, 10000},
		{evidence.Up, evidence.Entity{Service: "node", Instance: target}, 1},
		{evidence.CacheHits, evidence.Entity{Service: "redis", Instance: target}, 0},
		{evidence.PoolMax, evidence.Entity{Service: "orders", Instance: target, Resource: "shop"}, 24},
		{evidence.Up, evidence.Entity{Service: "gateway", Instance: target}, 1},
	} {
		if got := last(tc.kind, tc.of); got != tc.want {
			t.Errorf("%s of %s is %g, want %g", tc.kind, tc.of, got, tc.want)
		}
	}
	for _, s := range b.Series {
		if s.Unit == "" || s.Query == "" || len(s.Times) != len(s.Values) {
			t.Errorf("%s of %s: unit %q, query %q", s.Kind, s.Entity, s.Unit, s.Query)
		}
	}
}
