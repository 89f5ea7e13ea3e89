package traces

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/testdata/needs"
)

// otelJS is the folder of OpenTelemetry's SDK for JavaScript.
func otelJS(t *testing.T) string {
	t.Helper()
	cache, _ := os.UserCacheDir()
	modules := filepath.Join(cache, "culprit-lab", "otel-js-0.208.0", "node_modules")
	if _, err := os.Stat(modules); err != nil {
		needs.Missing(t, "no OpenTelemetry for JavaScript at "+modules+": cd testdata/lab && go run . doctor --fix")
	}
	return modules
}

// The SDK for JavaScript is the one that sends JSON. What arrives is what it
// sent, to the nanosecond, compressed or not.
func TestReceiveJSONFromSDK(t *testing.T) {
	modules := otelJS(t)
	node := needs.Program(t, "apt-get install nodejs", "node")
	for _, compression := range []string{"none", "gzip"} {
		t.Run(compression, func(t *testing.T) {
			r := listen(t, Config{})
			out, err := exec.CommandContext(t.Context(), node, filepath.Join("testdata", "otel-js.cjs"), modules, "http://"+r.Address()+"/v1/traces", compression).Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			b := received(t, r)
			if len(b.Spans) != 2 || len(b.Gaps) != 0 {
				t.Fatalf("%d spans, gaps %+v", len(b.Spans), b.Gaps)
			}
			if b.Spans[1].Attr(evidence.AttrParamsHash) == "" {
				t.Error("nothing tells the statement's literals apart")
			}
			b.Spans[1].Attrs = b.Spans[1].Attrs.With(evidence.AttrParamsHash, "")
			if want := sentByJS(t, out); !reflect.DeepEqual(flatSpans(b.Spans), flatSpans(want)) {
				t.Errorf("\n got %+v\nwant %+v", flatSpans(b.Spans), flatSpans(want))
			}
		})
	}
}

// sentByJS are the spans of testdata/otel-js.cjs, of which the ids are random.
func sentByJS(t *testing.T, said []byte) []evidence.Span {
	t.Helper()
	var ids struct{ Trace, Root, Query string }
	if err := json.Unmarshal(said, &ids); err != nil {
		t.Fatal(err)
	}
	trace, err := evidence.ParseTraceID(ids.Trace)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := evidence.ParseSpanID(ids.Root)
	query, _ := evidence.ParseSpanID(ids.Query)
	at := epoch.UnixNano()
	return []evidence.Span{
		{Trace: trace, ID: root, Start: at + 1, End: at + 3_000_007, Kind: evidence.KindServer, Error: true, Service: "orders", Instance: "orders-1", Name: "GET /orders/{id}",
			Attrs: evidence.NewAttrs(evidence.Attr{Key: evidence.AttrHTTPMethod, Value: "GET"}, evidence.Attr{Key: evidence.AttrHTTPRoute, Value: "/orders/{id}"},
				evidence.Attr{Key: evidence.AttrHTTPStatus, Value: "500"})},
		{Trace: trace, ID: query, Parent: root, Start: at + 1_000_003, End: at + 2_000_005, Kind: evidence.KindClient, Service: "orders", Instance: "orders-1", Name: "SELECT",
			Attrs: evidence.NewAttrs(evidence.Attr{Key: evidence.AttrDBSystem, Value: "postgresql"}, evidence.Attr{Key: evidence.AttrDBQuery, Value: "select ? from t where id = ?"},
				evidence.Attr{Key: evidence.AttrDBKey, Value: evidence.ReadSQL("select ? from t where id = ?").Key}, evidence.Attr{Key: evidence.AttrDBOperation, Value: "SELECT"},
				evidence.Attr{Key: evidence.AttrDBCollection, Value: "t"}, evidence.Attr{Key: evidence.AttrDBRows, Value: "3"})},
	}
}

// flatSpan is a span with its attributes spelled out.
type flatSpan struct {
	span       evidence.Span
	attributes map[string]string
}

func flatSpans(spans []evidence.Span) []flatSpan {
	out := make([]flatSpan, len(spans))
	for i, s := range spans {
		out[i] = flatSpan{s, map[string]string{}}
		for k, v := range s.Attrs.All() {
			out[i].attributes[k] = v
		}
		out[i].span.Attrs = evidence.Attrs{}
	}
	return out
}
