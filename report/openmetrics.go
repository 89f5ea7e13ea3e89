package report

import (
	"fmt"
	"io"
	"strings"
)

// writeOpenMetrics is a file for a textfile collector: the verdict, how the
// operations did and what each cause costs.
func writeOpenMetrics(w io.Writer, r *Report) error {
	m := metrics{seen: map[string]bool{}}
	m.family("culprit_verdict", "", "The verdict of the last report, by status.")
	m.point("culprit_verdict", 1, "status", string(r.Verdict.Status))
	m.family("culprit_window_end_seconds", "seconds", "End of the window of the last report, Unix time.")
	m.point("culprit_window_end_seconds", float64(r.Window.End.Unix()))
	m.family("culprit_cause_score", "", "Weight of the evidence for a cause, 0 to 1.")
	for _, c := range r.Causes {
		m.point("culprit_cause_score", c.Score, causeLabels(c)...)
	}
	m.family("culprit_cause_saved_seconds", "seconds", "Latency that removing a cause would save at the tail.")
	for _, c := range r.Causes {
		if c.Impact != nil {
			m.point("culprit_cause_saved_seconds", c.Impact.Saved, causeLabels(c)...)
		}
	}
	m.family("culprit_operation_p95_seconds", "seconds", "95th percentile of an operation in the window.")
	for _, s := range r.Symptoms {
		if s.P95 > 0 {
			m.point("culprit_operation_p95_seconds", s.P95, "service", s.Service, "operation", s.Operation)
		}
	}
	m.family("culprit_gaps", "", "Gaps in what a source could show.")
	for _, c := range r.Coverage {
		m.point("culprit_gaps", float64(len(c.Gaps)), "source", c.Source, "target", c.Target)
	}
	m.WriteString("# EOF\n")
	_, err := io.WriteString(w, m.String())
	return err
}

func causeLabels(c Cause) []string {
	return []string{"rule", c.Rule, "service", c.Subject.Service, "instance", c.Subject.Instance, "operation", c.Subject.Operation, "resource", c.Subject.Resource}
}

// metrics is an exposition in the making. A series may stand in it only once:
// two names that were cut to the same length would else spoil the whole file.
type metrics struct {
	strings.Builder
	seen map[string]bool
}

func (m *metrics) family(name, unit, help string) {
	fmt.Fprintf(m, "# TYPE %s gauge\n", name)
	if unit != "" {
		fmt.Fprintf(m, "# UNIT %s %s\n", name, unit)
	}
	fmt.Fprintf(m, "# HELP %s %s\n", name, help)
}

// point writes one value; labels are names and values in turn.
func (m *metrics) point(name string, v float64, labels ...string) {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var pairs []string
	for i := 0; i+1 < len(labels); i += 2 {
		if labels[i+1] != "" {
			pairs = append(pairs, labels[i]+`="`+escape.Replace(labels[i+1])+`"`)
		}
	}
	series := name
	if len(pairs) > 0 {
		series += "{" + strings.Join(pairs, ",") + "}"
	}
	if !m.seen[series] {
		m.seen[series] = true
		fmt.Fprintf(m, "%s %s\n", series, plain(v))
	}
}
