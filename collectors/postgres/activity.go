package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// sighting is a group of sessions that one tick saw doing the same.
type sighting struct {
	State, WaitType, Wait, QueryID, Verb, App, Backend string
}

type counted struct {
	sighting
	N int
}

// sightingSQL asks for the sessions of this database that are not idle. Only
// where there is no statement id does the start of the text come along, and
// only its first word is kept.
func sightingSQL(c *capabilities) string {
	id, head := "'0'", "left(query, 64)"
	if c.hasQueryID() {
		id = "coalesce(query_id, 0)::text"
		head = "case when coalesce(query_id, 0) = 0 then left(query, 64) else '' end"
	}
	return fmt.Sprintf(`select /* culprit */ state, coalesce(wait_event_type, ''), coalesce(wait_event, ''), %s, %s, application_name, backend_type, count(*)::int
 from %s where datname = current_database() and state <> 'idle' and application_name <> 'culprit'
 and backend_type in ('client backend', 'parallel worker', 'autovacuum worker') group by 1, 2, 3, 4, 5, 6, 7`, id, head, viewActivity)
}

func scanSighting(row pgx.CollectableRow) (c counted, err error) {
	var head string
	err = row.Scan(&c.State, &c.WaitType, &c.Wait, &c.QueryID, &head, &c.App, &c.Backend, &c.N)
	if c.QueryID == "0" {
		c.QueryID, c.Verb = "", verb(head)
	}
	return c, err
}

// verb is the first keyword of a text, or "" where it starts with anything
// else: literals never pass.
func verb(text string) string {
	text = strings.TrimLeft(text, " \t\r\n(;")
	for strings.HasPrefix(text, "/*") {
		_, rest, found := strings.Cut(text, "*/")
		if !found {
			return ""
		}
		text = strings.TrimLeft(rest, " \t\r\n(;")
	}
	end := strings.IndexFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
	if end >= 0 {
		text = text[:end]
	}
	word := strings.ToUpper(text)
	if !slices.Contains(verbs, word) {
		return ""
	}
	return word
}

var verbs = strings.Fields(`ABORT ALTER ANALYZE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE DISCARD DO DROP
 END EXECUTE EXPLAIN FETCH GRANT INSERT LISTEN LOCK MERGE MOVE NOTIFY PREPARE REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SELECT SET SHOW START
 TRUNCATE UPDATE VACUUM VALUES WITH`)

// history is what the sampler saw, folded by second.
type history struct {
	ticks    map[int64]int // by second, Unix ms
	seen     map[int64]map[sighting]int
	entries  int
	edges    []edge
	used     []connectionCount
	holdings []holding
	lastSlow time.Time // when the connections were last counted, and
	lastHeld time.Time // when the holders were last asked

	refused, broken, failed int // ticks without a sample: too many connections, no server, an error of its own
	lastError               string
	slowed, full            bool

	requests int // all of our own
	sessions int
	spent    time.Duration
}

// maxEntries bounds the history: about 100 MB at worst, days in practice.
const maxEntries = 400000

func newHistory() *history {
	return &history{ticks: map[int64]int{}, seen: map[int64]map[sighting]int{}}
}

// add folds one tick in. The answer tells whether anybody waited for a lock.
func (h *history) add(at time.Time, seen []counted) (locked bool) {
	second := at.Truncate(time.Second).UnixMilli()
	h.ticks[second]++
	for _, c := range seen {
		if !counts(c.sighting) {
			continue
		}
		locked = locked || c.WaitType == "Lock"
		h.put(second, c)
	}
	return locked
}

func (h *history) put(second int64, c counted) {
	m := h.seen[second]
	if m == nil {
		m = map[sighting]int{}
		h.seen[second] = m
	}
	if _, known := m[c.sighting]; !known {
		if h.entries >= maxEntries {
			h.full = true
			return
		}
		h.entries++
	}
	m[c.sighting] += c.N
}

// counts leaves out sessions that only sleep: background work between rounds,
// pg_sleep, and a vacuum's own pauses.
func counts(s sighting) bool {
	return s.WaitType != "Activity" && s.Wait != "PgSleep" && s.Wait != "VacuumDelay"
}

// samples of a window, in their canonical order left to the bundle.
func (h *history) samples(w evidence.Window) (out []evidence.WaitSample, ticks int) {
	for second, n := range h.ticks {
		if !overlaps(w, second) {
			continue
		}
		ticks += n
		for s, sessions := range h.seen[second] {
			out = append(out, evidence.WaitSample{
				At: second, Ticks: n, Sessions: sessions, State: s.State, WaitType: s.WaitType, Wait: s.Wait,
				QueryID: s.QueryID, Verb: s.Verb, App: s.App, Backend: s.Backend,
			})
		}
	}
	return out, ticks
}

// overlaps reports whether the second that begins at ms touches the window.
func overlaps(w evidence.Window, ms int64) bool {
	return ms+1000 > w.Start.UnixMilli() && ms < w.End.UnixMilli()
}

// connectionCount is the whole server's; Max is how many roles without
// privileges may open.
type connectionCount struct {
	at        time.Time
	Used, Max float64
}

const connectionsSQL = `select /* culprit */ count(*) filter (where backend_type = 'client backend' or backend_type is null)::float8, (current_setting('max_connections')::int
 - current_setting('superuser_reserved_connections')::int - coalesce(current_setting('reserved_connections', true)::int, 0))::float8
 from pg_catalog.pg_stat_activity where datid is not null`

func (p *sampler) connections(ctx context.Context, at time.Time) error {
	found, err := rows(ctx, p.session, func(row pgx.CollectableRow) (c connectionCount, err error) {
		c.at = at
		return c, row.Scan(&c.Used, &c.Max)
	}, connectionsSQL)
	if err == nil && len(p.history.used) < maxEntries {
		p.history.used = append(p.history.used, found...)
	}
	return err
}

// connectionSeries are gauges: connections in use, and how many there may be.
func (h *history) connectionSeries(w evidence.Window, name string) []evidence.Series {
	used := evidence.Series{Kind: evidence.DBConnections, Unit: "{connection}", Entity: evidence.Entity{Resource: name}, Query: connectionsSQL}
	most := used
	most.Kind = evidence.DBConnectionsMax
	for _, c := range h.used {
		if t := c.at.UnixMilli(); w.Contains(t) {
			used.Times, used.Values = append(used.Times, t), append(used.Values, c.Used)
			most.Times, most.Values = append(most.Times, t), append(most.Values, c.Max)
		}
	}
	if len(used.Times) == 0 {
		return nil
	}
	return []evidence.Series{used, most}
}
