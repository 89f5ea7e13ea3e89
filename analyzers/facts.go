package analyzers

import "github.com/culprit-rca/culprit/collectors/evidence"

// Facts are what every analyzer starts from.
type Facts struct {
	Symptoms []Symptom // operations under load, most time-consuming first
	Slow     []Symptom // those of Symptoms that are slow, worst first
	Traces   []*Trace  `json:"-"`
}

// Symptom is how an operation did in the window.
type Symptom struct {
	Entity       evidence.Entity `json:"entity"` // service and operation
	RPS          float64         `json:"rps"`
	ErrorRatio   float64         `json:"error_ratio"`
	P50          float64         `json:"p50_s"`
	P95          float64         `json:"p95_s"`
	P99          float64         `json:"p99_s"`
	P95Low       float64         `json:"p95_low_s"`      // bucket bounds around P95
	P95High      float64         `json:"p95_high_s"`     // 0 when unbounded: P95 means "at least"
	BaselineP95  float64         `json:"baseline_p95_s"` // 0: none
	BaselineNote string          `json:"baseline_note,omitempty"`
	Slow         bool            `json:"slow"`
	Why          string          `json:"why,omitempty"` // what makes it a symptom
	Source       string          `json:"source"`        // histograms or traces
	Times        []int64         `json:"t,omitempty"`   // Unix ms, bins of the window
	P95s         []float64       `json:"p95s,omitempty"`
	Rates        []float64       `json:"rates,omitempty"`
	SlowBins     []bool          `json:"slow_bins,omitempty"`
	Refs         []evidence.Ref  `json:"refs,omitempty"`
}
