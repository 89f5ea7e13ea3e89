package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Command is the load command of a run and, once it has ended, a source.
type Command struct {
	tool   string
	args   []string // as started
	result string   // path of the tool's result file; "": none
	stream string   // path of a log of single requests besides; "": none
	roots  []string // folders in which the tool makes one for its results
	notes  []string
	cmd    *exec.Cmd
	run    evidence.LoadRun
}

// NewCommand prepares a load command. A tool that culprit knows is asked for
// a result file in dir, unless the arguments or the environment name one.
func NewCommand(args []string, dir string) (*Command, error) {
	if len(args) == 0 {
		return nil, errors.New("no load command: put it behind --, as in culprit run ... -- k6 run script.js")
	}
	c := &Command{tool: toolOf(args[0]), args: slices.Clone(args)}
	switch c.tool {
	case "k6":
		c.prepareK6(dir, os.Getenv("K6_SUMMARY_EXPORT"))
	case "jmeter":
		c.prepareJMeter(dir)
	case "locust":
		c.prepareLocust(dir, os.Getenv("LOCUST_CSV"))
	default:
		c.prepareGatling(os.Getenv("GATLING_HOME"))
	}
	return c, nil
}

// toolOf gives the base name of the program: k6-1.8.1 is k6, jmeter.sh is
// jmeter.
func toolOf(program string) string {
	name := filepath.Base(program)
	for _, suffix := range []string{".exe", ".sh", ".bat"} {
		name = strings.TrimSuffix(name, suffix)
	}
	if strings.HasPrefix(name, "k6-") {
		return "k6"
	}
	return name
}

func (c *Command) prepareK6(dir, fromEnv string) {
	at := slices.Index(c.args, "run")
	if at < 1 {
		return // another verb
	}
	c.stream = k6Stream(c.args, os.Getenv("K6_OUT"))
	if slices.Contains(c.args, "--no-summary") {
		c.notes = append(c.notes, "k6 runs with --no-summary: it gives no latencies of its own")
		return
	}
	if path := flagValue(c.args, "--summary-export"); path != "" {
		c.result = path
		return
	}
	if fromEnv != "" {
		c.result = fromEnv
		return
	}
	c.result = filepath.Join(dir, "k6-summary.json")
	c.args = slices.Insert(c.args, at+1, "--summary-export", c.result)
	c.notes = append(c.notes, "culprit added --summary-export to the command")
}

// prepareJMeter asks a run without a window for its log of samples. JMeter adds
// to a log that is there: samples before the start are another run's.
func (c *Command) prepareJMeter(dir string) {
	if !slices.Contains(c.args, "-n") && !slices.Contains(c.args, "--nongui") {
		c.notes = append(c.notes, "JMeter runs without -n: it logs what its window is told to")
		return
	}
	for _, flag := range []string{"-l", "--logfile"} {
		if path := flagValue(c.args, flag); path != "" {
			c.result = path
			return
		}
	}
	c.result = filepath.Join(dir, "jmeter.jtl")
	c.args = append(c.args, "-l", c.result)
	c.notes = append(c.notes, "culprit added -l to the command")
}

func (c *Command) prepareLocust(dir, fromEnv string) {
	prefix := cmp.Or(flagValue(c.args, "--csv"), fromEnv)
	if prefix == "" {
		prefix = filepath.Join(dir, "locust")
		c.args = append(c.args, "--csv", prefix)
		c.notes = append(c.notes, "culprit added --csv to the command")
	}
	c.result = prefix + locustStats
}

func flagValue(args []string, flag string) string {
	for i, a := range args {
		if a == flag && i+1 < len(args) {
			return args[i+1]
		}
		if v, ok := strings.CutPrefix(a, flag+"="); ok {
			return v
		}
	}
	return ""
}

// Start starts the command in a process group of its own, so that an interrupt
// typed at the terminal reaches it once, through Signal. Its input is empty.
func (c *Command) Start(stdout, stderr io.Writer) error {
	c.cmd = exec.Command(c.args[0], c.args[1:]...)
	c.cmd.Stdout, c.cmd.Stderr = stdout, stderr
	c.cmd.SysProcAttr = ownGroup()
	c.cmd.WaitDelay = 5 * time.Second // a grandchild that keeps the output open must not hold us
	started := time.Now()
	if err := c.cmd.Start(); err != nil {
		var e *exec.Error
		if errors.As(err, &e) {
			err = e.Err
		}
		return fmt.Errorf("starting the load command %s: %w", c.args[0], err)
	}
	c.run = evidence.LoadRun{Tool: c.tool, Command: redact(c.args), Start: started.UnixMilli()}
	return nil
}

// Signal passes a signal to the command and what it started.
func (c *Command) Signal(s os.Signal) { signalGroup(c.cmd.Process, s) }

// Wait returns when the command has ended, with its exit code; 128 + n where
// signal n ended it.
func (c *Command) Wait() int {
	err := c.cmd.Wait()
	c.run.End = time.Now().UnixMilli()
	c.run.ExitCode = exitCode(c.cmd.ProcessState)
	if errors.Is(err, exec.ErrWaitDelay) {
		c.notes = append(c.notes, "a process that the command started outlived it")
	}
	return c.run.ExitCode
}

// Window from the command's start to its end.
func (c *Command) Window() evidence.Window {
	return evidence.Window{Start: time.UnixMilli(c.run.Start).UTC(), End: time.UnixMilli(c.run.End).UTC()}
}

// Name of the source.
func (c *Command) Name() string { return sourceName }

// Provides lists the kinds that a command may bring.
func (c *Command) Provides() []evidence.Kind { return provides() }

// Collect gives the run's account after Wait. Start, end and exit code are
// always known; a result file that is missing or unreadable is a gap.
func (c *Command) Collect(context.Context, evidence.Window) (*evidence.Bundle, error) {
	run := c.run
	run.Notes = slices.Clone(c.notes)
	var gaps []evidence.Gap
	switch read, err := c.readResult(); {
	case err != nil:
		gaps = append(gaps, evidence.Gap{Source: sourceName, Kinds: []evidence.Kind{evidence.LoadRequestStats},
			Reason: err.Error(), Remedy: "give the tool's result file with --load"})
	case read != nil:
		run.Requests, run.Modules, run.Checks, run.Dropped = read.Requests, read.Modules, read.Checks, read.Dropped
		run.Notes = append(run.Notes, read.Notes...)
	}
	if gap := c.addStream(&run); gap != nil {
		gaps = append(gaps, *gap)
	}
	return bundleOf(run, c.tool, gaps), nil
}

func (c *Command) readResult() (*evidence.LoadRun, error) {
	path := c.result
	if len(c.roots) > 0 {
		path = newestResult(c.roots, time.UnixMilli(c.run.Start))
		if path == "" {
			return nil, fmt.Errorf("gatling left neither %s nor %s below %s", gatlingLog, gatlingStats, strings.Join(c.roots, ", "))
		}
	}
	if path == "" {
		return nil, nil
	}
	run, err := readFile(path, c.run.Start)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s wrote no result file", c.tool)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the result file of %s: %w", c.tool, err)
	}
	return &run, nil
}
