package postgres

import (
	"context"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// checkpointFields moved from pg_stat_bgwriter to pg_stat_checkpointer in 17.
var checkpointFields = []field[evidence.PGCluster]{
	count(func(c *evidence.PGCluster) *float64 { return &c.CheckpointsTimed }, "num_timed", "checkpoints_timed"),
	count(func(c *evidence.PGCluster) *float64 { return &c.CheckpointsRequested }, "num_requested", "checkpoints_req"),
	timer(func(c *evidence.PGCluster) *float64 { return &c.CheckpointWrite }, "write_time", "checkpoint_write_time"),
	timer(func(c *evidence.PGCluster) *float64 { return &c.CheckpointSync }, "sync_time", "checkpoint_sync_time"),
	count(func(c *evidence.PGCluster) *float64 { return &c.CheckpointBuffers }, "buffers_written", "buffers_checkpoint"),
	count(func(c *evidence.PGCluster) *float64 { return &c.BackendBuffers }, "buffers_backend"),
	level(func(c *evidence.PGCluster) *float64 { return &c.XIDAge }, "xid_age"),
}

var logFields = []field[evidence.PGCluster]{
	count(func(c *evidence.PGCluster) *float64 { return &c.WALRecords }, "wal_records"),
	count(func(c *evidence.PGCluster) *float64 { return &c.WALFPI }, "wal_fpi"),
	count(func(c *evidence.PGCluster) *float64 { return &c.WALBytes }, "wal_bytes"),
	count(func(c *evidence.PGCluster) *float64 { return &c.WALBuffersFull }, "wal_buffers_full"),
}

// clusterRow is what the whole server counts; log is nil before 14.
type clusterRow struct{ checkpoints, log values }

func readCluster(ctx context.Context, s *session, c *capabilities) (row clusterRow, err error) {
	view := viewWriter
	if len(c.views[viewCheckpointer]) > 0 {
		view = viewCheckpointer
	}
	has := maps.Clone(c.views[view])
	has["xid_age"] = true
	row.checkpoints, err = oneRow(ctx, s, fmt.Sprintf(`select /* culprit */ %s from (select *, (select age(datfrozenxid) from pg_catalog.pg_database where datname = current_database()) as xid_age from %s) v`,
		array(checkpointFields, has), view))
	if err != nil || len(c.views[viewWAL]) == 0 {
		return row, err
	}
	row.log, err = oneRow(ctx, s, fmt.Sprintf(`select /* culprit */ %s from %s v`, array(logFields, c.views[viewWAL]), viewWAL))
	return row, err
}

func (a *account) addCluster(before, after *snapshot) {
	if after.cluster.checkpoints == nil {
		return
	}
	var c evidence.PGCluster
	difference(checkpointFields, before.cluster.checkpoints, after.cluster.checkpoints, &c)
	if after.cluster.log != nil {
		difference(logFields, before.cluster.log, after.cluster.log, &c)
	}
	a.pg.Cluster = &c
}

// replicasSQL has rows on a sender only. Without pg_read_all_stats the lags are
// hidden and read as 0; capabilityGaps speaks of that grant.
const replicasSQL = `select /* culprit */ application_name, coalesce(state, ''), coalesce(sync_state, ''), coalesce(extract(epoch from replay_lag)::float8, 0),
 coalesce(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, replay_lsn)::float8, 0)
from pg_catalog.pg_stat_replication order by 1, pid limit 100`

func readReplicas(ctx context.Context, s *session) ([]evidence.PGReplica, error) {
	return rows(ctx, s, pgx.RowToStructByPos[evidence.PGReplica], replicasSQL)
}
