package prometheus

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program finds a program that an integration test needs. Without it the test
// is skipped, but on CI, where it fails.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	missing(t, name+" is not installed: apt-get install prometheus")
	return ""
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// release is a version of the server that tests run against.
type release struct {
	version string
	find    func(*testing.T) string
}

// releases are the distribution's, and one of those with other rules: ranges
// open to the left, bounds spelled 1.0, custom buckets, names beyond ASCII.
var releases = []release{
	{"2.42", func(t *testing.T) string { return program(t, "prometheus") }},
	{"3.15", cachedPrometheus},
}

// cachedPrometheus is the one that the lab's doctor builds.
func cachedPrometheus(t *testing.T) string {
	t.Helper()
	cache, _ := os.UserCacheDir()
	path := filepath.Join(cache, "culprit-lab", "prometheus-3-3.15.0")
	if _, err := os.Stat(path); err != nil {
		missing(t, "no Prometheus at "+path+": cd testdata/lab && go run . doctor --fix")
	}
	return path
}

// eachRelease runs a test against every release, at the same time.
func eachRelease(t *testing.T, test func(*testing.T, release)) {
	t.Helper()
	for _, r := range releases {
		t.Run(r.version, func(t *testing.T) {
			t.Parallel()
			test(t, r)
		})
	}
}

// start runs a real server over a data directory with some configuration,
// until the test ends.
func (r release) start(t *testing.T, data, settings string, flags ...string) string {
	t.Helper()
	bin := r.find(t)
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	cmd := exec.Command(bin, append(flags, "--config.file="+file, "--storage.tsdb.path="+data, "--web.listen-address="+addr,
		"--storage.tsdb.retention.time=100y", "--log.level=error")...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	await(t, "http://"+addr+"/-/ready")
	return "http://" + addr
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func await(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s is not ready", url)
}

// past is an hour of samples, every 15 s, and ten minutes before it, for a
// server to have scraped.
type past struct{ families map[string][]string }

const every = 15 * time.Second

// add puts in a series; value gives the sample of the i-th scrape of the
// hour, and false where there is none.
func (p *past) add(series string, value func(i int) (float64, bool)) {
	name, _, _ := strings.Cut(series, "{")
	if p.families == nil {
		p.families = map[string][]string{}
	}
	var b strings.Builder
	for i := -40; i <= int(anHour.Duration()/every); i++ {
		if v, ok := value(i); ok {
			fmt.Fprintf(&b, "%s %g %d\n", series, v, anHour.Start.Unix()+int64(i)*15)
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

// serve loads the samples into a real server.
func (p *past) serve(t *testing.T, r release) string {
	t.Helper()
	promtool := program(t, "promtool")
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "past.txt")
	var b strings.Builder
	for name, series := range p.families {
		b.WriteString("# TYPE " + name + " unknown\n" + strings.Join(series, ""))
	}
	b.WriteString("# EOF\n")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "tsdb", "create-blocks-from", "openmetrics", file, data).CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v: %s", err, out)
	}
	return r.start(t, data, "global: {}\n")
}
