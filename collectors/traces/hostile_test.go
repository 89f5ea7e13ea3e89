package traces

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// store of one service with one trace a second, in api_v3 over HTTP; answer
// may take any request over.
func fakeV3(t *testing.T, answer func(w http.ResponseWriter, r *http.Request) bool) *httptest.Server {
	t.Helper()
	document := `{"result":` + string(jsonOf(t, otlpTraces(0, 3))) + `}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer != nil && answer(w, r) {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/v3/services":
			fmt.Fprint(w, `{"services":["orders","jaeger"]}`)
		case "/api/v3/operations":
			fmt.Fprint(w, `{"operations":[{"name":"GET /orders","spanKind":"server"},{"name":"SELECT orders","spanKind":"client"}]}`)
		case "/api/v3/traces":
			fmt.Fprint(w, document)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func reply(status int, kind, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return true
	}
}

func tryCollect(address string) (*evidence.Bundle, error) {
	return tryWithin(address, 30*time.Second)
}

// tryWithin gives every request a time.
func tryWithin(address string, timeout time.Duration) (*evidence.Bundle, error) {
	c, err := New(Config{URL: address, Timeout: timeout})
	if err != nil {
		return nil, err
	}
	return c.Collect(context.Background(), past)
}

// A source of no use is one clear line, which holds no secret.
func TestStoreOfNoUse(t *testing.T) {
	closed, bomb := freePorts(t, 1)[0], gz(make([]byte, maxMessage+1))
	for _, c := range []struct {
		name    string
		address string
		answer  func(http.ResponseWriter, *http.Request) bool
		says    string
	}{
		{"down", "http://" + closed, nil, "cannot connect to " + closed},
		{"hangs", "", func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, "no answer within 1s"},
		{"refuses", "", reply(401, "text/plain", "who are you"), "refuses access (401 Unauthorized); check credentials"},
		{"fails", "", reply(500, "application/json", `{"error":{"message":"storage is gone"}}`), "500 Internal Server Error: storage is gone"},
		{"web page", "", reply(200, "text/html; charset=utf-8", "<html>"), "web page"},
		{"nothing known", "", reply(404, "text/plain", "no"), "speaks none of"},
		{"cut json", "", reply(200, "application/json", `{"services":["a`), "the JSON ends early"},
		{"gzip bomb", "", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
			return true
		}, "larger than 64 MiB"},
		{"streams forever", "", func(w http.ResponseWriter, r *http.Request) bool {
			for r.Context().Err() == nil {
				w.Write(make([]byte, 1<<16))
			}
			return true
		}, "larger than 64 MiB"},
		{"gRPC on HTTP", "grpc://HOST", reply(200, "text/html", "x"), "call GetServices"},
		{"gRPC down", "grpc://" + closed, nil, "cannot reach the server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := strings.Replace(c.address, "HOST", strings.TrimPrefix(fakeV3(t, c.answer).URL, "http://"), 1)
			if address == "" {
				address = fakeV3(t, c.answer).URL
			}
			address = strings.Replace(address, "://", "://user:s3cr3t@", 1) + "/?token=s3cr3t"
			timeout := 30 * time.Second
			if c.name == "hangs" {
				timeout = time.Second
			}
			_, err := tryWithin(address, timeout)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want %q", err, c.says)
			}
			if text := err.Error(); strings.Contains(text, "s3cr3t") || strings.Contains(text, "\n") {
				t.Errorf("not one line without secrets: %q", text)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, address := range []string{"", "localhost:16686", "ftp://x", "http://", "http://user:s3cr3t@host:port with space"} {
		if _, err := New(Config{URL: address}); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// What arrives is used when some requests fail; the gap says which.
func TestStorePartly(t *testing.T) {
	searches := atomic.Int32{}
	server := fakeV3(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v3/traces" && searches.Add(1) == 3 {
			return reply(500, "text/plain", "disk\x1b[31m full")(w, r)
		}
		return false
	})
	b, err := tryCollect(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Spans) != 6 || b.Sources[0].Status != evidence.StatusPartial || len(b.Gaps) != 1 || !strings.Contains(b.Gaps[0].Reason, "500 Internal Server Error: disk [31m full") {
		t.Errorf("%d spans, %+v %+v", len(b.Spans), b.Sources, b.Gaps)
	}
}

// A server that asks for patience gets it.
func TestStoreBusy(t *testing.T) {
	asked := atomic.Int32{}
	server := fakeV3(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v3/traces" && asked.Add(1) == 1 {
			return reply(429, "text/plain", "slow down")(w, r)
		}
		return false
	})
	b, err := tryCollect(server.URL)
	if err != nil || len(b.Spans) != 6 || b.Sources[0].Status != evidence.StatusOK {
		t.Fatal(err, b)
	}
	if notes := strings.Join(b.Sources[0].Notes, "; "); !strings.Contains(notes, "asked for patience 1 time") {
		t.Error(notes)
	}
}

// Three slow answers end the search, and what came before is used.
func TestStoreSuffers(t *testing.T) {
	searches := atomic.Int32{}
	server := fakeV3(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v3/traces" && searches.Add(1) > 2 {
			<-r.Context().Done()
		}
		return false
	})
	b, err := tryWithin(server.URL, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if n := searches.Load(); n > 2+slowAllowed+atOnce {
		t.Errorf("%d searches of a server that suffers", n)
	}
	if len(b.Spans) != 6 || len(b.Gaps) != 1 || !strings.Contains(b.Gaps[0].Reason, "took longer than") {
		t.Errorf("%d spans, %+v", len(b.Spans), b.Gaps)
	}
}

func TestStoreEmpty(t *testing.T) {
	server := fakeV3(t, func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Path == "/api/v3/traces" && reply(404, "application/json", `{"error":{"httpCode":404,"message":"No traces found"}}`)(w, r)
	})
	b, err := tryCollect(server.URL)
	if err != nil || len(b.Gaps) != 1 || b.Gaps[0].Reason != "the store has no traces in the window" {
		t.Fatal(err, b)
	}
}

// An interrupted collection keeps what arrived.
func TestStoreInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	searches := atomic.Int32{}
	server := fakeV3(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v3/traces" && searches.Add(1) == 4 {
			cancel(errors.New("interrupted"))
		}
		return false
	})
	c, _ := New(Config{URL: server.URL})
	b, err := c.Collect(ctx, past)
	if err != nil || len(b.Spans) != 6 || len(b.Gaps) == 0 {
		t.Fatal(err, b)
	}
}

// Headers and credentials reach the server in every protocol.
func TestStoreCredentials(t *testing.T) {
	var seen atomic.Value
	server := fakeV3(t, func(_ http.ResponseWriter, r *http.Request) bool {
		seen.Store(r.Header.Get("Authorization") + " " + r.Header.Get("X-Scope-OrgID"))
		return false
	})
	cfg := Config{URL: strings.Replace(server.URL, "://", "://me:pw@", 1), Headers: map[string]string{"X-Scope-OrgID": "team"}}
	c, _ := New(cfg)
	if _, err := c.Collect(context.Background(), past); err != nil {
		t.Fatal(err)
	}
	if got := seen.Load(); got != "Basic bWU6cHc= team" {
		t.Errorf("sent %q", got)
	}
}

// fakeGRPC serves api_v3 with one handler for every method.
func fakeGRPC(t *testing.T, answer func(method string, stream grpc.ServerStream) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		var request []byte
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		return answer(method[strings.LastIndex(method, "/")+1:], stream)
	}))
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return "grpc://" + l.Addr().String()
}

func send(stream grpc.ServerStream, message []byte) error { return stream.SendMsg(&message) }

func TestGRPCHostile(t *testing.T) {
	good := protoOf(t, otlpTraces(0, 2))
	for _, c := range []struct {
		name  string
		find  func(grpc.ServerStream) error
		spans int
		says  string
	}{
		{"malformed protobuf after good", func(s grpc.ServerStream) error {
			send(s, good)
			return send(s, []byte{0x0a, 0xff})
		}, 4, "decode OTLP protobuf"},
		{"streams forever", func(s grpc.ServerStream) error {
			for {
				if err := send(s, make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		}, 0, "decode OTLP protobuf"},
		{"fails", func(s grpc.ServerStream) error { return status.Error(codes.Internal, "disk full") }, 0, "disk full"},
		{"split over messages", func(s grpc.ServerStream) error {
			send(s, protoOf(t, otlpTraces(0, 1)))
			return send(s, protoOf(t, otlpTraces(1, 1)))
		}, 4, ""},
		{"hangs after good", func(s grpc.ServerStream) error {
			send(s, good)
			<-s.Context().Done()
			return nil
		}, 4, "no answer within"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := fakeGRPC(t, func(method string, s grpc.ServerStream) error {
				switch method {
				case "GetServices":
					return send(s, appendString(nil, 1, "orders"))
				case "GetOperations":
					return send(s, appendMessage(nil, 1, appendString(appendString(nil, 1, "GET /orders"), 2, "server")))
				}
				return c.find(s)
			})
			timeout := 30 * time.Second
			if strings.HasPrefix(c.name, "hangs") {
				timeout = time.Second
			}
			b, err := tryWithin(address, timeout)
			if c.spans == 0 {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v, want %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Spans) != c.spans || (c.says != "") != (len(b.Gaps) > 0) {
				t.Fatalf("%d spans, %+v", len(b.Spans), b.Gaps)
			}
		})
	}
}

func TestGRPCRefuses(t *testing.T) {
	for code, says := range map[codes.Code]string{
		codes.Unauthenticated: "refuses access", codes.Unimplemented: "does not know", codes.Internal: "call GetServices",
	} {
		address := fakeGRPC(t, func(string, grpc.ServerStream) error { return status.Error(code, "no") })
		if _, err := tryCollect(address); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", code, err)
		}
	}
}

// Over gRPC, credentials go as metadata.
func TestGRPCCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, user string
		http       config.HTTPClientConfig
		want       string
	}{
		{"bearer", "", config.HTTPClientConfig{Authorization: &config.Authorization{CredentialsFile: file}}, "Bearer t0ken"},
		{"old bearer", "", config.HTTPClientConfig{BearerToken: "t0ken"}, "Bearer t0ken"},
		{"basic", "", config.HTTPClientConfig{BasicAuth: &config.BasicAuth{Username: "me", Password: "pw"}}, "Basic bWU6cHc="},
		{"in the address", "me:pw@", config.HTTPClientConfig{}, "Basic bWU6cHc="},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got metadata.MD
			address := fakeGRPC(t, func(_ string, s grpc.ServerStream) error {
				got, _ = metadata.FromIncomingContext(s.Context())
				return status.Error(codes.Unauthenticated, "no")
			})
			col, err := New(Config{URL: strings.Replace(address, "://", "://"+c.user, 1), HTTP: c.http, Headers: map[string]string{"X-Tenant": "a"}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = col.Collect(context.Background(), past)
			if err == nil || strings.Contains(err.Error(), "pw") || strings.Contains(err.Error(), "t0ken") {
				t.Errorf("error %v", err)
			}
			if text := strings.Join(append(got.Get("authorization"), got.Get("x-tenant")...), " "); text != c.want+" a" {
				t.Errorf("sent %q, want %q", text, c.want)
			}
		})
	}
}
