package prometheus

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Each file of testdata/ecosystems is what some exporters and libraries show,
// line by line, loaded into a real server and read back:
//
//	rate V SERIES      a counter that rises by V a second
//	gauge V SERIES     a gauge at V
//	text FILE LABELS   what a real program answered, see recorded_test.go
//	want KIND SERVICE|INSTANCE|OPERATION|RESOURCE V UNIT
//	quantile KIND Q SERVICE|INSTANCE|OPERATION|RESOURCE LOW HIGH
//	none KIND SERVICE|INSTANCE|OPERATION|RESOURCE
//	gap KIND REMEDY    part of the remedy
func TestEcosystems(t *testing.T) { eachBackend(t, checkEcosystems) }

func checkEcosystems(t *testing.T, on backend) {
	files, err := filepath.Glob("testdata/ecosystems/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			ecosystem(t, on, f)
		})
	}
}

func ecosystem(t *testing.T, on backend, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, wants := &past{}, []string{}
	for line := range strings.Lines(string(text)) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "rate", "gauge":
			v, series, _ := strings.Cut(rest, " ")
			value := number(t, v)
			if verb == "rate" {
				p.counter(series, value)
			} else {
				p.gauge(series, value)
			}
		case "text":
			name, labels, _ := strings.Cut(rest, " ")
			p.scraped(t, filepath.Join("testdata", name), labels)
		case "want", "none", "gap", "quantile":
			wants = append(wants, line)
		}
	}
	b, err := collectFrom(t, Config{URL: on.serve(t, p), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wants {
		expect(t, b, strings.TrimSpace(w))
	}
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// expect checks one line: the entity may hold spaces, value and unit not.
func expect(t *testing.T, b *evidence.Bundle, line string) {
	t.Helper()
	words := strings.Split(line, " ")
	kind, rest := evidence.Kind(words[1]), words[2:]
	if words[0] == "gap" {
		if !slices.ContainsFunc(b.Gaps, func(g evidence.Gap) bool {
			return slices.Contains(g.Kinds, kind) && strings.Contains(g.Remedy, strings.Join(rest, " "))
		}) {
			t.Errorf("%s: %+v", line, b.Gaps)
		}
		return
	}
	if words[0] == "none" {
		e := entityOf(strings.Join(rest, " "))
		for _, s := range b.Series {
			if s.Kind == kind && s.Entity == e {
				t.Errorf("%s is there: %s", line, s.Query)
			}
		}
		return
	}
	n := len(rest)
	if words[0] == "quantile" {
		expectQuantile(t, b, kind, number(t, rest[0]), entityOf(strings.Join(rest[1:n-2], " ")), number(t, rest[n-2]), number(t, rest[n-1]))
		return
	}
	steady(t, find(t, b, kind, entityOf(strings.Join(rest[:n-2], " "))), number(t, rest[n-2]), rest[n-1])
}

func entityOf(s string) evidence.Entity {
	f := strings.Split(s, "|")
	return evidence.Entity{Service: f[0], Instance: f[1], Operation: f[2], Resource: f[3]}
}

// expectQuantile of the hour to lie in the bucket between two bounds; +Inf
// means "at least".
func expectQuantile(t *testing.T, b *evidence.Bundle, k evidence.Kind, q float64, e evidence.Entity, low, high float64) {
	t.Helper()
	h := histogramOf(t, b, k, e)
	v, lo, hi := h.Quantile(q, anHour.Start.UnixMilli(), anHour.End.UnixMilli()+1)
	near := func(x, y float64) bool { return x == y || math.Abs(x-y) < 1e-9*math.Abs(y) }
	if !near(lo, low) || !near(hi, high) || v < lo || v > hi {
		t.Errorf("quantile %g of %s of %s is %g in (%g, %g], want (%g, %g] (%s)", q, k, e, v, lo, hi, low, high, h.Query)
	}
}
