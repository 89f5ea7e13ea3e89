package prometheus

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// past is an hour of samples, every 15 s, and ten minutes before it, for a
// server to have scraped.
type past struct {
	families map[string][]string
	finer    int // samples for each of these 15 s, along a line; 0 is one
}

const every = 15 * time.Second

// add puts in a series; value gives the sample of the i-th scrape of the
// hour, and false where there is none.
func (p *past) add(series string, value func(i int) (float64, bool)) {
	name, _, _ := strings.Cut(series, "{")
	if p.families == nil {
		p.families = map[string][]string{}
	}
	var b strings.Builder
	parts := max(1, p.finer)
	for i := -40; i <= int(anHour.Duration()/every); i++ {
		v, ok := value(i)
		next, followed := value(i + 1)
		if !followed || math.IsNaN(next) || math.IsNaN(v) {
			next = v // no line leads to what is not there
		}
		for part := 0; ok && part < parts; part++ {
			fmt.Fprintf(&b, "%s %g %d\n", series, v+(next-v)*float64(part)/float64(parts), anHour.Start.Unix()+int64(i*15+part*15/parts))
		}
	}
	p.families[name] = append(p.families[name], b.String())
}

// counter rises by a rate per second from 1000 on, which it had before the
// first scrape: a count of a longer life.
func (p *past) counter(series string, rate float64) {
	p.add(series, func(i int) (float64, bool) { return 1000 + rate*15*float64(i+40), true })
}

func (p *past) gauge(series string, v float64) {
	p.add(series, func(int) (float64, bool) { return v, true })
}

// text of all samples, as OpenMetrics wants it: a family's together.
func (p *past) text() string {
	var b strings.Builder
	for name, series := range p.families {
		b.WriteString("# TYPE " + name + " unknown\n" + strings.Join(series, ""))
	}
	return b.String() + "# EOF\n"
}

// classic is the text in the older format: without types, times in ms.
func (p *past) classic() string {
	var b strings.Builder
	for line := range strings.Lines(p.text()) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(strings.TrimSuffix(line, "\n") + "000\n")
		}
	}
	return b.String()
}

// backend is a real server that can be given a past.
type backend struct {
	name  string
	serve func(testing.TB, *past) string // gives its URL
}

func backends() []backend {
	out := []backend{{"VictoriaMetrics", serveVictoria}}
	for _, r := range releases {
		out = append(out, backend{"Prometheus " + r.version, r.serve})
	}
	return out
}

// eachBackend runs a test against every backend, at the same time.
func eachBackend(t *testing.T, test func(*testing.T, backend)) {
	t.Helper()
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// serve makes blocks of the samples and starts a server over them.
func (r release) serve(t testing.TB, p *past) string {
	t.Helper()
	promtool := needs.Program(t, "apt-get install prometheus", "promtool")
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "past.txt")
	if err := os.WriteFile(file, []byte(p.text()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "tsdb", "create-blocks-from", "openmetrics", file, data).CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v: %s", err, out)
	}
	return r.start(t, data, "global: {}\n")
}

// serveVictoria imports the samples into VictoriaMetrics, whose rates are not
// extrapolated and whose ranges include the sample before them.
func serveVictoria(t testing.TB, p *past) string {
	t.Helper()
	addr := needs.FreeAddress(t)
	launch(t, cached(t, "victoria-metrics-1.122.0"), "-storageDataPath="+t.TempDir(), "-httpListenAddr="+addr, "-retentionPeriod=100y",
		"-loggerLevel=FATAL", "-search.disableCache", "-memory.allowedBytes=64MB")
	url := "http://" + addr
	await(t, url+"/health")
	for _, call := range []struct{ path, body string }{{"/api/v1/import/prometheus", p.classic()}, {"/internal/force_flush", ""}} {
		res, err := http.Post(url+call.path, "text/plain", strings.NewReader(call.body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode/100 != 2 {
			t.Fatalf("%s: %s", call.path, res.Status)
		}
	}
	return url
}
