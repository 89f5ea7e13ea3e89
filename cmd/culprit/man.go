package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (a *app) manCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "man [-o DIR]", Short: "Write the manual pages", Args: cobra.NoArgs,
		Long: "Write the manual page of culprit to standard output, or a page for every verb into\na directory, for packages. Shell completion comes from culprit completion.",
		RunE: func(c *cobra.Command, _ []string) error {
			stamp := sourceTime()
			header := &doc.GenManHeader{Title: "CULPRIT", Section: "1", Source: "culprit " + a.version, Manual: "culprit", Date: &stamp}
			root := c.Root()
			root.DisableAutoGenTag = true // the same sources give the same pages
			if dir == "" {
				return doc.GenMan(root, header, a.stdout)
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("making the directory of pages: %w", err)
			}
			return doc.GenManTree(root, header, dir)
		},
	}
	c.Flags().StringVarP(&dir, "output", "o", "", "directory for a page of every verb")
	return c
}

// sourceTime is when the sources were committed, where the binary tells; never
// the time of the day.
func sourceTime() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return t.UTC()
			}
		}
	}
	return time.Unix(0, 0).UTC()
}
