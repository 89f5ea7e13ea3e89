package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// plan is a node of EXPLAIN (FORMAT JSON).
type plan struct {
	Node   string  `json:"Node Type"`
	Table  string  `json:"Relation Name"`
	Schema string  `json:"Schema"`
	Index  string  `json:"Index Name"`
	Filter string  `json:"Filter"`
	Cost   float64 `json:"Total Cost"`
	Rows   float64 `json:"Plan Rows"` // of one worker
	// Workers beside the leader, at the node that gathers what they find.
	Workers float64 `json:"Workers Planned"`
	Plans   []plan  `json:"Plans"`
}

// kept is how many rows of a table the planner expects to be left of those
// that the plan reads in sequence, at most; 0 where it does not.
func (p *plan) kept(r relation) float64 {
	rows := 0.0
	if p.Node == "Seq Scan" && p.Filter != "" && p.Table == r.Bare && p.Schema == r.Schema {
		rows = p.Rows
	}
	for i := range p.Plans {
		rows = max(rows, p.Plans[i].kept(r))
	}
	return rows * (1 + p.Workers)
}

func (p *plan) any(is func(*plan) bool) bool {
	if is(p) {
		return true
	}
	for i := range p.Plans {
		if p.Plans[i].any(is) {
			return true
		}
	}
	return false
}

// scans reports whether the plan reads more of a table than it needs: all of
// it, or rows that a filter throws away.
func (p *plan) scans(r relation) bool {
	return p.any(func(n *plan) bool {
		return n.Table == r.Bare && n.Schema == r.Schema && (n.Node == "Seq Scan" || n.Filter != "")
	})
}

func (p *plan) uses(index string) bool {
	return p.any(func(n *plan) bool { return n.Index == index })
}

// unexplainable says why a statement must not or cannot be explained; "" when
// it can. Planning runs stable and immutable functions, so every function must
// be the server's own, and no view may hide one.
func (v *advisor) unexplainable(ctx context.Context, st evidence.Statement, q query, relations []relation) (string, error) {
	raw := v.account.raw[st.QueryID]
	switch {
	case !v.explain:
		return "plans were not asked for", nil
	case len([]rune(raw)) >= maxText:
		return "the statement is too long to be explained", nil
	case slices.ContainsFunc(relations, func(r relation) bool { return !slices.Contains([]string{"r", "p", "m"}, r.Kind) }):
		return "the statement reads a view or a foreign table", nil
	}
	names := make([]string, 0, len(q.Functions))
	for _, f := range q.Functions {
		schema, name, found := strings.Cut(f, ".")
		if found && schema != "pg_catalog" {
			return "the statement calls a function that is not the server's own", nil
		}
		if !found {
			name = f
		}
		names = append(names, unquote(name))
	}
	foreign, err := rows(ctx, v.session, pgx.RowTo[bool],
		`select /* culprit */ exists(select from pg_catalog.pg_proc where proname = any($1::text[]) and pronamespace <> 'pg_catalog'::regnamespace)`, names)
	if err == nil && len(foreign) == 1 && foreign[0] {
		return "the statement may call a function that is not the server's own", nil
	}
	return "", err
}

// expects adds to advice that could not be verified how many rows the planner
// expects to need of the table, as the statement is: an index that finds few
// helps, however many rows are added up into one.
func (v *advisor) expects(ctx context.Context, st evidence.Statement, candidates []candidate, found []evidence.IndexAdvice) error {
	if len(found) == 0 {
		return nil
	}
	c := candidates[slices.IndexFunc(candidates, func(c candidate) bool { return c.relation.Name == found[0].Table })]
	err := v.session.transaction(ctx, func(tx pgx.Tx) error {
		p := planner{tx: tx, text: v.account.raw[st.QueryID]}
		if err := p.exec(ctx, genericPlans); err != nil {
			return err
		}
		if now, err := p.plan(ctx); err != nil {
			found[0].Note += "; " + v.refusal(err)
		} else {
			found[0].Rows = now.kept(c.relation)
		}
		return nil
	})
	v.session.requests++
	return err
}

const genericPlans = "set /* culprit */ local plan_cache_mode = force_generic_plan"

// verify asks the planner with each hypothetical index in turn, all in one
// read-only transaction and so on one server process, which alone knows the
// hypothetical indexes. why is set where the statement could not be planned;
// nothing is given where no index helps enough.
func (v *advisor) verify(ctx context.Context, st evidence.Statement, candidates []candidate) (found []evidence.IndexAdvice, why string, err error) {
	err = v.session.transaction(ctx, func(tx pgx.Tx) error {
		p := planner{tx: tx, schema: v.caps.HypoPG, text: v.account.raw[st.QueryID]}
		if err := p.exec(ctx, genericPlans); err != nil {
			return err
		}
		defer p.reset(ctx)
		before, err := p.plan(ctx)
		if err != nil {
			why = v.refusal(err)
			return nil
		}
		if before.Cost < adviceMinCost {
			return nil
		}
		found = v.best(ctx, &p, st, before, candidates)
		return nil
	})
	v.session.requests++
	return found, why, err
}

// best is the cheapest of the candidates; one with more columns, which cost
// every write, has to save two thirds of what is left.
func (v *advisor) best(ctx context.Context, p *planner, st evidence.Statement, before plan, candidates []candidate) (found []evidence.IndexAdvice) {
	cost, width := before.Cost, 0
	limit := adviceCostRatio * before.Cost
	for _, c := range candidates {
		if !before.scans(c.relation) {
			continue
		}
		after, bytes, err := p.with(ctx, c)
		if err != nil {
			continue
		}
		if len(c.columns) > width && width > 0 {
			limit = adviceColumnRatio * cost
		}
		if after.Cost > limit || after.Cost >= cost {
			continue
		}
		cost, width = after.Cost, len(c.columns)
		found = []evidence.IndexAdvice{{
			QueryID: st.QueryID, Table: c.relation.Name, Columns: c.columns, DDL: c.ddl("CONCURRENTLY ") + ";", Verified: true,
			CostBefore: before.Cost, CostAfter: after.Cost, Bytes: bytes,
		}}
	}
	return found
}

func (v *advisor) refusal(err error) string {
	if code(err) == codePrivilege {
		return fmt.Sprintf("role %s may not plan this statement; %s", v.caps.Role, dataGrant(v.caps))
	}
	return "the server cannot plan it without its parameters (" + v.session.plain(err).Error() + ")"
}

// planner explains one statement in one transaction.
type planner struct {
	tx     pgx.Tx
	schema string // of hypopg
	text   string
}

const planName = "culprit_plan"

// exec sends one command by the extended protocol, which refuses a text with
// several.
func (p *planner) exec(ctx context.Context, sql string) error {
	return p.tx.Conn().PgConn().ExecParams(ctx, sql, nil, nil, nil, nil).Read().Err
}

// plan gives the generic plan, that is without values. The statement is
// prepared anew each time, because a prepared one keeps the plan from before a
// hypothetical index.
func (p *planner) plan(ctx context.Context) (out plan, err error) {
	if err := p.exec(ctx, "savepoint culprit"); err != nil {
		return out, err
	}
	out, err = p.explain(ctx)
	if err != nil {
		_ = p.exec(ctx, "rollback to savepoint culprit")
	}
	p.deallocate(ctx)
	return out, err
}

func (p *planner) explain(ctx context.Context) (out plan, err error) {
	if err := p.exec(ctx, "prepare "+planName+" as "+p.text); err != nil {
		return out, err
	}
	var parameters int
	err = p.tx.QueryRow(ctx, `select /* culprit */ cardinality(parameter_types) from pg_catalog.pg_prepared_statements where name = $1`, pgx.QueryExecModeExec, planName).Scan(&parameters)
	if err != nil {
		return out, err
	}
	call := planName
	if parameters > 0 {
		call += "(null" + strings.Repeat(", null", parameters-1) + ")"
	}
	r := p.tx.Conn().PgConn().ExecParams(ctx, "explain /* culprit */ (format json, verbose) execute "+call, nil, nil, nil, nil).Read()
	if r.Err != nil {
		return out, r.Err
	}
	return decodePlan(r.Rows)
}

func decodePlan(lines [][][]byte) (plan, error) {
	var text strings.Builder
	for _, line := range lines {
		text.Write(line[0])
	}
	var roots []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text.String()), &roots); err != nil || len(roots) != 1 {
		return plan{}, fmt.Errorf("the plan is not what EXPLAIN gives")
	}
	return roots[0].Plan, nil
}

func (p *planner) deallocate(ctx context.Context) {
	var there bool
	err := p.tx.QueryRow(ctx, `select /* culprit */ exists(select from pg_catalog.pg_prepared_statements where name = $1)`, pgx.QueryExecModeExec, planName).Scan(&there)
	if err == nil && there {
		_ = p.exec(ctx, "deallocate "+planName)
	}
}

// with is the plan as it would be with an index, and the index's size; an
// error where the planner would not use it.
func (p *planner) with(ctx context.Context, c candidate) (out plan, bytes float64, err error) {
	if err := p.exec(ctx, "savepoint culprit_index"); err != nil {
		return out, 0, err
	}
	defer p.reset(ctx)
	fail := func(err error) (plan, float64, error) {
		_ = p.exec(ctx, "rollback to savepoint culprit_index")
		return plan{}, 0, err
	}
	hypo := func(function string) string { return pgx.Identifier{p.schema, function}.Sanitize() }
	var name string
	sql := fmt.Sprintf(`select /* culprit */ indexname::text, %s(indexrelid)::float8 from %s($1)`, hypo("hypopg_relation_size"), hypo("hypopg_create_index"))
	if err := p.tx.QueryRow(ctx, sql, pgx.QueryExecModeExec, c.ddl("")).Scan(&name, &bytes); err != nil {
		return fail(err)
	}
	out, err = p.plan(ctx)
	if err != nil {
		return out, 0, err
	}
	if !out.uses(name) {
		return out, 0, fmt.Errorf("the planner does not use it")
	}
	return out, bytes, nil
}

// reset forgets our hypothetical indexes, which outlive the transaction.
func (p *planner) reset(ctx context.Context) {
	_ = p.exec(ctx, "select /* culprit */ "+pgx.Identifier{p.schema, "hypopg_reset"}.Sanitize()+"()")
}
