package analyzers

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// callee is what a call asks for, without what differs from call to call.
type callee struct {
	system string // postgresql, redis, http, grpc, kafka; "" unknown
	verb   string // GET, publish; "" where the target says it
	peer   string // the service that answered, else its address
	target string // normalised statement, route, method, destination
}

// String is for people: "GET stock /items/{id}", or the statement, or what
// system is asked where.
func (c callee) String() string {
	parts := []string{c.verb, c.peer, c.target}
	if isCacheSystem(c.system) || c.target == "" {
		parts = []string{c.system, c.peer, c.target}
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

func (c callee) compare(o callee) int {
	return cmp.Or(cmp.Compare(c.system, o.system), cmp.Compare(c.verb, o.verb), cmp.Compare(c.peer, o.peer), cmp.Compare(c.target, o.target))
}

// call is one request of a service to another, a database, a cache or a queue.
type call struct {
	span int32
	to   *callee // the same for all calls of all traces that were built together
}

// callSpans are the spans of some calls.
func callSpans(calls []call) []int32 {
	out := make([]int32, len(calls))
	for k, c := range calls {
		out[k] = c.span
	}
	return out
}

// findCalls lists the calls of a trace by start. What a driver records within one
// of its own calls, or around them (connecting, preparing, transactions), is
// plumbing and not a call.
func (scratch *traceScratch) findCalls(t *Trace) []call {
	inside := slices.Grow(scratch.inside[:0], len(t.Spans))[:len(t.Spans)] // within a call of its own service
	clear(inside)
	out := scratch.calls[:0]
	for _, i := range t.order {
		s := &t.Spans[i]
		if p := t.Parent[i]; p >= 0 && inside[p] && t.Spans[p].Service == s.Service && s.Kind != evidence.KindServer {
			inside[i] = t.sameSystem(p, i)
		}
		if inside[i] {
			continue
		}
		sort := scratch.sortOf(s)
		if !sort.call {
			continue
		}
		inside[i] = true
		to := sort.asks
		if to == nil {
			to = scratch.theCallee(t.calleeOf(i))
		}
		out = append(out, call{span: i, to: to})
	}
	scratch.inside, scratch.calls = inside, out
	byStart := func(a, b call) int { return t.compareStart(a.span, b.span) }
	if !slices.IsSortedFunc(out, byStart) {
		slices.SortFunc(out, byStart)
	}
	return slices.Clone(out)
}

// spanSort is all that decides whether a span is a call, and of what database.
type spanSort struct {
	list evidence.AttrList
	name string
	kind evidence.SpanKind
}

// sorted is what was decided: asks is nil where the callee depends on more.
type sorted struct {
	call bool
	asks *callee
}

func (scratch *traceScratch) sortOf(s *evidence.Span) sorted {
	key := spanSort{s.Attrs.Shared(), s.Name, s.Kind}
	known, ok := scratch.sorts[key]
	if !ok {
		known.call = isCall(s) && !isPlumbing(s)
		if system := s.Attr(evidence.AttrDBSystem); known.call && system != "" {
			known.asks = scratch.theCallee(databaseCallee(system, s))
		}
		scratch.sorts[key] = known
	}
	return known
}

// theCallee is the one that stands for all its equals: to compare and to look
// up addresses costs next to nothing.
func (scratch *traceScratch) theCallee(c callee) *callee {
	known := scratch.callees[c]
	if known == nil {
		known = &c
		scratch.callees[c] = known
	}
	return known
}

func isCall(s *evidence.Span) bool {
	return calls(s) || s.Attr(evidence.AttrDBSystem) != "" && s.Kind != evidence.KindServer
}

// sameSystem reports whether a span talks to what its parent talks to: an ORM
// over its driver, a client over its transport.
func (t *Trace) sameSystem(parent, i int32) bool {
	a, b := t.Spans[parent].Attr(evidence.AttrDBSystem), t.Spans[i].Attr(evidence.AttrDBSystem)
	return a == b || b == ""
}

// plumbingNames begin the names of spans that drivers record around the
// statements that matter: pgx, database/sql, redis and JDBC instrumentation.
var plumbingNames = []string{"pool.", "connect", "prepare", "begin", "commit", "rollback", "sql.conn", "sql.rows", "sql.tx", "sql.stmt.close",
	"redis.dial", "dial", "ping"}

// plumbingWords begin the statements that ask for nothing.
var (
	plumbingWords      = []string{"begin", "commit", "rollback", "savepoint", "release", "start", "set", "reset", "discard", "deallocate", "show"}
	cachePlumbingWords = []string{"hello", "client", "ping", "auth", "select", "multi", "exec", "command"}
)

// isAcquire recognises the span that a driver records while it waits for a
// connection: pgxpool and database/sql instrumentations, HikariCP, Npgsql.
func isAcquire(s *evidence.Span) bool {
	if s.Attr(evidence.AttrDBQuery) != "" {
		return false
	}
	name := strings.ToLower(s.Name)
	return strings.Contains(name, "acquire") || strings.Contains(name, "getconnection") || strings.Contains(name, "get connection") ||
		strings.HasSuffix(name, ".connect") || name == "sql.conn.open"
}

// isPlumbing recognises what a driver does around its calls.
func isPlumbing(s *evidence.Span) bool {
	if !isCall(s) || s.Attr(evidence.AttrHTTPMethod) != "" || s.Attr(evidence.AttrRPCSystem) != "" || s.Attr(evidence.AttrMsgSystem) != "" {
		return false
	}
	statement, words := s.Attr(evidence.AttrDBQuery), plumbingWords
	if isCacheSystem(s.Attr(evidence.AttrDBSystem)) {
		words = cachePlumbingWords
	}
	first, _, _ := strings.Cut(statement, " ")
	if statement == "select ?" || slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(first, w) }) {
		return true
	}
	if statement != "" && (hasPrefixFold(s.Name, "sql.conn.query") || hasPrefixFold(s.Name, "sql.conn.exec")) {
		return false
	}
	return slices.ContainsFunc(plumbingNames, func(p string) bool { return hasPrefixFold(s.Name, p) }) || isAcquire(s)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// calleeOf names what a call asks for. The span of the one who answered knows
// best, the caller's attributes come next, its name last.
func (t *Trace) calleeOf(i int32) callee {
	s := &t.Spans[i]
	if system := s.Attr(evidence.AttrDBSystem); system != "" {
		return databaseCallee(system, s)
	}
	peer, operation := s.Attr(evidence.AttrServerAddress), s.Name
	if t.standsIn(i) {
		peer = s.Service
	}
	if answer := t.answer(i); answer >= 0 {
		peer, operation = t.Spans[answer].Service, OperationOf(&t.Spans[answer])
	}
	switch {
	case s.Attr(evidence.AttrRPCSystem) != "" || s.Attr(evidence.AttrRPCMethod) != "":
		return callee{system: cmp.Or(s.Attr(evidence.AttrRPCSystem), "rpc"), peer: peer, target: cmp.Or(s.Attr(evidence.AttrRPCMethod), operation)}
	case s.Attr(evidence.AttrMsgSystem) != "" || s.Kind == evidence.KindProducer:
		return callee{system: cmp.Or(s.Attr(evidence.AttrMsgSystem), "messaging"), verb: "publish", target: cmp.Or(s.Attr(evidence.AttrMsgDest), s.Name)}
	}
	if method, path, ok := strings.Cut(operation, " "); ok && isMethod(method) {
		return callee{system: "http", verb: method, peer: peer, target: path}
	}
	if method := s.Attr(evidence.AttrHTTPMethod); method != "" {
		return callee{system: "http", verb: method, peer: peer, target: cmp.Or(s.Attr(evidence.AttrURLTemplate), s.Attr(evidence.AttrURLPath))}
	}
	return callee{peer: peer, target: operation}
}

// databaseCallee names what is asked of a database: all of it is said by the
// span's name and the attributes that it shares with others.
func databaseCallee(system string, s *evidence.Span) callee {
	if text := s.Attr(evidence.AttrDBQuery); text != "" {
		return callee{system: system, target: text}
	}
	what := strings.TrimSpace(s.Attr(evidence.AttrDBOperation) + " " + s.Attr(evidence.AttrDBCollection))
	return callee{system: system, target: cmp.Or(what, s.Name)}
}

// answer is the span of another service that answered a call, or -1.
func (t *Trace) answer(i int32) int32 {
	for _, c := range t.children(i) {
		if k := t.Spans[c].Kind; k == evidence.KindServer || t.Spans[c].Service != t.Spans[i].Service && k != evidence.KindConsumer {
			return c
		}
	}
	return none
}

// isStatement reports whether a span asks a database, other than a cache.
func isStatement(s *evidence.Span) bool {
	system := s.Attr(evidence.AttrDBSystem)
	return system != "" && !isCacheSystem(system)
}

// isCacheSystem reports whether db.system.name names a cache.
func isCacheSystem(system string) bool {
	switch system {
	case "redis", "valkey", "memcached", "keydb", "dragonfly", "hazelcast":
		return true
	}
	return false
}

// failed reports whether a call ended in an error that a caller may try
// again. A status says more than an error flag: a 404 is an answer.
func failed(s *evidence.Span) bool {
	if status := s.Attr(evidence.AttrHTTPStatus); status != "" {
		return strings.HasPrefix(status, "5") || status == "429" || status == "408"
	}
	return s.Error || s.Attr(evidence.AttrErrorType) != ""
}

// callGroup is the calls of one request to one callee, by start.
type callGroup struct {
	server int32 // where the request entered the calling service
	to     *callee
	calls  []int32
}

// requestCallee is one request to a service, and one callee.
type requestCallee struct {
	server int32
	callee *callee
}

// largeScratch is the number of groups beyond which their map is made anew:
// clearing costs what the largest trace needed.
const largeScratch = 1024

// groupCalls gathers calls by the request they serve and by callee, whatever
// lies between them, in the order of their first call.
func (scratch *traceScratch) groupCalls(t *Trace) []callGroup {
	if scratch.groups == nil || len(scratch.groups) > largeScratch {
		scratch.groups = map[requestCallee]int32{}
	}
	clear(scratch.groups)
	of, sizes := make([]int32, len(t.called)), make([]int32, 0, len(t.called))
	for k, c := range t.called {
		key := requestCallee{t.server[c.span], c.to}
		g, ok := scratch.groups[key]
		if !ok {
			g = int32(len(sizes))
			scratch.groups[key] = g
			sizes = append(sizes, 0)
		}
		of[k] = g
		sizes[g]++
	}
	if len(sizes) == 0 {
		return nil
	}
	groups := make([]callGroup, len(sizes))
	spans, at := make([]int32, len(t.called)), int32(0)
	for g, n := range sizes {
		groups[g].calls = spans[at : at : at+n]
		at += n
	}
	for k, c := range t.called {
		g := &groups[of[k]]
		g.server, g.to, g.calls = t.server[c.span], c.to, append(g.calls, c.span)
	}
	return groups
}

// serial is the share of neighbours in a group of which the second began only
// when the first had ended; 0 for fewer than two, and for calls that were
// begun together but had to queue for a connection.
func (t *Trace) serial(calls []int32) float64 {
	if len(calls) < 2 || t.queued(calls) {
		return 0
	}
	n := 0
	for k := 1; k < len(calls); k++ {
		if t.Spans[calls[k]].Start >= t.Spans[calls[k-1]].End-clockRounding {
			n++
		}
	}
	return float64(n) / float64(len(calls)-1)
}

// queued reports whether more than a few of the calls ran while their driver
// was at work for the next: what waits for a connection was begun already.
func (t *Trace) queued(calls []int32) bool {
	waited, k := 0, 0
	parent := t.Parent[calls[0]]
	if parent < 0 {
		return false
	}
	for _, i := range t.children(parent) {
		s := &t.Spans[i]
		for k < len(calls) && t.Spans[calls[k]].End <= s.Start+clockRounding {
			k++
		}
		if k < len(calls) && t.Spans[calls[k]].Start < s.End-clockRounding && isPlumbing(s) {
			waited++
		}
	}
	return float64(waited) > (1-serialEnough)*float64(len(calls))
}
