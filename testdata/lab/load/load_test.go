package load

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/shop/names"
)

func TestPlanTellsTheScriptWhatTheScenarioSays(t *testing.T) {
	dir := t.TempDir()
	plan, err := Prepare(dir, "http://127.0.0.1:1", scenario.Load{Ramp: time.Second, Plateau: 2 * time.Second, Rates: map[string]float64{"GET /orders": 3}}, names.Names{"orders": "loans"})
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Join(plan.Env, "\n")
	for _, want := range []string{`"ramp_s":1,"stages":[{"s":1,"times":1},{"s":2,"times":1}],"rates":{"GET /orders":3}`, `"names":{"orders":"loans"}`, "LAB_BASE_URL=http://127.0.0.1:1"} {
		if !strings.Contains(env, want) {
			t.Errorf("environment lacks %s:\n%s", want, env)
		}
	}
	if _, err := os.Stat(plan.Args[len(plan.Args)-1]); err != nil {
		t.Errorf("the script is not where k6 is sent: %v", err)
	}
	if _, err := plan.Summary(); err == nil {
		t.Error("a run that has not been has a summary")
	}
}

func TestSummaryOfARouteThatWasNotLoaded(t *testing.T) {
	s := Summary{Routes: []Route{{Route: "GET /orders", P95: 0.2}}}
	if s.P95Of("GET /orders") != 0.2 || s.P95Of("GET /") != 0 {
		t.Errorf("p95 is %g and %g", s.P95Of("GET /orders"), s.P95Of("GET /"))
	}
}

func TestWarmUpReportsAShopThatFails(t *testing.T) {
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/loans") {
			http.Error(w, "no connection left", http.StatusInternalServerError)
		}
	}))
	defer shop.Close()
	err := Warm(t.Context(), shop.URL, names.Names{"orders": "loans"})
	if err == nil || !strings.Contains(err.Error(), "GET /loans: 500 Internal Server Error: no connection left") {
		t.Errorf("error is %v", err)
	}
}
