package traces

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// resource is what all spans of one process share.
type resource struct {
	service   string
	instance  string
	inherited [len(inheritable)]string
}

// inheritable is what a span that does not say it itself has of its resource.
var inheritable = [...]slot{slotVersion, slotHost, slotPod, slotNode}

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
	names      map[string]string // of spans, as said: as kept
	statements map[queryText]statement
	urls       map[urlText]urlText // as said: template of the path, and hash of the whole
	attrs      evidence.AttrPool
	salt       [16]byte
	span       fields          // scratch
	list       []evidence.Attr // scratch
	links      []string        // scratch
	scratch    []byte
	untimed    int // spans dropped for want of a start or an end
	misnamed   int // spans dropped for an id that is none
	partial    int // traces of which the store said that they are not whole
}

// partly notes a trace of which the store hands out a part.
func (b *builder) partly() {
	b.Lock()
	defer b.Unlock()
	b.partial++
}

// maxTexts bounds each of the caches; beyond it work is repeated and memory is
// not.
const maxTexts = 20_000

func newBuilder() *builder {
	b := &builder{strings: newInterner(), names: map[string]string{}, statements: map[queryText]statement{}, urls: map[urlText]urlText{}}
	b.attrs.Clean = func(s string) string { return clean(s, maxValueBytes) }
	rand.Read(b.salt[:]) // never fails since Go 1.24
	return b
}

// resource closes the reading of a resource's attributes.
func (b *builder) resource(f *fields) resource {
	r := resource{service: b.strings.get(f.get(slotService))}
	if r.service == "" {
		r.service = "unknown_service" // as the OpenTelemetry SDK names it
	}
	for _, s := range []slot{slotInstance, slotPod, slotHost} {
		if r.instance == "" {
			r.instance = b.strings.get(f.get(s))
		}
	}
	for i, s := range inheritable {
		r.inherited[i] = b.strings.get(f.get(s))
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
	if kind := f.get(slotKind); kind != "" && span.Kind == evidence.KindUnspecified {
		span.Kind = spanKinds[strings.ToLower(kind)]
	}
	span.Error = raw.failed || strings.EqualFold(f.get(slotStatus), "ERROR") || isTrue(f.get(slotErrorFlag))
	span.Follows = raw.follows || span.Kind == evidence.KindConsumer && !span.Parent.IsZero()
	span.Service, span.Instance = res.service, res.instance
	b.inherit(res)
	b.translate(&span)
	span.Name = b.name(raw.name)
	span.Attrs = b.attributes()
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
	if s == "" {
		return false // an error would be made for every span
	}
	v, err := strconv.ParseBool(s)
	return err == nil && v
}

// inherit takes from the resource what the span does not say itself.
func (b *builder) inherit(res *resource) {
	for i, s := range inheritable {
		if value := res.inherited[i]; value != "" && b.span.get(s) == "" {
			b.span.put(s, value)
		}
	}
}

// translate brings the values of one span to the current conventions.
func (b *builder) translate(span *evidence.Span) {
	f := &b.span
	if system := f.get(slotDBSystem); system != "" && dbSystems[system] != "" {
		f.put(slotDBSystem, dbSystems[system])
	}
	for _, s := range []slot{slotServerAddress, slotServerPort} {
		if span.Kind == evidence.KindServer && f.rank(s) >= peerRank {
			f.put(s, "")
		}
	}
	if service, method := f.get(slotRPCService), f.get(slotRPCMethod); service != "" && !strings.Contains(method, "/") {
		f.put(slotRPCMethod, strings.TrimSuffix(service+"/"+method, "/"))
	}
	if namespace := f.get(slotCodeNamespace); namespace != "" && f.rank(slotCodeFunction) > 0 {
		f.put(slotCodeFunction, namespace+"."+f.get(slotCodeFunction))
	}
	if span.Error && f.get(slotErrorType) == "" {
		f.put(slotErrorType, rpcError(f.get(slotRPCStatus)))
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

// urlText is what a span says of a URL, or what is kept of it.
type urlText struct{ whole, path string }

// translateURL keeps the path alone, with what looks like an id replaced, and
// a hash of the whole.
func (b *builder) translateURL() {
	said := urlText{b.span.get(slotURLFull), b.span.get(slotURLPath)}
	if said == (urlText{}) {
		return
	}
	kept, ok := b.urls[said]
	if !ok {
		kept = b.url(said)
		if len(b.urls) < maxTexts {
			b.urls[urlText{strings.Clone(said.whole), strings.Clone(said.path)}] = kept
		}
	}
	b.span.put(slotParams, kept.whole)
	b.span.put(slotURLPath, kept.path)
}

func (b *builder) url(said urlText) urlText {
	whole, path := said.whole, said.path
	if whole == "" {
		whole = path
	}
	if path == "" {
		path = pathOf(whole)
	}
	return urlText{whole: b.hash(whole), path: strings.Clone(pathTemplate(path))}
}

// translateQuery replaces the text of a statement by its normal form and key.
func (b *builder) translateQuery() {
	f := &b.span
	if len(f.params) > 0 {
		slices.Sort(f.params)
		f.put(slotParams, b.hash(f.params...))
	}
	text := f.get(slotDBText)
	if text == "" {
		return
	}
	st := b.statement(queryText{f.get(slotDBSystem), text})
	f.put(slotDBText, st.text)
	f.put(slotDBKey, st.key)
	if st.params != "" && len(f.params) == 0 {
		f.put(slotParams, st.params)
	}
	if f.get(slotDBOperation) == "" {
		f.put(slotDBOperation, st.verb)
	}
	if f.get(slotDBCollection) == "" {
		f.put(slotDBCollection, st.table)
	}
}

// hash is salted anew for every collection, so that a short literal cannot be
// guessed from it; equal means equal within one bundle only.
func (b *builder) hash(parts ...string) string {
	b.scratch = append(b.scratch[:0], b.salt[:]...)
	for _, p := range parts {
		b.scratch = append(append(b.scratch, p...), 0)
	}
	sum := sha256.Sum256(b.scratch)
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// attributes gives what is kept of the span in b.span.
func (b *builder) attributes() evidence.Attrs {
	b.list = b.list[:0]
	for left := b.span.said & (1<<slotURLFull - 1); left != 0; left &= left - 1 {
		s := bits.TrailingZeros64(left)
		b.list = append(b.list, evidence.Attr{Key: kept[s], Value: b.span.values[s]})
	}
	return b.attrs.Add(b.list)
}
