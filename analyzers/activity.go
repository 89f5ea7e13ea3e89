package analyzers

import (
	"cmp"
	"slices"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// activityTimes are the seconds that have samples, ascending, with the ticks
// taken in each.
func activityTimes(pg *evidence.Postgres) (times []int64, ticks []int) {
	for i := range pg.Activity { // sorted by time
		w := &pg.Activity[i]
		if n := len(times); n > 0 && times[n-1] == w.At {
			ticks[n-1] = max(ticks[n-1], w.Ticks)
			continue
		}
		times, ticks = append(times, w.At), append(ticks, w.Ticks)
	}
	return times, ticks
}

// topWaits names the n most frequent things that active sessions did.
func topWaits(pg *evidence.Postgres, n int) []string {
	seen := map[string]int{}
	for i := range pg.Activity {
		if isActive(&pg.Activity[i]) {
			seen[waitName(&pg.Activity[i])] += pg.Activity[i].Sessions
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(cmp.Compare(seen[y], seen[x]), cmp.Compare(x, y)) })
	return names[:min(n, len(names))]
}

// waitsOf are the sightings of active sessions running given statements, by
// wait name, and their total.
func waitsOf(pg *evidence.Postgres, queries map[string]bool) (by map[string]int, total int) {
	by = map[string]int{}
	for i := range pg.Activity {
		if w := &pg.Activity[i]; queries[w.QueryID] && isActive(w) {
			by[waitName(w)] += w.Sessions
			total += w.Sessions
		}
	}
	return by, total
}
