package rules

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func generator(b *evidence.Bundle, dropped float64) *evidence.Bundle {
	b.Loads = []evidence.LoadRun{{Tool: "k6", Dropped: dropped, Requests: []evidence.LoadStat{{Count: 1000, P95: 0.02}}}}
	return b
}

func TestADroppingGeneratorWeakensTheRun(t *testing.T) {
	if j := judged(t, generator(system(work{own: fast}), 0)); j.Status != NoProblem || len(j.Flaws) > 0 {
		t.Errorf("nothing dropped: %s, flaws %d", j.Status, len(j.Flaws))
	}
	j := judged(t, generator(system(work{own: fast}), 250))
	if j.Status != RunUnusable || !strings.Contains(j.Headline, "20.0 %") || len(j.Notes) == 0 {
		t.Errorf("a fifth dropped and nothing slow: %s %q, notes %q", j.Status, j.Headline, j.Notes)
	}
	one := evidence.Entity{Service: "api", Instance: "api-1:80"}
	sick := series(evidence.GCTime, one, under(0.01, 0.2))
	sound, flawed := judged(t, generator(system(work{own: slowUnderLoad}, sick), 0)), judged(t, generator(system(work{own: slowUnderLoad}, sick), 250))
	if causes(flawed) != "gc-pressure" || flawed.Causes[0].Score > flawedRunCap || sound.Causes[0].Score <= flawedRunCap {
		t.Errorf("causes %q; scores %.2f flawed, %.2f sound", causes(flawed), flawed.Causes[0].Score, sound.Causes[0].Score)
	}
}

// A closed model has all of its users at work all of the time.
func TestAllUsersAtWorkIsNoFlaw(t *testing.T) {
	k6 := evidence.Entity{Service: "k6", Resource: "k6"}
	b := system(work{own: fast}, series(evidence.LoadUsers, k6, always(50)), series(evidence.LoadUsersMax, k6, always(50)),
		series(evidence.LoadIterations, k6, always(90)), series(evidence.LoadDropped, k6, always(0)))
	if j := judged(t, b); j.Status != NoProblem {
		t.Errorf("%s %q", j.Status, j.Headline)
	}
	b = system(work{own: fast}, series(evidence.LoadUsers, k6, always(50)), series(evidence.LoadUsersMax, k6, always(50)),
		series(evidence.LoadIterations, k6, always(90)), series(evidence.LoadDropped, k6, always(10)))
	if j := judged(t, b); j.Status != RunUnusable || len(j.Flaws) != 1 || j.Flaws[0].Finding.Value != 0.1 {
		t.Errorf("%s %q", j.Status, j.Headline)
	}
}

func TestTheSlowReplicaIsNamed(t *testing.T) {
	odd := func(_, replica int) float64 {
		if replica == 1 {
			return 160
		}
		return 20
	}
	j := judged(t, system(work{own: odd}))
	if len(j.Causes) == 0 || j.Causes[0].Rule.ID != "load-imbalance" || j.Causes[0].Subject.Instance != "api-1" {
		t.Fatalf("causes %q, rejected %+v", causes(j), j.Rejected)
	}
	if i := j.Causes[0].Impact; i.Saved() < 0.13 || i.Saved() > 0.16 {
		t.Errorf("saves %.3f s, want what it takes beyond its fellows", i.Saved())
	}
	if j := judged(t, system(work{own: slowUnderLoad})); named(j, "load-imbalance") {
		t.Errorf("replicas that are slow alike: %q", causes(j))
	}
}

func TestAQueueThatFillsIsACause(t *testing.T) {
	queue := evidence.Entity{Resource: "mail orders"}
	depth := func(s int) float64 { return 30 * float64(max(0, s-rampEnd)) }
	b := func(depth, consumed course) *evidence.Bundle {
		return messages(series(evidence.QueueDepth, queue, depth), series(evidence.QueueConsumed, queue, consumed))
	}
	j := judged(t, b(depth, always(40)))
	if len(j.Causes) == 0 || j.Causes[0].Rule.ID != "queue-backlog" || j.Causes[0].Subject != queue {
		t.Fatalf("causes %q, rejected %+v", causes(j), j.Rejected)
	}
	deep := b(func(s int) float64 { return 3000 - 20*float64(s) }, always(400))
	if j := judged(t, deep); named(j, "queue-backlog") {
		t.Errorf("a deep queue that shrinks: %q", causes(j))
	}
	if j := judged(t, b(func(s int) float64 { return float64(s) }, always(400))); named(j, "queue-backlog") {
		t.Errorf("a buffer that drains in a moment: %q", causes(j))
	}
}

// messages tells requests that are done when a consumer has read what they
// published, ten seconds later.
func messages(list ...evidence.Series) *evidence.Bundle {
	b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(runEnd * 1000)}, Series: list}
	for n := range 100 {
		at := int64(n) * int64(time.Second) / 2
		span := func(id int, kind evidence.SpanKind, service, name string, from, to time.Duration) evidence.Span {
			s := evidence.Span{Kind: kind, Service: service, Name: name, Start: at + int64(from), End: at + int64(to)}
			binary.BigEndian.PutUint64(s.Trace[8:], uint64(n+1))
			binary.BigEndian.PutUint64(s.ID[:], uint64(n*10+id))
			if id > 1 {
				binary.BigEndian.PutUint64(s.Parent[:], uint64(n*10+1))
			}
			return s
		}
		read := span(2, evidence.KindConsumer, "mailer", "process orders", 10*time.Second, 10*time.Second+20*time.Millisecond)
		read.Attrs = evidence.NewAttrs(evidence.Attr{Key: evidence.AttrMsgDest, Value: "orders"}, evidence.Attr{Key: evidence.AttrMsgSystem, Value: "kafka"})
		b.Spans = append(b.Spans, span(1, evidence.KindServer, "front", "POST /order", 0, 10*time.Second+30*time.Millisecond), read)
	}
	b.Sort()
	return b
}

func TestSlowNames(t *testing.T) {
	resolver := evidence.Entity{Service: "dns"}
	names := func(s float64) evidence.Histogram {
		h := latencies(resolver, always(s))
		h.Kind = evidence.DNSLatency
		return h
	}
	b := func(ms, lookup float64) *evidence.Bundle {
		b := system(work{own: func(int, int) float64 { return ms }})
		for i := range b.Spans {
			if s := &b.Spans[i]; s.Name == "SELECT" {
				s.Name, s.Attrs, s.Kind = "dns.lookup", evidence.Attrs{}, evidence.KindInternal
				s.End = s.Start + int64((ms-1)*1e6)
			}
		}
		b.Histograms = append(b.Histograms, names(lookup))
		b.Sort()
		return b
	}
	if j := judged(t, b(1200, 1.1)); len(j.Causes) == 0 || j.Causes[0].Rule.ID != "dns-latency" || j.Causes[0].Subject != resolver {
		t.Errorf("causes %q, rejected %+v", causes(j), j.Rejected)
	}
	if j := judged(t, b(1200, 0.004)); named(j, "dns-latency") {
		t.Errorf("a quick resolver: %q", causes(j))
	}
}

func TestOversizedIsHousekeepingNeverACause(t *testing.T) {
	box := evidence.Entity{Service: "api", Instance: "pod", Resource: "box"}
	list := func(used float64) []evidence.Series {
		return []evidence.Series{series(evidence.CPURequest, box, always(4)), series(evidence.CPUUsage, box, under(0.1, used))}
	}
	j := judged(t, system(work{own: fast}, list(0.5)...))
	if len(j.Causes) != 0 || len(j.Housekeeping) != 1 || j.Housekeeping[0].Rule.ID != "oversized-resources" {
		t.Fatalf("causes %q, housekeeping %d", causes(j), len(j.Housekeeping))
	}
	if got := j.Housekeeping[0].Remedy[0]; !strings.Contains(got, "from 4.00 cores to 0.75 cores: 3.25 cores") {
		t.Errorf("remedy %q", got)
	}
	priced := system(work{own: fast}, append(list(0.5), series(evidence.MemoryRequest, box, always(4<<30)), series(evidence.MemoryUsage, box, always(1<<30)))...)
	priced.Prices = &evidence.Prices{Currency: "EUR", CoreHour: 0.04, GiBHour: 0.005}
	// (4 - 1.5 x 0.5) cores x 0.04 and (4 - 1.2 x 1) GiB x 0.005, for 730 hours
	if got := judged(t, priced).Housekeeping[0].Remedy; !slices.Contains(got, "At the configured prices that is 105.12 EUR a month, for this container alone.") {
		t.Errorf("remedy %q", got)
	}
	for name, b := range map[string]*evidence.Bundle{"well sized": system(work{own: fast}, list(2.5)...), "starved": system(work{own: slowUnderLoad}, list(0.5)...)} {
		if j := judged(t, b); len(j.Housekeeping) != 0 {
			t.Errorf("%s: %d housekeeping", name, len(j.Housekeeping))
		}
	}
}

func TestRuleThatIsNeither(t *testing.T) {
	text := "id: x\nas: opinion\ntitle: t\ndoc: d\nsubject: pool.wait\nverify: v\nnot-when: n\nremedy: [r]\nwhen: [{finding: pool.wait, from: 0, to: 1}]\n"
	if _, err := ParseRule([]byte(text)); err == nil || !strings.Contains(err.Error(), "opinion") {
		t.Errorf("error %v", err)
	}
}

// Without traces the metrics still name the cause; what it would buy is then
// an upper bound, or an estimate that may be three times too large.
func TestMetricsAloneNameTheCause(t *testing.T) {
	for _, m := range mechanisms() {
		t.Run(m.rule, func(t *testing.T) {
			b := system(m.slow(), m.sick...)
			b.Spans = nil
			j := judged(t, b)
			if len(j.Causes) == 0 || j.Causes[0].Rule.ID != m.rule || j.Causes[0].Subject != m.subject || !j.Causes[0].Impact.AtMost && j.Causes[0].Impact.Low > j.Causes[0].Impact.Saved()/2 {
				t.Fatalf("causes %q, rejected %+v", causes(j), j.Rejected)
			}
			b = system(m.slow(), m.busy...)
			b.Spans = nil
			if j := judged(t, b); named(j, m.rule) {
				t.Errorf("busy and well: causes %q", causes(j))
			}
		})
	}
}

// A cache that is flushed in the middle and fills again is cold; one that
// never hits has another fault.
func TestAColdCachePasses(t *testing.T) {
	cache := evidence.Entity{Service: "api", Resource: "things"}
	dip := func(well, ill float64) course {
		return func(s int) float64 {
			if s >= rampEnd && s < rampEnd+15 {
				return ill
			}
			return well
		}
	}
	slow := work{own: func(s, _ int) float64 { return dip(10, 160)(s) }}
	j := judged(t, system(slow, series(evidence.CacheHits, cache, dip(95, 10)), series(evidence.CacheMisses, cache, dip(5, 90))))
	if len(j.Causes) == 0 || j.Causes[0].Rule.ID != "cold-cache" || j.Causes[0].Subject != cache {
		t.Fatalf("causes %q, rejected %+v", causes(j), j.Rejected)
	}
	for name, miss := range map[string]course{"never hits": always(95), "warm": always(5)} {
		if j := judged(t, system(slow, series(evidence.CacheHits, cache, always(5)), series(evidence.CacheMisses, cache, miss))); named(j, "cold-cache") {
			t.Errorf("%s: causes %q", name, causes(j))
		}
	}
}
