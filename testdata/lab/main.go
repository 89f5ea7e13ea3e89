// Command lab runs a real system with planted faults, and asks culprit what is
// wrong with it: a small shop on PostgreSQL and Redis, watched by Prometheus
// and Jaeger, loaded by k6. Everything binds the loopback interface on free
// ports. It never touches a server that it did not start, and leaves nothing
// behind.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/means"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/servers"
)

//go:embed scenarios/*.yaml
var scenarioFiles embed.FS

//go:embed repeats/*.yaml
var repeatFiles embed.FS

const usage = `usage: lab [flags] VERB

  doctor [--fix]         say what is missing and how to get it, or get it
  up [SCENARIO]          bring the lab up, with a fault if one is named
  run SCENARIO...        one fresh lab each: load, diagnose, score
  matrix [SCENARIO...]   as run, all by default; one table; fails unless all are right
  repeats VARIANT        one lab, several short runs of one load, the evidence of each kept:
                         what differs between them is noise
  list                   the scenarios and the handicaps
  down                   end the lab and remove what it made

flags:
`

// Exit codes, as culprit has them.
const (
	exitFailed = 1
	exitUsage  = 2
	exitGate   = 3 // a scenario was not diagnosed as it should be
)

// errGate says that the runs were done and not all of them were right.
var errGate = errors.New("not all scenarios were diagnosed as they should be")

// usageError marks an error as the caller's.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return
	case errors.Is(err, errGate):
		os.Exit(exitGate)
	case errors.As(err, &usageError{}):
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(exitUsage)
	}
	fmt.Fprintln(os.Stderr, "lab:", err)
	os.Exit(exitFailed)
}

// app is one call of the command.
type app struct {
	dir       string
	source    string
	fix       bool
	options   runOptions
	handicap  handicap
	scenarios []scenario.Scenario
	out, err  io.Writer
	start     time.Time
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	a := &app{out: out, err: errOut, start: time.Now()}
	flags := a.flags()
	words, err := parseInterspersed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	if err != nil {
		return usageError{err}
	}
	if a.handicap, err = handicapOf(a.options.handicap); err != nil {
		return err
	}
	folder, err := fs.Sub(scenarioFiles, "scenarios")
	if err != nil {
		return err
	}
	if a.scenarios, err = scenario.LoadAll(folder); err != nil {
		return err
	}
	if len(words) == 0 {
		flags.Usage()
		return usageError{errors.New("no verb")}
	}
	return a.do(ctx, words[0], words[1:])
}

func (a *app) do(ctx context.Context, verb string, names []string) error {
	switch verb {
	case "doctor":
		return a.doctor(ctx)
	case "up":
		return a.up(ctx, names)
	case "run":
		if len(names) == 0 {
			return usageError{errors.New("run: which scenario? see lab list")}
		}
		return a.runAll(ctx, names)
	case "matrix":
		return a.runAll(ctx, names)
	case "repeats":
		return a.repeats(ctx, names)
	case "list":
		for _, s := range a.scenarios {
			fmt.Fprintf(a.out, "%-18s %s", s.Name, s.Description)
		}
		for _, h := range handicaps {
			fmt.Fprintf(a.out, "--handicap %-16s %s\n", h.name, h.says)
		}
		return nil
	case "down":
		return servers.Down(a.dir)
	}
	return usageError{fmt.Errorf("no verb is called %q", verb)}
}

func (a *app) flags() *flag.FlagSet {
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	flags.SetOutput(a.err)
	flags.Usage = func() {
		fmt.Fprint(a.err, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&a.dir, "dir", filepath.Join(os.TempDir(), "culprit-lab"), "folder of the lab, made by up and removed by down")
	flags.StringVar(&a.source, "source", ".", "folder of the lab's module")
	flags.BoolVar(&a.fix, "fix", false, "doctor: get what is missing")
	a.options.register(flags)
	return flags
}

// parseInterspersed lets flags stand after the verb, where people write them.
func parseInterspersed(flags *flag.FlagSet, args []string) ([]string, error) {
	var words []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words = append(words, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// progress goes to stderr, with the seconds since the start.
func (a *app) progress(text string) {
	fmt.Fprintf(a.err, "%6.1f s  %s\n", time.Since(a.start).Seconds(), text)
}

// programs looks for what the lab needs; that is not Jaeger, minutes to build,
// nor what only tests need, where culprit itself receives the traces: there
// somebody waits for a demonstration.
func (a *app) programs(ctx context.Context, cache string) []means.Program {
	found := means.Find(ctx, cache)
	if a.options.otlp {
		found = slices.DeleteFunc(found, func(p means.Program) bool { return p.Name == "jaeger" || p.ForTests })
	}
	return found
}

// find returns the programs, or an error that names what is missing.
func (a *app) find(ctx context.Context) (means.Paths, error) {
	cache, err := means.CacheDir()
	if err != nil {
		return nil, err
	}
	programs := a.programs(ctx, cache)
	for _, p := range means.Missing(programs) {
		return nil, fmt.Errorf("%s is missing: lab doctor says how to get it, lab doctor --fix gets it", p.Name)
	}
	return means.PathsOf(programs), nil
}

// scenario by name.
func (a *app) scenario(name string) (scenario.Scenario, error) {
	for _, s := range a.scenarios {
		if s.Name == name {
			return s, nil
		}
	}
	return scenario.Scenario{}, usageError{fmt.Errorf("no scenario is called %q, see lab list", name)}
}
