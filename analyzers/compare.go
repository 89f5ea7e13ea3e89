package analyzers

import (
	"math"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// How a change between two runs is told from noise.
const (
	// falseShare is the share of false alarms among the changes that are
	// reported, held by Benjamini and Hochberg's procedure over all operations
	// (J. R. Statist. Soc. B 57, 1995).
	falseShare = 0.05
	// leastChange of a p95 that is reported.
	leastChange = 0.10
	// leastDelta in s: what is below it nobody feels.
	leastDelta = 0.001
	// unrepeatedDelta in s: where nothing tells how runs differ, a change must
	// be larger than a wait for one slice of a busy processor, 3 ms by Linux's
	// default (base_slice_ns).
	unrepeatedDelta = 0.003
)

// ChangeVerdict of one operation between two runs.
type ChangeVerdict string

const (
	Worse   ChangeVerdict = "worse"
	Better  ChangeVerdict = "better"
	Same    ChangeVerdict = "same"    // no change beyond the noise
	Added   ChangeVerdict = "new"     // only in the later run
	Gone    ChangeVerdict = "gone"    // only in the earlier one
	Unknown ChangeVerdict = "unknown" // too little, or not measured alike
)

// Figures are one operation's in one run; times in s.
type Figures struct {
	P95      float64 `json:"p95_s"`
	Low      float64 `json:"low_s"`  // bounds of the bucket that P95 fell into
	High     float64 `json:"high_s"` // 0: P95 means "at least"
	Requests float64 `json:"requests"`
	RPS      float64 `json:"rps"`
}

// Change is how an operation's latency differs between two runs.
type Change struct {
	Entity  evidence.Entity `json:"entity"`
	Verdict ChangeVerdict   `json:"verdict"`
	Base    *Figures        `json:"base"` // nil where the run did not have it
	Head    *Figures        `json:"head"`
	Ratio   float64         `json:"ratio"`   // Head.P95 / Base.P95; 0 where one is missing
	Low     float64         `json:"low"`     // 95 % interval of Ratio by noise between runs and within them; 0 where it was not tested
	High    float64         `json:"high"`    //
	P       float64         `json:"p_value"` // that the two are alike; 1 where it was not tested
	Floor   float64         `json:"floor"`   // relative change that is not told: leastChange, or more where runs differ more by themselves
	Reason  string          `json:"reason,omitempty"`
}

// Compare measures every operation of two runs against each other, ordered by
// entity. Whether the tail moved is tested twice: on the share of requests
// beyond a bound that both runs have, so that the width of a bucket cannot feign
// it, and on the p95s against the noise, as movement says. The p95s are those of
// the traces where these are enough and the histogram's bucket is wide, else
// interpolated as p95Of says; so are the figures of a change that was tested.
// What is reported as worse or better passes the tests over all operations
// together, lies beyond leastChange and leastDelta, and keeps the same sign over
// the whole interval.
//
// Repeats are further runs of the same load as base. No resampling of one run
// shows how runs differ among each other: with repeats that is measured, and
// head is held against the mean of them and base; without, it is guessed from
// how far the other operations moved.
func Compare(base, head *evidence.Bundle, repeats ...*evidence.Bundle) []Change {
	out := pair(figuresOf(base), figuresOf(head))
	runs := []*witnesses{witnessesOf(base)}
	for _, r := range repeats {
		runs = append(runs, witnessesOf(r))
	}
	later := witnessesOf(head)
	var moved []*movement
	for i := range out {
		c := &out[i]
		if c.Verdict != Same {
			continue
		}
		source := sharedSource(c.Entity, runs[0], later)
		if source == "" {
			c.Verdict, c.Reason = Unknown, "one run has a histogram of it, the other traces alone"
			continue
		}
		if m := move(c, tailsFrom(runs, source, c.Entity), later.of(source)[c.Entity]); m != nil {
			moved = append(moved, m)
		}
	}
	settle(moved)
	return out
}

// CompareSymptoms is Compare for runs of which the figures alone are left: only
// p95s in buckets that do not touch are told apart.
func CompareSymptoms(base, head []Symptom) []Change {
	out := pair(figures(base), figures(head))
	for i := range out {
		c := &out[i]
		if c.Verdict != Same {
			continue
		}
		switch b, h := c.Base, c.Head; {
		case b.High > b.Low && h.Low > b.High && c.material(leastChange, leastDelta):
			c.Verdict = Worse
		case h.High > h.Low && b.Low > h.High && c.material(leastChange, leastDelta):
			c.Verdict = Better
		case b.High == b.Low || h.High == h.Low:
			c.Verdict, c.Reason = Unknown, "the report carries no bounds of the p95: compare the evidence files"
		}
	}
	return out
}

func figuresOf(b *evidence.Bundle) map[evidence.Entity]Figures { return figures(factsOf(b).Symptoms) }

func figures(symptoms []Symptom) map[evidence.Entity]Figures {
	out := map[evidence.Entity]Figures{}
	for _, s := range symptoms {
		out[s.Entity] = Figures{P95: s.P95, Low: s.P95Low, High: s.P95High, Requests: s.Requests, RPS: s.RPS}
	}
	return out
}

// pair lines the operations up; those that both runs have are Same until shown
// to differ.
func pair(base, head map[evidence.Entity]Figures) []Change {
	var out []Change
	for e, b := range base {
		c := Change{Entity: e, Base: &b, Verdict: Gone, P: 1, Floor: leastChange}
		if h, ok := head[e]; ok {
			c.Head, c.Verdict, c.Ratio = &h, Same, per(h.P95, b.P95)
			if b.Requests < minRequests || h.Requests < minRequests {
				c.Verdict, c.Reason = Unknown, "too few requests for a p95"
			}
		}
		out = append(out, c)
	}
	for e, h := range head {
		if _, ok := base[e]; !ok {
			out = append(out, Change{Entity: e, Head: &h, Verdict: Added, P: 1, Floor: leastChange})
		}
	}
	slices.SortFunc(out, func(x, y Change) int { return x.Entity.Compare(y.Entity) })
	return out
}

// material: large enough to be worth a word, relatively and in s.
func (c *Change) material(relative, delta float64) bool {
	return math.Abs(math.Log(c.Ratio)) > math.Log1p(relative)*(1+1e-9) && math.Abs(c.Head.P95-c.Base.P95) >= delta
}
