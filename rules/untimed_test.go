package rules

import (
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Where only the load tool timed the requests, the headline says what it saw.
func TestUntimed(t *testing.T) {
	runs := []evidence.LoadRun{{Tool: "k6", Requests: []evidence.LoadStat{{Name: "buy", Count: 4}, {Count: 24, Failed: 4, P95: 0.47}}}, {Tool: "make"}}
	if got := untimed(runs); !strings.HasSuffix(got, " k6 alone timed them: 24 in all, 4 failed, p95 470 ms.") {
		t.Error(got)
	}
	if got := untimed(runs[1:]); !strings.HasSuffix(got, "about slowness.") {
		t.Error(got)
	}
}
