package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestHousekeeping(t *testing.T) { onEach(t, testHousekeeping) }

func testHousekeeping(t *testing.T, r release) {
	s := startRelease(t, r, "max_prepared_transactions = 2", "wal_level = logical")
	conn := s.shop()
	s.exec(conn, `create table child (id serial primary key, purchase_id bigint references purchase, counter_id int references counter, note text)`,
		"create index child_counter on child (counter_id, note)", "create index child_note on child (note)", "create index child_note_counter on child (note, counter_id)",
		"select setval('child_id_seq', 2000000000)", "alter table child set (autovacuum_vacuum_threshold = 7, autovacuum_vacuum_scale_factor = 0)")
	held := s.connect("postgres", "shop")
	s.exec(held, "set application_name = 'forgetful'", "begin isolation level repeatable read", "select n from counter where id = 4242")
	prepared := s.connect("postgres", "shop")
	s.exec(prepared, "begin", "insert into counter values (77, 0)", "prepare transaction 'left over'")
	b := run(t, newCollector(t, Config{DSN: s.dsn("watcher", "shop"), Settle: 100 * time.Millisecond}), func() {
		for range 1500 {
			s.exec(conn, "update counter set n = n + 1 where id = 2")
		}
		s.exec(conn, "checkpoint")
		time.Sleep(5500 * time.Millisecond)
		s.exec(conn, "select 1") // which flushes the session's counters
	})
	p := b.Postgres[0]
	holder := func(kind, who string) evidence.PGHolder {
		i := slices.IndexFunc(p.Holders, func(h evidence.PGHolder) bool { return h.Kind == kind && h.Who == who })
		if i < 0 {
			t.Fatalf("no holder %s %s in %+v", kind, who, p.Holders)
		}
		return p.Holders[i]
	}
	if h := holder("session", "forgetful"); h.State != "idle in transaction" || h.XminAge < 1500 || h.Held < 5 || h.Text != "select n from counter where id = ?" {
		t.Errorf("holder %+v", h)
	}
	if h := holder("prepared transaction", "left over"); h.XminAge < 1500 {
		t.Errorf("holder %+v", h)
	}
	if len(p.Unindexed) != 1 || p.Unindexed[0].Table != "child" || p.Unindexed[0].Parent != "purchase" || !slices.Equal(p.Unindexed[0].Columns, []string{"purchase_id"}) {
		t.Errorf("foreign keys %+v", p.Unindexed)
	}
	for _, i := range p.Indexes {
		if want := map[string]string{"child_note": "child_note_counter"}[i.Name]; i.CoveredBy != want {
			t.Errorf("%s is covered by %q, want %q", i.Name, i.CoveredBy, want)
		}
	}
	for _, x := range p.Tables {
		if x.Name == "child" && x.VacuumAt != 7 || x.Name == "purchase" && x.VacuumAt != 24050 || x.XIDAge < 1500 {
			t.Errorf("table %+v", x)
		}
	}
	c := p.Cluster
	if c == nil || c.CheckpointsRequested < 1 || c.WALRecords < 1500 || c.WALBytes < 1500*50 || c.XIDAge < 1500 {
		t.Errorf("cluster %+v", c)
	}
	if len(p.Sequences) != 0 {
		t.Errorf("sequences that the role may not read: %+v", p.Sequences)
	}
	b = run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop"), Settle: -1}), func() {})
	if q := b.Postgres[0].Sequences; len(q) != 1 || q[0].Name != "child_id_seq" || q[0].Used < 0.9 || q[0].Used > 0.95 {
		t.Errorf("sequences %+v", q)
	}
}

func TestStandby(t *testing.T) { onEach(t, testStandby) }

func testStandby(t *testing.T, r release) {
	s := startRelease(t, r, "wal_level = replica", "hot_standby = on")
	s.shop()
	s.lookUp(40)
	standby := s.standby()
	b := run(t, newCollector(t, Config{DSN: standby.dsn("reader", "shop"), Explain: true}), func() { standby.lookUp(60) })
	p := b.Postgres[0]
	if st := statement(t, p, "buyer = ?"); !p.Server.Standby || st.Calls != 60 {
		t.Errorf("standby %v, statement %+v", p.Server.Standby, st)
	}
	wantAdvice(t, r, b)
	wantNote(t, b, "standby")
	b = run(t, newCollector(t, Config{DSN: s.dsn("reader", "shop"), Settle: -1}), func() { s.lookUp(1) })
	if r := b.Postgres[0].Replicas; len(r) != 1 || r[0].State != "streaming" || r[0].Name != "walreceiver" {
		t.Errorf("replicas %+v", r)
	}
}
