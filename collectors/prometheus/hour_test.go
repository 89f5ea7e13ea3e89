package prometheus

import (
	"fmt"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// labTexts are what every target of the lab answered, by job.
var labTexts = map[string]string{
	"gateway": "shop_gateway", "catalog": "shop_catalog", "orders": "shop_orders", "payments": "shop_payments", "cadvisor": "shop_cadvisor",
	"node_exporter": "exporter_node", "postgres_exporter": "exporter_postgres", "redis_exporter": "exporter_redis",
}

// labHour is an hour of the lab: what its targets answered, going on evenly.
func labHour(t testing.TB, finer int) *past {
	p := &past{finer: finer}
	for job, file := range labTexts {
		target := fmt.Sprintf(`job="%s",instance="%s:80"`, job, job)
		p.gauge("up{"+target+"}", 1)
		p.scraped(t, "testdata/"+file+".prom", target)
	}
	return p
}

// An hour of a whole system is read within the budget of queries that holds by
// default, and by half of it: a stranger's system has more families than this.
func TestAnHourOfTheLab(t *testing.T) { eachBackend(t, checkHour) }

func checkHour(t *testing.T, on backend) {
	b, err := collectFrom(t, Config{URL: on.serve(t, labHour(t, 1)), Timeout: 60 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if n := b.Sources[0].Requests; n > 150 {
		t.Errorf("%d queries, want at most 150 of 300", n)
	}
	for _, g := range b.Gaps {
		if g.Remedy == "allow more queries" {
			t.Errorf("gap %+v", g)
		}
	}
	for _, s := range []string{"gateway", "catalog", "orders", "payments"} {
		if got := rateOfService(b, s); got <= 0 {
			t.Errorf("%s served %g requests/s", s, got)
		}
	}
	t.Logf("%d queries, %d series and histograms", b.Sources[0].Requests, b.Sources[0].Items)
}

// rateOfService adds up the requests a second of all operations, at the end.
func rateOfService(b *evidence.Bundle, service string) float64 {
	total := 0.0
	for _, s := range b.Series {
		if s.Kind == evidence.ServerRequests && s.Entity.Service == service && s.Entity.Instance == "" {
			total += s.Values[len(s.Values)-1]
		}
	}
	return total
}

// BenchmarkCollectAnHour is that hour as the lab's server has it, with a sample
// every second.
func BenchmarkCollectAnHour(b *testing.B) {
	url := releases[0].serve(b, labHour(b, 15))
	b.ResetTimer()
	for b.Loop() {
		if _, err := collectFrom(b, Config{URL: url, Timeout: 60 * time.Second}); err != nil {
			b.Fatal(err)
		}
	}
}
