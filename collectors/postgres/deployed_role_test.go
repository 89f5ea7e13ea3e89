package postgres

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/testdata/needs"
)

// roleSQL is what the packaging has an administrator run.
const roleSQL = "../../cmd/culprit/deploy/postgres/role.sql"

// The role that is shipped sees all that a role can see of statistics, and is
// refused everything else.
func TestDeployedRole(t *testing.T) { onEach(t, testDeployedRole) }

func testDeployedRole(t *testing.T, r release) {
	s := startRelease(t, r)
	s.exec(s.shop(), "drop extension pg_stat_statements")
	for range 2 { // it may be repeated
		s.runFile("shop", roleSQL)
	}
	t.Run("sees", func(t *testing.T) {
		pre, err := newCollector(t, Config{DSN: s.dsn("culprit", "shop")}).Check(t.Context())
		if err != nil || len(pre.Gaps) != 0 || pre.Source.Status != evidence.StatusOK {
			t.Errorf("check: %+v, %v", pre, err)
		}
		b := run(t, newCollector(t, Config{DSN: s.dsn("culprit", "shop"), Explain: true}), func() { s.lookUp(60) })
		for _, g := range b.Gaps {
			if strings.Contains(strings.ToUpper(g.Reason+g.Remedy), "GRANT ") {
				t.Errorf("it lacks a grant: %+v", g)
			}
		}
		p := b.Postgres[0]
		if st := statement(t, p, "buyer = ?"); st.Calls != 60 {
			t.Errorf("statement %+v", st)
		}
		if p.Database == nil || len(p.Tables) == 0 || len(p.Indexes) == 0 || p.Ticks == 0 {
			t.Errorf("something is not seen: database %v, %d tables, %d indexes, %d ticks", p.Database, len(p.Tables), len(p.Indexes), p.Ticks)
		}
	})
	t.Run("is refused", func(t *testing.T) { holdRefused(t, s) })
}

// runFile runs a file as its header tells an administrator to.
func (s *server) runFile(database, path string) {
	s.t.Helper()
	program := filepath.Join(debian15(s.t).bin, "psql")
	if _, err := os.Stat(program); err != nil {
		needs.Missing(s.t, "no psql: apt-get install postgresql-client-15")
	}
	if out, err := exec.Command(program, "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-d", s.dsn("postgres", database), "-f", path).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", path, err, out)
	}
}

const (
	codeRefused  = "42501" // insufficient_privilege
	codeReadOnly = "25006" // read_only_sql_transaction
)

// forbidden is what the role must not be able to do.
var forbidden = []string{
	"insert into counter values (99, 0)", "update counter set n = n + 1", "delete from counter", "truncate counter", "drop table counter",
	"alter table counter add column x int", "create index counter_n on counter (n)",
	"create table mine (id int)", "create schema mine", "create role mine", "create extension pgrowlocks", "comment on database shop is 'mine'",
	"select * from purchase limit 1", "copy purchase to stdout", "select nextval('purchase_id_seq')",
	"select pg_read_file('postgresql.conf')", "select lo_import('/etc/passwd')", "copy (select 1) to program 'true'",
	"select pg_stat_reset()", "select pg_stat_statements_reset()", "alter system set track_io_timing = off",
	"set role postgres", "alter role culprit superuser", "alter role postgres set work_mem = '64MB'", "grant pg_read_all_data to culprit",
}

// holdRefused tries all of it, with the seat belt of a read-only session and
// without, as any role can take that off: what protects is the lack of rights.
func holdRefused(t *testing.T, s *server) {
	for belt, codes := range map[string]string{"on": codeRefused + " " + codeReadOnly, "off": codeRefused} {
		conn := s.connect("culprit", "shop")
		s.exec(conn, "set default_transaction_read_only = "+belt)
		for _, sql := range forbidden {
			_, err := conn.Exec(context.Background(), sql)
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || !strings.Contains(codes, refused.Code) {
				t.Errorf("read-only %s, %s: %v, want SQLSTATE %s", belt, sql, err, codes)
			}
		}
	}
}
