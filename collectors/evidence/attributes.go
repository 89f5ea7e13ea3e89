package evidence

// Attribute names, current OpenTelemetry semantic conventions (v1.44), under
// which spans keep what analyzers read. Collectors translate older names.
const (
	AttrDBSystem      = "db.system.name"
	AttrDBQuery       = "db.query.text"  // normalised: literals are gone
	AttrDBKey         = "culprit.db.key" // canonical key of the statement, joins with Statement.Key
	AttrDBOperation   = "db.operation.name"
	AttrDBCollection  = "db.collection.name"
	AttrDBNamespace   = "db.namespace"
	AttrDBRows        = "db.response.returned_rows"
	AttrDBBatch       = "db.operation.batch.size"
	AttrHTTPMethod    = "http.request.method"
	AttrHTTPRoute     = "http.route"
	AttrHTTPStatus    = "http.response.status_code"
	AttrHTTPResend    = "http.request.resend_count"
	AttrRequestSize   = "http.request.body.size"  // By
	AttrResponseSize  = "http.response.body.size" // By
	AttrURLTemplate   = "url.template"
	AttrURLPath       = "url.path"
	AttrServerAddress = "server.address"
	AttrServerPort    = "server.port"
	AttrRPCSystem     = "rpc.system.name"
	AttrRPCMethod     = "rpc.method"
	AttrMsgSystem     = "messaging.system"
	AttrMsgDest       = "messaging.destination.name"
	AttrErrorType     = "error.type"
	AttrCodeFunction  = "code.function.name"
	AttrCodeFile      = "code.file.path"
	AttrCodeLine      = "code.line.number"
	AttrVersion       = "service.version"
	AttrHost          = "host.name"
	AttrPod           = "k8s.pod.name"
	AttrNode          = "k8s.node.name"
	AttrColdStart     = "faas.coldstart"
	AttrParamsHash    = "culprit.params" // salted hash of the call's literals or parameters: equal means the same call again
)
