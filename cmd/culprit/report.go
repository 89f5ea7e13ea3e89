package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/report"
)

func (a *app) reportCommand() *cobra.Command {
	var output outputFlags
	c := &cobra.Command{
		Use: "report report.json --format html", Short: "Render a JSON report again in another format", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := output.resolve(newConfiguration()); err != nil {
				return usage(err)
			}
			f, err := os.Open(args[0])
			if err != nil {
				return usage(fmt.Errorf("reading the report: %w", err))
			}
			defer f.Close()
			r, err := report.Read(f)
			if err != nil {
				return usage(fmt.Errorf("%s: %w", args[0], err))
			}
			if output.looks.zone != nil {
				r.InZone(output.looks.zone)
			}
			return a.write(r, &output)
		},
	}
	output.registerFormat(c.Flags())
	output.looks.registerZone(c.Flags())
	return c
}
