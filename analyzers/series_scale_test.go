package analyzers

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	manySeries = 100_000
	manyPoints = 360
)

// bundleOfSeries is the bundle of a large system: a hundred thousand series of 360
// points over ten kinds, and operations of which some are slow. The series of
// a kind take their values from a few hundred courses, so that the bundle fits
// in memory.
func bundleOfSeries() *evidence.Bundle {
	kinds := []evidence.Kind{evidence.CPUUsage, evidence.CPULimit, evidence.CPUThrottledRatio, evidence.MemoryUsage, evidence.MemoryLimit,
		evidence.GCTime, evidence.HeapUsed, evidence.DBConnections, evidence.DBConnectionsMax, evidence.Restarts}
	level := map[evidence.Kind]float64{evidence.CPUUsage: 0.5, evidence.CPULimit: 2, evidence.MemoryUsage: 1e8, evidence.MemoryLimit: 1e9,
		evidence.GCTime: 0.01, evidence.HeapUsed: 5e7, evidence.DBConnections: 20, evidence.DBConnectionsMax: 100, evidence.Restarts: 1}
	b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(manyPoints * 10_000)}}
	times := make([]int64, manyPoints)
	for i := range times {
		times[i] = int64(i) * 10_000
	}
	for _, k := range kinds {
		courses := make([][]float64, 300)
		for c := range courses {
			courses[c] = make([]float64, manyPoints)
			for i := range courses[c] {
				courses[c][i] = level[k] * (1 + 0.1*math.Sin(float64(c+i)))
			}
		}
		for n := range manySeries / len(kinds) {
			e := evidence.Entity{Service: fmt.Sprint("s", n/100), Instance: fmt.Sprint("i", n%100)}
			b.Series = append(b.Series, evidence.Series{Kind: k, Entity: e, Query: string(k), Times: times, Values: courses[n%len(courses)]})
		}
	}
	for n := range 100 {
		h := latency(evidence.Entity{Service: fmt.Sprint("s", n), Operation: "GET /a"}, func(s int) (float64, float64) { return 50, 0.008 + 0.01*float64(s/20) })
		b.Histograms = append(b.Histograms, h)
	}
	b.Sort()
	return b
}

// BenchmarkManySeries measures all analyzers over 100,000 series of 360
// points: every mechanism's witnesses against the slow times of its service. It
// is the scoring that there is: no analyzer correlates every series with every
// symptom, as what merely moves with the load is no evidence.
func BenchmarkManySeries(b *testing.B) {
	bundle := bundleOfSeries()
	b.ResetTimer()
	for b.Loop() {
		Run(bundle)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/manySeries, "ns/series")
}
