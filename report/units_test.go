package report

import (
	"net/url"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestQuantity(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.81, "s", "810 ms"}, {0.9996, "s", "1 s"}, {1.1342, "s", "1.13 s"}, {0.0042, "s", "4.2 ms"}, {0.00018, "s", "180 µs"}, {0, "s", "0 ms"}, {90.4, "s", "90.4 s"}, {125, "s", "2 min 5 s"}, {7260, "s", "2 h 1 min"}, {-0.02, "s", "-20 ms"},
		{0, "By", "0 B"}, {1500, "By", "1.5 kB"}, {2.5e9, "By", "2.5 GB"}, {12_000_000, "By/s", "12 MB/s"},
		{3.9, "{connection}", "3.9 connections"}, {1, "{connection}", "1 connection"}, {42, "{request}/s", "42 requests/s"}, {0.5, "s/s", "0.5 s/s"},
		{48_000, "1", "48 k"}, {9_999, "", "9999"}, {0.0004, "", "0.0004"},
	} {
		if got := quantity(c.v, c.unit); got != c.want {
			t.Errorf("quantity(%g, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestSecondsRange(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{{0.5, 0.62, "500–620 ms"}, {0.95, 1.3, "950 ms–1.3 s"}, {0, 0.005, "0–5 ms"}, {-0.01, 0.02, "-10–20 ms"}, {30, 300, "30 s–5 min"}} {
		if got := secondsRange(c.low, c.high); got != c.want {
			t.Errorf("%g to %g: %q, want %q", c.low, c.high, got, c.want)
		}
	}
}

func TestPercent(t *testing.T) {
	for v, want := range map[float64]string{0: "0 %", 0.0021: "0.21 %", 0.97: "97 %", 1: "100 %", 0.00001: "< 0.01 %"} {
		if got := percent(v); got != want {
			t.Errorf("percent(%g) = %q, want %q", v, got, want)
		}
	}
	for q, want := range map[float64]string{0.95: "p95", 0.99: "p99", 0.999: "p99.9", 0.5: "p50"} {
		if got := percentile(q); got != want {
			t.Errorf("percentile(%g) = %q, want %q", q, got, want)
		}
	}
}

func TestTimesAreInTheZoneAsked(t *testing.T) {
	s := severalCauses()
	r := Build(s.bundle, s.result, s.judged, Options{Zone: time.FixedZone("CET", 3600)})
	if got, want := r.windowText(r.Window), "2026-11-20 15:02:00–15:03:30 CET, 1 min 30 s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	start := r.Window.Start.UnixMilli()
	for ms, want := range map[int64]string{start: "T+00:00", start + 75_000: "T+01:15", start - 5_000: "T-00:05", start + 3_725_000: "T+1:02:05"} {
		if got := r.offset(ms); got != want {
			t.Errorf("offset %q, want %q", got, want)
		}
	}
}

func TestLinksAreBuiltFromBasesAlone(t *testing.T) {
	w := sampleWindow()
	good := Links{Prometheus: "https://prom.example.org/p/?x=1#y", Traces: "http://jaeger:16686/"}.checked()
	if got, want := good.trace("ab"), "http://jaeger:16686/trace/000000000000000000000000000000ab"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	query := good.query(evidence.Ref{Source: "prometheus", Query: `up{a="b"}&x=y#z`}, w)
	if want := "https://prom.example.org/p/graph?g0.end_input=2026-11-20+14%3A03%3A30&g0.expr=up%7Ba%3D%22b%22%7D%26x%3Dy%23z&g0.range_input=90s&g0.tab=0"; query != want {
		t.Errorf("%q, want %q", query, want)
	}
	grafana := Links{Grafana: "https://grafana.example.org/", GrafanaSourceUID: "p1"}.checked().grafana(evidence.Ref{Source: "prometheus", Query: `up{a="b"}&x`}, w)
	parsed, err := url.Parse(grafana)
	if err != nil || parsed.Host != "grafana.example.org" || parsed.Path != "/explore" || parsed.Query().Get("schemaVersion") != "1" {
		t.Fatalf("%q, %v", grafana, err)
	}
	const panes = `{"culprit":{"datasource":"p1","queries":[{"datasource":{"type":"prometheus","uid":"p1"},"expr":"up{a=\"b\"}\u0026x","refId":"A"}],"range":{"from":"1795183320000","to":"1795183410000"}}}`
	if got := parsed.Query().Get("panes"); got != panes {
		t.Errorf("panes %s, want %s", got, panes)
	}
	for _, base := range []string{"javascript:alert(1)", "ftp://x", "https://user:secret@x", "//x", "x"} {
		l := Links{Prometheus: base, Traces: base, Grafana: base}
		if l.Validate() == nil {
			t.Errorf("%s is taken", base)
		}
		if c := l.checked(); c.trace("ab") != "" || c.query(evidence.Ref{Source: "prometheus", Query: "up"}, w) != "" || c.grafana(evidence.Ref{Source: "prometheus", Query: "up"}, w) != "" {
			t.Errorf("a link is made from %s", base)
		}
	}
}
