package servers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// hierarchy is where the kernel's groups are mounted.
type hierarchy string

const kernelGroups hierarchy = "/sys/fs/cgroup"

// controllers are those that container metrics and quotas come from, the one
// of the quota first.
var controllers = [...]string{"cpu", "cpuacct", "memory"}

// cgroup is one group of processes, in all folders that make it up: one in
// version 2, one a controller in version 1.
type cgroup struct {
	in      hierarchy
	folders []string
}

// CgroupsWritable says why no group can be made, or nil.
func CgroupsWritable() error {
	group, err := kernelGroups.create("culprit-lab-probe-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		return err
	}
	return removeFolders(group.folders)
}

// create makes a group; name may have a parent that exists already.
func (h hierarchy) create(name string) (*cgroup, error) {
	group := &cgroup{in: h}
	for _, root := range h.roots() {
		folder := filepath.Join(root, name)
		if err := os.Mkdir(folder, 0o755); err != nil {
			_ = removeFolders(group.folders) // the first error is the one to tell
			return nil, fmt.Errorf("create cgroup: %w", err)
		}
		group.folders = append(group.folders, folder)
	}
	return group, nil
}

// unified says whether this is version 2, with one tree for all controllers.
func (h hierarchy) unified() bool {
	_, err := os.Stat(filepath.Join(string(h), "cgroup.controllers"))
	return err == nil
}

func (h hierarchy) roots() []string {
	if h.unified() {
		return []string{string(h)}
	}
	var roots []string
	for _, controller := range controllers {
		roots = append(roots, filepath.Join(string(h), controller))
	}
	return roots
}

// delegate lets the children of a group of version 2 use the controllers.
func (c *cgroup) delegate() error {
	if !c.in.unified() {
		return nil
	}
	for _, folder := range []string{string(c.in), c.folders[0]} {
		if err := write(filepath.Join(folder, "cgroup.subtree_control"), "+cpu +memory"); err != nil {
			return fmt.Errorf("delegate controllers: %w", err)
		}
	}
	return nil
}

// add moves a process, with all its threads, into the group.
func (c *cgroup) add(pid int) error {
	for _, folder := range c.folders {
		if err := write(filepath.Join(folder, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

// quotaPeriod is the kernel's default, and Kubernetes'.
const quotaPeriod = 100 * time.Millisecond

// unlimited is the quota of a group that has none.
const unlimited = 0

// limit gives the group a quota of CPU, in cores.
func (c *cgroup) limit(cores float64) error {
	if len(c.folders) == 0 {
		return errors.New("it has no cgroup")
	}
	period := quotaPeriod.Microseconds()
	quota := strconv.FormatInt(int64(cores*float64(period)), 10)
	if c.in.unified() {
		if cores == unlimited {
			quota = "max"
		}
		return write(filepath.Join(c.folders[0], "cpu.max"), fmt.Sprintf("%s %d", quota, period))
	}
	if cores == unlimited {
		quota = "-1"
	}
	folder := c.folders[0] // of the cpu controller
	if err := write(filepath.Join(folder, "cpu.cfs_period_us"), strconv.FormatInt(period, 10)); err != nil {
		return err
	}
	return write(filepath.Join(folder, "cpu.cfs_quota_us"), quota)
}

// share sets how much of the CPU the group gets beside others where all want
// more than there is, in the terms of version 1: 1024 where nobody says.
func (c *cgroup) share(shares int) error {
	if len(c.folders) == 0 {
		return errors.New("it has no cgroup")
	}
	if c.in.unified() {
		return write(filepath.Join(c.folders[0], "cpu.weight"), strconv.Itoa(weightOf(shares)))
	}
	return write(filepath.Join(c.folders[0], "cpu.shares"), strconv.Itoa(shares))
}

// weightOf is the weight in version 2, 1 to 10000, that container runtimes
// give for shares in version 1, 2 to 262144.
func weightOf(shares int) int { return 1 + (shares-2)*9999/262142 }

func write(path, text string) error {
	return os.WriteFile(path, []byte(text), 0o644)
}

// removeFolders removes groups, last made first. The kernel lets go of a group
// a moment after its last process has ended.
func removeFolders(folders []string) error {
	var failed []error
	for i := len(folders) - 1; i >= 0; i-- {
		var err error
		for range 50 {
			if err = os.Remove(folders[i]); err == nil || !errors.Is(err, syscall.EBUSY) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, fmt.Errorf("remove cgroup: %w", err))
		}
	}
	return errors.Join(failed...)
}
