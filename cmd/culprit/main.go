// Command culprit tells what made a load run slow, how sure it is, and what
// fixing it would buy. This package holds the verbs and wires the rooms
// together: sources to collectors, evidence to analyzers, findings to rules,
// the judgement to formats.
//
// It never measures, judges or draws a report itself. The result goes to
// stdout alone; progress and one-line errors go to stderr.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	a := &app{stdout: os.Stdout, stderr: os.Stderr, now: time.Now, signals: signals, exit: os.Exit, version: buildVersion()}
	os.Exit(a.main(os.Args[1:]))
}

// app is one call of the command with the world it may touch.
type app struct {
	stdout, stderr io.Writer
	now            func() time.Time
	signals        <-chan os.Signal
	exit           func(int) // ends the process at the second interrupt
	version        string
	began          bool // a verb has begun: errors before that are of usage
}

// main runs one command line and gives the exit code.
func (a *app) main(args []string) int {
	root := a.root()
	root.SetArgs(args)
	c, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitOK
	}
	var coded *exitError
	switch {
	case errors.As(err, &coded):
	case !a.began && strings.HasPrefix(err.Error(), "accepts "): // cobra counts arguments, and does not say which
		coded = &exitError{exitUsage, fmt.Errorf("%w: %s", err, c.UseLine())}
	case !a.began:
		coded = &exitError{exitUsage, err}
	default:
		coded = &exitError{exitFailed, err}
	}
	fmt.Fprintln(a.stderr, "culprit:", strings.Join(strings.Fields(coded.Error()), " "))
	return coded.code
}

const helpText = `culprit joins Prometheus, traces and PostgreSQL into one ranked report of what
made a load run slow, how sure it is, and what fixing it would buy.

Exit codes: 0 report written; 1 internal error, or no source could be read;
2 usage or configuration; 3 a gate tripped (--fail-on); 4 inconclusive under
--strict; 130 interrupted (the report of what arrived is still written).`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "culprit", Short: "What made the load run slow?", Long: helpText,
		SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
		PersistentPreRun: func(c *cobra.Command, _ []string) {
			a.began = true
			if c.Name() != "serve" && c.Name() != "mcp" { // these go on for days beside others
				widenHeap()
			}
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.AddCommand(a.runCommand(), a.collectCommand(), a.analyzeCommand(), a.reportCommand(),
		a.traceCommand(), a.diffCommand(), a.verifyCommand(), a.notifyCommand(), a.mcpCommand(), a.checkCommand(), a.rulesCommand(), a.serveCommand(), a.manCommand(), a.versionCommand())
	return root
}
