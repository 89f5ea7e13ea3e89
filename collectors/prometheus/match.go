package prometheus

import (
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// match is a read of the catalogue found on the server, under the names and
// with the labels that it has there.
type match struct {
	family *family
	read   *read
	prefix string
	names  []string // as the server spells them: of read.Metric, then of read.With
	parts  []string // for each name the part of native histograms that is meant, count or sum; nil where none is
	base   string   // of a histogram, without _bucket
	sum    string   // of a classic histogram: its _sum, "" where there is none
	native bool     // a native histogram
	// alternative is which of the read's names this is: one service may use
	// the first, another the second.
	alternative int
	probe       *probe

	jobs     []string      // that the match is limited to, nil for all
	interval time.Duration // of their scrapes, the longest
	shortest time.Duration // the shortest of them
	window   time.Duration // of rates
}

// probed is the metric whose series stand for the match: a classic
// histogram's count says as much as its buckets and is a tenth of them.
func (m *match) probed(have map[string]bool) string {
	if count := m.base + "_count"; m.base != "" && !m.native && have[count] {
		return count
	}
	return m.names[0]
}

// matches finds every read of the catalogue among the server's names, the
// preferred families first.
func (c *catalogue) matches(names []string) []*match {
	have := make(map[string]bool, len(names))
	for _, n := range names {
		have[n] = true
	}
	index := indexNames(c.knownNames(), names)
	var out []*match
	for _, cl := range c.classes {
		for i := range cl.Families {
			f := &cl.Families[i]
			for j := range f.Reads {
				out = append(out, f.matches(&f.Reads[j], index, have)...)
			}
		}
	}
	return closest(out)
}

// knownNames of all metrics, as they appear on the wire.
func (c *catalogue) knownNames() map[string]bool {
	known := map[string]bool{}
	for _, cl := range c.classes {
		for _, f := range cl.Families {
			for _, r := range f.Reads {
				for _, n := range slices.Concat(r.names...) {
					known[n] = true
					if r.spec.Shape == shapeHistogram {
						known[n+"_bucket"] = true
					}
					if base, part := partOf(n); r.parted && part != "" {
						known[base] = true
					}
				}
			}
		}
	}
	return known
}

func (f *family) matches(r *read, index nameIndex, have map[string]bool) []*match {
	if r.spec.Shape == shapeHistogram {
		return f.histograms(r, index, have)
	}
	out := f.named(r, index, index.find)
	if r.parted {
		out = append(out, f.named(r, index, index.findPart)...)
	}
	return out
}

// named finds a read's metrics by one way of finding, once for each prefix and
// name; a read of several metrics, whose names would have to be paired, by the
// first name alone.
func (f *family) named(r *read, index nameIndex, find func(names []string, prefix string) (hit, bool)) []*match {
	var out []*match
	taken := map[string]bool{}
	for k, name := range r.names[0] {
		for _, prefix := range index.prefixes(name) {
			if taken[prefix] {
				continue
			}
			if m, ok := f.complete(r, k, prefix, find); ok {
				taken[prefix] = len(r.names) > 1
				out = append(out, m)
			}
		}
	}
	return out
}

// complete finds all metrics of a read under the same prefix, the first by one
// of its names.
func (f *family) complete(r *read, alternative int, prefix string, find func([]string, string) (hit, bool)) (*match, bool) {
	m := &match{family: f, read: r, prefix: prefix, alternative: alternative}
	for i, names := range r.names {
		if i == 0 {
			names = names[alternative : alternative+1]
		}
		h, ok := find(names, prefix)
		if !ok || i == 0 && !f.means(h) {
			return nil, false
		}
		m.names = append(m.names, h.actual)
		if h.part != "" {
			m.parts = append(m.parts, h.part)
		}
	}
	return m, true
}

// histograms are met as classic ones, by their buckets, and as native ones,
// by the bare name. A fleet in the middle of a change has both.
func (f *family) histograms(r *read, index nameIndex, have map[string]bool) []*match {
	var out []*match
	for _, name := range r.names[0] {
		for _, h := range index[name] {
			if f.means(h) {
				out = append(out, &match{family: f, read: r, prefix: h.prefix, names: []string{h.actual}, base: h.actual, native: true})
			}
		}
		for _, h := range index[name+"_bucket"] {
			if !f.means(h) {
				continue
			}
			m := &match{family: f, read: r, prefix: h.prefix, names: []string{h.actual}, base: strings.TrimSuffix(h.actual, "_bucket")}
			if have[m.base+"_sum"] {
				m.sum = m.base + "_sum"
			}
			out = append(out, m)
		}
	}
	return out
}

// means reports whether a name belongs to the family.
func (f *family) means(h hit) bool {
	if h.prefix != "" && !f.Prefix {
		return false
	}
	return f.not == nil || !f.not.MatchString(normalise(h.actual))
}

// closest keeps, of the reads that found the same kind in the same metric,
// those that know most of its name: http_request_duration_seconds behind a
// prefix is not what request_duration_seconds means.
func closest(all []*match) []*match {
	type key struct {
		kind evidence.Kind
		name string
	}
	shortest := map[key]int{}
	for _, m := range all {
		k := key{m.read.Kind, m.names[0]}
		if n, ok := shortest[k]; !ok || len(m.prefix) < n {
			shortest[k] = len(m.prefix)
		}
	}
	return slices.DeleteFunc(all, func(m *match) bool {
		return len(m.prefix) > shortest[key{m.read.Kind, m.names[0]}]
	})
}
