package servers

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestQuotaReachesTheKernel(t *testing.T) {
	if err := CgroupsWritable(); err != nil {
		t.Skipf("needs a writable cgroup: %v", err)
	}
	name := "culprit-lab-test-" + strconv.Itoa(os.Getpid())
	parent, err := newCgroup(name)
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
	group, err := newCgroup(filepath.Join(name, "service"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeFolders(group.folders) })
	if err := group.limit(0.25); err != nil {
		t.Fatal(err)
	}
	file, want := filepath.Join(cgroupRoot, "cpu", name, "service", "cpu.cfs_quota_us"), "25000\n"
	if group.unified {
		file, want = filepath.Join(group.folders[0], "cpu.max"), "25000 100000\n"
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != want {
		t.Errorf("%s holds %q, %v; want %q", file, text, err, want)
	}
}
