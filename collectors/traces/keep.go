package traces

import (
	"encoding/binary"
	"fmt"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// keeper holds the spans of a stream of unknown length within a bound. When
// they exceed it, it halves the share of traces that it keeps: those whose
// hash lies below a mark that is halved, whatever order they come in, so that
// what remains are whole traces drawn evenly, each speaking for 2^halvings.
type keeper struct {
	maxSpans int
	halvings int
	blocks   [][]evidence.Span // each full but the last: one growing list would be copied again and again
	kept     int               // spans in the blocks
	seen     int               // spans offered
}

const blockSpans = 4096

// add takes spans in.
func (k *keeper) add(spans []evidence.Span) {
	k.seen += len(spans)
	for i := range spans {
		if k.keeps(spans[i].Trace) {
			k.push(&spans[i])
		}
	}
	for k.kept > k.maxSpans && k.halvings < 63 {
		k.halvings++
		k.thin(func(s *evidence.Span) bool { return k.keeps(s.Trace) })
	}
}

func (k *keeper) push(s *evidence.Span) {
	last := len(k.blocks) - 1
	if last < 0 || len(k.blocks[last]) == blockSpans {
		k.blocks = append(k.blocks, make([]evidence.Span, 0, blockSpans))
		last++
	}
	k.blocks[last] = append(k.blocks[last], *s)
	k.kept++
}

// thin keeps some of the spans.
func (k *keeper) thin(keeps func(*evidence.Span) bool) {
	all := k.blocks
	k.blocks, k.kept = nil, 0
	for i, block := range all {
		all[i] = nil
		for j := range block {
			if keeps(&block[j]) {
				k.push(&block[j])
			}
		}
	}
}

func (k *keeper) keeps(id evidence.TraceID) bool {
	return k.halvings == 0 || mix(binary.BigEndian.Uint64(id[8:]))>>(64-k.halvings) == 0
}

// mix is the finaliser of SplitMix64: trace ids are not always random in every
// bit.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// take hands over the spans of the traces that begin in the window, all for the
// zero one, in the order of a bundle; the keeper is empty then.
func (k *keeper) take(w evidence.Window) []evidence.Span {
	if w != (evidence.Window{}) {
		inside := k.beginning(w)
		k.thin(func(s *evidence.Span) bool { return inside[s.Trace] })
	}
	out := evidence.SortedSpans(k.blocks...)
	k.blocks, k.kept = nil, 0
	return out
}

// beginning are the traces that begin in a window.
func (k *keeper) beginning(w evidence.Window) map[evidence.TraceID]bool {
	begins := map[evidence.TraceID]int64{}
	for _, block := range k.blocks {
		for i := range block {
			s := &block[i]
			if at, known := begins[s.Trace]; !known || s.Start < at {
				begins[s.Trace] = s.Start
			}
		}
	}
	inside := map[evidence.TraceID]bool{}
	for id, at := range begins {
		if at >= w.Start.UnixNano() && at < w.End.UnixNano() {
			inside[id] = true
		}
	}
	return inside
}

// weights of the traces kept, where not all were.
func (k *keeper) weights(spans []evidence.Span) []evidence.TraceWeight {
	if k.halvings == 0 {
		return nil
	}
	var out []evidence.TraceWeight
	seen := map[evidence.TraceID]bool{}
	for i := range spans {
		if id := spans[i].Trace; !seen[id] {
			seen[id] = true
			out = append(out, evidence.TraceWeight{Trace: id, Weight: float64(uint64(1) << k.halvings), Stratum: "base"})
		}
	}
	return out
}

func (k *keeper) notes() []string {
	if k.halvings == 0 {
		return nil
	}
	return []string{fmt.Sprintf("one trace in %d was kept, drawn evenly: %d spans came, the bound is %d", uint64(1)<<k.halvings, k.seen, k.maxSpans)}
}
