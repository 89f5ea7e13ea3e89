package traces

import (
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// slot is one thing that spans say about themselves, whatever name the
// instrumentation gave it. Those that a span carries on come first, in the order
// of their current names.
type slot uint8

const (
	slotCodeFile slot = iota
	slotCodeFunction
	slotCodeLine
	slotDBKey
	slotParams
	slotDBCollection
	slotDBNamespace
	slotDBBatch
	slotDBOperation
	slotDBText
	slotDBRows
	slotDBSystem
	slotErrorType
	slotColdStart
	slotHost
	slotRequestSize
	slotHTTPMethod
	slotHTTPResend
	slotResponseSize
	slotHTTPStatus
	slotHTTPRoute
	slotNode
	slotPod
	slotMsgDest
	slotMsgSystem
	slotRPCMethod
	slotRPCSystem
	slotServerAddress
	slotServerPort
	slotVersion
	slotURLPath
	slotURLTemplate
	slotURLFull // the first that is not carried on
	slotRPCService
	slotRPCStatus
	slotCodeNamespace
	slotInstance
	slotService
	slotKind
	slotStatus
	slotErrorFlag
	slotParameter // one of many: see fields.params
	slotCount
)

// source is where a slot's value may be found; where several are set, the
// lowest rank wins, so that instrumentation which writes old and new names at
// once (http/dup, database/dup) counts once.
type source struct {
	slot slot
	rank uint8
}

// peerRank is the rank from which server.address comes from net.peer.* and its
// like: on a server span these name the client.
const peerRank = 2

// conventions maps attribute names to slots: OpenTelemetry semantic
// conventions v1.44 and what they replaced, then OpenTracing's tags.
var conventions = ranked(map[slot][]string{
	slotDBSystem:      {"db.system.name", "db.system", "db.type"},
	slotDBText:        {"db.query.text", "db.statement", "sql.query", "db.query", "db.statement.sanitized"},
	slotDBOperation:   {"db.operation.name", "db.operation"},
	slotDBCollection:  {"db.collection.name", "db.sql.table", "db.cassandra.table", "db.mongodb.collection", "db.cosmosdb.container"},
	slotDBNamespace:   {"db.namespace", "db.name", "db.redis.database_index", "db.instance"},
	slotDBRows:        {"db.response.returned_rows", "db.row_count", "db.rows_affected"},
	slotDBBatch:       {"db.operation.batch.size"},
	slotHTTPMethod:    {"http.request.method", "http.method"},
	slotHTTPRoute:     {"http.route"},
	slotHTTPStatus:    {"http.response.status_code", "http.status_code"},
	slotHTTPResend:    {"http.request.resend_count", "http.resend_count", "http.retry_count"},
	slotRequestSize:   {"http.request.body.size", "http.request_content_length", "http.request.header.content-length"},
	slotResponseSize:  {"http.response.body.size", "http.response_content_length", "http.response.header.content-length"},
	slotURLTemplate:   {"url.template"},
	slotURLPath:       {"url.path", "http.target", "http.path"},
	slotURLFull:       {"url.full", "http.url"},
	slotServerAddress: {"server.address", "http.host", "net.peer.name", "net.sock.peer.name", "peer.hostname", "service.peer.name", "peer.service", "net.peer.ip", "net.sock.peer.addr", "network.peer.address", "peer.address"},
	slotServerPort:    {"server.port", "net.host.port", "net.peer.port", "net.sock.peer.port", "network.peer.port"},
	slotRPCSystem:     {"rpc.system.name", "rpc.system"},
	slotRPCMethod:     {"rpc.method"},
	slotRPCService:    {"rpc.service"},
	slotRPCStatus:     {"rpc.response.status_code", "rpc.status_code", "rpc.grpc.status_code", "rpc.connect_rpc.error_code", "rpc.jsonrpc.error_code"},
	slotMsgSystem:     {"messaging.system"},
	slotMsgDest:       {"messaging.destination.name", "messaging.destination", "message_bus.destination"},
	slotErrorType:     {"error.type", "exception.type", "error.kind"},
	slotCodeFunction:  {"code.function.name", "code.function"},
	slotCodeNamespace: {"code.namespace"},
	slotCodeFile:      {"code.file.path", "code.filepath"},
	slotCodeLine:      {"code.line.number", "code.lineno"},
	slotVersion:       {"service.version"},
	slotHost:          {"host.name", "hostname", "jaeger.hostname"},
	slotPod:           {"k8s.pod.name"},
	slotNode:          {"k8s.node.name"},
	slotColdStart:     {"faas.coldstart"},
	slotInstance:      {"service.instance.id"},
	slotService:       {"service.name"},
	slotKind:          {"span.kind"},
	slotStatus:        {"otel.status_code"},
	slotErrorFlag:     {"error"},
})

func ranked(names map[slot][]string) *nameTable {
	table := &nameTable{}
	for s, list := range names {
		for rank, name := range list {
			table.all = append(table.all, namedSource{name, source{slot: s, rank: uint8(rank)}})
		}
	}
	table.arrange()
	return table
}

// kept are the current names of the slots that a span carries on.
var kept = [slotURLFull]string{
	slotCodeFile:      evidence.AttrCodeFile,
	slotCodeFunction:  evidence.AttrCodeFunction,
	slotCodeLine:      evidence.AttrCodeLine,
	slotDBKey:         evidence.AttrDBKey,
	slotParams:        evidence.AttrParamsHash,
	slotDBCollection:  evidence.AttrDBCollection,
	slotDBNamespace:   evidence.AttrDBNamespace,
	slotDBBatch:       evidence.AttrDBBatch,
	slotDBOperation:   evidence.AttrDBOperation,
	slotDBText:        evidence.AttrDBQuery,
	slotDBRows:        evidence.AttrDBRows,
	slotDBSystem:      evidence.AttrDBSystem,
	slotErrorType:     evidence.AttrErrorType,
	slotColdStart:     evidence.AttrColdStart,
	slotHost:          evidence.AttrHost,
	slotRequestSize:   evidence.AttrRequestSize,
	slotHTTPMethod:    evidence.AttrHTTPMethod,
	slotHTTPResend:    evidence.AttrHTTPResend,
	slotResponseSize:  evidence.AttrResponseSize,
	slotHTTPStatus:    evidence.AttrHTTPStatus,
	slotHTTPRoute:     evidence.AttrHTTPRoute,
	slotNode:          evidence.AttrNode,
	slotPod:           evidence.AttrPod,
	slotMsgDest:       evidence.AttrMsgDest,
	slotMsgSystem:     evidence.AttrMsgSystem,
	slotRPCMethod:     evidence.AttrRPCMethod,
	slotRPCSystem:     evidence.AttrRPCSystem,
	slotServerAddress: evidence.AttrServerAddress,
	slotServerPort:    evidence.AttrServerPort,
	slotVersion:       evidence.AttrVersion,
	slotURLPath:       evidence.AttrURLPath,
	slotURLTemplate:   evidence.AttrURLTemplate,
}

// dbSystems translates the values of db.system to those of db.system.name.
var dbSystems = map[string]string{
	"mssql": "microsoft.sql_server", "oracle": "oracle.db", "dynamodb": "aws.dynamodb", "cosmosdb": "azure.cosmosdb",
	"redshift": "aws.redshift", "spanner": "gcp.spanner", "hanadb": "sap.hana", "db2": "ibm.db2", "informix": "ibm.informix",
	"postgres": "postgresql", "pgx": "postgresql",
}

// grpcCodes are gRPC's status codes in their numbers.
var grpcCodes = []string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}
