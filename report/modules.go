package report

import (
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Module is a part of the load that its tool tells apart, and what it suffers
// from. Times in s.
type Module struct {
	Tool     string  `json:"tool" clean:"name"`
	Name     string  `json:"name" clean:"name"`
	Start    int64   `json:"start_ms,omitempty"` // 0: the tool does not say when
	End      int64   `json:"end_ms,omitempty"`
	Runs     string  `json:"runs,omitempty"` // alone, beside others, partly beside others
	Requests float64 `json:"requests,omitempty"`
	Failed   float64 `json:"failed,omitempty"`
	P95      float64 `json:"p95_s,omitempty"`
	Causes   []int   `json:"causes,omitempty"` // ranks of what slows its requests
	By       string  `json:"by,omitempty"`     // name: its requests are those that a cause slows; time: it alone ran while they were slow
}

// How modules lie in time.
const (
	runsAlone  = "alone"
	runsBeside = "beside others"
	runsPartly = "partly beside others"
)

// modules of all loads, with the causes that slow their requests: found by the
// names of the requests where these are those of operations, else by the time
// in which a module alone ran.
func (r *Report) modules() []Module {
	var out []Module
	for _, l := range r.Loads {
		for _, m := range l.Modules {
			x := Module{Tool: l.Tool, Name: m.Name, Start: m.Start, End: m.End}
			for _, s := range m.Requests {
				if s.Name == "" {
					x.Requests, x.Failed, x.P95 = s.Count, s.Failed, s.P95
				}
			}
			out = append(out, x)
		}
	}
	for i := range out {
		out[i].Runs = besides(out, i)
	}
	i := 0
	for _, l := range r.Loads {
		for _, m := range l.Modules {
			r.blame(&out[i], m.Requests)
			i++
		}
	}
	return out
}

// besides says how module i lies to the others; "" where times are not known.
func besides(all []Module, i int) string {
	m := &all[i]
	if m.Start == 0 || m.End <= m.Start {
		return ""
	}
	shared := int64(0) // an upper bound: others may run beside each other, too
	for k, o := range all {
		if k != i && o.Start > 0 {
			shared += max(0, min(m.End, o.End)-max(m.Start, o.Start))
		}
	}
	const most = 10 // tenths of the module's time that make no difference
	switch length := m.End - m.Start; {
	case shared*most < length:
		return runsAlone
	case shared*most > length*(most-1):
		return runsBeside
	}
	return runsPartly
}

func (r *Report) blame(m *Module, requests []evidence.LoadStat) {
	named := slices.ContainsFunc(r.Symptoms, func(s Symptom) bool { return asksFor(requests, s.Operation) })
	for _, c := range r.Causes {
		switch {
		case named && slices.ContainsFunc(c.slows(), func(o string) bool { return asksFor(requests, o) }):
			m.Causes, m.By = append(m.Causes, c.Rank), "name"
		case !named && m.Runs == runsAlone && r.slowDuring(c, m):
			m.Causes, m.By = append(m.Causes, c.Rank), "time"
		}
	}
}

// slows lists the operations that a cause slows.
func (c *Cause) slows() []string {
	var out []string
	if c.Impact != nil {
		out = append(out, c.Impact.Operation)
	}
	for _, v := range c.Victims {
		out = append(out, v.Operation)
	}
	return out
}

// slowDuring: most of the time in which what the cause slows was slow lies in
// the module's.
func (r *Report) slowDuring(c Cause, m *Module) bool {
	inside, all := int64(0), int64(0)
	for _, s := range r.Symptoms {
		if !slices.Contains(c.slows(), s.Operation) {
			continue
		}
		for _, span := range s.SlowSpans {
			all += span.End - span.Start
			inside += max(0, min(span.End, m.End)-max(span.Start, m.Start))
		}
	}
	return all > 0 && inside*2 > all
}

// asksFor: one of the requests is named like the operation.
func asksFor(requests []evidence.LoadStat, operation string) bool {
	return operation != "" && slices.ContainsFunc(requests, func(s evidence.LoadStat) bool { return sameRequest(s.Name, operation) })
}

// sameRequest compares what a load tool calls a request with an operation: the
// same words, behind the names of groups, or an address with the operation's
// route, whose variables may be anything.
func sameRequest(request, operation string) bool {
	if request == "" {
		return false
	}
	if request == operation || strings.HasSuffix(request, " "+operation) {
		return true
	}
	method, route, ok := strings.Cut(operation, " ")
	if !ok {
		method, route = "", operation
	}
	if verb, path, ok := strings.Cut(request, " "); ok && method != "" {
		return strings.EqualFold(verb, method) && onRoute(path, route)
	}
	return strings.Contains(request, "/") && onRoute(request, route)
}

func onRoute(path, route string) bool {
	if _, rest, ok := strings.Cut(path, "://"); ok {
		_, path, _ = strings.Cut(rest, "/")
	}
	path, _, _ = strings.Cut(path, "?")
	have, want := strings.Split(strings.Trim(path, "/"), "/"), strings.Split(strings.Trim(route, "/"), "/")
	if len(have) != len(want) {
		return false
	}
	for i, w := range want {
		variable := strings.HasPrefix(w, "{") || strings.HasPrefix(w, ":") || strings.HasPrefix(w, "<")
		if !variable && w != have[i] {
			return false
		}
	}
	return true
}
