package servers

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func startSleeper(t *testing.T, script string) Process {
	t.Helper()
	p, err := command{name: "sleeper", path: "/bin/sh", args: []string{"-c", script}}.start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = end([]Process{p}, 0) })
	return p
}

func TestEndStopsWhatWasStarted(t *testing.T) {
	p := startSleeper(t, "exec sleep 60")
	if !p.alive() {
		t.Fatal("the process does not run")
	}
	if err := end([]Process{p}, grace); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("the process still runs")
	}
}

func TestEndKillsWhatDoesNotObey(t *testing.T) {
	p := startSleeper(t, "trap '' TERM; while :; do sleep 1; done")
	time.Sleep(100 * time.Millisecond) // until the trap is set
	if err := end([]Process{p}, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if !p.alive() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the process survived")
}

func TestEndSparesAnotherProcessWithTheSameNumber(t *testing.T) {
	p := startSleeper(t, "exec sleep 60")
	earlier := p
	earlier.Started--
	if err := end([]Process{earlier}, grace); err != nil {
		t.Fatal(err)
	}
	if !p.alive() {
		t.Error("a process was ended that only shares the number")
	}
}

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		stat string
		want uint64
		ok   bool
	}{
		{"7 (sh) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0", 4711, true},
		{"7 (a) (b c) R 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0", 4711, true},
		{"7 (sh) Z 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0", 0, false},
		{"7 (sh) S 1", 0, false},
		{"", 0, false},
	} {
		got, err := parseStat(test.stat)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("parseStat(%q) = %d, %v", test.stat, got, err)
		}
	}
}

func TestParseListeners(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4650 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:4650 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 222 1
   2: 0100007F:14650 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1
`
	inodes := map[string]bool{}
	parseListeners(table, 0x4650, inodes)
	if len(inodes) != 1 || !inodes["111"] {
		t.Errorf("inodes are %v, want 111: 222 is connected, 333 is another port", inodes)
	}
}

func TestOwnsTellsOwnSocketsFromOthers(t *testing.T) {
	p := startSleeper(t, "exec sleep 60")
	port := listen(t)
	self := Process{Name: "self", PID: os.Getpid()}
	if err := owns(self, port); err != nil {
		t.Errorf("own port: %v", err)
	}
	if err := owns(p, port); err == nil {
		t.Error("a port of this process passes as the sleeper's")
	}
}

func listen(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}

func TestStateSurvivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); err != ErrNotUp {
		t.Fatalf("empty folder: %v", err)
	}
	s := &State{ID: "x", Dir: dir, Processes: []Process{{Name: "p", PID: 1 << 30, Started: 2, Stop: 15}}}
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil || len(got.Processes) != 1 || got.Processes[0] != s.Processes[0] {
		t.Fatalf("read back %+v, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.new")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDownOfABrokenStateRemovesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(stateFile(dir), []byte(`{"id`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Down(dir); err == nil {
		t.Error("half a state was taken for a whole one")
	}
	if _, err := os.Stat(stateFile(dir)); err != nil {
		t.Error("the state is gone, and with it the knowledge of what runs")
	}
}

func TestReplicasAreScrapedAsOneJob(t *testing.T) {
	l := &lab{ports: map[string]int{"catalog": 1, "catalog-2": 2, "orders": 3, outside: 4, "node_exporter": 5}}
	got := l.scrapeTargets()
	want := []target{
		{"catalog", []string{address(1), address(2)}, "1s"},
		{"node_exporter", []string{address(5)}, "2s"},
		{"orders", []string{address(3)}, "1s"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("targets are %v, want %v", got, want)
	}
}
