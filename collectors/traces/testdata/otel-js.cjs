// Sends the trace of a request that is refused, with OpenTelemetry's SDK for
// JavaScript: node send.cjs MODULES URL COMPRESSION
const [modules, url, compression] = process.argv.slice(2);
const load = (name) => require(require.resolve(name, { paths: [modules] }));
const { context, trace, SpanKind, SpanStatusCode } = load("@opentelemetry/api");
const { OTLPTraceExporter } = load("@opentelemetry/exporter-trace-otlp-http");
const { resourceFromAttributes } = load("@opentelemetry/resources");
const { BatchSpanProcessor, NodeTracerProvider } = load("@opentelemetry/sdk-trace-node");

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "orders", "service.instance.id": "orders-1" }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url, compression }))],
});
const tracer = provider.getTracer("test");
// [seconds, nanoseconds]: numbers of JavaScript hold no instant to the nanosecond
const at = (ns) => [1767268800, ns];
const begin = (name, kind, ns, attributes, parent) =>
  tracer.startSpan(name, { kind, startTime: at(ns), attributes }, parent ? trace.setSpan(context.active(), parent) : undefined);
const root = begin("GET /orders/{id}", SpanKind.SERVER, 1, { "http.request.method": "GET", "http.route": "/orders/{id}", "http.response.status_code": 500 });
const query = begin("SELECT", SpanKind.CLIENT, 1000003, { "db.system.name": "postgresql", "db.query.text": "SELECT 'é\"\\' FROM t WHERE id = 7", "db.response.returned_rows": 3 }, root);
query.end(at(2000005));
root.setStatus({ code: SpanStatusCode.ERROR, message: "boom" });
root.end(at(3000007));
console.log(JSON.stringify({ trace: root.spanContext().traceId, root: root.spanContext().spanId, query: query.spanContext().spanId }));
provider.shutdown();
