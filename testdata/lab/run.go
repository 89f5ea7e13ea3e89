package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/load"
	"github.com/culprit-rca/culprit/testdata/lab/means"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/score"
	"github.com/culprit-rca/culprit/testdata/lab/servers"
)

// runOptions are the flags of run and matrix.
type runOptions struct {
	culprit   string
	noCulprit bool
	otlp      bool
	record    bool
	keep      bool
	out       string
	repeat    int
	bundles   string
	handicap  string
}

func (o *runOptions) register(flags *flag.FlagSet) {
	flags.StringVar(&o.culprit, "culprit", "", "culprit to ask; default: built from the surrounding module")
	flags.BoolVar(&o.noCulprit, "no-culprit", false, "load only, ask nobody")
	flags.BoolVar(&o.otlp, "otlp", false, "culprit itself receives the traces, without Jaeger")
	flags.BoolVar(&o.record, "record", false, "keep each evidence bundle in testdata/scenarios")
	flags.BoolVar(&o.keep, "keep", false, "leave the last lab up")
	flags.StringVar(&o.out, "o", filepath.Join(os.TempDir(), "culprit-lab-reports"), "folder for reports")
	flags.StringVar(&o.handicap, "handicap", "", "what culprit sees less of, or otherwise: see list")
	flags.IntVar(&o.repeat, "repeat", 1, "how often each scenario runs")
	flags.StringVar(&o.bundles, "bundles", "", "keep the evidence of the k-th run of each scenario there as SCENARIO/k.culprit, and leave out what is there already")
}

// up brings the lab up and says where to reach it.
func (a *app) up(ctx context.Context, names []string) error {
	s := scenario.Scenario{Name: scenario.Healthy}
	if len(names) > 0 {
		found, err := a.scenario(names[0])
		if err != nil {
			return err
		}
		s = found
	}
	programs, err := a.find(ctx)
	if err != nil {
		return err
	}
	state, err := a.bringUp(ctx, s, programs, "")
	if err != nil {
		return err
	}
	at := state.Addresses
	fmt.Fprintf(a.out, "gateway     %s\nprometheus  %s\njaeger      %s (gRPC %s)\npostgres    %s\nredis       %s\nlogs        %s\n",
		at.Gateway, at.Prometheus, at.Traces, at.TracesGRPC, at.Postgres, at.Redis, filepath.Join(state.Dir, "logs"))
	return nil
}

func (a *app) bringUp(ctx context.Context, s scenario.Scenario, programs means.Paths, otlp string) (*servers.State, error) {
	state, err := servers.Up(ctx, servers.Options{
		Dir: a.dir, Source: a.source, Programs: programs, Scenario: s, OTLP: otlp, Progress: a.progress,
		Sight: a.handicap.sight, Scrape: a.handicap.scrape,
	})
	if err != nil {
		return nil, err
	}
	if err := load.Warm(ctx, state.Addresses.Gateway, a.handicap.sight.Names); err != nil {
		return nil, errors.Join(err, servers.Down(a.dir))
	}
	if err := state.Restart(ctx, s.Fault); err != nil {
		return nil, errors.Join(err, servers.Down(a.dir))
	}
	for _, note := range state.Notes {
		a.progress("note: " + note)
	}
	a.progress("the lab is up, " + s.Name)
	return state, nil
}

// runAll runs scenarios one after the other, each in a lab of its own, and
// prints the scoreboard. No names: all.
func (a *app) runAll(ctx context.Context, names []string) error {
	chosen, err := a.choose(names)
	if err != nil {
		return err
	}
	programs, err := a.find(ctx)
	if err != nil {
		return err
	}
	if err := a.findCulprit(ctx); err != nil {
		return err
	}
	board, times := newScoreboard(a.out), map[string]int{}
	for i, s := range chosen {
		times[s.Name]++
		kept := a.bundleOf(s, times[s.Name])
		if _, err := os.Stat(kept); err == nil {
			a.progress("there already: " + kept)
			continue
		}
		line, err := a.runOne(ctx, s, programs, a.options.keep && i == len(chosen)-1)
		if err == nil && kept != "" && line.asked {
			err = a.keep(a.handicap.expected(s), filepath.Join(a.reports(s), "run.culprit"), kept)
		}
		if err != nil {
			return fmt.Errorf("scenario %s: %w", s.Name, err)
		}
		board.add(line)
	}
	board.print(len(chosen) > 1)
	if !board.right() {
		return errGate
	}
	return nil
}

// bundleOf is where the evidence of the k-th run of a scenario is kept; "" where
// it is not.
func (a *app) bundleOf(s scenario.Scenario, k int) string {
	if a.options.bundles == "" {
		return ""
	}
	return filepath.Join(a.options.bundles, a.handicap.of(s), fmt.Sprintf("%d.culprit", k))
}

// reports is the folder of a scenario's reports.
func (a *app) reports(s scenario.Scenario) string {
	return filepath.Join(a.options.out, a.handicap.of(s))
}

func (a *app) choose(names []string) ([]scenario.Scenario, error) {
	var chosen []scenario.Scenario
	for _, name := range names {
		s, err := a.scenario(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, s)
	}
	if len(names) == 0 {
		chosen = a.scenarios
	}
	var repeated []scenario.Scenario
	for range max(1, a.options.repeat) {
		repeated = append(repeated, chosen...)
	}
	return repeated, nil
}

// findCulprit builds it from the surrounding module, unless told where it is.
func (a *app) findCulprit(ctx context.Context) error {
	if a.options.noCulprit || a.options.culprit != "" {
		return nil
	}
	cache, err := means.CacheDir()
	if err != nil {
		return err
	}
	a.options.culprit = filepath.Join(cache, "culprit")
	build := exec.CommandContext(ctx, "go", "build", "-o", a.options.culprit, "./cmd/culprit")
	build.Dir = filepath.Join(a.source, "..", "..")
	build.Stderr = a.err
	a.progress("build culprit")
	if err := build.Run(); err != nil {
		return fmt.Errorf("build culprit: %w", err)
	}
	return nil
}

// runOne runs one scenario. A fault that this machine has no means for is a
// line that says so, not an error.
func (a *app) runOne(ctx context.Context, s scenario.Scenario, programs means.Paths, keep bool) (line, error) {
	began := time.Now()
	otlp, err := a.receiver()
	if err != nil {
		return line{}, err
	}
	state, err := a.bringUp(ctx, s, programs, otlp)
	if errors.Is(err, servers.ErrCannotRun) {
		return line{scenario: s, notRun: err.Error()}, nil
	}
	if err != nil {
		return line{}, err
	}
	l, err := a.loadAndAsk(ctx, s, state, programs)
	l.seconds = time.Since(began).Seconds()
	if keep {
		return l, err
	}
	return l, errors.Join(err, servers.Down(a.dir))
}

// receiver is where culprit will listen for traces; "" if Jaeger does.
func (a *app) receiver() (string, error) {
	if !a.options.otlp {
		return "", nil
	}
	return servers.FreeAddress()
}

// loadAndAsk loads the shop through culprit, and scores what culprit says.
func (a *app) loadAndAsk(ctx context.Context, s scenario.Scenario, state *servers.State, programs means.Paths) (line, error) {
	plan, err := load.Prepare(state.Dir, state.Addresses.Gateway, s.Load, a.handicap.sight.Names)
	if err != nil {
		return line{}, err
	}
	out := a.reports(s)
	if err := os.RemoveAll(out); err != nil {
		return line{}, fmt.Errorf("clear reports: %w", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return line{}, fmt.Errorf("create folder for reports: %w", err)
	}
	a.progress("load")
	began, command := time.Now(), a.command(ctx, state, programs["k6"], out, plan)
	endSessions := load.Beside(ctx, state.Addresses.Owner, a.handicap.sessions(s))
	endJobs := load.Schedule(ctx, state.Addresses.Batch, s.Fault.Jobs)
	lift := state.ThrottleLate(ctx, s.Fault, a.handicap.sight.Names)
	settled := state.RestartLate(ctx, s.Fault)
	if err := errors.Join(command.Run(), endSessions(), endJobs(), lift(), settled()); err != nil {
		return line{}, fmt.Errorf("load: %w", err)
	}
	l := line{scenario: s, handicap: a.handicap.name}
	if l.load, err = plan.Summary(); err != nil {
		return l, err
	}
	if a.handicap.scrape < s.Load.Plateau/2 { // else nothing was scraped often enough to tell
		if l.cost, err = measure(ctx, state.Addresses.Prometheus, began.Add(s.Load.Ramp+s.Load.Plateau), s.Load.Plateau); err != nil {
			return l, err
		}
	}
	spent := command.ProcessState
	l.cost.Load = (spent.UserTime() + spent.SystemTime()).Seconds() / time.Since(began).Seconds()
	if l.healthy, err = healthyLoad(s, l.load, l.cost); err != nil {
		return l, err
	}
	if a.options.noCulprit {
		return l, nil
	}
	return l, a.judge(&l, s, out)
}

// judge reads the report and keeps the bundle if asked to.
func (a *app) judge(l *line, s scenario.Scenario, out string) error {
	report, err := score.Read(filepath.Join(out, "report.json"))
	if err != nil {
		return err
	}
	want := a.handicap.expected(s)
	l.asked, l.status, l.verdict = true, report.Verdict.Status, score.Judge(want, report)
	l.right = l.verdict.Right(want, report)
	l.gain = score.GainOf(l.verdict, report, func(operation string) float64 {
		return l.healthy.Felt.P95Of(operation, a.handicap.sight.Names.Rename)
	})
	if !a.options.record {
		return nil
	}
	return a.record(want, filepath.Join(out, "run.culprit"))
}

// command is k6, by itself or as the load command of culprit.
func (a *app) command(ctx context.Context, state *servers.State, k6, out string, plan load.Plan) *exec.Cmd {
	path, args := k6, plan.Args
	if !a.options.noCulprit {
		path = a.options.culprit
		args = append(a.sources(state), "-o", out, "--format", "md,html,json", "--", k6)
		args = append(append([]string{"run"}, args...), plan.Args...)
	}
	command := exec.CommandContext(ctx, path, args...)
	command.Env = append(os.Environ(), plan.Env...)
	command.Stdout, command.Stderr = a.err, a.err
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 20 * time.Second
	return command
}

// sources are the flags for what culprit may see.
func (a *app) sources(state *servers.State) []string {
	at, traces := state.Addresses, []string{"--traces", state.Addresses.Traces}
	if a.options.otlp {
		traces = []string{"--otlp-listen", hostOf(at.OTLP)}
	}
	var args []string
	for _, source := range []struct {
		name  string
		flags []string
	}{{prometheusSource, []string{"--prometheus", at.Prometheus}}, {postgresSource, []string{"--postgres", at.Postgres}}, {tracesSource, traces}} {
		if !a.handicap.hides(source.name) {
			args = append(args, source.flags...)
		}
	}
	if at.PgBouncer != "" && !a.handicap.hides(postgresSource) {
		args = append(args, "--pgbouncer", at.PgBouncer)
	}
	return args
}
