package traces

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// fields holds what one resource or span said, by slot.
type fields struct {
	values [slotCount]string
	ranks  [slotCount]uint8
	params []string // query parameters, as "name=value"
}

func (f *fields) reset() {
	clear(f.values[:])
	f.params = f.params[:0]
}

// wants reports whether an attribute is kept, and has not been said under a
// better name already.
func (f *fields) wants(key string) (source, bool) {
	src, ok := conventions[key]
	if !ok {
		return source{}, strings.HasPrefix(key, "db.query.parameter.") || strings.HasPrefix(key, "db.operation.parameter.")
	}
	return src, f.values[src.slot] == "" || f.ranks[src.slot] > src.rank
}

// put notes an attribute that is wanted.
func (f *fields) put(src source, key, text string) {
	if src.slot == slotNone {
		f.params = append(f.params, key+"="+text)
		return
	}
	f.values[src.slot], f.ranks[src.slot] = text, src.rank
}

func (f *fields) set(key, text string) {
	if src, ok := f.wants(key); ok {
		f.put(src, key, text)
	}
}

// resource is what all spans of one process share.
type resource struct {
	service  string
	instance string
	fields   fields
}

// rawSpan is a span as its source tells it, before its attributes are read.
type rawSpan struct {
	trace, id, parent string // hex, or the bytes of the id where binary is set
	binary            bool
	start, end        int64 // Unix ns; 0 is unknown
	kind              evidence.SpanKind
	failed            bool
	follows           bool
	name              string
}

// builder turns what decoders read into evidence: names translated to the
// current conventions, literals removed, strings and attribute lists shared.
// It may be used by several goroutines that hold its lock.
type builder struct {
	sync.Mutex
	strings    *interner
	statements map[queryText]statement
	lists      map[string][]evidence.Attr
	salt       [16]byte
	span       fields   // scratch
	links      []string // scratch
	scratch    []byte
	untimed    int // spans dropped for want of a start or an end
	misnamed   int // spans dropped for an id that is none
}

// Caps of the caches; beyond them work is repeated and memory is not.
const (
	maxStatements = 20_000
	maxLists      = 50_000
)

func newBuilder() *builder {
	b := &builder{strings: newInterner(), statements: map[queryText]statement{}, lists: map[string][]evidence.Attr{}}
	rand.Read(b.salt[:]) // never fails since Go 1.24
	return b
}

// resource closes the reading of a resource's attributes.
func (b *builder) resource(f fields) resource {
	r := resource{fields: f}
	r.service = b.strings.get(f.values[slotService])
	if r.service == "" {
		r.service = "unknown_service" // as the OpenTelemetry SDK names it
	}
	for _, s := range []slot{slotInstance, slotPod, slotHost} {
		if r.instance == "" {
			r.instance = b.strings.get(f.values[s])
		}
	}
	return r
}

// build makes a span of raw and the attributes in b.span; ok is false for one
// that has no times or no usable ids, which is counted.
func (b *builder) build(res *resource, raw rawSpan) (span evidence.Span, ok bool) {
	if raw.start <= 0 || raw.end <= 0 {
		b.untimed++
		return span, false
	}
	if !raw.ids(&span) {
		b.misnamed++
		return span, false
	}
	f := &b.span
	span.Start, span.End = raw.start, max(raw.end, raw.start)
	span.Kind = raw.kind
	if k, known := spanKinds[strings.ToLower(f.values[slotKind])]; known && span.Kind == evidence.KindUnspecified {
		span.Kind = k
	}
	span.Error = raw.failed || strings.EqualFold(f.values[slotStatus], "ERROR") || isTrue(f.values[slotErrorFlag])
	span.Follows = raw.follows || span.Kind == evidence.KindConsumer && !span.Parent.IsZero()
	span.Service, span.Instance = res.service, res.instance
	b.inherit(res)
	b.translate(&span)
	span.Name = b.name(raw.name)
	span.Attrs = b.list()
	return span, true
}

func (r *rawSpan) ids(to *evidence.Span) bool {
	if r.binary {
		copy(to.Trace[:], r.trace)
		copy(to.ID[:], r.id)
		copy(to.Parent[:], r.parent)
		return len(r.trace) == len(to.Trace) && len(r.id) == len(to.ID) && !to.Trace.IsZero() && !to.ID.IsZero()
	}
	var errs [3]error
	to.Trace, errs[0] = evidence.ParseTraceID(strings.TrimSpace(r.trace))
	to.ID, errs[1] = evidence.ParseSpanID(strings.TrimSpace(r.id))
	to.Parent, errs[2] = evidence.ParseSpanID(strings.TrimSpace(r.parent))
	return errs == [3]error{} && !to.Trace.IsZero() && !to.ID.IsZero()
}

var spanKinds = map[string]evidence.SpanKind{
	"internal": evidence.KindInternal, "server": evidence.KindServer, "client": evidence.KindClient,
	"producer": evidence.KindProducer, "consumer": evidence.KindConsumer,
}

func isTrue(s string) bool {
	v, err := strconv.ParseBool(s)
	return err == nil && v
}

// inherit takes from the resource what the span does not say itself.
func (b *builder) inherit(res *resource) {
	for _, s := range []slot{slotVersion, slotHost, slotPod, slotNode} {
		if b.span.values[s] == "" {
			b.span.values[s] = res.fields.values[s]
		}
	}
}

// translate brings the values of one span to the current conventions.
func (b *builder) translate(span *evidence.Span) {
	v, ranks := &b.span.values, &b.span.ranks
	if current, ok := dbSystems[v[slotDBSystem]]; ok {
		v[slotDBSystem] = current
	}
	if span.Kind == evidence.KindServer && ranks[slotServerAddress] >= peerRank {
		v[slotServerAddress] = ""
	}
	if span.Kind == evidence.KindServer && ranks[slotServerPort] >= peerRank {
		v[slotServerPort] = ""
	}
	if v[slotRPCService] != "" && !strings.Contains(v[slotRPCMethod], "/") {
		v[slotRPCMethod] = strings.TrimSuffix(v[slotRPCService]+"/"+v[slotRPCMethod], "/")
	}
	if v[slotCodeNamespace] != "" && ranks[slotCodeFunction] > 0 {
		v[slotCodeFunction] = v[slotCodeNamespace] + "." + v[slotCodeFunction]
	}
	if v[slotErrorType] == "" && span.Error {
		v[slotErrorType] = rpcError(v[slotRPCStatus])
	}
	b.translateURL()
	b.translateQuery()
}

func rpcError(code string) string {
	if n, err := strconv.Atoi(code); err == nil && n >= 0 && n < len(grpcCodes) {
		code = grpcCodes[n]
	}
	if code == "OK" {
		return ""
	}
	return code
}

// translateURL keeps the path alone, with what looks like an id replaced, and
// a hash of the whole.
func (b *builder) translateURL() {
	v := &b.span.values
	full := v[slotURLFull]
	if full == "" {
		full = v[slotURLPath]
	}
	if full == "" {
		return
	}
	v[slotParams] = b.hash(full)
	if v[slotURLPath] == "" {
		v[slotURLPath] = pathOf(full)
	}
	v[slotURLPath] = pathTemplate(v[slotURLPath])
}

// translateQuery replaces the text of a statement by its normal form and key.
func (b *builder) translateQuery() {
	v := &b.span.values
	if len(b.span.params) > 0 {
		slices.Sort(b.span.params)
		v[slotParams] = b.hash(b.span.params...)
	}
	if v[slotDBText] == "" {
		return
	}
	st := b.statement(queryText{v[slotDBSystem], v[slotDBText]})
	v[slotDBText], v[slotDBKey] = st.text, st.key
	if st.params != "" && len(b.span.params) == 0 {
		v[slotParams] = st.params
	}
	if v[slotDBOperation] == "" {
		v[slotDBOperation] = st.verb
	}
	if v[slotDBCollection] == "" {
		v[slotDBCollection] = st.table
	}
}

// hash is salted anew for every collection, so that a short literal cannot be
// guessed from it; equal means equal within one bundle only.
func (b *builder) hash(parts ...string) string {
	h := sha256.New()
	h.Write(b.salt[:])
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// list gives the kept attributes of the span in b.span; equal lists are one.
func (b *builder) list() []evidence.Attr {
	b.scratch = b.scratch[:0]
	n := 0
	for i, k := range kept {
		if v := b.span.values[k.slot]; v != "" {
			b.scratch = append(append(append(b.scratch, byte(i)), v...), 0)
			n++
		}
	}
	if shared, ok := b.lists[string(b.scratch)]; ok || n == 0 {
		return shared
	}
	attrs := make([]evidence.Attr, 0, n)
	for _, k := range kept {
		if v := b.span.values[k.slot]; v != "" {
			attrs = append(attrs, evidence.Attr{Key: k.key, Value: b.strings.get(v)})
		}
	}
	if len(b.lists) < maxLists {
		b.lists[string(b.scratch)] = attrs
	}
	return attrs
}
