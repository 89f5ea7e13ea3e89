package analyzers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// refill is n misses of one key, every after ms.
func refill(n int, every float64, key func(i int) int) string {
	var text strings.Builder
	for i := range n {
		at := func(ms float64) float64 { return 1000 + float64(i)*every + ms }
		fmt.Fprintf(&text, `%g-%g shop server GET /products/{id}
  %g-%g shop client get | db.system.name=redis | db.query.text=get product:? | server.address=cache | culprit.params=%d
  %g-%g shop client query | db.system.name=postgresql | db.query.text=select * from products where id = ?
  %g-%g shop client set | db.system.name=redis | db.query.text=set product:? | server.address=cache | culprit.params=%d

`, at(0), at(60), at(5), at(6), key(i), at(8), at(45), at(48), at(50), key(i))
	}
	return text.String()
}

func TestStampede(t *testing.T) {
	one := func(int) int { return 7 }
	for name, c := range map[string]struct {
		traces string
		want   float64
	}{
		"six at once":        {refill(6, 5, one), 6},
		"two bursts":         {refill(16, 6, one), 8},
		"four at once":       {refill(4, 5, one), 0},
		"one after another":  {refill(12, 50, one), 0},
		"different keys":     {refill(12, 1, func(i int) int { return i }), 0},
		"keys are not known": {strings.NewReplacer(" | culprit.params=7", "").Replace(refill(12, 1, one)), 0},
	} {
		found := passOver(t, cacheStampede, c.traces)[FindStampede]
		if c.want == 0 && len(found) > 0 || c.want > 0 && (len(found) != 1 || found[0].Value != c.want) {
			t.Errorf("%s: found %+v, want %g", name, found, c.want)
		}
	}
	f := passOver(t, cacheStampede, refill(6, 5, one))[FindStampede][0]
	// the slowest waits as long as the first fetches, from 5 to 50 ms, and has 16 ms to itself
	if f.Impact == nil || f.Impact.AtMost || f.Impact.Now != 0.060 || f.Impact.Then != 0.053 || f.Facts["key"] != "product" || f.Facts["requests"] != "6" {
		t.Errorf("%+v, impact %+v", f, f.Impact)
	}
}

// Of a stampede that was traced in part, each trace speaks for several of the
// requests that were counted.
func TestStampedeSeenInPart(t *testing.T) {
	for name, c := range map[string]struct {
		misses  int
		counted float64
		want    float64
	}{
		"three for twelve":    {3, 12, 12},
		"two may be chance":   {2, 12, 0},
		"three, and no more":  {3, 3, 0},
		"nobody counted":      {4, 0, 0},
		"more traced than so": {6, 4, 6},
	} {
		b := &evidence.Bundle{Spans: tellSpans(t, refill(c.misses, 5, func(int) int { return 7 }))}
		facts := factsOfTraces(BuildTraces(b))
		if c.counted > 0 {
			facts.Symptoms = []Symptom{{Entity: evidence.Entity{Service: "shop", Operation: "GET /products/{id}"}, Requests: c.counted}}
		}
		var found []Finding
		p := &Pass{Bundle: b, Facts: facts, report: func(f Finding) {
			if f.Kind == FindStampede {
				found = append(found, f)
			}
		}}
		if err := runStampede(p); err != nil {
			t.Fatal(err)
		}
		if c.want == 0 && len(found) > 0 || c.want > 0 && (len(found) != 1 || found[0].Value != c.want) {
			t.Errorf("%s: found %+v, want %g", name, found, c.want)
		}
	}
}

// Where no metrics are, the database counted how often the value was fetched.
func TestStampedeCountedByTheDatabase(t *testing.T) {
	for name, c := range map[string]struct {
		calls float64
		want  float64
	}{"three for twelve": {12, 12}, "three, and no more": {3, 0}} {
		text := strings.ReplaceAll(refill(3, 5, func(int) int { return 7 }), "where id = ?\n", "where id = ? | culprit.db.key=k\n")
		b := &evidence.Bundle{Spans: tellSpans(t, text), Postgres: []evidence.Postgres{{Statements: []evidence.Statement{{Key: "k", TopLevel: true, Calls: c.calls}, {Key: "other", TopLevel: true, Calls: 90}}}}}
		found := passOverBundle(t, cacheStampede, b)[FindStampede]
		if c.want == 0 && len(found) > 0 || c.want > 0 && (len(found) != 1 || found[0].Value != c.want) {
			t.Errorf("%s: found %+v, want %g", name, found, c.want)
		}
	}
}

func TestColdStart(t *testing.T) {
	const steady = "%d-%d shop server GET /list | instance=%s%s\n\n"
	load := func(ms int, took int, instance, attr string) string {
		return fmt.Sprintf(steady, ms, ms+took, instance, attr)
	}
	var old, fresh, late strings.Builder
	for i := range 60 {
		old.WriteString(load(i*1000, 20, "a", ""))
	}
	for i := range 30 {
		took := 20
		if i < 3 {
			took = 200
		}
		fresh.WriteString(load(30_000+i*1000, took, "b", ""))
		late.WriteString(load(1_000+i*1000, took, "b", ""))
	}
	for name, c := range map[string]struct {
		traces string
		want   float64
	}{
		"a new instance is slow at first": {old.String() + fresh.String(), 10},
		"it says so":                      {old.String() + load(500, 200, "", " | faas.coldstart=true"), 10},
		"there when the window opened":    {old.String() + late.String(), 0},
		"new and as quick as others":      {old.String() + load(30_000, 25, "b", ""), 0},
		"slow, but long after it began":   {old.String() + load(20_000, 20, "b", "") + load(55_000, 200, "b", ""), 0},
	} {
		found := passOver(t, coldStart, c.traces)[FindColdStart]
		if c.want == 0 && len(found) > 0 || c.want > 0 && (len(found) != 1 || found[0].Value != c.want) {
			t.Errorf("%s: found %+v, want %g", name, found, c.want)
		}
	}
}
