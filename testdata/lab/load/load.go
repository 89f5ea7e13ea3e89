// Package load drives the shop with k6 and reads what the clients felt. It
// decides nothing about the shop: rates and lengths are the scenario's.
package load

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/shop/names"
)

//go:embed script.js
var script string

// Summary is what the script writes at the end of a run.
type Summary struct {
	Requests float64 `json:"requests"`
	Failed   float64 `json:"failed"`
	Dropped  float64 `json:"dropped"` // iterations that the generator could not start
	Routes   []Route `json:"routes"`
}

// Route holds latencies of one route during the plateau, in s.
type Route struct {
	Route string  `json:"route"`
	Count float64 `json:"count"`
	P50   float64 `json:"p50_s"`
	P95   float64 `json:"p95_s"`
	P99   float64 `json:"p99_s"`
	Max   float64 `json:"max_s"`
}

// P95Of a route, 0 if it was not loaded. A rename says what a route is called
// elsewhere.
func (s Summary) P95Of(route string, rename ...func(string) string) float64 {
	for _, r := range s.Routes {
		name := r.Route
		for _, to := range rename {
			name = to(name)
		}
		if name == route {
			return r.P95
		}
	}
	return 0
}

// What the load asks for: few products are hot, so that a cache can serve them.
const (
	categories  = 20
	customers   = 5000
	hotProducts = 400
	products    = 20000
)

// hotProduct is the id of the n-th hot product; they are spread over all.
func hotProduct(n int) int { return 1 + n*47%products }

// shape is what the script is told.
type shape struct {
	Ramp       float64            `json:"ramp_s"`
	Stages     []scenario.Stage   `json:"stages"`
	Rates      map[string]float64 `json:"rates"`
	Users      int                `json:"users"` // for each route; 0: as many as it takes
	Categories int                `json:"categories"`
	Customers  int                `json:"customers"`
	Products   []int              `json:"products"`
	Names      names.Names        `json:"names"` // of the routes' first parts
}

func shapeOf(l scenario.Load, n names.Names) shape {
	s := shape{Names: n, Ramp: l.Ramp.Seconds(), Stages: l.Stages(), Rates: l.Rates, Users: l.Users, Categories: categories, Customers: customers}
	for n := range hotProducts {
		s.Products = append(s.Products, hotProduct(n))
	}
	return s
}

// Plan is one load run, ready to be started.
type Plan struct {
	Args    []string // of k6
	Env     []string // to be added to the environment
	summary string
}

// Prepare writes the script into dir and says how to run it against base, whose
// routes have the names given.
func Prepare(dir, base string, l scenario.Load, n names.Names) (Plan, error) {
	path := filepath.Join(dir, "script.js")
	if err := os.WriteFile(path, []byte(script), 0o644); err != nil {
		return Plan{}, fmt.Errorf("write load script: %w", err)
	}
	shape, err := json.Marshal(shapeOf(l, n))
	if err != nil {
		return Plan{}, fmt.Errorf("encode load: %w", err)
	}
	summary := filepath.Join(dir, "load.json")
	return Plan{
		Args:    []string{"run", "--quiet", "--no-usage-report", path},
		Env:     []string{"LAB_BASE_URL=" + base, "LAB_LOAD=" + string(shape), "LAB_SUMMARY=" + summary},
		summary: summary,
	}, nil
}

// Summary reads what the run wrote.
func (p Plan) Summary() (Summary, error) {
	text, err := os.ReadFile(p.summary)
	if err != nil {
		return Summary{}, fmt.Errorf("read load summary: %w", err)
	}
	var s Summary
	if err := json.Unmarshal(text, &s); err != nil {
		return Summary{}, fmt.Errorf("decode load summary: %w", err)
	}
	return s, nil
}

// Warm fills the shop's caches and pools, as a system that has served for a
// while has them: otherwise every run begins with a cold start.
func Warm(ctx context.Context, base string, called names.Names) error {
	client := &http.Client{Timeout: 10 * time.Second}
	for category := 1; category <= categories; category++ {
		if err := visit(ctx, client, http.MethodGet, base+fmt.Sprintf(called.Rename("/products?category=%d"), category), ""); err != nil {
			return err
		}
	}
	for n := range hotProducts {
		if err := visit(ctx, client, http.MethodGet, base+fmt.Sprintf(called.Rename("/products/%d"), hotProduct(n)), ""); err != nil {
			return err
		}
	}
	for n := range 20 {
		if err := visit(ctx, client, http.MethodGet, base+fmt.Sprintf(called.Rename("/orders?customer=%d"), 1+n*397%customers), ""); err != nil {
			return err
		}
		if err := visit(ctx, client, http.MethodPost, base+called.Rename("/events"), `[{"kind":"view","subject":1,"value":1}]`); err != nil {
			return err
		}
	}
	return visit(ctx, client, http.MethodPost, base+called.Rename("/orders"), `{"customer":1,"card":"4242","items":[{"product":1,"quantity":1,"cents":100}]}`)
}

func visit(ctx context.Context, client *http.Client, method, url, body string) error {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("visit: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("visit: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("visit: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("visit: %s %s: %s: %.200s", method, request.URL.Path, response.Status, text)
	}
	return nil
}
