package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// actor is a real program that can go away and come back.
type actor struct {
	name    string
	command func() *exec.Cmd
	ready   func() error
	cmd     *exec.Cmd
	log     buffer
}

func (a *actor) start(t *testing.T) {
	t.Helper()
	a.cmd = a.command()
	a.cmd.Stdout, a.cmd.Stderr = &a.log, &a.log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := a.ready()
	for deadline := time.Now().Add(60 * time.Second); err != nil && time.Now().Before(deadline); err = a.ready() {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("%s did not start: %v\n%s", a.name, err, a.log.String())
	}
}

// end sends a signal and waits for the process to go.
func (a *actor) end(signal syscall.Signal) error {
	if a.cmd == nil {
		return nil
	}
	_ = a.cmd.Process.Signal(syscall.SIGCONT)
	_ = a.cmd.Process.Signal(signal)
	kill := time.AfterFunc(time.Minute, func() { _ = a.cmd.Process.Kill() })
	defer kill.Stop()
	err := a.cmd.Wait()
	a.cmd = nil
	return err
}

// signal freezes the process, or lets it go on.
func (a *actor) signal(s syscall.Signal) { _ = a.cmd.Process.Signal(s) }

func play(t *testing.T, a *actor) *actor {
	t.Helper()
	t.Cleanup(func() { _ = a.end(syscall.SIGKILL) })
	a.start(t)
	return a
}

func answersAt(url string) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, res.Status)
		}
		return nil
	}
}

// realPrometheus looks at itself: its handlers have latency histograms.
func realPrometheus(t *testing.T) (*actor, string) {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		needs.Missing(t, "prometheus is not installed: apt-get install prometheus")
	}
	dir, addr := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", needs.FreePort(t))
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: itself, static_configs: [{targets: ['%s']}]}]\n", addr)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return play(t, &actor{name: "prometheus", ready: answersAt("http://" + addr + "/-/ready"), command: func() *exec.Cmd {
		return exec.Command(binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--log.level=error")
	}}), "http://" + addr
}

// realJaeger holds its traces in memory. It sends the spans of its own answers
// to its own receiver, so that whoever asks it again finds something.
func realJaeger(t *testing.T) (*actor, string) {
	t.Helper()
	cache, _ := os.UserCacheDir()
	binary := filepath.Join(cache, "culprit-lab", "jaeger-1.76.0")
	if _, err := os.Stat(binary); err != nil {
		needs.Missing(t, "no Jaeger at "+binary+": `go run . doctor` in testdata/lab tells how to build it")
	}
	p := make([]string, 5)
	for i := range p {
		p[i] = fmt.Sprintf("127.0.0.1:%d", needs.FreePort(t))
	}
	file := write(t, "jaeger.yaml", fmt.Sprintf(`
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines: {traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry: {metrics: {level: none}, logs: {level: error}}
extensions:
  jaeger_query: {storage: {traces: memory}, http: {endpoint: "%s"}, grpc: {endpoint: "%s"}}
  jaeger_storage: {backends: {memory: {memory: {max_traces: 1000}}}}
  healthcheckv2: {use_v2: true, http: {endpoint: "%s"}}
receivers: {otlp: {protocols: {grpc: {endpoint: "%s"}, http: {endpoint: "%s"}}}}
exporters: {jaeger_storage_exporter: {trace_storage: memory}}
`, p[0], p[1], p[2], p[3], p[4]))
	return play(t, &actor{name: "jaeger", ready: answersAt("http://" + p[0] + "/api/services"),
		command: func() *exec.Cmd {
			cmd := exec.Command(binary, "--config", file)
			cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+p[3], "OTEL_TRACES_SAMPLER=always_on", "OTEL_BSP_SCHEDULE_DELAY=500")
			return cmd
		}}), "http://" + p[0]
}

// realPostgres can be stopped and started on its data.
func realPostgres(t *testing.T) (*actor, string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(postgresBin, "initdb")); err != nil {
		needs.Missing(t, "no PostgreSQL in "+postgresBin+": apt-get install postgresql-15")
	}
	base := t.TempDir()
	data, attr, port := filepath.Join(base, "data"), needs.PostgresOwner(t, base), needs.FreePort(t)
	program := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(postgresBin, name), args...)
		cmd.Dir, cmd.SysProcAttr = "/", attr
		return cmd
	}
	if out, err := program("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	dsn := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
	return play(t, &actor{name: "postgres", command: func() *exec.Cmd {
		return program("postgres", "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "shared_buffers=32MB", "-c", "shared_preload_libraries=pg_stat_statements")
	}, ready: func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}}), dsn
}

// builtDir holds the binary that some tests run as a process.
var builtDir string

var builtCulprit = sync.OnceValues(func() (binary string, err error) {
	if builtDir, err = os.MkdirTemp("", "culprit-built-"); err != nil {
		return "", err
	}
	binary = filepath.Join(builtDir, "culprit")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(builtDir)
	os.Exit(code)
}

// replica is culprit serve as a process of its own.
type replica struct {
	*actor
	url string
}

func serveProcess(t *testing.T, config string, flags ...string) *replica {
	t.Helper()
	binary, err := builtCulprit()
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", needs.FreePort(t))
	r := &replica{url: "http://" + addr}
	r.actor = play(t, &actor{name: "culprit", ready: answersAt(r.url + "/-/healthy"), command: func() *exec.Cmd {
		return exec.Command(binary, append([]string{"serve", "--config", config, "--listen", addr}, flags...)...)
	}})
	return r
}

// rss of a process, in MiB.
func rss(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if kB, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kB), "kB")), 64)
			return n / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

var logged = regexp.MustCompile(`msg=(begun|ended) run=(\S+)`)

// counts how often each run was begun and ended by the processes' own account.
func counts(replicas ...*replica) (begun, ended map[string]int) {
	begun, ended = map[string]int{}, map[string]int{}
	for _, r := range replicas {
		for _, m := range logged.FindAllStringSubmatch(r.log.String(), -1) {
			if m[1] == "begun" {
				begun[m[2]]++
			} else {
				ended[m[2]]++
			}
		}
	}
	return begun, ended
}
