package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// account builds the bundle: what was seen, and what could not be.
type account struct {
	bundle *evidence.Bundle
	pg     evidence.Postgres
	window evidence.Window
	target string
	failed bool // a part is missing

	sampled, connected float64 // the sampler's own transactions and sessions

	keys    map[statementKey]int // places in pg.Statements
	tables  map[uint32]int       // places in pg.Tables
	indexes map[uint32]int       // places in pg.Indexes
	raw     map[string]string    // texts as the server has them, by query id; never kept
}

func newAccount(c *Collector, w evidence.Window) *account {
	return &account{
		bundle: &evidence.Bundle{Sources: []evidence.Source{{Name: source, Target: c.target, Protocol: "postgresql"}}},
		pg:     evidence.Postgres{Server: evidence.PGServer{Name: c.target}},
		window: w, target: c.target,
		keys: map[statementKey]int{}, tables: map[uint32]int{}, indexes: map[uint32]int{}, raw: map[string]string{},
	}
}

func (a *account) note(format string, args ...any) {
	s := &a.bundle.Sources[0]
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

func (a *account) gap(g evidence.Gap) {
	g.Source = source
	a.bundle.Gaps = append(a.bundle.Gaps, g)
}

// addActivity takes the sampled sessions of the window.
func (a *account) addActivity(h *history) {
	a.pg.Activity, a.pg.Ticks = h.samples(a.window)
	a.pg.Blocking = h.blockEdges(a.window)
	a.pg.Refused = h.refused
	a.sampled, a.connected = float64(h.requests), float64(h.sessions)
	a.pg.Holders = h.holders(a.window)
	a.bundle.Series = h.connectionSeries(a.window, a.target)
	if a.pg.Ticks > 0 {
		a.pg.Tick = h.spacing(a.window)
	}
}

// spacing is the mean time in s between ticks over the seconds that have any.
// The first and the last second are seldom whole, and count where there are no
// others.
func (h *history) spacing(w evidence.Window) float64 {
	var seconds []int64
	for second := range h.ticks {
		if overlaps(w, second) {
			seconds = append(seconds, second)
		}
	}
	slices.Sort(seconds)
	if len(seconds) > 2 {
		seconds = seconds[1 : len(seconds)-1]
	}
	ticks := 0
	for _, second := range seconds {
		ticks += h.ticks[second]
	}
	return float64(len(seconds)) / float64(ticks)
}

// lostSnapshot is the account where the server was seen by the sampler only.
func (a *account) lostSnapshot(before *snapshot, err error) {
	a.failed = true
	if before != nil {
		a.addServer(before.caps)
	}
	a.gap(evidence.Gap{
		Kinds:  []evidence.Kind{evidence.PGStatements, evidence.PGDatabase, evidence.PGTables, evidence.PGIndexes, evidence.PGIndexAdvice},
		Reason: "no snapshot after the window: " + err.Error(),
		Remedy: "see that the server answers after the run; `culprit check` tries the connection",
	})
}

// addSnapshots subtracts the first snapshot, which may be nil, from the second.
func (a *account) addSnapshots(before, after *snapshot) {
	before = a.judge(before, after)
	a.addServer(after.caps)
	a.pg.Subset = before == nil
	a.bundle.Sources[0].Subset = a.pg.Subset
	a.pg.Until = after.at.UnixMilli()
	if before != nil {
		a.pg.Since = before.at.UnixMilli()
	} else {
		before = &snapshot{}
		a.pg.Since = after.since().Add(-after.caps.skew()).UnixMilli()
	}
	a.addStatements(before, after)
	a.addDatabase(before, after)
	a.addCluster(before, after)
	a.addTables(before, after)
	a.addIndexes(before, after)
	a.addFailures(before, after)
	for _, g := range capabilityGaps(after) {
		a.gap(g)
	}
	for _, n := range capabilityNotes(after) {
		a.note("%s", n)
	}
}

func (a *account) addServer(c *capabilities) {
	s := &a.pg.Server
	s.Version, s.Statements, s.Standby = c.Version, c.Statements, c.Standby
	s.StartedAt = c.Started.Add(-c.skew()).UnixMilli()
	version := "PostgreSQL " + c.VersionText
	if c.Statements != "" {
		version += ", pg_stat_statements " + c.Statements
	}
	a.bundle.Sources[0].Version = version
}

func (a *account) addStatements(before, after *snapshot) {
	for key, row := range after.statements {
		var base *statementRow
		if b, ok := before.statements[key]; ok {
			base = &b
		}
		st := statementDelta(base, row, before.serverTime())
		if st.Calls > 0 {
			a.keys[key] = len(a.pg.Statements)
			a.pg.Statements = append(a.pg.Statements, st)
		}
	}
}

// serverTime is when the snapshot was taken, by the server's clock.
func (snap *snapshot) serverTime() time.Time {
	if snap.caps == nil {
		return time.Time{}
	}
	return snap.caps.Now
}

func (a *account) addDatabase(before, after *snapshot) {
	if after.database == nil {
		return
	}
	_, name, _ := cutLast(a.target, "/")
	row := &evidence.PGDatabaseRow{Name: name}
	recreated := difference(databaseFields, before.database, after.database, row)
	if before.database != nil && !recreated {
		own := a.sampled + float64(after.requests-before.requests)
		row.Commits = max(row.Commits-own, 0)
		row.Sessions = max(row.Sessions-a.connected, 0)
		if busy, times := busier(before, after, name, own); busy != "" {
			a.gap(wrongDatabase(name, busy, times))
		}
	}
	if after.wal != nil {
		difference(walFields, before.wal, after.wal, row)
	}
	a.pg.Database = row
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (a *account) addTables(before, after *snapshot) {
	for oid, row := range after.tables {
		t := evidence.PGTable{Name: row.Name}
		difference(tableFields, before.tables[oid].Values, row.Values, &t)
		if b, ok := before.tables[oid]; ok {
			var was evidence.PGTable
			difference(tableFields, nil, b.Values, &was)
			t.DeadBefore = was.Dead
		}
		a.tables[oid] = len(a.pg.Tables)
		a.pg.Tables = append(a.pg.Tables, t)
	}
	if len(after.tables) == maxRelations {
		a.note("only the %d tables with most activity were read", maxRelations)
	}
}

func (a *account) addIndexes(before, after *snapshot) {
	for oid, row := range after.indexes {
		i := evidence.PGIndex{Table: row.Table, Name: row.Name}
		difference(indexFields, before.indexes[oid].Values, row.Values, &i)
		a.indexes[oid] = len(a.pg.Indexes)
		a.pg.Indexes = append(a.pg.Indexes, i)
	}
	if len(after.indexes) == maxRelations {
		a.note("only the %d indexes with most scans were read", maxRelations)
	}
}

// addFailures tells of parts that could not be read, each once.
func (a *account) addFailures(before, after *snapshot) {
	told := map[string]bool{}
	for _, f := range slices.Concat(before.failures, after.failures) {
		if told[f.doing] {
			continue
		}
		told[f.doing] = true
		a.failed = true
		a.gap(failureGap(f, after.caps))
	}
}

const (
	maxByTime  = 400 // statements kept for their time, and
	maxByCalls = 200 // for their calls
)

// addTexts keeps the statements that matter, with their normalised texts, and
// drops our own.
func (a *account) addTexts(ctx context.Context, s *session, c *capabilities) {
	keep := a.weightiest()
	if len(keep) == 0 {
		a.pg.Statements = nil
		return
	}
	texts, err := readTexts(ctx, s, c, queryIDs(keep))
	switch {
	case code(err) == notText:
		a.failed = true
		a.gap(lostTexts(len(keep), len(keep)))
	case err != nil:
		a.addFailures(&snapshot{}, &snapshot{caps: c, failures: []failure{{[]evidence.Kind{evidence.PGStatements}, "read the statements' texts", s.plain(err)}}})
	}
	all := a.pg.Statements
	a.pg.Statements = make([]evidence.Statement, 0, len(keep))
	missing := 0
	for _, key := range keep {
		text := texts[key]
		if strings.Contains(text, "/* culprit */") {
			continue
		}
		st := all[a.keys[key]]
		st.Text, st.Key = evidence.NormalizeSQL(text)
		st.Tables = evidence.SQLTables(text)
		if st.Key == "" && err == nil {
			st.Flags = append(st.Flags, "text missing on the server")
			missing++
		}
		a.raw[st.QueryID] = text
		a.pg.Statements = append(a.pg.Statements, st)
	}
	if missing > 0 {
		a.gap(lostTexts(missing, len(a.pg.Statements)))
	}
}

// notText is the SQLSTATE of bytes that are no text: those of a file of texts
// that was lost and goes on where it was.
const notText = "22021"

// weightiest are the statements with most time and with most calls, in order.
func (a *account) weightiest() []statementKey {
	all := make([]statementKey, 0, len(a.keys))
	for key := range a.keys {
		all = append(all, key)
	}
	by := func(value func(evidence.Statement) float64) func(x, y statementKey) int {
		return func(x, y statementKey) int {
			return cmp.Or(cmp.Compare(value(a.pg.Statements[a.keys[y]]), value(a.pg.Statements[a.keys[x]])), compareKeys(x, y))
		}
	}
	slices.SortFunc(all, by(func(s evidence.Statement) float64 { return s.Calls }))
	kept := slices.Clone(all[:min(maxByCalls, len(all))])
	slices.SortFunc(all, by(func(s evidence.Statement) float64 { return s.Exec }))
	kept = append(kept, all[:min(maxByTime, len(all))]...)
	slices.SortFunc(kept, compareKeys)
	kept = slices.Compact(kept)
	if n := len(all) - len(kept); n > 0 {
		a.note("%d statements with less time and fewer calls were left out", n)
	}
	return kept
}

func compareKeys(x, y statementKey) int {
	top := func(k statementKey) int {
		if k.TopLevel {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(x.QueryID, y.QueryID), cmp.Compare(x.User, y.User), cmp.Compare(top(x), top(y)))
}

func queryIDs(keys []statementKey) []string {
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = k.QueryID
	}
	return slices.Compact(ids)
}

// finish settles the source's status, its cost and its notes.
func (a *account) finish(s *session, h *history) {
	src := &a.bundle.Sources[0]
	src.Status = evidence.StatusOK
	if a.failed || len(a.bundle.Gaps) > 0 {
		src.Status = evidence.StatusPartial
	}
	src.Requests = s.requests + h.requests
	src.Items = len(a.pg.Statements) + len(a.pg.Activity) + len(a.pg.Tables) + len(a.pg.Indexes)
	for _, n := range h.notes() {
		a.note("%s", n)
	}
	if s.pooled {
		a.note("a pooler is in between: it refuses or swallows session settings, so the limits were set in each transaction; connect to the server itself where possible")
	}
	if s.exposed() {
		a.note("the connection is not encrypted and not local; add sslmode=verify-full to the DSN")
	}
	a.bundle.Postgres = []evidence.Postgres{a.pg}
	a.bundle.Sort()
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// notes on what the sampler could not do.
func (h *history) notes() (out []string) {
	total := 0
	for _, n := range h.ticks {
		total += n
	}
	if total > 0 {
		out = append(out, fmt.Sprintf("%d samples of the sessions took %.1f ms each, as seen from here", total, 1000*h.spent.Seconds()/float64(total)))
	}
	if h.refused > 0 {
		out = append(out, fmt.Sprintf("the server refused the sampler %s: too many connections", evidence.Counted(h.refused, "time")))
	}
	if h.broken > 0 {
		out = append(out, fmt.Sprintf("the sampler lost the server %s%s; sessions were not seen meanwhile", evidence.Counted(h.broken, "time"), inBrackets(h.lastError)))
	}
	if h.failed > 0 {
		out = append(out, fmt.Sprintf("%d samples failed%s", h.failed, inBrackets(h.lastError)))
	}
	if h.slowed {
		out = append(out, fmt.Sprintf("sampled at %.0f Hz after the first %s", 1/slowEvery.Seconds(), slowAfter))
	}
	if h.full {
		out = append(out, fmt.Sprintf("the history of sessions was cut at %d entries", maxEntries))
	}
	if len(h.edges) >= maxEdges-maxEdgesTick {
		out = append(out, fmt.Sprintf("the history of lock waits was cut at %d entries", maxEdges))
	}
	return out
}
