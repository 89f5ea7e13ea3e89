package prometheus

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// normalise spells a metric or label name as the catalogue does: the same
// instrument arrives as http.server.request.duration, http_server_request_duration
// or vllm:num_requests, depending on who translated it.
func normalise(name string) string {
	clean := true
	for i := 0; i < len(name) && clean; i++ {
		c := name[i]
		clean = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' && (i == 0 || name[i-1] != '_')
	}
	if clean {
		return name
	}
	var b strings.Builder
	last := byte(0)
	for _, c := range []byte(strings.ToLower(name)) {
		if c == '.' || c == '-' || c == '/' || c == ':' {
			c = '_'
		}
		if c != '_' || last != '_' {
			b.WriteByte(c)
		}
		last = c
	}
	return b.String()
}

// hit is a metric of the server whose name is known, but for what stands
// before it.
type hit struct {
	actual string // as the server spells it
	prefix string // "" or what ends in _
	part   string // of a native histogram under that name: count, sum, or "" for the metric itself
}

// nameIndex finds the server's metrics by a known name.
type nameIndex map[string][]hit

// indexNames finds every known name in the server's names, whole or as what
// follows an underscore.
func indexNames(known map[string]bool, names []string) nameIndex {
	index := nameIndex{}
	for _, actual := range names {
		name := normalise(actual)
		for at := 0; at >= 0; {
			if known[name[at:]] {
				index[name[at:]] = append(index[name[at:]], hit{actual: actual, prefix: name[:at]})
			}
			next := strings.IndexByte(name[at:], '_')
			if next < 0 || at+next+1 >= len(name) {
				break
			}
			at += next + 1
		}
	}
	for _, hits := range index {
		slices.SortFunc(hits, func(x, y hit) int {
			if c := len(x.prefix) - len(y.prefix); c != 0 {
				return c
			}
			return strings.Compare(x.actual, y.actual)
		})
	}
	return index
}

// find gives the metric of one of some names that has exactly a prefix.
func (n nameIndex) find(names []string, prefix string) (hit, bool) {
	for _, name := range names {
		for _, h := range n[name] {
			if h.prefix == prefix {
				return h, true
			}
		}
	}
	return hit{}, false
}

// findPart finds what a server that keeps native histograms has in place of
// their _count and _sum: one metric without either.
func (n nameIndex) findPart(names []string, prefix string) (hit, bool) {
	for _, name := range names {
		base, part := partOf(name)
		if h, ok := n.find([]string{base}, prefix); ok && part != "" {
			h.part = part
			return h, true
		}
	}
	return hit{}, false
}

// prefixes under which a name is there, whole or as a part, the shortest first.
func (n nameIndex) prefixes(name string) []string {
	base, _ := partOf(name)
	var out []string
	for _, h := range slices.Concat(n[name], n[base]) {
		if !slices.Contains(out, h.prefix) {
			out = append(out, h.prefix)
		}
	}
	slices.SortStableFunc(out, func(x, y string) int { return len(x) - len(y) })
	return out
}

// partOf splits the name of a histogram's count or sum; part is "" for any other.
func partOf(name string) (base, part string) {
	for _, part := range []string{"count", "sum"} {
		if base, ok := strings.CutSuffix(name, "_"+part); ok {
			return base, part
		}
	}
	return name, ""
}

var legacyName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

// selector spells a metric with matchers; names beyond the classic alphabet
// are quoted inside the braces (Prometheus 3).
func selector(metric, matchers string) string {
	if !legacyName.MatchString(metric) {
		matchers = strings.TrimSuffix(strconv.Quote(metric)+","+matchers, ",")
		metric = ""
	}
	if matchers == "" {
		return metric
	}
	return metric + "{" + matchers + "}"
}

// labelRef spells a label for by() and matchers.
func labelRef(name string) string {
	if legacyName.MatchString(name) && !strings.Contains(name, ":") {
		return name
	}
	return strconv.Quote(name)
}
