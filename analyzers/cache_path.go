package analyzers

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Kinds found by cache-path.
const (
	FindCacheMissPath Kind = "cache.miss.path"
	FindCacheMissCost Kind = "cache.miss.cost"
)

const (
	// writtenBack is the share of fall-backs after which the value is put into
	// the cache that makes them misses without doubt.
	writtenBack = 0.5
	// alwaysFollowed: a call that follows nearly every read, hit or not, is the
	// program's next step, not the price of a miss.
	alwaysFollowed = 0.9
	// fewHits of the reads are too few to tell what follows them.
	fewHits = 0.05
	// lookAhead bounds how many calls after a read are looked at.
	lookAhead = 64
)

var cachePath = Analyzer{
	Name: "cache-path",
	Doc: "Finds cache reads that were followed by the call they should have spared: a read of a cache, then within the same request a call to a " +
		"database or service, then often a write of the same kind of key. Value is the share of reads with such a fall-back; the gain is what " +
		"the request would be had they hit. A call that follows every read, hit or not, and writes nothing back is not counted: nothing says it is a fall-back.",
	Needs: []evidence.Kind{evidence.Spans},
	Finds: []Kind{FindCacheMissPath, FindCacheMissCost},
	Run:   runCachePath,
}

// lookup is one read of a cache and what followed it.
type lookup struct {
	read     int32
	cache    *callee // the server that was asked, the same for all lookups of all traces
	prefix   string  // of the key, as far as it is known
	fallback []call  // made instead; none on a hit
	then     []call  // all to others up to the next read of the cache
	write    int32   // of the value into the cache, or -1
	price    float64 // ns that a miss of this kind usually costs; 0 where that is not known
}

func (l *lookup) missed() bool { return len(l.fallback) > 0 }

// findLookups lists the cache reads of a trace with what followed each.
func (scratch *traceScratch) findLookups(t *Trace) []lookup {
	reads := func(c call) bool { return isCacheSystem(c.to.system) && isCacheRead(&t.Spans[c.span]) }
	if !slices.ContainsFunc(t.called, reads) {
		return nil
	}
	calls := slices.Clone(t.called)
	slices.SortStableFunc(calls, func(a, b call) int { return cmp.Compare(t.server[a.span], t.server[b.span]) })
	var out []lookup
	for k, c := range calls {
		if !reads(c) {
			continue
		}
		end := k + 1
		for end < min(k+1+lookAhead, len(calls)) && t.server[calls[end].span] == t.server[c.span] {
			end++
		}
		l := t.lookup(c, calls[k+1:end])
		l.cache = scratch.theCallee(cacheOf(&t.Spans[c.span]))
		out = append(out, l)
	}
	return out
}

// lookup reads what followed: up to the next read of the same cache the calls
// to others, ended by the write of the same kind of key if there is one.
// Without a write only the very next call can be the fall-back.
func (t *Trace) lookup(read call, after []call) lookup {
	l := lookup{read: read.span, prefix: keyPrefix(&t.Spans[read.span]), write: none}
	for _, c := range after {
		s := &t.Spans[c.span]
		if s.Start < t.Spans[read.span].End-clockRounding || !t.near(read.span, c.span) {
			continue
		}
		if c.to.system == read.to.system {
			if isCacheWrite(s) && keyPrefix(s) == l.prefix {
				l.write = c.span
			}
			if isCacheRead(s) {
				break
			}
			continue
		}
		if c.to.system == "messaging" || !t.blocks(c.span) {
			continue
		}
		l.then = append(l.then, c)
		if l.write < 0 {
			l.fallback = append(l.fallback, c)
		}
	}
	if l.write < 0 && len(l.fallback) > 1 {
		l.fallback = l.fallback[:1]
	}
	return l
}

// near reports whether two calls of a request were made in one place: by the
// same span, or by spans next to each other.
func (t *Trace) near(a, b int32) bool {
	pa, pb := t.Parent[a], t.Parent[b]
	if pa == pb || pa < 0 || pb < 0 {
		return pa == pb
	}
	return t.Parent[pa] == pb || pa == t.Parent[pb] || t.Parent[pa] == t.Parent[pb] && t.Parent[pa] >= 0
}

func isCacheRead(s *evidence.Span) bool {
	return isCacheSystem(s.Attr(evidence.AttrDBSystem)) && slices.Contains([]string{"get", "gets", "mget", "hget", "hmget", "hgetall", "getex", "json.get"}, commandOf(s))
}

func isCacheWrite(s *evidence.Span) bool {
	return isCacheSystem(s.Attr(evidence.AttrDBSystem)) && slices.Contains([]string{"set", "setex", "psetex", "setnx", "mset", "hset", "hmset", "add", "json.set", "pipeline"}, commandOf(s))
}

// commandOf a cache's span, in lower case: its operation, the first word of
// its statement, or of its name.
func commandOf(s *evidence.Span) string {
	statement, _, _ := strings.Cut(s.Attr(evidence.AttrDBQuery), " ")
	name, _, _ := strings.Cut(strings.TrimPrefix(s.Name, "redis."), " ")
	return strings.ToLower(cmp.Or(s.Attr(evidence.AttrDBOperation), statement, name))
}

// keyPrefix is the leading word of the key, a name by convention: "product" of
// "get product:?"; "" where none is known.
func keyPrefix(s *evidence.Span) string {
	_, key, _ := strings.Cut(s.Attr(evidence.AttrDBQuery), " ")
	end := strings.IndexFunc(key, func(r rune) bool { return !unicode.IsLetter(r) && r != '_' && r != '-' && r != '.' })
	if end < 0 {
		return key
	}
	return key[:end]
}

// cacheOf names the cache server a span talks to.
func cacheOf(s *evidence.Span) callee {
	address, port := s.Attr(evidence.AttrServerAddress), s.Attr(evidence.AttrServerPort)
	if address != "" && port != "" && !strings.Contains(address, ":") {
		address += ":" + port
	}
	return callee{system: s.Attr(evidence.AttrDBSystem), peer: address}
}

// cacheKey is one kind of key read by one operation.
type cacheKey struct {
	place  *evidence.Entity
	cache  *callee
	prefix string
}

// cacheUse counts, weighted, what became of the reads of one kind of key.
type cacheUse struct {
	reads, missed, written float64
	unwritten              float64             // reads after which nothing was written back
	then                   map[*callee]float64 // reads that a call followed sooner or later
	thenUnwritten          map[*callee]float64 // those of them after which nothing was written back
	paid                   []pricePaid         // for each miss
	price                  float64             // ns, the median of those
}

// fallbacks of a lookup that fell through: of the calls that followed those
// that do not follow the hits as well.
func (u *cacheUse) fallbacks(l *lookup) []call {
	if l.write < 0 && l.missed() && u.then[l.fallback[0].to] >= alwaysFollowed*u.reads {
		return nil
	}
	if l.write < 0 || u.unwritten < fewHits*u.reads {
		return l.fallback
	}
	step := func(c call) bool { return u.thenUnwritten[c.to] >= alwaysFollowed*u.unwritten }
	if !slices.ContainsFunc(l.fallback, step) {
		return l.fallback
	}
	return slices.DeleteFunc(slices.Clone(l.fallback), step)
}

func runCachePath(p *Pass) error {
	uses := cacheUses(p.Facts.Traces)
	misses := detector{rule: "cache-misses", find: func(t *Trace) []pattern {
		return t.cacheMisses(func(l *lookup) {
			u := uses.of[t.cacheKey(l)]
			l.fallback, l.price = u.fallbacks(l), u.price
		})
	}}
	groups := misses.gather(p.Facts.Traces)
	slices.SortFunc(groups, func(a, b *occurrences) int { return cmp.Or(a.place.Compare(b.place), a.to.compare(b.to)) })
	served := p.Facts.index.served
	for _, g := range groups[:min(len(groups), maxGroups)] {
		g.measure(served[g.place])
		reportCacheMisses(p, g, uses.total(g.place, g.to), served[g.place])
	}
	return nil
}

// cacheTally is what became of all reads, by kind of key.
type cacheTally struct {
	of   map[cacheKey]*cacheUse
	keys []cacheKey // in the order of their first read
}

func cacheUses(traces []*Trace) cacheTally {
	tally := cacheTally{of: map[cacheKey]*cacheUse{}}
	tally.each(traces, tally.follow)
	tally.each(traces, tally.judge)
	for _, u := range tally.of {
		u.price, u.paid = medianPrice(u.paid), nil
	}
	return tally
}

// each lookup of some traces, with the use of its kind of key.
func (c *cacheTally) each(traces []*Trace, count func(*cacheUse, *Trace, *lookup)) {
	for _, t := range traces {
		for i := range t.lookups {
			count(c.use(t.cacheKey(&t.lookups[i])), t, &t.lookups[i])
		}
	}
}

func (c *cacheTally) use(k cacheKey) *cacheUse {
	if c.of[k] == nil {
		c.of[k] = &cacheUse{then: map[*callee]float64{}, thenUnwritten: map[*callee]float64{}}
		c.keys = append(c.keys, k)
	}
	return c.of[k]
}

// follow counts which calls come after a read.
func (c *cacheTally) follow(u *cacheUse, t *Trace, l *lookup) {
	u.reads += t.Weight
	if l.write < 0 {
		u.unwritten += t.Weight
	}
	for i, c := range l.then {
		if slices.ContainsFunc(l.then[:i], func(o call) bool { return o.to == c.to }) {
			continue
		}
		u.then[c.to] += t.Weight
		if l.write < 0 {
			u.thenUnwritten[c.to] += t.Weight
		}
	}
}

// judge counts a lookup as a hit or a miss, once it is known what follows all.
func (c *cacheTally) judge(u *cacheUse, t *Trace, l *lookup) {
	fallbacks := u.fallbacks(l)
	if len(fallbacks) == 0 {
		return
	}
	u.missed += t.Weight
	if l.write >= 0 {
		u.written += t.Weight
	}
	u.paid = append(u.paid, pricePaid{t.took(fallbacks), t.Weight})
}

// total of the uses of a cache by one operation.
func (c *cacheTally) total(place evidence.Entity, cache callee) (sum cacheUse) {
	for _, k := range c.keys {
		if u := c.of[k]; *k.place == place && *k.cache == cache && u.missed > 0 {
			sum.reads, sum.missed, sum.written = sum.reads+u.reads, sum.missed+u.missed, sum.written+u.written
		}
	}
	return sum
}

func (t *Trace) cacheKey(l *lookup) cacheKey {
	return cacheKey{t.place(l.read), l.cache, l.prefix}
}

// cacheMisses gives one pattern for each request and cache with misses; its
// value is the seconds they hold up the request. Judge leaves a lookup its
// fall-backs, none where it is no miss, and gives it its price.
func (t *Trace) cacheMisses(judge func(*lookup)) []pattern {
	type key struct {
		server int32
		cache  *callee
	}
	at := map[key]int{}
	var found []pattern
	misses := map[key][]lookup{}
	for _, l := range t.lookups {
		if judge(&l); !l.missed() {
			continue
		}
		k := key{t.server[l.read], l.cache}
		if _, ok := at[k]; !ok {
			at[k] = len(found)
			found = append(found, pattern{server: k.server, to: *k.cache, facts: t.missFacts(&l), cut: func(c Cuts) { t.cutMisses(c, misses[k]) }})
		}
		misses[k] = append(misses[k], l)
		f := &found[at[k]]
		f.spans = append(f.spans, callSpans(l.fallback)...)
		if l.write >= 0 {
			f.spans = append(f.spans, l.write)
		}
	}
	for k := range found {
		found[k].value = seconds(t.onPath(found[k].spans))
	}
	return found
}

func (t *Trace) missFacts(l *lookup) map[string]string {
	facts := t.spanFacts(l.fallback[0].span)
	facts["fallback"] = l.fallback[0].to.String()
	if l.prefix != "" {
		facts["key"] = l.prefix
	}
	return facts
}

func reportCacheMisses(p *Pass, g *occurrences, use cacheUse, served float64) {
	entity := g.place
	entity.Resource = g.to.String()
	share := use.missed / use.reads
	asked := g.asked()
	facts := g.facts("1")
	facts["reads"] = strconv.FormatFloat(use.reads, 'f', 0, 64)
	f := Finding{
		Kind: FindCacheMissPath, Entity: entity, Value: share, Unit: "1", Victims: asked, Refs: typicalSlow(g.traces, 3), Facts: facts,
		Text:   fmt.Sprintf("%s of the cache reads of %s were followed by %s: they missed.", percent(share), g.place.Operation, shorten(facts["fallback"], 100)),
		Impact: p.Facts.predict(asked[0], g.traces, g.cut),
	}
	if use.written < writtenBack*use.missed {
		f.Warnings = append(f.Warnings, "the value is seldom seen to be written back: some of these may not be misses")
	}
	p.Report(f)
	cost := g.sum() / served
	p.Report(Finding{Kind: FindCacheMissCost, Entity: entity, Value: cost, Unit: "s", Refs: f.Refs, Victims: asked,
		Text: fmt.Sprintf("A request to %s spends %s on its critical path on what the cache did not have.", g.place.Operation, duration(cost))})
}

// missesWrittenBack finds the misses that one trace can prove: those after
// which the value was put into the cache.
func missesWrittenBack(t *Trace) []pattern {
	written := map[cacheKey]bool{}
	for _, l := range t.lookups {
		if l.missed() && l.write >= 0 {
			written[t.cacheKey(&l)] = true
		}
	}
	return t.cacheMisses(func(l *lookup) {
		if !written[t.cacheKey(l)] {
			l.fallback = nil
		}
	})
}
