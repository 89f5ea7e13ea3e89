package collectors

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// source is a collector made of functions.
type source struct {
	name    string
	begin   func(context.Context) error
	collect func(context.Context) (*evidence.Bundle, error)
}

func (s *source) Name() string              { return s.name }
func (s *source) Provides() []evidence.Kind { return []evidence.Kind{evidence.CPUUsage} }
func (s *source) Collect(ctx context.Context, _ evidence.Window) (*evidence.Bundle, error) {
	return s.collect(ctx)
}
func (s *source) Begin(ctx context.Context) error {
	if s.begin == nil {
		return nil
	}
	return s.begin(ctx)
}

func brings(name string) *source {
	return &source{name: name, collect: func(context.Context) (*evidence.Bundle, error) {
		return &evidence.Bundle{
			Sources: []evidence.Source{{Name: name, Status: evidence.StatusOK, Items: 1}},
			Series:  []evidence.Series{{Kind: evidence.CPUUsage, Entity: evidence.Entity{Service: name}, Times: []int64{1}, Values: []float64{2}}},
		}, nil
	}}
}

func fails(name string, err error) *source {
	return &source{name: name, collect: func(context.Context) (*evidence.Bundle, error) { return nil, err }}
}

func sourceNamed(t *testing.T, b *evidence.Bundle, name string) evidence.Source {
	t.Helper()
	i := slices.IndexFunc(b.Sources, func(s evidence.Source) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no source %q in %+v", name, b.Sources)
	}
	return b.Sources[i]
}

var window = evidence.Window{Start: time.Unix(1000, 0), End: time.Unix(1060, 0)}

func TestCollectIsPartial(t *testing.T) {
	panics := &source{name: "b-panics", collect: func(context.Context) (*evidence.Bundle, error) { panic("index 3 out of range") }}
	b, err := Collect(t.Context(), window, []Collector{brings("z"), fails("a", errors.New("a: dial:\n refused")), panics, brings("m")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{b.Series[0].Entity.Service, b.Series[1].Entity.Service}; !slices.Equal(got, []string{"m", "z"}) {
		t.Errorf("series are not sorted: %v", got)
	}
	for name, want := range map[string]string{"a": "a: dial: refused", "b-panics": "index 3 out of range"} {
		if s := sourceNamed(t, b, name); s.Status != evidence.StatusFailed {
			t.Errorf("%s has status %q", name, s.Status)
		}
		i := slices.IndexFunc(b.Gaps, func(g evidence.Gap) bool { return g.Source == name })
		if i < 0 || !strings.Contains(b.Gaps[i].Reason, want) || b.Gaps[i].Remedy == "" || len(b.Gaps[i].Kinds) != 1 {
			t.Errorf("%s: gaps %+v, want one with %q and a remedy", name, b.Gaps, want)
		}
	}
	if b.Window != window {
		t.Errorf("window %v", b.Window)
	}
}

func TestCollectAllFailed(t *testing.T) {
	b, err := Collect(t.Context(), window, []Collector{fails("a", errors.New("a: x")), fails("b", errors.New("b: y"))}, Options{})
	if !errors.Is(err, ErrAllFailed) || !strings.Contains(err.Error(), "a: x; b: y") {
		t.Errorf("error %v", err)
	}
	if b == nil || len(b.Gaps) != 2 {
		t.Errorf("bundle %+v, want both gaps", b)
	}
}

func TestCollectAbandonsWhatHangs(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	deaf := &source{name: "deaf", collect: func(context.Context) (*evidence.Bundle, error) { <-hang; return nil, nil }}
	polite := &source{name: "polite", collect: func(ctx context.Context) (*evidence.Bundle, error) {
		<-ctx.Done()
		return brings("polite").collect(ctx)
	}}
	began := time.Now()
	b, err := Collect(t.Context(), window, []Collector{deaf, polite}, Options{Timeout: 20 * time.Millisecond, Grace: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	if s := sourceNamed(t, b, "polite"); s.Status != evidence.StatusOK {
		t.Errorf("what the polite source had was lost: %+v", s)
	}
	if s := sourceNamed(t, b, "deaf"); s.Status != evidence.StatusFailed {
		t.Errorf("the deaf source has status %q", s.Status)
	}
	if !strings.Contains(b.Gaps[0].Remedy, "--timeout") {
		t.Errorf("remedy %q", b.Gaps[0].Remedy)
	}
}

func TestCollectInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	slow := &source{name: "slow", collect: func(own context.Context) (*evidence.Bundle, error) {
		cancel()
		<-own.Done()
		return nil, own.Err()
	}}
	b, err := Collect(ctx, window, []Collector{slow, brings("quick")}, Options{})
	if err != nil || sourceNamed(t, b, "quick").Status != evidence.StatusOK {
		t.Errorf("bundle %+v, error %v: want what arrived", b, err)
	}
}

func TestBegin(t *testing.T) {
	var sampler context.Context
	good := brings("good")
	good.begin = func(ctx context.Context) error { sampler = ctx; return nil }
	refused := brings("refused")
	refused.begin = func(context.Context) error { return errors.New("refused: too many clients") }
	slow := brings("slow")
	slow.begin = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	gaps := Begin(t.Context(), []Collector{good, refused, slow}, Options{Timeout: 50 * time.Millisecond})
	if len(gaps) != 2 || gaps[0].Source != "refused" || gaps[1].Source != "slow" {
		t.Fatalf("gaps %+v", gaps)
	}
	if !strings.Contains(gaps[1].Reason, "timed out after 50ms") || !strings.Contains(gaps[1].Remedy, "--timeout") {
		t.Errorf("gap of the slow source: %+v", gaps[1])
	}
	time.Sleep(80 * time.Millisecond)
	if sampler.Err() != nil {
		t.Error("the timeout of Begin ended a sampler that had begun")
	}
}

func TestProgressEndsOnce(t *testing.T) {
	ends := map[string]int{}
	opts := Options{Progress: func(e Event) {
		if e.End {
			ends[e.Source]++
		}
	}}
	_, _ = Collect(t.Context(), window, []Collector{brings("a"), fails("b", errors.New("b: no"))}, opts)
	if ends["a"] != 1 || ends["b"] != 1 {
		t.Errorf("ends %v", ends)
	}
}

func TestDropNonFinite(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	b := &evidence.Bundle{
		Sources: []evidence.Source{{Name: "s"}},
		Series:  []evidence.Series{{Times: []int64{1, 2, 3}, Values: []float64{1, nan, 3}}},
		Histograms: []evidence.Histogram{{Times: []int64{1, 2, 3}, Rates: [][]float64{{1, inf}, {2, 2}, {3, 3}},
			Sum: []float64{1, 2, nan}}},
	}
	dropNonFinite(b)
	if s := b.Series[0]; !slices.Equal(s.Times, []int64{1, 3}) || !slices.Equal(s.Values, []float64{1, 3}) {
		t.Errorf("series %+v", s)
	}
	if h := b.Histograms[0]; !slices.Equal(h.Times, []int64{2}) || len(h.Rates) != 1 || !slices.Equal(h.Sum, []float64{2}) {
		t.Errorf("histogram %+v", h)
	}
	if len(b.Sources[0].Notes) != 1 || !strings.Contains(b.Sources[0].Notes[0], "3 points") {
		t.Errorf("notes %v", b.Sources[0].Notes)
	}
}
