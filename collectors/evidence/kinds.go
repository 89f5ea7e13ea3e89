package evidence

// The kinds of metric evidence. A rate is per second and its points are means
// over Series.Over; a gauge is the value at the time.
const (
	// Requests as the server of an operation sees them.
	ServerLatency  Kind = "server.latency"  // Histogram, s, per service, operation (and instance)
	ServerRequests Kind = "server.requests" // rate, per service, operation
	ServerErrors   Kind = "server.errors"   // rate, per service, operation
	ServerInFlight Kind = "server.inflight" // gauge

	// CPU of a container, process or node.
	CPUUsage          Kind = "cpu.usage"           // cores used, per container or process
	CPULimit          Kind = "cpu.limit"           // cores allowed (quota / period); absent where unlimited
	CPUThrottledRatio Kind = "cpu.throttled.ratio" // throttled periods / periods, 0..1
	CPUThrottledTime  Kind = "cpu.throttled.time"  // s of stalled thread time per s
	NodeCPUBusy       Kind = "node.cpu.busy"       // 0..1 of all cores
	NodeCPUCount      Kind = "node.cpu.count"      // cores

	// Connection pools of applications. Series.Entity.Resource is the pool.
	PoolUsed     Kind = "pool.used"      // gauge, connections
	PoolMax      Kind = "pool.max"       // gauge, connections
	PoolIdle     Kind = "pool.idle"      // gauge, connections
	PoolPending  Kind = "pool.pending"   // gauge, callers waiting
	PoolAcquires Kind = "pool.acquires"  // rate
	PoolWaits    Kind = "pool.waits"     // rate of acquires that had to wait
	PoolWaitTime Kind = "pool.wait.time" // s waited per s, over all callers
	PoolTimeouts Kind = "pool.timeouts"  // rate of acquires given up

	// Caches, as the application or the cache server counts them.
	CacheHits      Kind = "cache.hits"      // rate
	CacheMisses    Kind = "cache.misses"    // rate
	CacheEvictions Kind = "cache.evictions" // rate

	// Databases as their exporters see them.
	DBConnections    Kind = "db.connections"     // gauge, server connections in use
	DBConnectionsMax Kind = "db.connections.max" // gauge

	// Memory and runtime.
	MemoryUsage Kind = "memory.usage" // By, working set
	MemoryLimit Kind = "memory.limit" // By
	GCTime      Kind = "gc.time"      // s of pause per s
	Restarts    Kind = "restarts"     // process start time, Unix s: a step is a restart
	Up          Kind = "up"           // scrape success, 0 or 1
)

// The kinds that are not series.
const (
	Spans            Kind = "traces.spans"
	PGStatements     Kind = "postgres.statements"
	PGActivity       Kind = "postgres.activity"
	PGTables         Kind = "postgres.tables"
	PGIndexes        Kind = "postgres.indexes"
	PGDatabase       Kind = "postgres.database"
	PGSettings       Kind = "postgres.settings"
	PGBlocking       Kind = "postgres.blocking"
	PGIndexAdvice    Kind = "postgres.index-advice"
	LoadRuns         Kind = "load.run"
	LoadRequestStats Kind = "load.requests"
)
