package shop

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
)

// oldKeys are the names that OpenTelemetry's semantic conventions had before
// they became stable (HTTP up to 1.20, databases up to 1.24).
var oldKeys = map[attribute.Key]attribute.Key{
	"http.request.method": "http.method", "http.response.status_code": "http.status_code",
	"url.full": "http.url", "url.path": "http.target", "url.scheme": "http.scheme",
	"server.address": "net.peer.name", "server.port": "net.peer.port", "network.peer.address": "net.sock.peer.addr",
	"network.peer.port": "net.sock.peer.port", "network.protocol.version": "http.flavor",
	"db.system.name": "db.system", "db.query.text": "db.statement", "db.operation.name": "db.operation",
	"db.namespace": "db.name", "db.collection.name": "db.sql.table",
	"code.function.name": "code.function", "code.file.path": "code.filepath", "code.line.number": "code.lineno",
}

// oldConventions exports spans under the attribute names that libraries used
// before the conventions became stable, and that many still do.
type oldConventions struct{ trace.SpanExporter }

func (e oldConventions) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	renamed := make([]trace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		renamed[i] = oldSpan{s}
	}
	return e.SpanExporter.ExportSpans(ctx, renamed)
}

type oldSpan struct{ trace.ReadOnlySpan }

// Attributes leave out error.type, for which there was no name.
func (s oldSpan) Attributes() []attribute.KeyValue {
	var out []attribute.KeyValue
	for _, a := range s.ReadOnlySpan.Attributes() {
		if old, ok := oldKeys[a.Key]; ok {
			a.Key = old
		}
		if a.Key != "error.type" {
			out = append(out, a)
		}
	}
	return out
}
