package rules

import (
	"testing"
	"time"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// unpruned: a table of 24 partitions, 50 locks a call where 4 would do.
func unpruned(pg *evidence.Postgres) {
	s := statement("1", "SELECT note FROM event WHERE device = $1", "event", 3000, 9000, 240)
	s.Hit = 3000 * 24 * 3
	pg.Statements = []evidence.Statement{s}
	pg.Partitions = []evidence.PGPartition{{Name: "event", Method: "range", Columns: []string{"at"}, Unpruned: []string{"1"}}}
	for i := range 24 {
		pg.Tables = append(pg.Tables, evidence.PGTable{Name: "event_" + string(rune('a'+i)), Root: "event", IdxScan: 2990, RelTuples: 1e5})
	}
	pg.Activity = []evidence.WaitSample{onCPU(3, "1"), sampled(1, "LWLock", "LockManager", "1")}
}

// ninefold: rows into a table of nine indexes, 22.5 blocks and 900 bytes of log
// each, where 2.1 and 131 would do.
func ninefold(pg *evidence.Postgres) {
	s := statement("1", "INSERT INTO event (a, b) VALUES ($1, $2)", "event", 3000, 600_000, 250)
	s.Hit, s.WALBytes = 600_000*22.5, 600_000*900
	pg.Statements = []evidence.Statement{s}
	pg.Activity = []evidence.WaitSample{onCPU(4, "1")}
	pg.Tables = []evidence.PGTable{{Name: "event", Inserted: 600_000, Live: 600_000, Bytes: 600_000 * 60, RelTuples: 6e5, FillFactor: 100}}
	pg.Indexes = []evidence.PGIndex{{Table: "event", Name: "event_pkey", Valid: true, Primary: true, Unique: true, Scans: 10, Columns: []string{"id"}}}
	for i := range 8 {
		pg.Indexes = append(pg.Indexes, evidence.PGIndex{Table: "event", Name: "event_" + string(rune('a'+i)), Valid: true, Method: "btree", Columns: []string{string(rune('a' + i))}})
	}
}

// coldUpdates set a column that an index follows.
func coldUpdates(pg *evidence.Postgres) {
	s := statement("1", "UPDATE person SET seen = $1, n = n + 1 WHERE id = $2", "person", 60_000, 60_000, 240)
	s.Hit, s.WALBytes = 60_000*22, 60_000*700
	pg.Statements = []evidence.Statement{s}
	pg.Activity = []evidence.WaitSample{onCPU(4, "1")}
	pg.Tables = []evidence.PGTable{{Name: "person", Updated: 60_000, HotUpdated: 600, Live: 10_000, Bytes: 10_000 * 80, RelTuples: 1e4, FillFactor: 100}}
	pg.Indexes = []evidence.PGIndex{{Table: "person", Name: "person_pkey", Valid: true, Primary: true, Unique: true, Scans: 60_000, Columns: []string{"id"}},
		{Table: "person", Name: "person_seen", Valid: true, Method: "btree", Columns: []string{"kind"}, Follows: []string{"kind", "seen"}}}
}

func starved(pg *evidence.Postgres) {
	s := statement("1", "SELECT sum(n) FROM event", "event", 400, 400, 200)
	s.Planned, s.Launched, s.Hit = 800, 80, 400*9000
	pg.Statements = []evidence.Statement{s}
	pg.Activity = []evidence.WaitSample{onCPU(3, "1")}
}

// Each of these has nearly all of a mechanism and lacks what makes it one. The
// statement is slow all the same, so that some other cause may stand.
func TestNearlyTheMechanism(t *testing.T) {
	slow := requests(40, 1200, part{"statement", "1", 2, 1198, false})
	for _, tt := range []struct {
		name, rule string
		sick, near func(*evidence.Postgres)
	}{
		{"a limit ends the scan of the partitions early", "missing-partition-pruning", unpruned, func(pg *evidence.Postgres) { pg.Tables[7].IdxScan = 100 }},
		{"two partitions", "missing-partition-pruning", unpruned, func(pg *evidence.Postgres) { pg.Tables = pg.Tables[:2] }},
		{"all nine indexes are read", "index-write-amplification", ninefold, func(pg *evidence.Postgres) {
			for i := range pg.Indexes {
				pg.Indexes[i].Scans = 1000
			}
		}},
		{"the indexes hold constraints", "index-write-amplification", ninefold, func(pg *evidence.Postgres) {
			for i := range pg.Indexes {
				pg.Indexes[i].Unique = true
			}
		}},
		{"one snapshot does not tell which indexes are read", "index-write-amplification", ninefold, func(pg *evidence.Postgres) { pg.Subset = true }},
		{"updates stay on their page", "index-write-amplification", coldUpdates, func(pg *evidence.Postgres) { pg.Tables[0].HotUpdated = 59_600 }},
		{"vacuum is held up, so that pages have no room", "index-write-amplification", coldUpdates, func(pg *evidence.Postgres) {
			pg.Statements[0].Text = "UPDATE person SET n = n + 1 WHERE id = $1"
			pg.Holders = []evidence.PGHolder{{Kind: "session", Who: "report", XminAge: 164_396, FirstAge: 6000, Held: 26, Samples: 5}}
		}},
		{"nearly all workers are there", "parallel-starvation", starved, func(pg *evidence.Postgres) { pg.Statements[0].Launched = 780 }},
		{"processors nobody knows of", "parallel-starvation", starved, func(*evidence.Postgres) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, _ := judgedServer(t, slow, account(func(pg *evidence.Postgres) { tt.sick(pg); tt.near(pg) }))
			for _, c := range j.Causes {
				if c.Rule.ID == tt.rule {
					t.Errorf("%s: %s", tt.rule, c.Finding.Text)
				}
			}
		})
	}
}

// Workers are missed where processors are idle, and where nobody knows of the
// processors it stays a lead.
func TestParallelStarvation(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for cores, want := range map[float64]string{16: "parallel-starvation", 2: "slow-query"} {
		b := &evidence.Bundle{Window: evidence.Window{Start: time.UnixMilli(0), End: time.UnixMilli(60_000)},
			Spans: requests(40, 1200, part{"select sum", "1", 2, 1198, false}), Postgres: []evidence.Postgres{account(starved)},
			Series: []evidence.Series{series(evidence.NodeCPUCount, evidence.Entity{Resource: "node"}, always(cores))}}
		b.Sort()
		j := c.Judge(b, analyzers.Run(b))
		if len(j.Causes) == 0 || j.Causes[0].Rule.ID != want {
			t.Errorf("3 sessions on %.0f cores: causes %s, want %s first", cores, causes(j), want)
		}
	}
}
