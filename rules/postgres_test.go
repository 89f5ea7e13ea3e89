package rules

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// part is one client span of a request, in ms from its start.
type part struct {
	name, key string
	from, to  int64
	failed    bool
}

// requests are n of GET /list of service front, one a second, each of the
// given length in ms with the same parts.
func requests(n int, long int64, parts ...part) []evidence.Span {
	var out []evidence.Span
	for i := range n {
		var trace evidence.TraceID
		binary.BigEndian.PutUint64(trace[8:], uint64(i+1))
		add := func(id byte, s evidence.Span, from, to int64) {
			s.Trace, s.ID, s.Service = trace, evidence.SpanID{7: id}, "front"
			s.Start, s.End = int64(i)*1e9+from*1e6, int64(i)*1e9+to*1e6
			out = append(out, s)
		}
		add(1, evidence.Span{Name: "GET /list", Kind: evidence.KindServer}, 0, long)
		for k, p := range parts {
			attrs := evidence.NewAttrs(evidence.Attr{Key: evidence.AttrDBSystem, Value: "postgresql"}, evidence.Attr{Key: evidence.AttrDBQuery, Value: p.name}, evidence.Attr{Key: evidence.AttrDBKey, Value: p.key})
			add(byte(k+2), evidence.Span{Name: p.name, Kind: evidence.KindClient, Parent: evidence.SpanID{7: 1}, Attrs: attrs, Error: p.failed}, p.from, p.to)
		}
	}
	return out
}

// sampled makes waits of n average sessions over a minute at 10 Hz.
func sampled(n float64, kind, wait, id string) evidence.WaitSample {
	return evidence.WaitSample{At: 1000, Ticks: 600, Sessions: int(600 * n), State: "active", WaitType: kind, Wait: wait, QueryID: id}
}

func onCPU(n float64, id string) evidence.WaitSample { return sampled(n, "", "", id) }

// statement is one of the account; the key is its id.
func statement(id, text, table string, calls, rows, exec float64) evidence.Statement {
	return evidence.Statement{Key: id, QueryID: id, Text: text, Tables: []string{table}, TopLevel: true, Calls: calls, Rows: rows, Exec: exec}
}

func account(fill func(*evidence.Postgres)) evidence.Postgres {
	pg := evidence.Postgres{Until: 60_000, Ticks: 600, Tick: 0.1, Database: &evidence.PGDatabaseRow{Name: "db", Commits: 60_000},
		Server: evidence.PGServer{Name: "db:5432/db", Version: 150000, Settings: map[string]string{"max_connections": "100", "superuser_reserved_connections": "3", "deadlock_timeout": "1s", "synchronous_commit": "on"}}}
	fill(&pg)
	return pg
}

func judgedServer(t *testing.T, spans []evidence.Span, pg evidence.Postgres) (*Judgement, *analyzers.Result) {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(60_000)}, Spans: spans, Postgres: []evidence.Postgres{pg}}
	b.Sort()
	r := analyzers.Run(b)
	for _, s := range r.Skips {
		if s.Err != "" {
			t.Error(s.Err)
		}
	}
	return c.Judge(b, r), r
}

// hotRow is the load of one update on one row: 16 clients, numbers of the
// reproduced case on PostgreSQL 15.
func hotRow(pg *evidence.Postgres) {
	pg.Statements = []evidence.Statement{statement("1", "UPDATE account SET n = n + 1 WHERE id = $1", "account", 46_000, 46_000, 862)}
	pg.Activity = []evidence.WaitSample{sampled(11.58, "Lock", "transactionid", "1"), sampled(0.64, "Lock", "tuple", "1"), sampled(1.93, "LWLock", "LockManager", "1"), onCPU(0.5, "1")}
	pg.Blocking = []evidence.BlockEdge{{Waiter: "1", Blocker: "", BlockerText: "commit", BlockerState: "active", LockType: "transactionid", Samples: 192, MaxWait: 0.06, MaxBlockerTx: 0.03}}
	pg.Database.Commits, pg.Database.WALSyncs, pg.Database.ActiveTime = 46_000, 46_000, 880
}

func lockQueued(pg *evidence.Postgres) {
	pg.Statements = []evidence.Statement{statement("1", "SELECT n FROM account WHERE id = $1", "account", 60_000, 60_000, 1.4), statement("9", "ALTER TABLE account ADD x int", "account", 1, 0, 5)}
	pg.Activity = []evidence.WaitSample{sampled(6.88, "Lock", "relation", "1"), onCPU(0.3, "1")}
	pg.Blocking = []evidence.BlockEdge{
		{Waiter: "9", Blocker: "1", BlockerText: "select n from account where id = ?", BlockerState: "idle in transaction", BlockerApp: "forgetful", LockType: "relation", Mode: "AccessExclusiveLock", Relation: "account", Samples: 5, MaxWait: 5, MaxBlockerTx: 6},
		{Waiter: "1", Blocker: "9", BlockerText: "alter table account add x int", BlockerState: "active", BlockerApp: "migration", LockType: "relation", Mode: "AccessShareLock", Relation: "account", Samples: 80, MaxWait: 5, MaxBlockerTx: 5}}
	pg.Database.ActiveTime = 400
}

// vacuumHeld: 26 s of updates beside a repeatable-read transaction.
func vacuumHeld(pg *evidence.Postgres) {
	pg.Statements = []evidence.Statement{statement("1", "UPDATE account SET n = n + 1 WHERE id = $1", "account", 160_000, 160_000, 40)}
	pg.Activity = []evidence.WaitSample{onCPU(0.7, "1")}
	pg.Tables = []evidence.PGTable{{Name: "account", Live: 1000, RelTuples: 1000, Dead: 164_384, Updated: 164_384, VacuumAt: 250, Autovacuums: 13, Bytes: 7.4e6}}
	pg.Indexes = []evidence.PGIndex{{Table: "account", Name: "account_pkey", Primary: true, Unique: true, Valid: true, Scans: 160_000, TupRead: 7_600_000, TupFetch: 160_000}}
	pg.Holders = []evidence.PGHolder{{Kind: "session", Who: "report", State: "idle in transaction", Text: "select ?", XminAge: 164_396, FirstAge: 6000, Held: 26, Samples: 5}}
}

// slowDisk: the same load of inserts as healthyCommits, ten times the flush.
func slowDisk(pg *evidence.Postgres) {
	pg.Statements = []evidence.Statement{statement("1", "INSERT INTO log VALUES ($1)", "log", 60_000, 60_000, 4)}
	pg.Activity = []evidence.WaitSample{sampled(19.9, "LWLock", "WALWrite", "1"), sampled(0.8, "IO", "WALSync", "1"), onCPU(0.3, "1")}
	pg.Database.ActiveTime, pg.Database.WALSyncs, pg.Database.WALSyncTime = 1270, 6000, 54
}

// explicitCommits: drivers' COMMITs have no query id under the extended
// protocol, and here no span either.
func explicitCommits(pg *evidence.Postgres) {
	slowDisk(pg)
	for i := range pg.Activity[:2] {
		pg.Activity[i].QueryID, pg.Activity[i].Verb = "", "COMMIT"
	}
}

func churning(pg *evidence.Postgres) {
	pg.Statements = []evidence.Statement{statement("1", "SELECT n FROM account WHERE id = $1", "account", 14_700, 14_700, 0.3)}
	pg.Activity = []evidence.WaitSample{onCPU(0.08, "1")}
	pg.Database.Commits, pg.Database.Sessions = 14_700, 6900
}

func spilling(pg *evidence.Postgres) {
	s := statement("1", "SELECT kind, sum(n) FROM event GROUP BY kind ORDER BY 2", "event", 300, 6000, 180)
	s.TempRead, s.TempWrite, s.TempTime, s.Hit = 3e6, 3e6, 90, 3e6
	pg.Statements = []evidence.Statement{s}
	pg.Activity = []evidence.WaitSample{sampled(1, "IO", "BufFileRead", "1"), sampled(0.5, "IO", "BufFileWrite", "1"), onCPU(1.5, "1")}
	pg.Database.ActiveTime = 182
}

// reading: files out of the system's cache, 206 us a block.
func reading(pg *evidence.Postgres) {
	s := statement("1", "SELECT pad FROM wide WHERE id = $1", "wide", 550_000, 550_000, 220)
	s.Read, s.ReadTime, s.Hit = 1.05e6, 216, 1.2e6
	pg.Statements = []evidence.Statement{s}
	pg.Activity = []evidence.WaitSample{sampled(3.38, "IO", "DataFileRead", "1"), onCPU(0.4, "1")}
	pg.Database.ActiveTime = 222
}

func TestDatabaseCauses(t *testing.T) {
	query := part{"select n", "1", 2, 98, false}
	for _, tt := range []struct {
		name, rule, resource string
		spans                []evidence.Span
		sick                 func(*evidence.Postgres)
	}{
		{"hot row", "row-lock-contention", "account", requests(40, 100, query), hotRow},
		{"hot row of holders who do something else meanwhile, briefly", "row-lock-contention", "account", requests(40, 100, query), func(pg *evidence.Postgres) {
			hotRow(pg)
			pg.Blocking = []evidence.BlockEdge{{Waiter: "1", Blocker: "1", BlockerState: "idle in transaction", BlockerApp: "front", BlockerText: "update account", LockType: "transactionid", Relation: "account", Samples: 192, MaxWait: 0.2, MaxBlockerTx: 0.3, MaxBlockerIdle: 0.08}}
		}},
		{"lock queue", "lock-queue", "account", requests(40, 5000, part{"select n", "1", 2, 4998, false}), lockQueued},
		{"idle in transaction", "idle-in-transaction", "account", requests(40, 100, query), func(pg *evidence.Postgres) {
			hotRow(pg)
			pg.Activity = append(pg.Activity, evidence.WaitSample{At: 1000, Ticks: 600, Sessions: 600, State: "idle in transaction", WaitType: "Client", Wait: "ClientRead", QueryID: "1"})
			pg.Blocking = []evidence.BlockEdge{{Waiter: "1", Blocker: "1", BlockerState: "idle in transaction", BlockerApp: "batch", BlockerText: "update account", LockType: "transactionid", Relation: "account", Samples: 100, MaxWait: 2, MaxBlockerTx: 3}}
		}},
		{"vacuum blocked", "vacuum-blocked", "account", requests(40, 100, query), vacuumHeld},
		{"vacuum blocked, few transactions of many rows", "vacuum-blocked", "account", requests(40, 100, query), func(pg *evidence.Postgres) {
			vacuumHeld(pg)
			pg.Holders[0].XminAge, pg.Holders[0].FirstAge, pg.Holders[0].Held = 2600, 200, 58
		}},
		{"slow commit", "slow-commit", "db:5432/db", requests(40, 100, part{"insert into log", "1", 2, 98, false}), slowDisk},
		{"slow explicit commit", "slow-commit", "db:5432/db", requests(40, 30, part{"insert into log", "1", 2, 8, false}), explicitCommits},
		{"connection churn", "connection-churn", "db:5432/db", requests(40, 70, part{"connect", "", 1, 65, false}, part{"select n", "1", 66, 67, false}), churning},
		{"connection limit", "connection-limit", "db:5432/db", requests(40, 300, part{"connect", "", 1, 200, true}, part{"select n", "1", 210, 290, false}), func(pg *evidence.Postgres) { pg.Refused = 60 }},
		{"reads from the device", "io-bound-reads", "db:5432/db", requests(40, 100, part{"select pad", "1", 2, 98, false}), reading},
		{"reads that the server does not time", "io-bound-reads", "db:5432/db", requests(40, 100, part{"select pad", "1", 2, 98, false}), func(pg *evidence.Postgres) {
			reading(pg)
			pg.Statements[0].ReadTime = 0
		}},
		{"spill", "work-mem-spill", "select kind, sum(n) from event group by kind order by ?", requests(40, 700, part{"select kind", "1", 2, 698, false}), spilling},
		{"deep paging", "deep-paging", "select id from item order by id limit ? offset ?", requests(40, 500, part{"select id", "1", 2, 498, false}), func(pg *evidence.Postgres) {
			s := statement("1", "SELECT id FROM item ORDER BY id LIMIT $1 OFFSET $2", "item", 500, 10_000, 240)
			s.Hit = 500 * 13_600
			pg.Statements, pg.Activity = []evidence.Statement{s}, []evidence.WaitSample{onCPU(4, "1")}
		}},
		{"JIT", "jit-compilation", "select a from b", requests(40, 500, part{"select a from b", "1", 2, 498, false}), func(pg *evidence.Postgres) {
			s := statement("1", "SELECT a FROM b", "b", 500, 10_000, 240)
			s.JIT = 180
			pg.Statements = []evidence.Statement{s}
		}},
		{"checkpoints", "checkpoint-pressure", "db:5432/db", requests(40, 100, query), func(pg *evidence.Postgres) {
			pg.Statements = []evidence.Statement{statement("1", "INSERT INTO log VALUES ($1)", "log", 60_000, 60_000, 100)}
			pg.Cluster = &evidence.PGCluster{CheckpointsRequested: 10, WALFPI: 40, WALRecords: 100}
			pg.Activity = []evidence.WaitSample{sampled(3, "IO", "DataFileWrite", "1"), onCPU(2, "1")}
		}},
		{"deadlocks", "deadlocks", "db:5432/db", requests(40, 1100, part{"update", "1", 2, 1098, false}), func(pg *evidence.Postgres) {
			pg.Statements = []evidence.Statement{statement("1", "UPDATE item SET n = $1 WHERE id = $2", "item", 600, 600, 300)}
			pg.Activity = []evidence.WaitSample{sampled(0.1, "Lock", "transactionid", "1"), onCPU(0.05, "1")}
			pg.Database.Deadlocks = 30
		}},
		{"foreign key", "foreign-key-without-index", "child(parent_id)", requests(40, 500, part{"delete", "1", 2, 498, false}), func(pg *evidence.Postgres) {
			s := statement("1", "DELETE FROM parent WHERE id = $1", "parent", 600, 600, 290)
			s.Hit = 600 * 4000
			pg.Statements = []evidence.Statement{s}
			pg.Tables = []evidence.PGTable{{Name: "parent", Deleted: 600, RelTuples: 1e5}, {Name: "child", SeqScan: 600, SeqRead: 6e8, RelTuples: 1e6, Bytes: 3e7}}
			pg.Unindexed = []evidence.PGForeignKey{{Table: "child", Name: "child_parent_fkey", Columns: []string{"parent_id"}, Parent: "parent"}}
		}},
		{"partitions", "missing-partition-pruning", "select note from event where device = ?", requests(40, 1200, part{"select note", "1", 2, 1198, false}), unpruned},
		{"indexes nobody reads", "index-write-amplification", "event", requests(40, 90, part{"insert into event", "1", 2, 88, false}), ninefold},
		{"updates that are not heap-only", "index-write-amplification", "person", requests(40, 90, part{"update person", "1", 2, 88, false}), coldUpdates},
		{"replica", "replication-lag", "far", requests(40, 100, part{"insert into log", "1", 2, 98, false}), func(pg *evidence.Postgres) {
			slowDisk(pg)
			pg.Activity = []evidence.WaitSample{sampled(20, "IPC", "SyncRep", "1"), onCPU(0.3, "1")}
			pg.Replicas = []evidence.PGReplica{{Name: "far", State: "streaming", Sync: "sync", ReplayLag: 12}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, r := judgedServer(t, tt.spans, account(tt.sick))
			if len(j.Causes) == 0 || j.Causes[0].Rule.ID != tt.rule || j.Causes[0].Subject.Resource != tt.resource {
				for _, f := range r.Findings {
					t.Logf("%s %s = %g (%v): %s", f.Kind, f.Entity, f.Value, f.Impact, f.Text)
				}
				for _, x := range j.Rejected {
					t.Logf("rejected %s %s: %s", x.Rule, x.Subject, x.Reason)
				}
				t.Fatalf("causes %s, want %s of %s first", causes(j), tt.rule, tt.resource)
			}
			for _, line := range j.Causes[0].Remedy {
				if line == "" {
					t.Error("an empty line of remedy")
				}
			}
		})
	}
}

// Each healthy load looks like one of the sick ones by the number that people
// look at first.
func TestDatabaseHealthy(t *testing.T) {
	for _, tt := range []struct {
		name    string
		spans   []evidence.Span
		healthy func(*evidence.Postgres)
	}{
		{"73 % of the sessions flush, 0.8 ms each", requests(40, 3, part{"select", "1", 0, 3, false}), func(pg *evidence.Postgres) {
			pg.Statements = []evidence.Statement{statement("1", "INSERT INTO log VALUES ($1)", "log", 338_000, 338_000, 24)}
			pg.Activity = []evidence.WaitSample{sampled(4.07, "LWLock", "WALWrite", "1"), sampled(0.68, "IO", "WALSync", "1"), onCPU(0.63, "1")}
			pg.Database.Commits, pg.Database.ActiveTime, pg.Database.WALSyncs, pg.Database.WALSyncTime = 338_000, 322, 45_000, 40
		}},
		{"updates spread over a thousand rows", requests(40, 10, part{"update", "1", 0, 6, false}), func(pg *evidence.Postgres) {
			pg.Statements = []evidence.Statement{statement("1", "UPDATE account SET n = n + 1 WHERE id = $1", "account", 300_000, 300_000, 11)}
			pg.Activity = []evidence.WaitSample{sampled(0.14, "Lock", "transactionid", "1"), sampled(6.89, "LWLock", "WALWrite", "1"), onCPU(0.6, "1"),
				{At: 1000, Ticks: 600, Sessions: 2820, State: "idle in transaction", WaitType: "Client", Wait: "ClientRead"}}
			pg.Database.Commits = 300_000
			pg.Blocking = []evidence.BlockEdge{{Waiter: "1", BlockerState: "idle in transaction", LockType: "transactionid", Samples: 2, MaxBlockerTx: 0.01}}
		}},
		{"a spill that takes 6 % of the time", requests(40, 700, part{"select kind", "1", 2, 698, false}), func(pg *evidence.Postgres) {
			spilling(pg)
			pg.Statements[0].TempTime = 11
			pg.Activity = []evidence.WaitSample{onCPU(4.77, "1"), sampled(0.38, "IO", "BufFileWrite", "1"), sampled(0.17, "IO", "BufFileRead", "1")}
		}},
		{"half of the blocks missed, from the system's cache", requests(40, 4, part{"select pad", "1", 0, 4, false}), func(pg *evidence.Postgres) {
			reading(pg)
			pg.Statements[0].ReadTime = 11
			pg.Activity = []evidence.WaitSample{sampled(0.31, "IO", "DataFileRead", "1"), onCPU(3, "1")}
		}},
		{"vacuum keeps up", requests(40, 4, part{"update", "1", 0, 4, false}), func(pg *evidence.Postgres) {
			vacuumHeld(pg)
			pg.Tables[0].Dead, pg.Holders, pg.Indexes[0].TupRead = 909, nil, 161_000
		}},
		{"a report of ten seconds between two vacuums", requests(40, 100, part{"update", "1", 0, 98, false}), func(pg *evidence.Postgres) {
			vacuumHeld(pg)
			pg.Holders[0].XminAge, pg.Holders[0].FirstAge, pg.Holders[0].Held, pg.Tables[0].Autovacuums = 2600, 200, 10, 2
		}},
		{"pooled connections", requests(40, 70, part{"select n", "1", 1, 2, false}), func(pg *evidence.Postgres) {
			churning(pg)
			pg.Database.Sessions = 30
		}},
		{"one checkpoint on time, dirty pages of an earlier run", requests(40, 30, part{"insert", "1", 1, 29, false}), func(pg *evidence.Postgres) {
			pg.Statements = []evidence.Statement{statement("1", "INSERT INTO log VALUES ($1)", "log", 60_000, 60_000, 60)}
			pg.Cluster = &evidence.PGCluster{CheckpointsTimed: 1}
			pg.Activity = []evidence.WaitSample{sampled(1.9, "IO", "DataFileWrite", "1"), onCPU(2, "1")}
		}},
		{"compiling is 4 % of the time", requests(40, 560, part{"select a", "1", 2, 556, false}), func(pg *evidence.Postgres) {
			s := statement("1", "SELECT a FROM b", "b", 300, 10_000, 166)
			s.JIT = 6
			pg.Statements = []evidence.Statement{s}
		}},
		{"locks, not plans, spread the times", requests(40, 20, part{"update", "1", 2, 18, false}), func(pg *evidence.Postgres) {
			hotRow(pg)
			pg.Statements[0].StddevExec = 0.2
			pg.Activity = []evidence.WaitSample{sampled(0.1, "Lock", "transactionid", "1"), onCPU(0.9, "1")}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, _ := judgedServer(t, tt.spans, account(tt.healthy))
			if len(j.Causes) > 0 {
				t.Errorf("causes %s: %s", causes(j), j.Causes[0].Finding.Text)
			}
		})
	}
}

// What comes later in the order of explanation does not stand beside what comes
// first: a queue for the table makes holders keep their rows longer.
func TestQueueExplainsRowLocksAway(t *testing.T) {
	j, _ := judgedServer(t, requests(40, 5000, part{"select n", "1", 2, 2490, false}, part{"update", "2", 2500, 4998, false}), account(func(pg *evidence.Postgres) {
		lockQueued(pg)
		pg.Statements = append(pg.Statements, statement("2", "UPDATE account SET n = n + 1 WHERE id = $1", "account", 600, 600, 30))
		pg.Activity = append(pg.Activity, sampled(2, "Lock", "transactionid", "2"), onCPU(0.1, "2"))
	}))
	if len(j.Causes) != 1 || j.Causes[0].Rule.ID != "lock-queue" {
		t.Errorf("causes %s, want the queue alone", causes(j))
	}
	for _, x := range j.Rejected {
		if x.Rule == "row-lock-contention" {
			return
		}
	}
	t.Error("the row locks were not even weighed")
}

func TestFanoutWithoutTraces(t *testing.T) {
	pair := func(calls float64) evidence.Postgres {
		return account(func(pg *evidence.Postgres) {
			pg.Statements = []evidence.Statement{statement("1", "SELECT id FROM purchase WHERE buyer = $1", "purchase", 17_376, 347_520, 1.2), statement("2", "SELECT name FROM item WHERE id = $1", "item", calls, calls, 2)}
		})
	}
	front := evidence.Histogram{Kind: evidence.ServerLatency, Entity: op, Bounds: []float64{0.5, 1, 2}}
	for s := range 60 {
		front.Times, front.Rates = append(front.Times, int64(s)*1000), append(front.Rates, []float64{0, 0, 100, 0})
	}
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for calls, want := range map[float64]string{347_520: "statement-fanout", 250_000: "", 17_376: ""} {
		b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(60_000)}, Postgres: []evidence.Postgres{pair(calls)}, Histograms: []evidence.Histogram{front}}
		b.Sort()
		if got := causes(c.Judge(b, analyzers.Run(b))); got != want {
			t.Errorf("%.0f lookups for 347520 rows: causes %q, want %q", calls, got, want)
		}
	}
}

// What belongs to housekeeping is listed there and never ranked.
func TestHousekeepingIsNoCause(t *testing.T) {
	j, _ := judgedServer(t, requests(40, 5000, part{"select n", "1", 2, 4, false}), account(func(pg *evidence.Postgres) {
		pg.Tables = []evidence.PGTable{{Name: "log", Inserted: 1000, XIDAge: 1.5e9}}
		pg.Indexes = []evidence.PGIndex{
			{Table: "log", Name: "log_bad", Bytes: 1 << 30},
			{Table: "log", Name: "log_kind", Valid: true, Bytes: 1 << 30, CoveredBy: "log_kind_at"},
			{Table: "log", Name: "log_kind_at", Valid: true, Bytes: 1 << 30, Scans: 5},
			{Table: "log", Name: "log_pkey", Valid: true, Bytes: 1 << 30, Unique: true, Primary: true},
			{Table: "log", Name: "log_unread", Valid: true, Bytes: 1 << 30}}
		pg.Sequences = []evidence.PGSequence{{Name: "log_id_seq", Used: 0.93}}
	}))
	want := map[string]string{"invalid-index": "log_bad", "duplicate-index": "log_kind", "unused-index": "log_unread", "transaction-wraparound": "db:5432/db", "sequence-exhaustion": "log_id_seq"}
	if len(j.Causes) > 0 || len(j.Housekeeping) != len(want) {
		t.Errorf("causes %s, %d of housekeeping", causes(j), len(j.Housekeeping))
	}
	for _, h := range j.Housekeeping {
		if want[h.Rule.ID] != h.Subject.Resource {
			t.Errorf("%s of %s", h.Rule.ID, h.Subject)
		}
	}
}
