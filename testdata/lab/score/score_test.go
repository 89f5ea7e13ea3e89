package score

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

func cause(rank int, rule, service, operation, resource string, explains ...int) Cause {
	return Cause{Rank: rank, Rule: rule, Subject: Subject{Service: service, Operation: operation, Resource: resource}, Explain: explains}
}

func report(status string, causes ...Cause) Report {
	r := Report{SchemaVersion: 1, Causes: causes}
	r.Verdict.Status = status
	return r
}

func TestJudge(t *testing.T) {
	planted := scenario.Scenario{
		Expect: &scenario.Cause{Rule: "n-plus-one", Service: "orders", Operation: "GET /orders"},
		Also:   []scenario.Cause{{Rule: "cpu-saturation"}},
	}
	nothing := scenario.Scenario{Name: scenario.Healthy}
	good := cause(1, "n-plus-one", "orders", "GET /orders", "")
	for _, test := range []struct {
		name      string
		scenario  scenario.Scenario
		report    Report
		rank      int
		falsehood []string
		right     bool
	}{
		{"planted first", planted, report("causes-found", good), 1, nil, true},
		{"planted second", planted,
			report("causes-found", cause(1, "slow-query", "orders", "", "q"), cause(2, "n-plus-one", "orders", "GET /orders", "")),
			2, []string{"slow-query/orders/q"}, false},
		{"right rule, wrong service", planted, report("causes-found", cause(1, "n-plus-one", "catalog", "GET /orders", "")),
			0, []string{"n-plus-one/catalog/GET /orders"}, false},
		{"what the planted one explains is not false", planted,
			report("causes-found", cause(1, "n-plus-one", "orders", "GET /orders", "", 2), cause(2, "pool-saturation", "orders", "", "")), 1, nil, true},
		{"what follows from it is not false", planted, report("causes-found", good, cause(2, "cpu-saturation", "", "", "node")), 1, nil, true},
		{"nothing found", planted, report("inconclusive"), 0, nil, false},
		{"healthy", nothing, report("no-problem"), 0, nil, true},
		{"healthy and unsure", nothing, report("inconclusive"), 0, nil, false},
		{"healthy with a cause", nothing, report("causes-found", good), 0, []string{"n-plus-one/orders/GET /orders"}, false},
	} {
		v := Judge(test.scenario, test.report)
		if v.Rank != test.rank || !slices.Equal(v.False, test.falsehood) || v.Right(test.scenario, test.report) != test.right {
			t.Errorf("%s: %+v, right %v; want rank %d, false %v, right %v",
				test.name, v, v.Right(test.scenario, test.report), test.rank, test.falsehood, test.right)
		}
	}
}

func TestReadRejectsWhatIsNoReport(t *testing.T) {
	for text, says := range map[string]string{
		`{"schema_version":2}`: "schema version 2",
		`{"schema_ver`:         "decode report",
	} {
		path := filepath.Join(t.TempDir(), "report.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error is %v, want one that says %q", text, err, says)
		}
	}
}
