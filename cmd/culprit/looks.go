package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	_ "time/tzdata" // so that --tz works on machines without zone files

	"github.com/spf13/pflag"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
)

// looksFlags say how a report looks to its reader: in which zone, with links
// to which of the reader's own tools.
type looksFlags struct {
	tz    string
	links report.Links

	zone    *time.Location // nil: UTC
	sources report.Links   // where the sources that are read answer, if the reader may follow
}

func (l *looksFlags) register(f *pflag.FlagSet) {
	l.registerZone(f)
	f.StringVar(&l.links.Prometheus, "link-prometheus", "", "base URL for links to Prometheus, where readers reach it otherwise than --prometheus")
	f.StringVar(&l.links.Traces, "link-traces", "", "base URL for links to traces in Jaeger, where readers reach it otherwise than --traces")
	f.StringVar(&l.links.Grafana, "link-grafana", "", "base URL for links to queries in Grafana's Explore")
	f.StringVar(&l.links.GrafanaSourceUID, "link-grafana-datasource", "", "uid of the Prometheus data source in Grafana (default: Grafana's own)")
}

func (l *looksFlags) registerZone(f *pflag.FlagSet) {
	f.StringVar(&l.tz, "tz", "", "zone of the times in the report, such as Europe/Berlin (default UTC)")
}

// resolve checks the flags, and takes from the configuration what they leave
// open: its links, then the addresses of the sources themselves. What a bundle
// says of its sources is data, and is never linked to.
func (l *looksFlags) resolve(c *configuration) (err error) {
	if l.tz == "Local" {
		return fmt.Errorf("--tz Local is another zone on every machine: name one")
	}
	if l.tz != "" {
		if l.zone, err = time.LoadLocation(l.tz); err != nil {
			return fmt.Errorf("--tz %q is no zone that is known here", l.tz)
		}
	}
	set := c.Links.links()
	l.links = report.Links{Prometheus: cmp.Or(l.links.Prometheus, set.Prometheus), Traces: cmp.Or(l.links.Traces, set.Traces), Grafana: cmp.Or(l.links.Grafana, set.Grafana), GrafanaSourceUID: cmp.Or(l.links.GrafanaSourceUID, set.GrafanaSourceUID)}
	l.sources = report.Links{Prometheus: c.Prometheus.URL, Traces: c.Traces.URL}
	return l.links.Validate()
}

// linksFor is what a report of a bundle may link to. Of the trace stores only
// Jaeger has a page under its address.
func (l *looksFlags) linksFor(b *evidence.Bundle) report.Links {
	sources := l.sources
	for _, s := range b.Sources {
		if s.Name == "traces" && !strings.Contains(strings.ToLower(s.Protocol), "jaeger") {
			sources.Traces = ""
		}
	}
	return l.links.Or(sources)
}

// arguments repeat the looks in the command line that makes a report again.
func (l *looksFlags) arguments(links report.Links) []string {
	var out []string
	for _, x := range []struct{ flag, value string }{
		{"--tz", l.tz}, {"--link-prometheus", links.Prometheus}, {"--link-traces", links.Traces}, {"--link-grafana", links.Grafana}, {"--link-grafana-datasource", links.GrafanaSourceUID},
	} {
		if x.value != "" {
			out = append(out, x.flag, shellWord(x.value))
		}
	}
	return out
}

// shellWord quotes a word for a POSIX shell where it needs it.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// screen is the writer that a format sees: w itself, or w with what is known of
// the terminal that it ends up on.
func (a *app) screen(w io.Writer, toStdout bool) io.Writer {
	if !toStdout || !isTerminal(a.stdout) {
		return w
	}
	return report.Terminal{Writer: w, Width: terminalWidth(a.stdout), Colour: os.Getenv("NO_COLOR") == ""}
}
