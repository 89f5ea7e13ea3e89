package analyzers

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// slowFor is the histogram of an hour that is scraped every 15 s, its rates
// over a minute, of an operation with 20 requests/s of about 12 ms; from the
// 30th minute on a share of them takes 400 ms for some seconds.
func slowFor(seconds, share float64) (evidence.Window, *evidence.Histogram) {
	start := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
	h := &evidence.Histogram{Bounds: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}, Over: 60}
	r := rand.New(rand.NewPCG(1, 2))
	const from = 1800
	for at := 60.0; at <= 3600; at += 15 {
		inside := max(0, min(at, from+seconds)-max(at-60, from)) / 60 * share
		tail := 0.03 + 0.02*r.Float64()
		rates := []float64{1, 8, 11 - 20*tail, 20 * tail, 0, 0, 0, 0, 0}
		for i := range rates {
			rates[i] *= 1 - inside
		}
		rates[6] = 20 * inside
		h.Times = append(h.Times, start.UnixMilli()+int64(at*1000))
		h.Rates = append(h.Rates, rates)
	}
	return evidence.Window{Start: start, End: start.Add(time.Hour)}, h
}

// Twenty slow seconds do not move the p95 of an hour, and are found; a hiccup of
// two, which the minute of a rate draws out to as long, is none.
func TestTwentySecondsOfAnHour(t *testing.T) {
	w, h := slowFor(20, 1)
	if v, _, _ := h.Quantile(0.95, w.Start.UnixMilli(), w.End.UnixMilli()); v > 0.05 {
		t.Fatalf("the p95 of the hour is %.3f s", v)
	}
	sp := findSpell(w, h)
	if sp == nil {
		t.Fatal("not found")
	}
	from := w.Start.Add(30 * time.Minute).UnixMilli()
	if off := math.Abs(float64(sp.From - from)); off > 15_000 || sp.To <= from || sp.To > from+60_000 || sp.P95 < 0.25 || sp.RestP95 > 0.05 {
		t.Errorf("%+v, it began at %d", sp, from)
	}
	for name, of := range map[string][2]float64{"a hiccup": {2, 1}, "no more than noise": {0, 0}, "a request in forty": {20, 0.025}} {
		if sp := findSpell(slowFor(of[0], of[1])); sp != nil {
			t.Errorf("%s: %s", name, sp.Text())
		}
	}
}

// No stretch of noise stands out, however many are looked at.
func TestNoiseHasNoSpell(t *testing.T) {
	found := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		values := make([]float64, 120)
		for i := range values {
			values[i] = 0.3 * r.NormFloat64()
		}
		if _, _, ok := standsOut(values, 1); ok {
			found++
		}
	}
	if found > 4 {
		t.Errorf("in %d of 200 series", found)
	}
}
