package evidence

// PGCluster is what a whole server did over the window, whichever database
// caused it. Times in s.
type PGCluster struct {
	CheckpointsTimed     float64 `json:"checkpoints_timed"`
	CheckpointsRequested float64 `json:"checkpoints_requested"` // before their time: max_wal_size was reached, or somebody asked
	CheckpointWrite      float64 `json:"checkpoint_write_s"`
	CheckpointSync       float64 `json:"checkpoint_sync_s"`
	CheckpointBuffers    float64 `json:"buffers_checkpoint"`
	BackendBuffers       float64 `json:"buffers_backend"` // written by sessions themselves; before 17
	WALRecords           float64 `json:"wal_records"`
	WALFPI               float64 `json:"wal_fpi"`
	WALBytes             float64 `json:"wal_bytes"`
	WALBuffersFull       float64 `json:"wal_buffers_full"`
	XIDAge               float64 `json:"xid_age"` // of the connected database, at the later snapshot
}

// PGHolder keeps old row versions from being removed: while it lives, vacuum
// can clean nothing that died after it began.
type PGHolder struct {
	Kind     string  `json:"kind"`           // session, prepared transaction, slot, standby
	Who      string  `json:"who"`            // application_name, the transaction's or slot's name
	State    string  `json:"state"`          // of a session: idle in transaction, active, ...; of a slot: active, inactive
	Text     string  `json:"text,omitempty"` // normalised, present or last statement
	XminAge  float64 `json:"xmin_age"`       // transactions since, at most
	FirstAge float64 `json:"first_xmin_age"` // when it was first seen
	Held     float64 `json:"held_s"`         // age of its transaction, at most; 0 where there is none
	Samples  int     `json:"samples"`
}

// PGForeignKey is a foreign key whose referencing side has no index, so that a
// delete or key update of the parent reads the whole child.
type PGForeignKey struct {
	Table   string   `json:"table"`
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Parent  string   `json:"parent"`
}

// PGSequence is one that will run out.
type PGSequence struct {
	Name string  `json:"name"`
	Used float64 `json:"used"` // 0..1 of what the sequence, or a column it feeds, can hold
}

// PGReplica is a standby as its sender sees it. Lags in s.
type PGReplica struct {
	Name       string  `json:"name"`
	State      string  `json:"state"`
	Sync       string  `json:"sync_state"`
	ReplayLag  float64 `json:"replay_lag_s"`
	ReplayLeft float64 `json:"replay_bytes"`
}

// PGPartition is a partitioned table.
type PGPartition struct {
	Name     string   `json:"name"`
	Method   string   `json:"method"`             // range, list, hash
	Columns  []string `json:"columns"`            // of the partition key, first level; expressions as text
	Unpruned []string `json:"unpruned,omitempty"` // query ids of statements that have conditions and compare none of these columns
}
