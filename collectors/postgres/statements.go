package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// statementKey is the identity of an entry of pg_stat_statements within one
// database.
type statementKey struct {
	User     uint32
	QueryID  string
	TopLevel bool
}

// statementRow is one entry, unscaled.
type statementRow struct {
	statementKey
	UserName     string
	Mean, Stddev float64    // ms, since the entry's creation
	Since        *time.Time // of the entry's creation, server's clock (extension 1.11+)
	Values       values
}

// maxStatements bounds the entries read; pg_stat_statements.max is 5000 unless
// set higher.
const maxStatements = 20000

var statementFields = []field[evidence.Statement]{
	count(func(s *evidence.Statement) *float64 { return &s.Calls }, "calls"),
	count(func(s *evidence.Statement) *float64 { return &s.Rows }, "rows"),
	timer(func(s *evidence.Statement) *float64 { return &s.Exec }, "total_exec_time", "total_time"),
	timer(func(s *evidence.Statement) *float64 { return &s.Plan }, "total_plan_time"),
	count(func(s *evidence.Statement) *float64 { return &s.Hit }, "shared_blks_hit"),
	count(func(s *evidence.Statement) *float64 { return &s.Read }, "shared_blks_read"),
	count(func(s *evidence.Statement) *float64 { return &s.Dirtied }, "shared_blks_dirtied"),
	count(func(s *evidence.Statement) *float64 { return &s.Written }, "shared_blks_written"),
	count(func(s *evidence.Statement) *float64 { return &s.TempRead }, "temp_blks_read"),
	count(func(s *evidence.Statement) *float64 { return &s.TempWrite }, "temp_blks_written"),
	timer(func(s *evidence.Statement) *float64 { return &s.ReadTime }, "shared_blk_read_time", "blk_read_time"),
	timer(func(s *evidence.Statement) *float64 { return &s.WriteTime }, "shared_blk_write_time", "blk_write_time"),
	timer(func(s *evidence.Statement) *float64 { return &s.TempTime }, "temp_blk_read_time"),
	timer(func(s *evidence.Statement) *float64 { return &s.TempTime }, "temp_blk_write_time"),
	count(func(s *evidence.Statement) *float64 { return &s.WALBytes }, "wal_bytes"),
	count(func(s *evidence.Statement) *float64 { return &s.WALFPI }, "wal_fpi"),
	timer(func(s *evidence.Statement) *float64 { return &s.JIT }, "jit_generation_time"),
	timer(func(s *evidence.Statement) *float64 { return &s.JIT }, "jit_inlining_time"),
	timer(func(s *evidence.Statement) *float64 { return &s.JIT }, "jit_optimization_time"),
	timer(func(s *evidence.Statement) *float64 { return &s.JIT }, "jit_emission_time"),
	count(func(s *evidence.Statement) *float64 { return &s.Planned }, "parallel_workers_to_launch"),
	count(func(s *evidence.Statement) *float64 { return &s.Launched }, "parallel_workers_launched"),
}

// readStatements reads the entries of the connected database without their
// texts, which are the expensive part. hidden counts entries that another role
// owns and this one may not identify.
func readStatements(ctx context.Context, s *session, c *capabilities) (out map[statementKey]statementRow, hidden int, err error) {
	has := c.views[c.statementsView()]
	sql := fmt.Sprintf(`select /* culprit */ v.userid, coalesce(v.queryid::text, ''), %s, pg_get_userbyid(v.userid)::text, %s, %s, %s, %s
 from %s(false) v where v.dbid = (select oid from pg_catalog.pg_database where datname = current_database())
 order by %s desc limit %d`,
		column(has, "v.%s", "true", "toplevel"), column(has, "v.%s", "0::float8", "mean_exec_time", "mean_time"),
		column(has, "v.%s", "0::float8", "stddev_exec_time", "stddev_time"), column(has, "v.%s", "null::timestamptz", "stats_since"),
		array(statementFields, has), c.statementsView(), column(has, "v.%s", "1", "total_exec_time", "total_time"), maxStatements)
	found, err := rows(ctx, s, scanStatement, sql)
	if err != nil {
		return nil, 0, err
	}
	out = make(map[statementKey]statementRow, len(found))
	for _, r := range found {
		if r.QueryID == "" {
			hidden++
			continue
		}
		out[r.statementKey] = r
	}
	return out, hidden, nil
}

func scanStatement(row pgx.CollectableRow) (r statementRow, err error) {
	err = row.Scan(&r.User, &r.QueryID, &r.TopLevel, &r.UserName, &r.Mean, &r.Stddev, &r.Since, &r.Values)
	return r, err
}

// column is the first of some names that a view has, or what stands for it.
func column(has columns, format, absent string, names ...string) string {
	for _, name := range names {
		if has[name] {
			return fmt.Sprintf(format, name)
		}
	}
	return absent
}

// statementDelta is what an entry gained between two readings; before is nil
// for an entry that is new.
func statementDelta(before *statementRow, after statementRow, beforeAt time.Time) evidence.Statement {
	st := evidence.Statement{QueryID: after.QueryID, User: after.UserName, TopLevel: after.TopLevel}
	if before != nil && after.Since != nil && after.Since.After(beforeAt) {
		before = nil
		st.Flags = append(st.Flags, flagRecreated)
	}
	var base values
	if before != nil {
		base = before.Values
	}
	recreated := difference(statementFields, base, after.Values, &st)
	if recreated {
		before = nil
		st.Flags = append(st.Flags, flagRecreated)
	}
	st.StddevExec = windowStddev(before, after, st.Calls)
	return st
}

const flagRecreated = "entry recreated in the window: counts since then"

// windowStddev is the population deviation in s of the window's calls alone:
// sums of squares can be subtracted, n(stddev^2 + mean^2).
func windowStddev(before *statementRow, after statementRow, calls float64) float64 {
	if before == nil || calls <= 0 {
		return after.Stddev * msec
	}
	n0, n1 := before.Values[0], after.Values[0]
	mean := (n1*after.Mean - n0*before.Mean) / calls
	squares := n1*(after.Stddev*after.Stddev+after.Mean*after.Mean) - n0*(before.Stddev*before.Stddev+before.Mean*before.Mean)
	return math.Sqrt(max(squares/calls-mean*mean, 0)) * msec
}

// readTexts gives the statements' texts as the server normalised them. They
// stay in this package: the evidence gets evidence.NormalizeSQL of them.
func readTexts(ctx context.Context, s *session, c *capabilities, ids []string) (map[statementKey]string, error) {
	type text struct {
		User     uint32
		QueryID  string
		TopLevel bool
		Text     string
	}
	sql := fmt.Sprintf(`select /* culprit */ v.userid, v.queryid::text, %s, left(coalesce(v.query, ''), %d) from %s(true) v
 where v.queryid = any($1::text[]::bigint[]) and v.dbid = (select oid from pg_catalog.pg_database where datname = current_database())`,
		column(c.views[c.statementsView()], "v.%s", "true", "toplevel"), maxText, c.statementsView())
	found, err := rows(ctx, s, pgx.RowToStructByPos[text], sql, ids)
	if err != nil {
		return nil, err
	}
	out := make(map[statementKey]string, len(found))
	for _, t := range found {
		out[statementKey{t.User, t.QueryID, t.TopLevel}] = t.Text
	}
	return out, nil
}

// maxText bounds a statement's text, in characters.
const maxText = 20000
