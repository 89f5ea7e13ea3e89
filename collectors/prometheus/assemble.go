package prometheus

import (
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// bundle puts the results together: names the services of containers, keeps
// of several witnesses of one thing the preferred one, and says what could
// not be seen.
func (r *run) bundle(w evidence.Window) *evidence.Bundle {
	r.dropExporters()
	r.disownQueues()
	r.nameInstances()
	r.nameContainers()
	r.dropLastResorts()
	r.preferFirst()
	r.dropSingleInstances()
	b := &evidence.Bundle{Window: w}
	for _, res := range r.results {
		b.Series = append(b.Series, res.series...)
		b.Histograms = append(b.Histograms, res.histograms...)
	}
	r.unseen(b)
	r.holes(b)
	b.Gaps = r.gaps.list
	status := evidence.StatusOK
	if len(b.Gaps) > 0 {
		status = evidence.StatusPartial
	}
	b.Sources = []evidence.Source{{Name: name, Status: status, Target: r.target(), Version: r.build.label(),
		Protocol: "HTTP API v1", Requests: int(r.requests.Load()), Items: len(b.Series) + len(b.Histograms), Notes: r.notes.sorted()}}
	return b
}

// label says what the server is: "Prometheus 2.42.0" where it says no more.
func (b build) label() string {
	if b.Version == "" {
		return ""
	}
	return strings.TrimSpace(b.Application + " " + b.Version)
}

// nameContainers gives container series the service that runs in them.
func (r *run) nameContainers() {
	d := r.directory()
	for i := range r.results {
		res := &r.results[i]
		if res.family.About != aboutContainer {
			continue
		}
		for j := range res.series {
			s := &res.series[j]
			if s.Entity.Service == "" {
				s.Entity.Service = d.serviceOf(res.probe.byLabels(s.Labels), s.Entity)
			}
		}
	}
}

// directory of every service that was read, or that is only scraped.
func (r *run) directory() *directory {
	d := &directory{byName: map[string]string{}, byPod: map[string]string{}}
	for _, res := range r.results {
		if res.family.About != aboutService {
			continue
		}
		for _, s := range res.series {
			d.add(s.Entity, s.Labels["pod"])
		}
		for _, h := range res.histograms {
			d.add(h.Entity, h.Labels["pod"])
		}
	}
	for e := range r.where.services { // in any order: two that claim a pod lose it
		if d.byName[strings.ToLower(e.Service)] != "" {
			d.add(e, e.Instance)
		}
	}
	return d
}

// byLabels reads raw labels by the catalogue's spelling.
func (p *probe) byLabels(raw map[string]string) func(string) string {
	return func(name string) string { return raw[p.actual[name]] }
}

// claim is what one family may speak of alone. Services are claimed whole:
// two exporters seldom cut a service into the same instances and resources.
type claim struct {
	kind                        evidence.Kind
	group                       string
	service, resource, instance string
}

func (q query) claim(e evidence.Entity) claim {
	c := claim{kind: q.read.Kind, group: q.family.Group, service: e.Service}
	if e.Service == "" {
		c.resource, c.instance = e.Resource, e.Instance
	}
	return c
}

// preferFirst keeps, for each service and kind, the series of the family that
// stands first in the catalogue: adding them up would count things twice.
func (r *run) preferFirst() {
	best := map[claim]int{}
	each := func(res *result, e evidence.Entity) {
		c := res.claim(e)
		if have, ok := best[c]; !ok || res.rank() < have {
			best[c] = res.rank()
		}
	}
	for i := range r.results {
		res := &r.results[i]
		for _, s := range res.series {
			each(res, s.Entity)
		}
		for _, h := range res.histograms {
			each(res, h.Entity)
		}
	}
	for i := range r.results {
		res := &r.results[i]
		beaten := func(e evidence.Entity) bool { return best[res.claim(e)] < res.rank() }
		res.series = slices.DeleteFunc(res.series, func(s evidence.Series) bool { return beaten(s.Entity) })
		res.histograms = slices.DeleteFunc(res.histograms, func(h evidence.Histogram) bool { return beaten(h.Entity) })
	}
}

// dropLastResorts takes away what only stands in for a kind that another
// family shows: the machine as a process sees it is no further machine.
func (r *run) dropLastResorts() {
	type shown struct {
		kind  evidence.Kind
		group string
	}
	proper := map[shown]bool{}
	for _, res := range r.results {
		if !res.family.Last && len(res.series)+len(res.histograms) > 0 {
			proper[shown{res.read.Kind, res.family.Group}] = true
		}
	}
	for i := range r.results {
		if res := &r.results[i]; res.family.Last && proper[shown{res.read.Kind, res.family.Group}] {
			res.series, res.histograms = nil, nil
		}
	}
}

// maxAlternatives bounds the names of a read that are told apart.
const maxAlternatives = 64

// rank of a result: the place of its read in the catalogue, which of its names
// it goes by, and native histograms, which resolve finer, before classic ones. Their counts and sums
// say the same as the classic series, which are cheaper and can be newborn.
func (q query) rank() int {
	rank := 2 * (maxAlternatives*q.read.order + min(q.alternative, maxAlternatives-1))
	if q.base != "" && !q.native || q.parts != nil {
		rank++
	}
	return rank
}

// dropSingleInstances takes away what was read by instance where a service
// has but one: it would say the same twice.
func (r *run) dropSingleInstances() {
	seen := map[claim]map[string]bool{}
	note := func(q query, e evidence.Entity) {
		c := q.claim(e)
		if seen[c] == nil {
			seen[c] = map[string]bool{}
		}
		seen[c][e.Instance] = true
	}
	for _, res := range r.results {
		if res.detail != byInstance {
			continue
		}
		for _, s := range res.series {
			note(res.query, s.Entity)
		}
		for _, h := range res.histograms {
			note(res.query, h.Entity)
		}
	}
	for i := range r.results {
		res := &r.results[i]
		if res.detail != byInstance {
			continue
		}
		alone := func(e evidence.Entity) bool { return len(seen[res.claim(e)]) < 2 }
		res.series = slices.DeleteFunc(res.series, func(s evidence.Series) bool { return alone(s.Entity) })
		res.histograms = slices.DeleteFunc(res.histograms, func(h evidence.Histogram) bool { return alone(h.Entity) })
	}
}
