package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// withDisk adds to the group of a service what is needed to limit its disk,
// where the scenario does: in version 1 another controller's folder. It comes
// before the service starts, since processes join a group when they are born.
func (l *lab) withDisk(service string, group *cgroup) error {
	f := l.Scenario.Fault
	if f.Disk[service] == 0 && f.Reads[service] == 0 && f.Memory[service] == 0 {
		return nil
	}
	if group == nil {
		return fmt.Errorf("%w: a limit of disk or memory needs a writable cgroup", ErrCannotRun)
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

// limitDisk holds the database to the requests a second that the scenario
// gives it, as a volume with a provisioned rate is, and to its memory. Only
// once the seed is written.
func (l *lab) limitDisk(context.Context) error {
	f := l.Scenario.Fault
	if size := f.Memory["postgres"]; size > 0 {
		if err := l.db.group.limitMemory(size); err != nil {
			return fmt.Errorf("%w: limit the memory: %w", ErrCannotRun, err)
		}
	}
	writes, reads := f.Disk["postgres"], f.Reads["postgres"]
	if writes == 0 && reads == 0 {
		return nil
	}
	device, err := deviceOf(l.db.data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCannotRun, err)
	}
	return errors.Join(l.db.group.limitRequests(device, "w", "write", writes), l.db.group.limitRequests(device, "r", "read", reads))
}

// limitRequests of the group to a device, a second; 0: as many as there are.
func (c *cgroup) limitRequests(device, letter, word string, rate int) error {
	if rate == 0 {
		return nil
	}
	if c.in.unified() {
		return write(filepath.Join(c.folders[0], "io.max"), fmt.Sprintf("%s %siops=%d", device, letter, rate))
	}
	return write(filepath.Join(c.folders[len(c.folders)-1], "blkio.throttle."+word+"_iops_device"), fmt.Sprintf("%s %d", device, rate))
}

// limitMemory of the group, in MiB: what it read and wrote before goes from
// the page cache until the rest fits, all of which has been flushed.
func (c *cgroup) limitMemory(size int) error {
	file := filepath.Join(c.folders[0], "memory.max")
	if !c.in.unified() {
		file = filepath.Join(c.folders[slices.Index(controllers[:], "memory")], "memory.limit_in_bytes")
	}
	var err error
	for range 50 { // version 1 refuses while pages are busy
		if err = write(file, strconv.Itoa(size<<20)); !errors.Is(err, syscall.EBUSY) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
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
