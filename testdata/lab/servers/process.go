package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a server that was started. Process ids are used again, so its
// start time belongs to its identity.
type Process struct {
	Name    string         `json:"name"`
	PID     int            `json:"pid"`
	Started uint64         `json:"started_ticks"` // field 22 of /proc/PID/stat: clock ticks since boot
	Stop    syscall.Signal `json:"stop_signal"`
}

// command is how a server is started.
type command struct {
	name    string
	path    string
	args    []string
	env     []string // besides the environment that every server gets
	dir     string
	user    *syscall.Credential // nil: as the caller
	stop    syscall.Signal      // 0: SIGTERM
	cgroup  *cgroup             // nil: that of all that watches
	outside bool                // of all groups of the lab: on the machine itself
}

// start runs a server in a session of its own, so that an interrupt meant for
// the lab does not reach it, with its output in a log file.
func (c command) start(logs string) (Process, error) {
	log, err := os.OpenFile(filepath.Join(logs, c.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return Process{}, fmt.Errorf("open log of %s: %w", c.name, err)
	}
	defer log.Close()
	run := exec.Command(c.path, c.args...)
	run.Dir, run.Stdout, run.Stderr = c.dir, log, log
	run.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C.UTF-8"}, c.env...)
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.user}
	if err := run.Start(); err != nil {
		return Process{}, fmt.Errorf("start %s: %w", c.name, err)
	}
	go func() { _ = run.Wait() }() // so that it leaves no zombie; how it ended is in its log
	process := Process{Name: c.name, PID: run.Process.Pid, Stop: c.stop}
	if process.Stop == 0 {
		process.Stop = syscall.SIGTERM
	}
	if c.cgroup != nil {
		if err := c.cgroup.add(process.PID); err != nil {
			_ = run.Process.Kill()
			return Process{}, fmt.Errorf("put %s into its cgroup: %w", c.name, err)
		}
	}
	if process.Started, err = startTicks(process.PID); err != nil {
		return Process{}, fmt.Errorf("start %s: it ended at once: %s", c.name, lastWords(log.Name()))
	}
	return process, nil
}

// alive says whether this very process still runs.
func (p Process) alive() bool {
	ticks, err := startTicks(p.PID)
	return err == nil && ticks == p.Started
}

// startTicks reads when a process started. A zombie counts as ended.
func startTicks(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(text))
}

// parseStat reads state and start time. The name, in parentheses, may itself
// hold spaces and parentheses.
func parseStat(stat string) (uint64, error) {
	close := strings.LastIndexByte(stat, ')')
	if close < 0 {
		return 0, fmt.Errorf("no name in %q", stat)
	}
	fields := strings.Fields(stat[close+1:]) // from field 3 on
	if len(fields) < 20 {
		return 0, fmt.Errorf("%d fields in %q", len(fields), stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, errors.New("process has ended")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// grace is how long a server may take to end before it is killed.
const grace = 10 * time.Second

// end stops the processes, all at once, and kills those that do not obey in
// time. It touches none that is not the one that was started.
func end(processes []Process, grace time.Duration) error {
	for _, p := range processes {
		if p.alive() {
			_ = syscall.Kill(p.PID, p.Stop) // it may have ended in between
		}
	}
	var failed []error
	deadline := time.Now().Add(grace)
	for _, p := range processes {
		for p.alive() && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if !p.alive() {
			continue
		}
		if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && p.alive() {
			failed = append(failed, fmt.Errorf("kill %s (%d): %w", p.Name, p.PID, err))
		}
	}
	return errors.Join(failed...)
}
