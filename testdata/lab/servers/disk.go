package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// withDisk adds to the group of a service what is needed to limit its disk,
// where the scenario does: in version 1 another controller's folder. It comes
// before the service starts, since processes join a group when they are born.
func (l *lab) withDisk(service string, group *cgroup) error {
	if l.Scenario.Fault.Disk[service] == 0 {
		return nil
	}
	if group == nil {
		return fmt.Errorf("%w: a limit of the disk needs a writable cgroup", ErrCannotRun)
	}
	if l.groups.unified() {
		for _, folder := range []string{string(l.groups), l.parent.folders[0]} {
			if err := write(filepath.Join(folder, "cgroup.subtree_control"), "+io"); err != nil {
				return fmt.Errorf("%w: delegate the io controller: %w", ErrCannotRun, err)
			}
		}
		return nil
	}
	folder := filepath.Join(string(l.groups), "blkio", l.state.ID+"-"+service)
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("%w: create cgroup of the disk: %w", ErrCannotRun, err)
	}
	group.folders = append(group.folders, folder)
	l.state.Cgroups = append(l.state.Cgroups, folder)
	return l.state.save()
}

// limitDisk holds the database to the writes a second that the scenario gives
// it, as a volume with a provisioned rate is. Only once the seed is written.
func (l *lab) limitDisk(context.Context) error {
	rate := l.Scenario.Fault.Disk["postgres"]
	if rate == 0 {
		return nil
	}
	device, err := deviceOf(l.db.data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCannotRun, err)
	}
	return l.db.group.limitWrites(device, rate)
}

// limitWrites of the group to a device, in requests a second.
func (c *cgroup) limitWrites(device string, rate int) error {
	if c.in.unified() {
		return write(filepath.Join(c.folders[0], "io.max"), fmt.Sprintf("%s wiops=%d", device, rate))
	}
	return write(filepath.Join(c.folders[len(c.folders)-1], "blkio.throttle.write_iops_device"), fmt.Sprintf("%s %d", device, rate))
}

// deviceOf is the whole disk under a folder, MAJOR:MINOR: the kernel limits no
// partitions.
func deviceOf(folder string) (string, error) {
	var info syscall.Stat_t
	if err := syscall.Stat(folder, &info); err != nil {
		return "", fmt.Errorf("find the disk of %s: %w", folder, err)
	}
	major, minor := info.Dev>>8&0xfff, info.Dev&0xff|info.Dev>>12&0xfff00
	if major == 0 {
		return "", errors.New("the lab's folder is on no disk but in memory or on a layered file system: choose another with -dir")
	}
	device := fmt.Sprintf("%d:%d", major, minor)
	at, err := filepath.EvalSymlinks(filepath.Join("/sys/dev/block", device))
	if err != nil {
		return "", fmt.Errorf("find the disk %s: %w", device, err)
	}
	if _, err := os.Stat(filepath.Join(at, "partition")); err != nil {
		return device, nil
	}
	whole, err := os.ReadFile(filepath.Join(filepath.Dir(at), "dev"))
	return strings.TrimSpace(string(whole)), err
}
