package analyzers

import (
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A call that is refused, asked again after a second, and then answered.
func TestRefusedCallsInTraces(t *testing.T) {
	const (
		answered = "0-40 shop server POST /orders\n  5-35 shop client POST | http.request.method=POST\n    6-34 cards server POST /cards\n\n"
		again    = "0-1050 shop server POST /orders\n" +
			"  5-10 shop client POST | http.request.method=POST | http.response.status_code=429\n    6-9 cards server POST /cards | http.response.status_code=429\n" +
			"  1010-1040 shop client POST | http.request.method=POST\n    1011-1039 cards server POST /cards\n\n"
	)
	outside := strings.NewReplacer("    6-34 cards server POST /cards\n", "", "    6-9 cards server POST /cards | http.response.status_code=429\n", "",
		"    1011-1039 cards server POST /cards\n", "", "http.request.method=POST", "http.request.method=POST | url.template=/cards | server.address=cards.example.com")
	for name, c := range map[string]struct {
		traces string
		by     evidence.Entity // zero: nobody
	}{
		"one in six is refused":          {strings.Repeat(answered, 25) + strings.Repeat(again, 5), evidence.Entity{Service: "cards"}},
		"by somebody who leaves no span": {outside.Replace(strings.Repeat(answered, 25) + strings.Repeat(again, 5)), evidence.Entity{Resource: "cards.example.com"}},
		"too few to tell":                {strings.Repeat(answered, 25) + strings.Repeat(again, fewestTraces-1), evidence.Entity{}},
		"hardly any":                     {strings.Repeat(answered, 2000) + strings.Repeat(again, 5), evidence.Entity{}},
		"none":                           {strings.Repeat(answered, 30), evidence.Entity{}},
	} {
		found := passOver(t, rateLimiting, c.traces)
		if c.by == (evidence.Entity{}) {
			if len(found) > 0 {
				t.Errorf("%s: %+v", name, found)
			}
			continue
		}
		limited := found[FindRateLimit]
		if len(limited) != 1 || limited[0].Entity != c.by {
			t.Errorf("%s: found %+v", name, limited)
			continue
		}
		if i := limited[0].Impact; i == nil || i.Now != 1.05 || i.Then < 0.039 || i.Then > 0.046 {
			t.Errorf("%s: impact %+v", name, i)
		}
	}
}
