package evidence

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
)

// TraceID is a W3C trace id; a shorter one is padded with zeros on the left.
type TraceID [16]byte

// SpanID is a W3C span id. The zero value means none.
type SpanID [8]byte

func (id TraceID) String() string { return hex.EncodeToString(id[:]) }
func (id SpanID) String() string  { return hex.EncodeToString(id[:]) }

// IsZero reports whether there is no id.
func (id SpanID) IsZero() bool { return id == SpanID{} }

// IsZero reports whether there is no id.
func (id TraceID) IsZero() bool { return id == TraceID{} }

// ParseTraceID reads hex digits in any case, up to 32 of them.
func ParseTraceID(s string) (id TraceID, err error) { return id, parseID(id[:], s) }

// ParseSpanID reads hex digits in any case, up to 16 of them; "" is none.
func ParseSpanID(s string) (id SpanID, err error) { return id, parseID(id[:], s) }

func parseID(to []byte, s string) error {
	if len(s) > 2*len(to) {
		return fmt.Errorf("id %.40q is longer than %d hex digits", s, 2*len(to))
	}
	clear(to)
	at := 2*len(to) - len(s) // of the next digit
	for i := range len(s) {
		digit := hexDigit(s[i])
		if digit > 0xf {
			return fmt.Errorf("id %.40q is not hexadecimal", s)
		}
		to[at/2] = to[at/2]<<4 | digit
		at++
	}
	return nil
}

// hexDigit is 0xff for what is none.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// SpanKind is OpenTelemetry's, in its numbers.
type SpanKind uint8

const (
	KindUnspecified SpanKind = iota
	KindInternal
	KindServer
	KindClient
	KindProducer
	KindConsumer
)

// Span is one timed piece of work. Strings and lists of attributes are shared
// between spans, so that a live one takes less than 200 bytes, all told.
type Span struct {
	Trace    TraceID
	ID       SpanID
	Parent   SpanID
	Start    int64 // Unix ns
	End      int64 // Unix ns, >= Start
	Kind     SpanKind
	Error    bool // status ERROR
	Follows  bool // linked by FOLLOWS_FROM, or a consumer: the parent does not wait
	Service  string
	Instance string // service.instance.id, pod or host
	Name     string
	Attrs    Attrs
}

// Duration in ns.
func (s *Span) Duration() int64 { return s.End - s.Start }

// Attr gives the value under a current name (attributes.go), or "".
func (s *Span) Attr(key string) string { return s.Attrs.Get(key) }

// CompareSpans is the order of spans in a bundle: trace, start, end
// (longest first, so that a parent precedes a child that starts with it), id.
func CompareSpans(a, b Span) int { return compareSpans(&a, &b) }

func compareSpans(a, b *Span) int {
	if c := bytes.Compare(a.Trace[:], b.Trace[:]); c != 0 {
		return c
	}
	return compareInTrace(a, b)
}

func compareInTrace(a, b *Span) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), bytes.Compare(a.ID[:], b.ID[:]))
}

// Exemplar is one request that a histogram of latency names by its trace.
type Exemplar struct {
	Trace  TraceID
	Entity Entity  // service and operation that took so long
	Value  float64 // s
	At     int64   // Unix ms
}

// TraceWeight says how many requests a sampled trace speaks for, and which
// stratum it was drawn from. A trace without one counts as one.
type TraceWeight struct {
	Trace   TraceID `json:"-"`
	Weight  float64 `json:"weight"`
	Stratum string  `json:"stratum"`
}
