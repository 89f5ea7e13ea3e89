package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

func diffCause(id string, saved, low, high float64) Cause {
	return Cause{Rule: id, Title: id, Fingerprint: "f-" + id, Subject: evidence.Entity{Service: "a", Resource: id},
		Impact: &Impact{Service: "a", Operation: "GET /x", Percentile: "p95", Saved: saved, Low: low, High: high}}
}

func diffReport(status string, causes ...Cause) *Report {
	r := &Report{SchemaVersion: 1, Causes: causes, Symptoms: []Symptom{{Service: "a", Operation: "GET /x"}}}
	r.Verdict.Status = "causes-found"
	if status != "" {
		r.Verdict.Status = rules.VerdictStatus(status)
	}
	return r
}

func TestCausesByFingerprint(t *testing.T) {
	base := diffReport("", diffCause("steady", 0.5, 0.4, 0.6), diffCause("grew", 0.2, 0.18, 0.22), diffCause("shrank", 0.9, 0.8, 1), diffCause("gone", 0.3, 0.2, 0.4))
	head := diffReport("", diffCause("steady", 0.55, 0.45, 0.65), diffCause("grew", 0.6, 0.5, 0.7), diffCause("shrank", 0.1, 0.05, 0.15), diffCause("came", 0.3, 0.2, 0.4))
	d := Compare(base, head, [2]string{"a", "b"}, nil, 0)
	var got []string
	for _, c := range d.Causes {
		got = append(got, c.Rule+" "+c.Change)
	}
	if text := strings.Join(got, ", "); text != "grew worse, came new, shrank better, gone fixed, steady same" {
		t.Error(text)
	}
	if d.Regressed() != "worse cause: grew at a · grew; new cause: came at a · came" {
		t.Errorf("regressed %q", d.Regressed())
	}
}

// What a later run could not see is not fixed.
func TestUnseenIsNotFixed(t *testing.T) {
	base := diffReport("", diffCause("gone", 0.3, 0.2, 0.4))
	idle := diffReport("no-problem")
	idle.Symptoms = nil
	nested := diffReport("", diffCause("other", 0.3, 0.2, 0.4))
	nested.Causes[0].Explained = []Explained{{Rule: "gone", Subject: base.Causes[0].Subject}}
	for name, c := range map[string]struct {
		head         *Report
		want, reason string
	}{
		"blind":     {diffReport("inconclusive"), "unknown", "inconclusive"},
		"no load":   {idle, "unknown", "no load on a GET /x"},
		"healthy":   {diffReport("no-problem"), "fixed", ""},
		"explained": {nested, "same", "explained by other"},
	} {
		d := Compare(base, c.head, [2]string{}, nil, 0)
		got := d.Causes[len(d.Causes)-1]
		for _, x := range d.Causes {
			if x.Rule == "gone" {
				got = x
			}
		}
		if got.Change != c.want || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: %s (%s), want %s", name, got.Change, got.Reason, c.want)
		}
	}
}

// Text of a telemetry source stays inert, and nothing below the noise is told.
func TestDiffMarkdown(t *testing.T) {
	hostile := evidence.Entity{Service: "a|b", Operation: "<script>[x](http://evil)"}
	changes := []analyzers.Change{
		{Entity: hostile, Verdict: analyzers.Worse, Base: &analyzers.Figures{P95: 0.1}, Head: &analyzers.Figures{P95: 0.12}, Ratio: 1.2, Low: 1.12, High: 1.28, P: 0.0001},
		{Entity: evidence.Entity{Service: "quiet", Operation: "GET /quiet"}, Verdict: analyzers.Same, Base: &analyzers.Figures{P95: 0.1}, Head: &analyzers.Figures{P95: 0.101}, Ratio: 1.01},
	}
	d := Compare(diffReport(""), diffReport(""), [2]string{"base.culprit", "head.culprit"}, changes, 0)
	var md, js bytes.Buffer
	if err := d.WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteJSON(&js); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"# 1 operation slower\n", "100 ms", "120 ms", "+20 % (+12 to +28 %)", "1 operation without a change"} {
		if !strings.Contains(md.String(), text) {
			t.Errorf("no %q in\n%s", text, md.String())
		}
	}
	for _, text := range []string{"quiet", "<script>", "[x](http"} {
		if strings.Contains(md.String(), text) {
			t.Errorf("%q in\n%s", text, md.String())
		}
	}
	if strings.Contains(js.String(), "quiet") || !strings.Contains(js.String(), `"operations_unchanged": 1`) {
		t.Error(js.String())
	}
}
