package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// Bounds of a map that a person can read.
const (
	mapNodes  = 24
	mapEdges  = 60
	mapLayers = 8
)

// ServiceMap is who calls whom by the traces, with where the causes are.
type ServiceMap struct {
	Nodes   []MapNode `json:"nodes"`
	Edges   []MapEdge `json:"edges"`
	LeftOut int       `json:"left_out,omitempty"` // edges that hold up requests least
}

// MapNode is a party: service, database, cache, queue or external.
type MapNode struct {
	Name  string `json:"name" clean:"name"`
	Kind  string `json:"kind" clean:"name"`
	Ranks []int  `json:"causes,omitempty"` // ranks of the causes that lie here
	Layer int    `json:"layer"`            // calls away from where requests enter
}

// MapEdge is the calls from one node to another, by index.
type MapEdge struct {
	From    int     `json:"from"`
	To      int     `json:"to"`
	Calls   float64 `json:"calls"`  // in the window, estimated
	Seconds float64 `json:"mean_s"` // of a call
	Held    float64 `json:"held_s"` // that they held up a request, mean over all requests
	Failed  float64 `json:"failed"` // 0..1
}

// serviceMap draws up the map; nil where nobody calls anybody.
func serviceMap(traces []*analyzers.Trace, causes []*rules.Hypothesis) *ServiceMap {
	edges, entries := analyzers.CallGraph(traces)
	if len(edges) == 0 {
		return nil
	}
	slices.SortStableFunc(edges, func(a, b analyzers.CallEdge) int { return cmp.Compare(b.Held, a.Held) })
	m := &ServiceMap{}
	index := map[analyzers.Party]int{}
	node := func(p analyzers.Party) int {
		i, ok := index[p]
		if !ok {
			i = len(m.Nodes)
			index[p] = i
			m.Nodes = append(m.Nodes, MapNode{Name: p.Name, Kind: p.Kind})
		}
		return i
	}
	for _, p := range first(entries, mapNodes/2) {
		node(p)
	}
	for _, e := range edges {
		if len(m.Nodes) > mapNodes-2 || len(m.Edges) == mapEdges {
			m.LeftOut++
			continue
		}
		m.Edges = append(m.Edges, MapEdge{From: node(e.From), To: node(e.To), Calls: e.Calls, Seconds: e.Seconds, Held: e.Held, Failed: e.Failed})
	}
	m.mark(causes)
	m.arrange()
	return m
}

// mark notes where the causes lie: at the service that they name, or at the
// databases where only the database's account names them.
func (m *ServiceMap) mark(causes []*rules.Hypothesis) {
	for rank, h := range causes {
		at := func(n MapNode) bool { return n.Kind == "service" && n.Name == h.Subject.Service }
		if !slices.ContainsFunc(m.Nodes, at) && fromDatabase(h) {
			at = func(n MapNode) bool { return n.Kind == "database" }
		}
		for i := range m.Nodes {
			if at(m.Nodes[i]) {
				m.Nodes[i].Ranks = append(m.Nodes[i].Ranks, rank+1)
			}
		}
	}
}

func fromDatabase(h *rules.Hypothesis) bool {
	return h.Finding != nil && slices.ContainsFunc(h.Finding.Refs, func(r evidence.Ref) bool { return r.Source == "postgres" })
}

// arrange gives every node its layer: the longest way from where requests
// enter, calls back up the way left aside.
func (m *ServiceMap) arrange() {
	state := make([]int, len(m.Nodes)) // 1 on the way, 2 done
	var visit func(i, depth int)
	visit = func(i, depth int) {
		if state[i] == 1 || depth >= mapLayers || state[i] == 2 && depth <= m.Nodes[i].Layer {
			return
		}
		state[i], m.Nodes[i].Layer = 1, max(m.Nodes[i].Layer, depth)
		for _, e := range m.Edges {
			if e.From == i && e.To != i {
				visit(e.To, depth+1)
			}
		}
		state[i] = 2
	}
	called := make([]bool, len(m.Nodes))
	for _, e := range m.Edges {
		called[e.To] = called[e.To] || e.From != e.To
	}
	for i := range m.Nodes {
		if !called[i] {
			visit(i, 0)
		}
	}
	for i := range m.Nodes { // what only a circle reaches
		if state[i] == 0 {
			visit(i, 0)
		}
	}
}

// usable drops from a map that was read from a file what cannot be drawn.
func (m *ServiceMap) usable() *ServiceMap {
	if m == nil {
		return nil
	}
	out := *m
	out.Nodes = first(m.Nodes, mapNodes)
	for i := range out.Nodes {
		out.Nodes[i].Layer = min(max(out.Nodes[i].Layer, 0), mapLayers)
	}
	out.Edges = slices.DeleteFunc(first(m.Edges, mapEdges), func(e MapEdge) bool {
		return e.From < 0 || e.To < 0 || e.From >= len(out.Nodes) || e.To >= len(out.Nodes)
	})
	return &out
}

// Geometry of the map in the units of its viewBox.
const (
	nodeW, nodeH   = 150.0, 46.0
	layerW, rowH   = 210.0, 74.0
	mapPad         = 8.0
	nodeTextLength = 20
)

// mapView is a map laid out.
type mapView struct {
	W, H, Desc string
	Nodes      []nodeView
	Edges      []edgeView
	Table      table
	LeftOut    int
}

type nodeView struct {
	X, Y, TextX, NameY, KindY, MarkY string
	Name, Kind, Class, Mark          string
}

type edgeView struct{ Path, Width, LabelX, LabelY, Label string }

type point struct{ x, y float64 }

func mapViewOf(m *ServiceMap) *mapView {
	if m == nil || len(m.Edges) == 0 {
		return nil
	}
	at, w, h := m.places()
	v := &mapView{W: num(w), H: num(h), LeftOut: m.LeftOut, Table: m.table()}
	for i, n := range m.Nodes {
		v.Nodes = append(v.Nodes, nodeAt(n, at[i]))
	}
	most := 0.0
	for _, e := range m.Edges {
		most = math.Max(most, e.Held)
	}
	for _, e := range m.Edges {
		v.Edges = append(v.Edges, edgeBetween(e, at[e.From], at[e.To], most))
	}
	v.Desc = m.words()
	return v
}

// places puts every layer into a column, centred, in the order of the nodes.
func (m *ServiceMap) places() (at []point, w, h float64) {
	rows := map[int]int{}
	last, most := 0, 1
	for _, n := range m.Nodes {
		rows[n.Layer]++
		last, most = max(last, n.Layer), max(most, rows[n.Layer])
	}
	w, h = 2*mapPad+float64(last)*layerW+nodeW, 2*mapPad+float64(most)*rowH
	next := map[int]int{}
	for _, n := range m.Nodes {
		top := (h - float64(rows[n.Layer])*rowH) / 2
		at = append(at, point{mapPad + float64(n.Layer)*layerW, top + float64(next[n.Layer])*rowH + (rowH-nodeH)/2})
		next[n.Layer]++
	}
	return at, w, h
}

func nodeAt(n MapNode, p point) nodeView {
	v := nodeView{X: num(p.x), Y: num(p.y), TextX: num(p.x + nodeW/2), NameY: num(p.y + 20), KindY: num(p.y + 36), MarkY: num(p.y - 4), Name: shorten(n.Name, nodeTextLength), Kind: n.Kind, Class: "node"}
	if len(n.Ranks) > 0 {
		v.Class, v.Mark = "node guilty", ranksText(n.Ranks)
	}
	return v
}

func ranksText(ranks []int) string {
	words := make([]string, len(ranks))
	for i, r := range ranks {
		words[i] = fmt.Sprint(r)
	}
	if len(words) == 1 {
		return "cause " + words[0]
	}
	return "causes " + strings.Join(words, ", ")
}

// edgeBetween leaves a node on its right and enters the next on its left; one
// that goes back runs below.
func edgeBetween(e MapEdge, from, to point, most float64) edgeView {
	a, b := point{from.x + nodeW, from.y + nodeH/2}, point{to.x, to.y + nodeH/2}
	bend := math.Max((b.x-a.x)/2, 24)
	v := edgeView{Width: num(1 + 4*math.Sqrt(math.Max(e.Held, 0)/math.Max(most, 1e-12)))}
	if to.x <= from.x { // within a layer, or back
		a, b = point{from.x + nodeW/2, from.y + nodeH}, point{to.x + nodeW/2, to.y + nodeH}
		v.Path = fmt.Sprintf("M%s %sC%s %s %s %s %s %s", num(a.x), num(a.y), num(a.x), num(a.y+24), num(b.x), num(b.y+24), num(b.x), num(b.y))
	} else {
		v.Path = fmt.Sprintf("M%s %sC%s %s %s %s %s %s", num(a.x), num(a.y), num(a.x+bend), num(a.y), num(b.x-bend), num(b.y), num(b.x), num(b.y))
	}
	if b.x-a.x < layerW && b.x > a.x { // a longer one would cross nodes with its label
		v.Label, v.LabelX, v.LabelY = seconds(e.Seconds), num((a.x+b.x)/2), num((a.y+b.y)/2-4)
	}
	return v
}

func (m *ServiceMap) table() table {
	t := table{Caption: "Calls by the traces, those that hold up requests most first", Head: []string{"caller and called", "calls", "mean", "holds up a request", "failed"}}
	for _, e := range m.Edges {
		t.Rows = append(t.Rows, []string{m.Nodes[e.From].Name + " → " + m.Nodes[e.To].Name, digits(math.Round(e.Calls)), seconds(e.Seconds), seconds(e.Held), percent(e.Failed)})
	}
	return t
}

func (m *ServiceMap) words() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Map of %d parties and %d kinds of calls, from the left to the right.", len(m.Nodes), len(m.Edges))
	for _, n := range m.Nodes {
		if len(n.Ranks) > 0 {
			fmt.Fprintf(&b, " %s: %s.", n.Name, ranksText(n.Ranks))
		}
	}
	return b.String()
}
