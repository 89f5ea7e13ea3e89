package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/notify"
	"github.com/culprit-rca/culprit/rules"
)

func (a *app) notifyCommand() *cobra.Command {
	var settings, previous, target, link string
	c := &cobra.Command{
		Use: "notify REPORT --config FILE [--previous REPORT]", Short: "Tell people of new and worse causes", Args: cobra.ExactArgs(1),
		Long: `Tell the places of the configuration's notify block of causes that are new or
worse in a report against the one before, each an evidence file or a report.json.
What is muted, or was said before by notify's state file, is not said; a report
without news says nothing. Standard error tells what was said where. For pipelines and timers; culprit serve does this by itself.`,
		RunE: func(c *cobra.Command, args []string) error {
			conf, err := readConfiguration(settings)
			if err != nil {
				return usage(err)
			}
			if conf.Notify.Empty() {
				return usage(errors.New("nobody to tell: give --config with a notify block"))
			}
			n, err := notify.New(conf.Notify, a.now)
			if err != nil {
				return usage(err)
			}
			catalogue, err := rules.Load(conf.Rules...)
			if err != nil {
				return usage(err)
			}
			now, err := a.readSide(args[0], catalogue)
			if err != nil {
				return usage(err)
			}
			var before *report.Report
			if previous != "" {
				side, err := a.readSide(previous, catalogue)
				if err != nil {
					return usage(err)
				}
				before = side.report
			}
			n.Told = a.told
			if conf.Notify.State == "" && previous == "" {
				fmt.Fprintln(a.stderr, "culprit: warning: neither --previous nor a state in notify is given: every cause counts as new, and is said again the next time")
			}
			return n.Made(c.Context(), target, link, now.report, before)
		},
	}
	c.Flags().StringVar(&settings, "config", "", "YAML with a notify block")
	c.Flags().StringVar(&previous, "previous", "", "the report before; without, every cause is new")
	c.Flags().StringVar(&target, "target", "default", "name of what was observed")
	c.Flags().StringVar(&link, "link", "", "address of the report for people")
	return c
}

// told says on standard error how much was said at a place.
func (a *app) told(place string, changes int) {
	text := "nothing new to say"
	if changes == 1 {
		text = "told of 1 change"
	} else if changes > 1 {
		text = fmt.Sprintf("told of %d changes", changes)
	}
	fmt.Fprintf(a.stderr, "culprit: %s: %s\n", place, text)
}
