package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/mcp"
	"github.com/culprit-rca/culprit/rules"
)

func (a *app) mcpCommand() *cobra.Command {
	var dirs []string
	c := &cobra.Command{
		Use: "mcp DIR", Short: "Offer the reports below a folder to agents (Model Context Protocol)", Args: cobra.ExactArgs(1),
		Long: `Answer an agent on standard input and output: tools that read the reports
(report.json) and evidence files (run.culprit) below DIR, and write nothing. Texts
that come from telemetry are marked as untrusted data.`,
		RunE: func(c *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err == nil && !info.IsDir() {
				err = errors.New("it is no folder")
			}
			if err != nil {
				return usage(fmt.Errorf("the folder of reports: %w", err))
			}
			catalogue, err := rules.Load(dirs...)
			if err != nil {
				return usage(err)
			}
			if err := mcp.Serve(c.Context(), &shelf{app: a, dir: args[0], catalogue: catalogue}, a.version); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("serving the agent: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&dirs, "rules", nil, "directory of rules that add to or replace the built-in ones; may be repeated")
	return c
}

// shelf is the folder of reports that an agent may read.
type shelf struct {
	app       *app
	dir       string
	catalogue *rules.Catalogue
}

// mostShelved bounds how many files of a folder are offered.
const mostShelved = 10_000

// List names the reports and evidence files, by path below the folder; those of
// one run lie beside each other.
func (s *shelf) List(context.Context) ([]string, error) {
	var names []string
	err := fs.WalkDir(os.DirFS(s.dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != ".":
			return fs.SkipDir // not ours to read
		case len(names) >= mostShelved:
			return fs.SkipAll
		case d.Type().IsRegular() && (strings.HasSuffix(name, "report.json") || filepath.Ext(name) == filepath.Ext(bundleName)):
			names = append(names, name)
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

// Report reads a name of the list.
func (s *shelf) Report(_ context.Context, name string) (*report.Report, error) {
	side, err := s.app.readSide(filepath.Join(s.dir, filepath.FromSlash(name)), s.catalogue)
	if err != nil {
		return nil, err
	}
	return side.report, nil
}

// Compare reads two names of the list.
func (s *shelf) Compare(_ context.Context, base, head string) (*report.Diff, error) {
	return s.app.diff(filepath.Join(s.dir, filepath.FromSlash(base)), filepath.Join(s.dir, filepath.FromSlash(head)), nil, s.catalogue)
}
