package servers

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/shop/names"
)

func TestQuotaReachesTheKernel(t *testing.T) {
	if err := CgroupsWritable(); err != nil {
		t.Skipf("needs a writable cgroup: %v", err)
	}
	name := "culprit-lab-test-" + strconv.Itoa(os.Getpid())
	parent, err := kernelGroups.create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeFolders(parent.folders); err != nil {
			t.Error(err)
		}
	})
	if err := parent.delegate(); err != nil {
		t.Fatal(err)
	}
	group, err := kernelGroups.create(filepath.Join(name, "service"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeFolders(group.folders) })
	if err := group.limit(0.25); err != nil {
		t.Fatal(err)
	}
	sharesReachTheKernel(t, group)
	file, want := filepath.Join(string(kernelGroups), "cpu", name, "service", "cpu.cfs_quota_us"), "25000\n"
	if kernelGroups.unified() {
		file, want = filepath.Join(group.folders[0], "cpu.max"), "25000 100000\n"
	}
	holds := func(want string) {
		t.Helper()
		if text, err := os.ReadFile(file); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v; want %q", file, text, err, want)
		}
	}
	holds(want)
	free := map[bool]string{true: "max 100000\n", false: "-1\n"}[kernelGroups.unified()]
	s := &State{Cgroups: append(slices.Clone(parent.folders), group.folders...)}
	briefly := scenario.Fault{Quota: map[string]float64{"own": 0.25}, QuotaAt: time.Nanosecond, QuotaFor: time.Nanosecond}
	if err := s.throttleLate(t.Context(), briefly, names.Names{"own": "service"}); err != nil {
		t.Fatal(err)
	}
	holds(free)
	briefly.QuotaFor = 0
	if err := s.throttleLate(t.Context(), briefly, names.Names{"own": "service"}); err != nil {
		t.Fatal(err)
	}
	holds(want)
	if err := s.throttleLate(t.Context(), briefly, nil); err == nil {
		t.Error("a service without a group was limited")
	}
}

func sharesReachTheKernel(t *testing.T, group *cgroup) {
	t.Helper()
	if err := group.share(4096); err != nil {
		t.Fatal(err)
	}
	file, want := "cpu.shares", "4096\n"
	if kernelGroups.unified() {
		file, want = "cpu.weight", "157\n"
	}
	if text, err := os.ReadFile(filepath.Join(group.folders[0], file)); err != nil || string(text) != want {
		t.Errorf("%s holds %q, %v; want %q", file, text, err, want)
	}
}

func TestSharesAsWeight(t *testing.T) {
	for shares, want := range map[int]int{2: 1, 1024: 39, 262144: 10000} {
		if got := weightOf(shares); got != want {
			t.Errorf("%d shares weigh %d, want %d", shares, got, want)
		}
	}
}

func TestWithoutCgroupsOnlyWhatNeedsThemCannotRun(t *testing.T) {
	for name, test := range map[string]struct {
		fault scenario.Fault
		want  error
	}{
		"fault of another sort": {scenario.Fault{}, nil},
		"quota":                 {scenario.Fault{Quota: map[string]float64{"catalog": 0.1}}, ErrCannotRun},
		"shares":                {scenario.Fault{Shares: map[string]int{"catalog": 512}}, ErrCannotRun},
	} {
		l := &lab{state: &State{ID: "lab", Dir: t.TempDir()}, groups: hierarchy(t.TempDir())}
		l.Scenario = scenario.Scenario{Fault: test.fault}
		if err := l.makeParent(t.Context()); !errors.Is(err, test.want) {
			t.Errorf("%s: error is %v, want %v", name, err, test.want)
		}
		if test.want == nil && len(l.state.Notes) != 1 {
			t.Errorf("%s: nothing says that container metrics are missing: %v", name, l.state.Notes)
		}
	}
}
