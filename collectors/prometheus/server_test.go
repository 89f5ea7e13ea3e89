package prometheus

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// release is a version of the server that tests run against.
type release struct {
	version string
	find    func(testing.TB) string
}

// releases are the distribution's, and one of those with other rules: ranges
// open to the left, bounds spelled 1.0, custom buckets, names beyond ASCII.
var releases = []release{
	{"2.42", func(t testing.TB) string { return needs.Program(t, "apt-get install prometheus", "prometheus") }},
	{"3.15", cachedPrometheus},
}

func cachedPrometheus(t testing.TB) string { return cached(t, "prometheus-3-3.15.0") }

// cached is a program that the lab's doctor builds.
func cached(t testing.TB, name string) string {
	t.Helper()
	cache, _ := os.UserCacheDir()
	path := filepath.Join(cache, "culprit-lab", name)
	if _, err := os.Stat(path); err != nil {
		needs.Missing(t, "there is no "+path+": cd testdata/lab && go run . doctor --fix")
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
func (r release) start(t testing.TB, data, settings string, flags ...string) string {
	t.Helper()
	bin := r.find(t)
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := needs.FreeAddress(t)
	launch(t, bin, append(flags, "--config.file="+file, "--storage.tsdb.path="+data, "--web.listen-address="+addr,
		"--storage.tsdb.retention.time=100y", "--log.level=error")...)
	await(t, "http://"+addr+"/-/ready")
	return "http://" + addr
}

// launch runs a program until the test ends.
func launch(t testing.TB, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func await(t testing.TB, url string) {
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
