package traces

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// holdByID fetches one trace by its id through every protocol, with the time it
// was at and without; one that is not there gives nothing.
func holdByID(t *testing.T, jaeger jaegerServer, w evidence.Window, all []evidence.Span) {
	t.Helper()
	id := all[0].Trace
	want := slices.DeleteFunc(slices.Clone(all), func(s evidence.Span) bool { return s.Trace != id })
	b, m := newBuilder(), &meter{}
	conn, err := grpc.NewClient(jaeger.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fetch := map[string]func(evidence.TraceID, evidence.Window) ([]evidence.Span, error){
		"v1": func(id evidence.TraceID, w evidence.Window) ([]evidence.Span, error) {
			return (&jaegerV1{newHTTPStore(t, "http://"+jaeger.http, m), b}).Trace(t.Context(), id, w)
		},
		"grpc v2": func(id evidence.TraceID, w evidence.Window) ([]evidence.Span, error) {
			return (&jaegerGRPCv2{&grpcStore{conn: conn, timeout: 5 * time.Second, meter: m, builder: b}}).Trace(t.Context(), id, w)
		},
	}
	for name, address := range map[string]string{"v3": "http://" + jaeger.http, "grpc v3": "grpc://" + jaeger.grpc} {
		c, err := New(Config{URL: address})
		if err != nil {
			t.Fatal(err)
		}
		fetch[name] = func(id evidence.TraceID, w evidence.Window) ([]evidence.Span, error) {
			return c.Trace(t.Context(), id, w)
		}
	}
	for name, get := range fetch {
		for _, w := range []evidence.Window{w, {}} {
			spans, err := get(id, w)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			unit := int64(1)
			if name == "v1" {
				unit = 1000
			}
			sameSpans(t, spans, want, unit)
		}
		if spans, err := get(evidence.TraceID{15: 1}, w); err != nil || len(spans) != 0 {
			t.Errorf("%s: a trace that is not there gives %d spans, %v", name, len(spans), err)
		}
	}
}
