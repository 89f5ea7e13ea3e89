package analyzers

import "github.com/culprit-rca/culprit/collectors/evidence"

// busyShare is the share of the time in which a queue was not empty, while a
// service was slow: as many of its arrivals find it so, since random arrivals
// see averages over time (Wolff, Operations Research 30, 1982). 0 where nothing
// was seen.
func (p *Pass) busyShare(service string, queue []*evidence.Series) float64 {
	times, values := sumSeries(queue)
	waiting := make([]float64, len(values))
	for i, v := range values {
		if v > 0 {
			waiting[i] = 1
		}
	}
	return p.loadedMean(service, times, waiting)
}
