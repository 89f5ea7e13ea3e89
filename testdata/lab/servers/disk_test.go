package servers

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

func TestLimitOfTheDiskReachesTheKernel(t *testing.T) {
	device, err := deviceOf(".")
	if err != nil {
		t.Skip(err)
	}
	if !regexp.MustCompile(`^\d+:\d+$`).MatchString(device) {
		t.Fatalf("device is %q", device)
	}
	if err := CgroupsWritable(); err != nil {
		t.Skipf("needs a writable cgroup: %v", err)
	}
	l := &lab{groups: kernelGroups, state: &State{ID: "culprit-lab-disk-" + strconv.Itoa(os.Getpid()), Dir: t.TempDir()}}
	l.Scenario = scenario.Scenario{Fault: scenario.Fault{Disk: map[string]int{"postgres": 60}, Reads: map[string]int{"postgres": 70}, Memory: map[string]int{"postgres": 80}}}
	t.Cleanup(func() {
		if err := removeFolders(l.state.Cgroups); err != nil {
			t.Error(err)
		}
	})
	if err := l.makeParent(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.db = &database{data: "."}
	if l.db.group, err = l.group("postgres"); err != nil {
		t.Fatal(err)
	}
	if err := l.withDisk("postgres", l.db.group); err != nil {
		t.Skip(err)
	}
	if err := l.limitDisk(t.Context()); err != nil {
		t.Fatal(err)
	}
	blkio, memory := l.db.group.folders[len(l.db.group.folders)-1], l.db.group.folders[0]
	limits := map[string]string{filepath.Join(blkio, "io.max"): device + " rbps=max wbps=max riops=70 wiops=60\n", filepath.Join(memory, "memory.max"): "83886080\n"}
	if !kernelGroups.unified() {
		memory = l.db.group.folders[2]
		limits = map[string]string{filepath.Join(blkio, "blkio.throttle.write_iops_device"): device + " 60\n", filepath.Join(blkio, "blkio.throttle.read_iops_device"): device + " 70\n",
			filepath.Join(memory, "memory.limit_in_bytes"): "83886080\n"}
	}
	for file, want := range limits {
		if text, err := os.ReadFile(file); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v; want %q", file, text, err, want)
		}
	}
}

func TestLimitOfTheDiskNeedsACgroupAndADisk(t *testing.T) {
	l := &lab{state: &State{Dir: t.TempDir()}}
	l.Scenario = scenario.Scenario{Fault: scenario.Fault{Disk: map[string]int{"postgres": 60}}}
	if err := l.withDisk("postgres", nil); !errors.Is(err, ErrCannotRun) {
		t.Errorf("without a cgroup: %v", err)
	}
	l.db = &database{data: "/proc"}
	if err := l.limitDisk(t.Context()); !errors.Is(err, ErrCannotRun) {
		t.Errorf("in memory: %v", err)
	}
	l.Scenario.Fault.Disk = nil
	if err := errors.Join(l.withDisk("postgres", nil), l.limitDisk(t.Context())); err != nil {
		t.Errorf("without the fault: %v", err)
	}
}
