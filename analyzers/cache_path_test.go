package analyzers

import (
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	cacheGet = "  5-6 shop client get | db.system.name=redis | db.query.text=get product:? | server.address=cache | server.port=6379\n"
	cacheSet = "  48-50 shop client set | db.system.name=redis | db.query.text=set product:?\n"
	fallback = "  8-45 shop client query | db.system.name=postgresql | db.query.text=select * from products where id = ?\n"
	server   = "0-60 shop server GET /products/{id}\n"
	next     = "  51-58 shop client GET | http.request.method=GET\n    52-57 stock server GET /stock\n"
)

func TestCachePath(t *testing.T) {
	hit, miss, quiet := server+cacheGet+"\n", server+cacheGet+fallback+cacheSet+"\n", server+cacheGet+fallback+"\n"
	for name, c := range map[string]struct {
		traces string
		share  float64
	}{
		"never hits":              {strings.Repeat(miss, 8), 1},
		"half hit":                {strings.Repeat(hit+miss, 8), 0.5},
		"half hit, no write":      {strings.Repeat(hit+quiet, 8), 0.5},
		"hits":                    {strings.Repeat(hit, 8), 0},
		"hits, then a next step":  {strings.Repeat(server+cacheGet+next+"\n", 9) + server + cacheGet + fallback + cacheSet + next + "\n", 0.1},
		"a step before the write": {strings.Repeat(server+cacheGet+next+"\n", 9) + server + cacheGet + strings.Replace(next, "51-58", "8-45", 1) + cacheSet + "\n", 0},
		"no write, then a step":   {strings.Repeat(server+cacheGet+next+"\n"+server+cacheGet+fallback+next+"\n", 8), 0.5},
		"session, then a query":   {strings.Repeat(quiet, 8), 0},
		"key written in full":     {strings.Repeat(strings.Replace(miss, "set product:?", "set product ? ex ?", 1), 8), 1},
		"other key is written":    {strings.Repeat(strings.Replace(miss, "set product:?", "set session:?", 1), 8), 0},
		"query before the read":   {strings.Repeat(strings.Replace(miss, "8-45", "1-4", 1), 8), 0},
		"query beside the read":   {strings.Repeat(strings.Replace(miss, "8-45", "5-45", 1), 8), 0},
		"falls back to a service": {strings.Repeat(strings.Replace(miss, fallback, "  8-45 shop client GET | http.request.method=GET\n    9-44 stock server GET /stock\n", 1), 8), 1},
	} {
		t.Run(name, func(t *testing.T) {
			found := passOver(t, cachePath, c.traces)[FindCacheMissPath]
			if c.share == 0 {
				if len(found) > 0 {
					t.Fatalf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Value != c.share {
				t.Fatalf("found %+v, want %g", found, c.share)
			}
			if want := (evidence.Entity{Service: "shop", Operation: "GET /products/{id}", Resource: "redis cache:6379"}); found[0].Entity != want {
				t.Errorf("entity %v", found[0].Entity)
			}
		})
	}
}

func TestCacheMissesAreCutFromReadToWrite(t *testing.T) {
	found := passOver(t, cachePath, strings.Repeat(server+cacheGet+fallback+cacheSet+"\n", 8))
	// Between 6 ms (the read's end) and 50 ms (the write's) nothing is left.
	if i := found[FindCacheMissPath][0].Impact; i == nil || i.Now != 0.060 || i.Then < 0.01599 || i.Then > 0.01601 {
		t.Errorf("impact %+v", i)
	}
	if cost := found[FindCacheMissCost]; len(cost) != 1 || cost[0].Value != 0.039 {
		t.Errorf("cost %+v, want 39 ms of query and write", cost)
	}
}
