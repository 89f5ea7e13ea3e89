package evidence

import (
	"cmp"
	"slices"
)

// Bundle is everything that was brought home about one window: the only thing
// analyzers, rules and reports ever see.
type Bundle struct {
	Version  string // of culprit, that collected it
	Window   Window
	Baseline *Window // a window inside this bundle to compare with; nil: none was named
	// BaselineRun is an earlier run to compare with; nil: none was named. At
	// most one of it and Baseline is set.
	BaselineRun *BaselineRun
	Sources     []Source
	Gaps        []Gap
	Series      []Series
	Histograms  []Histogram
	Spans       []Span
	Weights     []TraceWeight
	Postgres    []Postgres
	Loads       []LoadRun
	Events      []Event
	// Prices of what containers reserve; nil: none was configured.
	Prices *Prices
}

// Prices of what containers reserve, in one currency.
type Prices struct {
	Currency string  `json:"currency" yaml:"currency"`   // EUR
	CoreHour float64 `json:"core_hour" yaml:"core_hour"` // a core for an hour; 0: not known
	GiBHour  float64 `json:"gib_hour" yaml:"gib_hour"`   // a GiB of memory for an hour; 0: not known
}

// BaselineRun is how a run did that is taken to be healthy: what is needed of
// its bundle to judge another by it.
type BaselineRun struct {
	Window     Window       `json:"window"`
	Culprit    string       `json:"culprit"` // version that collected it
	Operations []BaselineOp `json:"operations"`
}

// BaselineOp is how one operation did in the baseline run.
type BaselineOp struct {
	Entity   Entity  `json:"entity"`
	Source   string  `json:"source"` // histograms or traces: compared with its like alone
	Requests float64 `json:"requests"`
	RPS      float64 `json:"rps"`
	P95      float64 `json:"p95_s"`
}

// Merge adds what another collector brought. Call Sort after the last.
func (b *Bundle) Merge(o *Bundle) {
	if o == nil {
		return
	}
	b.Sources = append(b.Sources, o.Sources...)
	b.Gaps = append(b.Gaps, o.Gaps...)
	b.Series = append(b.Series, o.Series...)
	b.Histograms = append(b.Histograms, o.Histograms...)
	b.Spans = append(b.Spans, o.Spans...)
	b.Weights = append(b.Weights, o.Weights...)
	b.Postgres = append(b.Postgres, o.Postgres...)
	b.Loads = append(b.Loads, o.Loads...)
	b.Events = append(b.Events, o.Events...)
}

// Sort brings everything into its canonical order, so that the order in which
// collectors and servers answered changes nothing downstream.
func (b *Bundle) Sort() {
	slices.SortStableFunc(b.Sources, func(x, y Source) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Target, y.Target)) })
	slices.SortStableFunc(b.Gaps, func(x, y Gap) int { return cmp.Or(cmp.Compare(x.Source, y.Source), cmp.Compare(x.Reason, y.Reason)) })
	slices.SortStableFunc(b.Series, func(x, y Series) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), x.Entity.Compare(y.Entity), compareLabels(x.Labels, y.Labels))
	})
	slices.SortStableFunc(b.Histograms, func(x, y Histogram) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), x.Entity.Compare(y.Entity), compareLabels(x.Labels, y.Labels))
	})
	sortSpans(b.Spans)
	slices.SortStableFunc(b.Weights, func(x, y TraceWeight) int { return slices.Compare(x.Trace[:], y.Trace[:]) })
	slices.SortStableFunc(b.Events, func(x, y Event) int {
		return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Text, y.Text))
	})
	slices.SortStableFunc(b.Loads, func(x, y LoadRun) int { return cmp.Or(cmp.Compare(x.Start, y.Start), cmp.Compare(x.Tool, y.Tool)) })
	slices.SortStableFunc(b.Postgres, func(x, y Postgres) int { return cmp.Compare(x.Server.Name, y.Server.Name) })
	for i := range b.Postgres {
		b.Postgres[i].sort()
	}
}

func (p *Postgres) sort() {
	slices.SortStableFunc(p.Statements, func(x, y Statement) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.QueryID, y.QueryID), cmp.Compare(x.User, y.User), cmp.Compare(x.Exec, y.Exec))
	})
	slices.SortStableFunc(p.Tables, func(x, y PGTable) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortStableFunc(p.Indexes, func(x, y PGIndex) int { return cmp.Or(cmp.Compare(x.Table, y.Table), cmp.Compare(x.Name, y.Name)) })
	slices.SortStableFunc(p.Activity, compareWaits)
	slices.SortStableFunc(p.Blocking, func(x, y BlockEdge) int {
		return cmp.Or(cmp.Compare(x.Waiter, y.Waiter), cmp.Compare(x.Blocker, y.Blocker), cmp.Compare(x.Relation, y.Relation), cmp.Compare(x.Mode, y.Mode), cmp.Compare(x.BlockerState, y.BlockerState))
	})
	slices.SortStableFunc(p.Holders, func(x, y PGHolder) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Who, y.Who), cmp.Compare(x.State, y.State), cmp.Compare(x.Text, y.Text))
	})
	slices.SortStableFunc(p.Unindexed, func(x, y PGForeignKey) int { return cmp.Or(cmp.Compare(x.Table, y.Table), cmp.Compare(x.Name, y.Name)) })
	slices.SortStableFunc(p.Sequences, func(x, y PGSequence) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortStableFunc(p.Replicas, func(x, y PGReplica) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortStableFunc(p.Partitions, func(x, y PGPartition) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortStableFunc(p.Advice, func(x, y IndexAdvice) int {
		return cmp.Or(cmp.Compare(x.QueryID, y.QueryID), cmp.Compare(x.DDL, y.DDL))
	})
}

func compareWaits(x, y WaitSample) int {
	return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.State, y.State), cmp.Compare(x.WaitType, y.WaitType), cmp.Compare(x.Wait, y.Wait),
		cmp.Compare(x.QueryID, y.QueryID), cmp.Compare(x.Verb, y.Verb), cmp.Compare(x.App, y.App), cmp.Compare(x.Backend, y.Backend))
}

func compareLabels(x, y map[string]string) int {
	return slices.Compare(flat(x), flat(y))
}

func flat(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]string, 0, 2*len(m))
	for _, k := range keys {
		out = append(out, k, m[k])
	}
	return out
}

// Has reports whether there is any evidence of a kind.
func (b *Bundle) Has(k Kind) bool {
	switch k {
	case Spans:
		return len(b.Spans) > 0
	case LoadRuns:
		return len(b.Loads) > 0
	case LoadRequestStats:
		return slices.ContainsFunc(b.Loads, func(l LoadRun) bool { return len(l.Requests) > 0 })
	}
	if slices.ContainsFunc(b.Postgres, func(p Postgres) bool { return p.has(k) }) {
		return true
	}
	for i := range b.Series { // not by value: there may be 100,000
		if b.Series[i].Kind == k {
			return true
		}
	}
	return slices.ContainsFunc(b.Histograms, func(h Histogram) bool { return h.Kind == k })
}

func (p *Postgres) has(k Kind) bool {
	switch k {
	case PGStatements:
		return len(p.Statements) > 0
	case PGActivity:
		return p.Ticks > 0
	case PGTables:
		return len(p.Tables) > 0
	case PGIndexes:
		return len(p.Indexes) > 0
	case PGDatabase:
		return p.Database != nil
	case PGSettings:
		return len(p.Server.Settings) > 0
	case PGBlocking:
		return p.Ticks > 0
	case PGIndexAdvice:
		return len(p.Advice) > 0
	}
	return false
}
