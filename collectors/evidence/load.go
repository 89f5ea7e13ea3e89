package evidence

// LoadRun is what the load tool says of the run.
type LoadRun struct {
	Tool     string       `json:"tool"`              // k6, jmeter, locust, gatling, csv, or the command's base name
	Command  string       `json:"command,omitempty"` // without arguments that look like secrets
	ExitCode int          `json:"exit_code"`
	Start    int64        `json:"start_ms"`
	End      int64        `json:"end_ms"`
	Stages   []Stage      `json:"stages,omitempty"`
	Requests []LoadStat   `json:"requests,omitempty"` // client-side latency, "" Name for all
	Modules  []LoadModule `json:"modules,omitempty"`  // parts of the load that the tool tells apart, by start
	Checks   []Threshold  `json:"thresholds,omitempty"`
	Dropped  float64      `json:"dropped_iterations,omitempty"` // the generator could not keep up
	Notes    []string     `json:"notes,omitempty"`
}

// Stage of a load profile.
type Stage struct {
	Name   string  `json:"name"`
	Start  int64   `json:"start_ms"`
	End    int64   `json:"end_ms"`
	Target float64 `json:"target"` // requests or users, as the tool says
}

// LoadModule is a part of the load that the tool tells apart and that may run
// after or beside others: a scenario of k6 or Gatling, a thread group of JMeter.
type LoadModule struct {
	Name     string     `json:"name"`
	Start    int64      `json:"start_ms,omitempty"` // 0: the tool does not say when
	End      int64      `json:"end_ms,omitempty"`
	Requests []LoadStat `json:"requests,omitempty"` // as of the run; none where the tool does not tell them by module
}

// LoadStat is a client-side latency summary, in s.
type LoadStat struct {
	Name   string  `json:"name"`
	Count  float64 `json:"count"`
	Failed float64 `json:"failed"`
	P50    float64 `json:"p50_s"`
	P95    float64 `json:"p95_s"`
	P99    float64 `json:"p99_s,omitempty"`
	Max    float64 `json:"max_s"`
}

// Threshold of the load tool and whether it held.
type Threshold struct {
	Metric string `json:"metric"`
	Expr   string `json:"expr"`
	OK     bool   `json:"ok"`
}

// Event is something done to the system: deployment, restart, scaling, an
// experiment.
type Event struct {
	At     int64  `json:"t"`               // Unix ms
	End    int64  `json:"end_t,omitempty"` // Unix ms; 0: it has none, or none was seen
	Kind   string `json:"kind"`
	Text   string `json:"text"`
	Entity Entity `json:"entity"`
}
