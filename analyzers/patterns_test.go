package analyzers

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	reads = `0-100 shop server GET /home
  5-35 shop client GET
    6-34 users server GET /me
  36-66 shop client GET
    37-65 items server GET /items
  67-97 shop client GET
    68-96 ads server GET /ads
`
	query  = "  $from-$to shop client query | db.system.name=postgresql | db.query.text=select $i from t"
	refuse = "  $from-$to shop client GET | http.request.method=GET | server.address=pay | url.path=/pay | http.response.status_code=503"
)

// mechanisms are a trace for each pattern that has it, and traces that nearly
// do. left is the root's duration in ms without the mechanism.
var mechanisms = []struct {
	rule  string
	has   string
	value float64
	left  float64
	near  map[string]string
}{
	{
		rule: "serial-calls", has: reads, value: 0.060, left: 40,
		near: map[string]string{
			"two only":      strings.Join(strings.SplitAfter(reads, "\n")[:5], ""),
			"work between":  strings.NewReplacer("36-66", "46-66", "37-65", "47-65").Replace(reads),
			"overlapping":   strings.NewReplacer("36-66", "30-66", "37-65", "31-65").Replace(reads),
			"of one kind":   strings.NewReplacer("users server GET /me", "items server GET /items", "ads server GET /ads", "items server GET /items").Replace(reads),
			"writes":        strings.NewReplacer("server GET /me", "server POST /me", "server GET /items", "server POST /items").Replace(reads),
			"one dominates": strings.NewReplacer("36-66", "36-95", "37-65", "37-94", "5-35", "33-34", "6-34", "33-34", "67-97", "96-97", "68-96", "96-97").Replace(reads),
			"statements":    "0-100 shop server GET /home\n" + loop(4, 5, 20, 1, query),
		},
	},
	{
		rule: "chatty-calls", has: "0-100 shop server GET /home\n" + loop(25, 5, 2, 1, query), value: 25, left: 100 - 24*(2+1),
		near: map[string]string{
			"nineteen":   "0-100 shop server GET /home\n" + loop(19, 5, 2, 1, query),
			"long":       "0-300 shop server GET /home\n" + loop(25, 5, 8, 1, query),
			"all alike":  "0-100 shop server GET /home\n" + loop(25, 5, 2, 1, lookupLine),
			"negligible": "0-2000 shop server GET /home\n" + loop(25, 5, 2, 1, query),
			"at once":    "0-100 shop server GET /home\n" + loop(25, 5, 4, -3.9, query),
		},
	},
	{
		rule: "retry-storm", has: "0-100 shop server GET /pay\n" + loop(2, 5, 20, 10, refuse) + "  65-85 shop client GET | http.request.method=GET | server.address=pay | url.path=/pay | http.response.status_code=200\n",
		value: 2, left: 40,
		near: map[string]string{
			"fails once":       "0-100 shop server GET /pay\n" + loop(1, 5, 20, 10, refuse),
			"not found":        "0-100 shop server GET /pay\n" + strings.ReplaceAll(loop(3, 5, 20, 10, refuse), "503", "404 | error"),
			"other parameters": "0-100 shop server GET /pay\n" + loop(3, 5, 20, 10, refuse+" | culprit.params=$i"),
			"at once":          "0-100 shop server GET /pay\n" + loop(3, 5, 40, -30, refuse),
		},
	},
	{
		rule: "timeout-cascade", has: `0-105 shop server GET /home | error
  1-101 shop client GET | error
    2-200 items server GET /items
`, value: 1, left: 5,
		near: map[string]string{
			"refused":           "0-105 shop server GET /home\n  1-101 shop client GET | error\n    2-99 items server GET /items",
			"closed a bit late": "0-105 shop server GET /home\n  1-101 shop client GET | error\n    2-103 items server GET /items",
			"streams on":        "0-105 shop server GET /home\n  1-101 shop client GET\n    2-200 items server GET /items",
		},
	},
	{
		rule: "fan-out-straggler", has: "0-100 shop server GET /home\n" + loop(9, 5, 10, -9.9, lookupLine) + "  6-96 shop client query | db.system.name=postgresql | db.query.text=select * from items where id = ?\n",
		value: 9, left: 20,
		near: map[string]string{
			"all alike": "0-100 shop server GET /home\n" + loop(10, 5, 10, -9.9, lookupLine),
			"in a row":  "0-200 shop server GET /home\n" + loop(9, 5, 10, 1, lookupLine) + "  105-195 shop client query | db.system.name=postgresql | db.query.text=select * from items where id = ?\n",
			"four":      "0-100 shop server GET /home\n" + loop(3, 5, 10, -9.9, lookupLine) + "  6-96 shop client query | db.system.name=postgresql | db.query.text=select * from items where id = ?\n",
		},
	},
	{
		rule: "network-latency", has: `0-100 shop server GET /home
  5-95 shop client GET
    50-60 items server GET /items
`, value: 0.080, left: 20,
		near: map[string]string{
			"answered by":  "0-100 shop server GET /home\n  5-95 shop client GET\n    6-94 items server GET /items",
			"no answer":    "0-100 shop server GET /home\n  5-95 shop client GET",
			"off the path": "0-100 shop server GET /home\n  1-99 shop internal work\n  5-95 shop client GET\n    50-60 items server GET /items",
		},
	},
	{
		rule: "large-payload", has: `0-200 shop server GET /home
  10-190 shop client GET
    20-180 items server GET /items | http.response.body.size=400000
`, value: 400_000, left: 20,
		near: map[string]string{
			"a smaller one": "0-200 shop server GET /home\n  10-190 shop client GET\n    20-180 items server GET /items | http.response.body.size=299999",
			"quick":         "0-100 shop server GET /home\n  5-95 shop client GET\n    6-94 items server GET /items | http.response.body.size=400000",
			"no size":       "0-200 shop server GET /home\n  10-190 shop client GET\n    20-180 items server GET /items",
			"off the path":  "0-200 shop server GET /home\n  1-199 shop internal work\n  10-190 shop client GET | http.response.body.size=400000",
		},
	},
	{
		rule: "slow-query", has: "0-100 shop server GET /home\n  10-90 shop client query | db.system.name=postgresql | db.query.text=select 1 from t\n", value: 0.080, left: 20,
		near: map[string]string{
			"a fifth":      "0-400 shop server GET /home\n  10-90 shop client query | db.system.name=postgresql | db.query.text=select 1 from t",
			"a cache":      "0-100 shop server GET /home\n  10-90 shop client get | db.system.name=redis | db.query.text=get x",
			"all is quick": "0-10 shop server GET /home\n  1-9 shop client query | db.system.name=postgresql | db.query.text=select 1 from t",
		},
	},
	{
		rule: "slow-dependency", has: "0-100 shop server GET /home\n  10-90 shop client POST | http.request.method=POST | server.address=pay.example\n", value: 0.080, left: 20,
		near: map[string]string{
			"answered":   "0-100 shop server GET /home\n  10-90 shop client POST\n    20-80 pay server POST /pay",
			"a database": "0-100 shop server GET /home\n  10-90 shop client query | db.system.name=postgresql",
			"a message":  "0-100 shop server GET /home\n  10-90 shop producer send",
		},
	},
}

func TestMechanismsInOneTrace(t *testing.T) {
	for _, m := range mechanisms {
		t.Run(m.rule, func(t *testing.T) {
			d := detectorOf(t, m.rule)
			tr := tellOne(t, m.has)
			found := d.find(tr)
			if len(found) != 1 || math.Abs(found[0].value-m.value) > 1e-6 {
				t.Fatalf("found %+v, want one of %g", found, m.value)
			}
			cuts := tr.NewCuts()
			found[0].cut(cuts)
			if got := float64(tr.Retime(cuts)) / 1e6; math.Abs(got-m.left) > 0.01 {
				t.Errorf("without it %g ms, want %g", got, m.left)
			}
			for name, text := range m.near {
				if found := d.find(tellOne(t, text)); len(found) > 0 {
					t.Errorf("%s: found %v of %v", name, found[0].value, found[0].to)
				}
			}
		})
	}
}

func detectorOf(t *testing.T, rule string) detector {
	t.Helper()
	for _, d := range detectors() {
		if d.rule == rule {
			return d
		}
	}
	t.Fatalf("no detector of %s", rule)
	return detector{}
}

// Every analyzer of a mechanism finds it over many traces, with its gain, and
// says the same when asked again.
func TestMechanismsOverManyTraces(t *testing.T) {
	analyzers := map[string]Analyzer{"serial-calls": serialCalls, "chatty-calls": chattyCalls, "retry-storm": retries, "timeout-cascade": timeouts,
		"fan-out-straggler": stragglers, "slow-query": slowStatement, "slow-dependency": slowDependency, "large-payload": largePayloadCalls}
	for _, m := range mechanisms {
		a, ok := analyzers[m.rule]
		if !ok {
			continue
		}
		t.Run(m.rule, func(t *testing.T) {
			found := passOver(t, a, strings.Repeat(m.has+"\n", 25))
			first := found[a.Finds[0]]
			if len(first) != 1 || len(found[a.Finds[1]]) != 1 || found[a.Finds[1]][0].Value != 1 {
				t.Fatalf("found %+v", found)
			}
			f := first[0]
			if math.Abs(f.Value-m.value) > 1e-6 || f.Impact == nil || math.Abs(f.Impact.Then*1000-m.left) > 0.01 || f.Impact.Low > f.Impact.Saved() || f.Impact.High < f.Impact.Saved() {
				t.Errorf("%g, impact %+v", f.Value, f.Impact)
			}
			if f.Text == "" || strings.Contains(f.Text, "%!") || len(f.Victims) != 1 || len(f.Refs) != 3 {
				t.Errorf("%+v", f)
			}
		})
	}
}

// The least that an edge takes is not held against it.
func TestCallGapBeyondItsFloor(t *testing.T) {
	slow, quick := mechanismOf("network-latency").has, "0-40 shop server GET /home\n  5-35 shop client GET\n    10-20 items server GET /items\n"
	found := passOver(t, callGap, strings.Repeat(quick+"\n", 10)+strings.Repeat(slow+"\n", 10))[FindCallGap]
	if len(found) != 1 || math.Abs(found[0].Value-0.060) > 1e-9 {
		t.Fatalf("found %+v", found)
	}
	if i := found[0].Impact; i == nil || i.Now != 0.1 || math.Abs(i.Then-0.040) > 1e-9 {
		t.Errorf("impact %+v", i)
	}
	if found := passOver(t, callGap, strings.Repeat(slow+"\n", 20))[FindCallGap]; len(found) > 0 {
		t.Errorf("a gap that never varies was found: %+v", found)
	}
}

func mechanismOf(rule string) (m struct{ has string }) {
	for _, x := range mechanisms {
		if x.rule == rule {
			m.has = x.has
		}
	}
	return m
}

// Two reads in a row count only once another trace shows that neither needs
// the other.
func TestTwoSerialCallsNeedProof(t *testing.T) {
	two := strings.Join(strings.SplitAfter(reads, "\n")[:5], "") + "\n"
	swapped := strings.NewReplacer("users server GET /me", "items server GET /items", "items server GET /items", "users server GET /me").Replace(two)
	beside := strings.NewReplacer("36-66", "6-36", "37-65", "7-35").Replace(two)
	for name, c := range map[string]struct {
		traces string
		want   int
	}{
		"always in one order": {strings.Repeat(two, 10), 0},
		"once the other way":  {strings.Repeat(two, 10) + swapped, 1},
		"once at once":        {strings.Repeat(two, 10) + beside, 1},
	} {
		if found := passOver(t, serialCalls, c.traces)[FindSerialCalls]; len(found) != c.want {
			t.Errorf("%s: found %d, want %d", name, len(found), c.want)
		}
	}
}

// What speaks for the independence of three reads, always in one order.
func TestIndependenceOfSerialCalls(t *testing.T) {
	read := func(to, path string) string {
		return "  $from-$to shop client GET | http.request.method=GET\n    $from-$to " + to + " server GET " + path
	}
	for name, c := range map[string]struct {
		calls []string
		want  float64
	}{
		"different questions":          {[]string{read("users", "/me"), read("carts", "/cart"), read("items", "/items")}, 0},
		"one question to three":        {[]string{read("east", "/stock"), read("west", "/stock"), read("north", "/stock")}, 1},
		"one question on three things": {[]string{read("post", "/carriers/a/quote"), read("post", "/carriers/b/quote"), read("post", "/carriers/c/quote")}, 1},
		"three questions to one":       {[]string{read("post", "/a"), read("post", "/b"), read("post", "/c")}, 0},
	} {
		text := "0-100 shop server GET /home\n"
		for k, call := range c.calls {
			text += loop(1, 5+float64(30*k), 29, 1, call)
		}
		found := passOver(t, serialCalls, strings.Repeat(text+"\n", 25))
		if got := found[FindSerialIndependent]; len(got) != 1 || got[0].Value != c.want {
			t.Errorf("%s: %+v, want %g", name, got, c.want)
		}
		if serial := found[FindSerialCalls]; len(serial) != 1 || serial[0].Impact == nil || serial[0].Impact.AtMost != (c.want == 0) {
			t.Errorf("%s: %+v", name, serial)
		}
	}
}

func TestTimeoutTellsDepthAndOrphanedWork(t *testing.T) {
	found := timedOutCalls(tellOne(t, `0-105 front server GET /home | error
  1-101 front client GET | error
    2-100 shop server GET /list | error
      3-99 shop client GET | error.type=context deadline exceeded
        4-300 items server GET /items
`))
	if len(found) != 1 || found[0].facts["depth"] != "2" || found[0].facts["orphaned"] != "201 ms" || found[0].facts["timeout"] != "96 ms" {
		t.Errorf("found %+v", found)
	}
}

// A deadline is inverted where the one who was called waits longer than the
// one who called.
func TestInvertedDeadline(t *testing.T) {
	const inverted = `0-105 front server GET /home | error
  1-101 front client GET | error.type=timeout | error
    2-300 shop server GET /list | error
      3-290 shop internal work
        4-254 stock client GET | error.type=timeout | error
`
	for text, want := range map[string]string{
		strings.ReplaceAll(inverted, "stock client", "shop client"):                                                           "250 ms",
		strings.NewReplacer("stock client", "shop client", "4-254", "4-80").Replace(inverted):                                 "", // gave up first
		strings.NewReplacer("4-254 stock client GET | error.type=timeout | error", "4-254 shop client GET").Replace(inverted): "", // got its answer
	} {
		found := timedOutCalls(tellOne(t, text))
		if len(found) == 0 || found[0].facts["inverted"] != want {
			t.Errorf("found %+v, want %q in\n%s", found, want, text)
		}
	}
}

// What went on for nobody is a finding of its own, with its cost.
func TestOrphanedWork(t *testing.T) {
	const gaveUp = "0-105 shop server GET /home | error\n  1-101 shop client GET | error\n    2-300 items server GET /items\n\n"
	found := passOver(t, timeouts, strings.Repeat(gaveUp, 25))
	if f := found[FindOrphaned]; len(f) != 1 || math.Abs(f[0].Value-0.199) > 1e-9 {
		t.Errorf("found %+v, want 0.199 s", f)
	}
	found = passOver(t, timeouts, strings.Repeat(strings.Replace(gaveUp, "2-300", "2-99", 1), 25))
	if len(found[FindOrphaned]) > 0 {
		t.Errorf("found %+v where nothing went on", found[FindOrphaned])
	}
}

func TestBackoff(t *testing.T) {
	ms := func(list ...int64) (out []stretch) {
		for _, d := range list {
			out = append(out, stretch{0, d * 1e6})
		}
		return out
	}
	for want, pauses := range map[string][]stretch{"none": ms(0, 0), "constant": ms(10, 10, 11), "growing": ms(10, 20, 40), "one pause": ms(10)} {
		if got := backoffOf(pauses); got != want {
			t.Errorf("%v: %s, want %s", pauses, got, want)
		}
	}
}

func BenchmarkAnalyzers(b *testing.B) {
	var text strings.Builder
	for _, m := range mechanisms {
		text.WriteString(m.has + "\n")
	}
	text.WriteString("0-100 shop server GET /list\n" + loop(20, 5, 4, 0.5, lookupLine) + "\n" + server + cacheGet + fallback + cacheSet + "\n")
	bundle := &evidence.Bundle{Spans: tellSpans(b, strings.Repeat(text.String(), 100))}
	bundle.Sort()
	all := []Analyzer{nPlusOne, cachePath, serialCalls, chattyCalls, retries, timeouts, stragglers, callGap, slowStatement, slowDependency}
	for b.Loop() {
		p := &Pass{Bundle: bundle, Facts: factsOfTraces(BuildTraces(bundle)), report: func(Finding) {}}
		for _, a := range all {
			if err := a.Run(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(bundle.Spans)*b.N)/b.Elapsed().Seconds(), "spans/s")
}

// Whatever the spans say, no detector fails, and taking out what it found
// leaves a request between nothing and what it was.
func TestDetectorsOnAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	lines := []string{"0-1 a client pool.acquire | db.system.name=postgresql", "0-1 a client q | db.system.name=postgresql | db.query.text=select ? from t | culprit.params=1",
		"0-1 a client get | db.system.name=redis | db.query.text=get a:?", "0-1 a client set | db.system.name=redis | db.query.text=set a:?", "0-1 a server GET /a",
		"0-1 a client GET /b | http.response.status_code=503", "0-1 a client c | rpc.system.name=grpc | error.type=timeout | error", "0-1 b producer send | messaging.system=kafka", "0-1 b internal x"}
	found := map[string]int{}
	b := &evidence.Bundle{}
	for n := range 2_000 {
		spans := randomSpans(r, 2+r.IntN(120), 1_000_000)
		for i := range spans {
			s, like := &spans[i], tellSpan(t, lines[r.IntN(1+n%len(lines))])
			s.Trace[0], s.Trace[1] = byte(n), byte(n>>8)
			s.Name, s.Kind, s.Attrs, s.Error = like.Name, like.Kind, like.Attrs, like.Error
			if i > 0 && n%2 == 0 {
				s.Parent, s.Service, s.End = spans[0].ID, spans[0].Service, s.Start+s.Duration()/10
			}
		}
		b.Spans = append(b.Spans, spans...)
	}
	for _, tr := range BuildTraces(b) {
		for _, d := range detectors() {
			for _, p := range d.find(tr) {
				found[d.rule]++
				c := tr.NewCuts()
				p.cut(c)
				if got, was := tr.Retime(c), tr.Spans[tr.Root].Duration(); got < 0 || got > was {
					t.Fatalf("%s: %d ns became %d", d.rule, was, got)
				}
			}
		}
		Explain(tr)
	}
	for _, rule := range []string{"n-plus-one", "retry-storm", "timeout-cascade", "slow-query", "network-latency", "cache-misses"} {
		if found[rule] == 0 {
			t.Errorf("%s was never tried: %v", rule, found)
		}
	}
}
