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
	spans    []evidence.Span
	seen     int // spans offered
}

// add takes spans in.
func (k *keeper) add(spans []evidence.Span) {
	k.seen += len(spans)
	for _, s := range spans {
		if k.keeps(s.Trace) {
			k.spans = append(k.spans, s)
		}
	}
	for len(k.spans) > k.maxSpans && k.halvings < 63 {
		k.halvings++
		k.thin()
	}
}

func (k *keeper) thin() {
	rest := k.spans[:0]
	for _, s := range k.spans {
		if k.keeps(s.Trace) {
			rest = append(rest, s)
		}
	}
	clear(k.spans[len(rest):])
	k.spans = rest
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

// within leaves the traces that begin in the window.
func (k *keeper) within(w evidence.Window) {
	begin := map[evidence.TraceID]int64{}
	for i := range k.spans {
		s := &k.spans[i]
		if at, ok := begin[s.Trace]; !ok || s.Start < at {
			begin[s.Trace] = s.Start
		}
	}
	rest := k.spans[:0]
	for _, s := range k.spans {
		if at := begin[s.Trace]; at >= w.Start.UnixNano() && at < w.End.UnixNano() {
			rest = append(rest, s)
		}
	}
	k.spans = rest
}

// weights of the traces kept, where not all were.
func (k *keeper) weights() []evidence.TraceWeight {
	if k.halvings == 0 {
		return nil
	}
	var out []evidence.TraceWeight
	seen := map[evidence.TraceID]bool{}
	for i := range k.spans {
		if id := k.spans[i].Trace; !seen[id] {
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
