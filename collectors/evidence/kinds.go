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

// Further kinds of metrics, class by class. The catalogue of the collector that
// reads them, collectors/prometheus/signals, says from what.
const (
	// Latency, errors and throughput of requests.
	ServerLatencyMean Kind = "server.latency.mean" // gauge, s: mean time that servers took to answer
	ServerLatencyMax  Kind = "server.latency.max"  // gauge, s: longest answer of late

	// CPU saturation.
	NodeCPUIowait   Kind = "node.cpu.iowait"   // rate, 1: share of a node's core time idle with disk requests open
	NodeCPUSteal    Kind = "node.cpu.steal"    // rate, 1: share of a node's core time taken by the hypervisor
	NodeLoad        Kind = "node.load"         // gauge, 1: load average over a minute per core
	NodeCPUPressure Kind = "node.cpu.pressure" // rate, 1: share of time in which some task waited for a core
	CPUPressure     Kind = "cpu.pressure"      // rate, 1: share of time in which some task of a container waited for a core

	// Memory pressure, kills and leaks.
	MemoryKills         Kind = "memory.kills"          // rate, {kill}/s: kills for lack of memory
	MemoryPressure      Kind = "memory.pressure"       // rate, 1: share of time in which all tasks of a container waited for memory
	NodeMemoryAvailable Kind = "node.memory.available" // gauge, By: memory that a node could give
	NodeMemoryTotal     Kind = "node.memory.total"     // gauge, By: memory of a node
	NodeMemoryPressure  Kind = "node.memory.pressure"  // rate, 1: share of time in which all tasks of a node waited for memory
	NodeMemoryFaults    Kind = "node.memory.faults"    // rate, {fault}/s: page faults of a node that went to disk
	NodeMemorySwap      Kind = "node.memory.swap"      // rate, {page}/s: pages that a node swapped in and out
	NodeMemoryKills     Kind = "node.memory.kills"     // rate, {kill}/s: processes of a node killed for lack of memory

	// Garbage collection and runtimes.
	GCCPU     Kind = "gc.cpu"     // rate, {core}: cores spent collecting, pauses or not
	GCAssist  Kind = "gc.assist"  // rate, {core}: cores that allocating requests had to give to the collector
	HeapUsed  Kind = "heap.used"  // gauge, By: heap in use
	HeapMax   Kind = "heap.max"   // gauge, By: heap that may be used
	HeapAlloc Kind = "heap.alloc" // rate, By/s: allocation
	LockWait  Kind = "lock.wait"  // rate, 1: seconds that threads of a process waited for locks per second

	// Connection pools of applications.
	PoolHoldTime Kind = "pool.hold.time" // rate, 1: seconds that connections were held per second: the connections in use, without gaps between samples
	PoolChurn    Kind = "pool.churn"     // rate, {connection}/s: connections opened anew

	// Connections of servers.
	DBConnectionsRejected Kind = "db.connections.rejected" // rate, {connection}/s: connections that a database server refused

	// Workers, threads, event loops and file descriptors.
	WorkersBusy     Kind = "workers.busy"     // gauge, {worker}: threads or processes of a server's pool at work
	WorkersMax      Kind = "workers.max"      // gauge, {worker}: threads or processes that a pool may have
	WorkersQueued   Kind = "workers.queued"   // gauge, {task}: tasks that wait for a worker
	WorkersRejected Kind = "workers.rejected" // rate, {task}/s: tasks refused because no worker was free
	EventLoopLag    Kind = "eventloop.lag"    // gauge, s: how late an event loop runs its timers: p99 where it is exported
	EventLoopBusy   Kind = "eventloop.busy"   // gauge, 1: share of time that an event loop works
	Goroutines      Kind = "goroutines"       // gauge, {goroutine}: goroutines
	SchedLatency    Kind = "sched.latency"    // Histogram, s: time that goroutines were ready before they ran
	Threads         Kind = "threads"          // gauge, {thread}: threads of a process
	FDsOpen         Kind = "fds.open"         // gauge, {file}: open file descriptors
	FDsMax          Kind = "fds.max"          // gauge, {file}: file descriptors that a process may open

	// Caches.
	CacheExpirations Kind = "cache.expirations" // rate, {item}/s: items whose time was over
	CacheSize        Kind = "cache.size"        // gauge, By: memory that a cache server holds
	CacheSizeMax     Kind = "cache.size.max"    // gauge, By: memory that a cache server may hold; absent where unlimited
	CacheServerCPU   Kind = "cache.server.cpu"  // rate, {core}: cores used by the one thread that answers

	// Databases, as their exporters and clients see them.
	DBSessionsActive            Kind = "db.sessions.active"              // gauge, {session}: sessions of a database that run a statement
	DBSessionsWaiting           Kind = "db.sessions.waiting"             // gauge, {session}: active sessions that wait for a lock
	DBSessionsIdleInTransaction Kind = "db.sessions.idle-in-transaction" // gauge, {session}: sessions that hold a transaction open and do nothing
	DBTransactionLongest        Kind = "db.transaction.longest"          // gauge, s: age of the oldest transaction
	DBTransactions              Kind = "db.transactions"                 // rate, {transaction}/s: transactions committed
	DBRollbacks                 Kind = "db.rollbacks"                    // rate, {transaction}/s: transactions rolled back
	DBDeadlocks                 Kind = "db.deadlocks"                    // rate, {deadlock}/s: deadlocks
	DBBlocksHit                 Kind = "db.blocks.hit"                   // rate, {block}/s: blocks found in the database's own cache
	DBBlocksRead                Kind = "db.blocks.read"                  // rate, {block}/s: blocks that were not
	DBTemp                      Kind = "db.temp"                         // rate, By/s: bytes spilled to temporary files
	DBIOTime                    Kind = "db.io.time"                      // rate, 1: seconds spent reading blocks per second, where the server measures it
	DBCheckpointsRequested      Kind = "db.checkpoints.requested"        // rate, {checkpoint}/s: checkpoints that came before their time
	DBRowsScanned               Kind = "db.rows.scanned"                 // rate, {row}/s: rows read by sequential scans of a table
	DBReplicationLag            Kind = "db.replication.lag"              // gauge, s: how far a replica is behind
	DBClientLatency             Kind = "db.client.latency"               // Histogram, s: time of database calls as the caller measures it
	DBCommandsTime              Kind = "db.commands.time"                // rate, 1: seconds that a server spent on a command per second
	DBCommands                  Kind = "db.commands"                     // rate, {command}/s: commands that a server answered

	// Disks.
	DiskBusy              Kind = "disk.busy"               // rate, 1: share of time that a disk had a request
	DiskQueue             Kind = "disk.queue"              // rate, {request}: requests that a disk had at a time
	DiskReadLatency       Kind = "disk.read.latency"       // gauge, s: mean time of a read
	DiskWriteLatency      Kind = "disk.write.latency"      // gauge, s: mean time of a write
	DiskOperations        Kind = "disk.operations"         // rate, {operation}/s: reads and writes
	DiskPressure          Kind = "disk.pressure"           // rate, 1: share of time in which all tasks of a node waited for disks
	DiskContainerPressure Kind = "disk.container.pressure" // rate, 1: share of time in which all tasks of a container waited for disks
	DiskContainerWritten  Kind = "disk.container.written"  // rate, By/s: bytes that a container wrote
	DiskFree              Kind = "disk.free"               // gauge, 1: share of a file system that is free

	// Network.
	NetRetransmits     Kind = "net.retransmits"      // gauge, 1: share of TCP segments that were sent again
	NetSYNRetransmits  Kind = "net.syn.retransmits"  // rate, {segment}/s: connection requests that were sent again
	NetListenOverflows Kind = "net.listen.overflows" // rate, {connection}/s: connections lost because a server's accept queue was full
	NetResets          Kind = "net.resets"           // rate, {segment}/s: connections that were reset
	NetConntrack       Kind = "net.conntrack"        // gauge, 1: share of the connection table in use
	NetTransmit        Kind = "net.transmit"         // rate, By/s: bytes sent
	NetReceive         Kind = "net.receive"          // rate, By/s: bytes received
	NetSpeed           Kind = "net.speed"            // gauge, By/s: speed of a link
	NetDrops           Kind = "net.drops"            // rate, {packet}/s: packets dropped by an interface
	NetTimeWait        Kind = "net.timewait"         // gauge, {socket}: ports that wait after a connection's end

	// Queues and consumers.
	QueueDepth     Kind = "queue.depth"     // gauge, {message}: messages that wait, or that a consumer group is behind
	QueueAge       Kind = "queue.age"       // gauge, s: age of the oldest message that waits
	QueueUnacked   Kind = "queue.unacked"   // gauge, {message}: messages given out and not confirmed
	QueueConsumers Kind = "queue.consumers" // gauge, {consumer}: consumers of a queue
	QueueConsumed  Kind = "queue.consumed"  // rate, {message}/s: messages consumed
	QueuePublished Kind = "queue.published" // rate, {message}/s: messages published

	// Retries, breakers, timeouts and rate limits.
	Retries     Kind = "retries"      // rate, {retry}/s: requests that were tried again
	Attempts    Kind = "attempts"     // rate, {request}/s: requests that a caller made, retries among them
	Timeouts    Kind = "timeouts"     // rate, {request}/s: requests that a caller gave up
	BreakerOpen Kind = "breaker.open" // gauge, 1: whether a circuit breaker holds requests back
	Overflows   Kind = "overflows"    // rate, {request}/s: requests refused because too many were waiting
	RateLimited Kind = "rate.limited" // rate, {request}/s: requests refused by a rate limiter

	// Scaling, scheduling and restarts.
	ReplicasCurrent   Kind = "replicas.current"      // gauge, {replica}: replicas that run
	ReplicasDesired   Kind = "replicas.desired"      // gauge, {replica}: replicas that there should be
	ReplicasMax       Kind = "replicas.max"          // gauge, {replica}: replicas that the autoscaler may start
	ReplicasMin       Kind = "replicas.min"          // gauge, {replica}: replicas that the autoscaler keeps
	PodsPending       Kind = "pods.pending"          // gauge, {pod}: pods that wait for a node
	ContainerRestarts Kind = "container.restarts"    // rate, {restart}/s: restarts of a container
	CPURequest        Kind = "cpu.request"           // gauge, {core}: cores that a container reserves
	MemoryRequest     Kind = "memory.request"        // gauge, By: memory that a container reserves
	Generation        Kind = "deployment.generation" // gauge, 1: how often what a deployment should be was changed

	// Experiments that break something on purpose.
	ChaosActive   Kind = "chaos.active"   // gauge, {experiment}: chaos experiments at work
	ChaosInjected Kind = "chaos.injected" // gauge, s: Unix time at which a chaos experiment last broke something

	// Cold start and model serving.
	JITTime          Kind = "jit.time"          // rate, 1: seconds of compilation per second
	ModelWaiting     Kind = "model.waiting"     // gauge, {request}: requests that wait for a model
	ModelRunning     Kind = "model.running"     // gauge, {request}: requests that a model works on
	ModelQueueTime   Kind = "model.queue.time"  // rate, 1: seconds waited for a model per second, over all requests
	ModelCacheUsage  Kind = "model.cache.usage" // gauge, 1: share of the key-value cache in use
	ModelPreemptions Kind = "model.preemptions" // rate, {request}/s: requests put back for lack of cache
	ModelFirstToken  Kind = "model.first-token" // Histogram, s: time to the first token
	GPUBusy          Kind = "gpu.busy"          // gauge, 1: share of time that a GPU works

	// Names.
	DNSLatency  Kind = "dns.latency"  // Histogram, s: time to resolve a name
	DNSRequests Kind = "dns.requests" // rate, {request}/s: names asked for
	DNSFailures Kind = "dns.failures" // rate, {request}/s: names that could not be resolved for a fault
	DNSUnknown  Kind = "dns.unknown"  // rate, {request}/s: names that do not exist

	// Dependencies, as the caller sees them.
	ClientLatency     Kind = "client.latency"      // Histogram, s: time of calls to another service as the caller measures it
	ClientRequests    Kind = "client.requests"     // rate, {request}/s: calls to another service
	ClientErrors      Kind = "client.errors"       // rate, {request}/s: calls to another service that failed
	EdgeClientLatency Kind = "edge.client.latency" // Histogram, s: time of an edge of the service graph on the caller's side
	EdgeServerLatency Kind = "edge.server.latency" // Histogram, s: time of an edge of the service graph on the server's side
	ProbeDuration     Kind = "probe.duration"      // gauge, s: time of a probe from outside

	// Quality of the telemetry itself.
	ScrapeDuration  Kind = "scrape.duration"   // gauge, s: time that a scrape took
	NodeClockOffset Kind = "node.clock.offset" // gauge, s: how far a node's clock is off

	// The load generator itself.
	LoadUsers      Kind = "load.users"      // gauge, {user}: virtual users at work
	LoadUsersMax   Kind = "load.users.max"  // gauge, {user}: virtual users that the generator may start
	LoadIterations Kind = "load.iterations" // rate, {iteration}/s: iterations done
	LoadDropped    Kind = "load.dropped"    // rate, {iteration}/s: iterations that could not be started in time
	LoadSent       Kind = "load.sent"       // rate, {request}/s: requests sent
	LoadBlocked    Kind = "load.blocked"    // gauge, s: time that requests waited for a free connection of the generator
	LoadLatency    Kind = "load.latency"    // Histogram, s: latency as the generator measures it
)

// Alerts of the system's own: gauge, 1 while one fires. Resource is its name.
const Alerts Kind = "alerts"

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
