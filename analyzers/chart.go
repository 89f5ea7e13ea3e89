package analyzers

// Chart is what to draw beside a finding: lines over the window's time. The
// report decides looks alone.
type Chart struct {
	Title string `json:"title"`
	Unit  string `json:"unit"`
	Lines []Line `json:"lines"`
	// Limit is drawn as a horizontal line where it is not 0: pool size, cores.
	Limit     float64 `json:"limit,omitempty"`
	LimitName string  `json:"limit_name,omitempty"`
	Stacked   bool    `json:"stacked,omitempty"`
}

// Line is one series of a chart.
type Line struct {
	Name   string    `json:"name"`
	Times  []int64   `json:"t"` // Unix ms
	Values []float64 `json:"v"`
}
