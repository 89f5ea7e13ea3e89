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
		k.thin()
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

func (k *keeper) thin() {
	all := k.blocks
	k.blocks, k.kept = nil, 0
	for i, block := range all {
		all[i] = nil
		for j := range block {
			if k.keeps(block[j].Trace) {
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
// zero one; the keeper is empty then.
func (k *keeper) take(w evidence.Window) []evidence.Span {
	n, keeps := k.kept, func(*evidence.Span) bool { return true }
	if w != (evidence.Window{}) {
		inside := k.beginning(w)
		n, keeps = inside.spans, func(s *evidence.Span) bool { return inside.traces[s.Trace] }
	}
	out := make([]evidence.Span, 0, n)
	for i, block := range k.blocks {
		k.blocks[i] = nil
		for j := range block {
			if keeps(&block[j]) {
				out = append(out, block[j])
			}
		}
	}
	k.blocks, k.kept = nil, 0
	return out
}

// inWindow are the traces that begin in a window, and how many spans they have.
type inWindow struct {
	traces map[evidence.TraceID]bool
	spans  int
}

func (k *keeper) beginning(w evidence.Window) inWindow {
	type account struct {
		begin int64
		spans int
	}
	accounts := map[evidence.TraceID]account{}
	for _, block := range k.blocks {
		for i := range block {
			s := &block[i]
			a, known := accounts[s.Trace]
			if a.spans++; !known || s.Start < a.begin {
				a.begin = s.Start
			}
			accounts[s.Trace] = a
		}
	}
	in := inWindow{traces: map[evidence.TraceID]bool{}}
	for id, a := range accounts {
		if a.begin >= w.Start.UnixNano() && a.begin < w.End.UnixNano() {
			in.traces[id] = true
			in.spans += a.spans
		}
	}
	return in
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
