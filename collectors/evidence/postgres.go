package evidence

// Postgres is one server's own account of the window: the difference of two
// snapshots where both exist (Subset false), and what was sampled between.
// Where only the later snapshot exists, counters count since their last reset.
type Postgres struct {
	Server     PGServer       `json:"server"`
	Subset     bool           `json:"subset"`               // true: counters are totals since Since, not of the window
	Since      int64          `json:"since_ms,omitempty"`   // Unix ms from which the counters count
	Until      int64          `json:"until_ms"`             // Unix ms of the later snapshot
	Statements []Statement    `json:"statements,omitempty"` // deltas, calls > 0
	Database   *PGDatabaseRow `json:"database,omitempty"`   // the connected database
	Tables     []PGTable      `json:"tables,omitempty"`
	Indexes    []PGIndex      `json:"indexes,omitempty"`
	Activity   []WaitSample   `json:"activity,omitempty"`
	Blocking   []BlockEdge    `json:"blocking,omitempty"`
	Advice     []IndexAdvice  `json:"advice,omitempty"`
	Cluster    *PGCluster     `json:"cluster,omitempty"`
	Holders    []PGHolder     `json:"holders,omitempty"`
	Unindexed  []PGForeignKey `json:"unindexed_foreign_keys,omitempty"`
	Sequences  []PGSequence   `json:"sequences,omitempty"`  // those more than half used up
	Replicas   []PGReplica    `json:"replicas,omitempty"`   // at the later snapshot
	Partitions []PGPartition  `json:"partitions,omitempty"` // the partitioned tables that statements read
	Ticks      int            `json:"ticks,omitempty"`      // samples of pg_stat_activity taken in the window
	Refused    int            `json:"refused,omitempty"`    // samples that failed because the server had too many connections
	Tick       float64        `json:"tick_s,omitempty"`     // s between them
}

// PGServer is what does not change during a run.
type PGServer struct {
	Name       string            `json:"name"`                         // host:port/database, without user or password
	Version    int               `json:"version"`                      // server_version_num
	Statements string            `json:"pg_stat_statements,omitempty"` // extension version, "" where absent
	StartedAt  int64             `json:"started_ms"`
	Standby    bool              `json:"standby,omitempty"`
	Settings   map[string]string `json:"settings,omitempty"` // as pg_settings spells them, units included
}

// Statement is one entry of pg_stat_statements over the window. Times in s.
type Statement struct {
	Key        string   `json:"key"` // canonical key of the text, joins with spans' AttrDBKey
	QueryID    string   `json:"queryid"`
	Text       string   `json:"text"` // normalised by the server, literals are $n
	Tables     []string `json:"tables,omitempty"`
	User       string   `json:"user,omitempty"`
	TopLevel   bool     `json:"toplevel"`
	Calls      float64  `json:"calls"`
	Rows       float64  `json:"rows"`
	Exec       float64  `json:"exec_s"`
	Plan       float64  `json:"plan_s,omitempty"`
	StddevExec float64  `json:"stddev_s,omitempty"` // of the window where both snapshots exist
	Hit        float64  `json:"shared_hit"`         // blocks
	Read       float64  `json:"shared_read"`
	Dirtied    float64  `json:"shared_dirtied,omitempty"`
	Written    float64  `json:"shared_written,omitempty"`
	TempRead   float64  `json:"temp_read,omitempty"`
	TempWrite  float64  `json:"temp_written,omitempty"`
	ReadTime   float64  `json:"read_s,omitempty"` // shared block I/O, track_io_timing
	WriteTime  float64  `json:"write_s,omitempty"`
	TempTime   float64  `json:"temp_s,omitempty"`
	WALBytes   float64  `json:"wal_bytes,omitempty"`
	WALFPI     float64  `json:"wal_fpi,omitempty"`
	JIT        float64  `json:"jit_s,omitempty"`
	Planned    float64  `json:"parallel_planned,omitempty"`  // parallel workers that plans asked for; extension 1.12+
	Launched   float64  `json:"parallel_launched,omitempty"` // and that the server had to give
	Flags      []string `json:"flags,omitempty"`             // "entry created in the window", ...
}

// Blocks touched a call, hit or read.
func (s *Statement) BlocksPerCall() float64 { return (s.Hit + s.Read) / max(s.Calls, 1) }

// Mean executor time a call, s.
func (s *Statement) Mean() float64 { return s.Exec / max(s.Calls, 1) }

// PGDatabaseRow is pg_stat_database over the window. Times in s.
type PGDatabaseRow struct {
	Name        string  `json:"name"`
	Commits     float64 `json:"commits"`
	Rollbacks   float64 `json:"rollbacks"`
	Hit         float64 `json:"blks_hit"`
	Read        float64 `json:"blks_read"`
	ReadTime    float64 `json:"read_s"`
	TempFiles   float64 `json:"temp_files"`
	TempBytes   float64 `json:"temp_bytes"`
	Deadlocks   float64 `json:"deadlocks"`
	ActiveTime  float64 `json:"active_s"` // 14+; 0 before
	IdleInTx    float64 `json:"idle_in_tx_s"`
	Sessions    float64 `json:"sessions"`
	Backends    float64 `json:"backends"` // at the later snapshot
	TuplesRead  float64 `json:"tup_returned"`
	WALSyncs    float64 `json:"wal_syncs,omitempty"` // cluster-wide
	WALSyncTime float64 `json:"wal_sync_s,omitempty"`
}

// PGTable is pg_stat_user_tables over the window, and the table's size.
type PGTable struct {
	Name         string  `json:"name"` // schema-qualified unless public
	SeqScan      float64 `json:"seq_scan"`
	SeqRead      float64 `json:"seq_tup_read"`
	IdxScan      float64 `json:"idx_scan"`
	IdxFetch     float64 `json:"idx_tup_fetch"`
	Inserted     float64 `json:"n_tup_ins"`
	Updated      float64 `json:"n_tup_upd"`
	HotUpdated   float64 `json:"n_tup_hot_upd"`
	Deleted      float64 `json:"n_tup_del"`
	Live         float64 `json:"n_live_tup"` // at the later snapshot
	Dead         float64 `json:"n_dead_tup"`
	DeadBefore   float64 `json:"n_dead_tup_before"`
	RelTuples    float64 `json:"reltuples"`
	Bytes        float64 `json:"bytes"` // heap
	Autovacuums  float64 `json:"autovacuum_count"`
	ModSinceAnlz float64 `json:"n_mod_since_analyze"`
	VacuumAt     float64 `json:"autovacuum_trigger,omitempty"` // dead tuples at which autovacuum acts
	XIDAge       float64 `json:"xid_age,omitempty"`            // transactions since it was frozen
	FillFactor   float64 `json:"fillfactor,omitempty"`         // %, 0 where it was not read
	Root         string  `json:"root,omitempty"`               // the partitioned table that it is a leaf of
}

// PGIndex is pg_stat_user_indexes over the window, and what the index is.
type PGIndex struct {
	Table      string   `json:"table"`
	Name       string   `json:"name"`
	Columns    []string `json:"columns"`           // expressions as text
	Follows    []string `json:"follows,omitempty"` // every column of the table whose change it has to follow: keys, included ones, those of expressions and predicate; sorted
	Method     string   `json:"method"`            // btree, ...
	Unique     bool     `json:"unique,omitempty"`
	Primary    bool     `json:"primary,omitempty"`
	Valid      bool     `json:"valid"`
	Constraint bool     `json:"constraint,omitempty"` // backs a constraint
	Partial    bool     `json:"partial,omitempty"`
	Monotonic  bool     `json:"monotonic,omitempty"`  // leading column grows: identity, nextval, now(), or correlation ~ 1 and nearly distinct
	CoveredBy  string   `json:"covered_by,omitempty"` // another index that serves all that this one does
	Bytes      float64  `json:"bytes"`
	Scans      float64  `json:"idx_scan"`
	TupRead    float64  `json:"idx_tup_read"`
	TupFetch   float64  `json:"idx_tup_fetch"`
}

// WaitSample counts the sessions seen in one state over one second of ticks:
// active-session history, folded. Sessions / Ticks is average active sessions.
type WaitSample struct {
	At       int64  `json:"t"`                   // Unix ms, start of the second
	Ticks    int    `json:"ticks"`               // ticks in that second
	Sessions int    `json:"n"`                   // sightings over those ticks
	State    string `json:"state"`               // active, idle in transaction, ...
	WaitType string `json:"wait_type,omitempty"` // "" on CPU or runnable
	Wait     string `json:"wait,omitempty"`
	QueryID  string `json:"queryid,omitempty"` // "" when not known
	Verb     string `json:"verb,omitempty"`    // first keyword, where there is no query id
	App      string `json:"app,omitempty"`     // application_name
	Backend  string `json:"backend,omitempty"` // backend_type
}

// BlockEdge is a lock wait seen: who waits for whom, folded over the window.
type BlockEdge struct {
	Waiter       string  `json:"waiter"`                 // queryid of the waiting statement
	Blocker      string  `json:"blocker"`                // queryid of the blocker's present or last statement
	BlockerText  string  `json:"blocker_text,omitempty"` // normalised
	BlockerState string  `json:"blocker_state"`
	BlockerApp   string  `json:"blocker_app,omitempty"`
	LockType     string  `json:"lock_type"`
	Mode         string  `json:"mode"`
	Relation     string  `json:"relation,omitempty"`
	Samples      int     `json:"samples"`
	MaxWait      float64 `json:"max_wait_s"`
	MaxBlockerTx float64 `json:"max_blocker_tx_s"`
	// MaxBlockerIdle is for how long the blocker had been idle in its
	// transaction, s; 0 where it was not, or where nobody looked.
	MaxBlockerIdle float64 `json:"max_blocker_idle_s,omitempty"`
}

// IndexAdvice is an index that a statement lacks, and whether the server's own
// planner agreed.
type IndexAdvice struct {
	QueryID    string   `json:"queryid"`
	Table      string   `json:"table"`
	Columns    []string `json:"columns"`
	DDL        string   `json:"ddl"`
	Verified   bool     `json:"verified"`
	CostBefore float64  `json:"cost_before,omitempty"`
	CostAfter  float64  `json:"cost_after,omitempty"`
	Bytes      float64  `json:"bytes,omitempty"` // estimated
	// Rows of the table that the planner expects to need, of an index that it
	// was not asked for; 0 where it told none.
	Rows float64 `json:"rows,omitempty"`
	Note string  `json:"note,omitempty"` // why not verified
}
