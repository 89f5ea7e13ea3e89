package traces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Receiver takes spans in over OTLP while a load runs: gRPC, and HTTP with
// protobuf or JSON, all on one address.
type Receiver struct {
	cfg     Config
	address string
	builder *builder

	mu       sync.Mutex
	keeper   keeper
	requests int
	refused  int // messages that could not be decoded
	firstBad error

	listener net.Listener
	http     *http.Server
	grpc     *grpc.Server
}

var (
	_ collectors.Collector = (*Receiver)(nil)
	_ collectors.Beginner  = (*Receiver)(nil)
)

// lateSpans is how long after the end of a window its spans may still come:
// SDKs send their batches every 5 s by default (OTEL_BSP_SCHEDULE_DELAY).
const lateSpans = 6 * time.Second

// NewReceiver prepares to listen on host:port. Of cfg it uses MaxSpans and
// Progress.
func NewReceiver(address string, cfg Config) (*Receiver, error) {
	cfg.setDefaults()
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("the address to listen on must be host:port, such as localhost:4317: %w", err)
	}
	r := &Receiver{cfg: cfg, address: address, builder: newBuilder(), keeper: keeper{maxSpans: cfg.MaxSpans}}
	r.grpc = grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(maxMessage))
	r.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: r.export}},
	}, struct{}{})
	return r, nil
}

// Name of the source.
func (r *Receiver) Name() string { return "traces" }

// Provides spans.
func (r *Receiver) Provides() []evidence.Kind { return []evidence.Kind{evidence.Spans} }

// Begin listens until Collect.
func (r *Receiver) Begin(ctx context.Context) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", r.address)
	if err != nil {
		return fmt.Errorf("listen for spans: %w", err)
	}
	r.listener = listener
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC without TLS
	r.http = &http.Server{Handler: http.HandlerFunc(r.serve), Protocols: protocols, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0)} // a client's broken connection is no news
	go r.http.Serve(listener) // ends with ErrServerClosed
	return nil
}

// Address on which it listens, once begun; the port may have been 0.
func (r *Receiver) Address() string { return r.listener.Addr().String() }

// Collect waits for the last batches, stops listening and returns the traces
// that began in the window.
func (r *Receiver) Collect(ctx context.Context, w evidence.Window) (*evidence.Bundle, error) {
	if r.listener == nil {
		return nil, errors.New("traces received over OTLP: it was not listening; spans can only be received while a load runs")
	}
	awaitLate(ctx, w)
	r.http.Close()
	r.grpc.Stop()
	k := r.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &evidence.Bundle{Window: w, Spans: k.take(w)}
	b.Weights = k.weights(b.Spans)
	src := evidence.Source{Name: r.Name(), Status: evidence.StatusOK, Target: r.Address(), Protocol: "OTLP received", Requests: r.requests,
		Items: len(b.Spans), Seconds: w.Duration().Seconds()}
	src.Notes = append(k.notes(), r.builder.dropped()...)
	if r.refused > 0 {
		src.Status = evidence.StatusPartial
		b.Gaps = append(b.Gaps, evidence.Gap{Source: r.Name(), Kinds: r.Provides(), Reason: fmt.Sprintf("%d of %d messages could not be used, the first: %v", r.refused, r.requests, r.firstBad),
			Remedy: "check the exporter's protocol (grpc, http/protobuf or http/json) and its batch size"})
	}
	if len(b.Spans) == 0 {
		src.Status = evidence.StatusPartial
		b.Gaps = append(b.Gaps, evidence.Gap{Source: r.Name(), Kinds: r.Provides(), Reason: "no span of the window was received on " + r.Address(),
			Remedy: "set OTEL_EXPORTER_OTLP_ENDPOINT=http://" + r.Address() + " for the services under load"})
	}
	b.Sources = []evidence.Source{src}
	r.cfg.Progress(collectors.Event{Source: r.Name(), Text: fmt.Sprintf("%d spans received", len(b.Spans)), End: true})
	return b, nil
}

// end takes what was kept; a request still under way adds to nothing.
func (r *Receiver) end() keeper {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keeper
	r.keeper = keeper{maxSpans: r.cfg.MaxSpans}
	return k
}

// awaitLate waits for the spans that SDKs and stores still hold when the
// window has only just ended: at most half of the time that the source has.
func awaitLate(ctx context.Context, w evidence.Window) {
	most := min(time.Until(w.End.Add(lateSpans)), lateSpans)
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline)/2)
	}
	wait := time.NewTimer(most)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
}

// serve tells gRPC from plain HTTP by the content type.
func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	switch {
	case strings.HasPrefix(kind, "application/grpc"):
		r.grpc.ServeHTTP(w, req)
	case req.URL.Path != "/v1/traces":
		http.NotFound(w, req)
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
	case kind == "application/x-protobuf":
		r.post(w, req, kind, r.builder.otlpProto, nil)
	case kind == "application/json":
		r.post(w, req, kind, r.builder.otlpJSON, []byte("{}"))
	default:
		http.Error(w, "the content type must be application/x-protobuf or application/json", http.StatusUnsupportedMediaType)
	}
}

// post reads one request and answers with an empty ExportTraceServiceResponse.
func (r *Receiver) post(w http.ResponseWriter, req *http.Request, kind string, decode func([]byte) ([]evidence.Span, error), answer []byte) {
	body, err := requestBody(req)
	if err == nil {
		err = r.take(body, decode)
	} else {
		r.refuse(err)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Write(answer)
}

func requestBody(req *http.Request) ([]byte, error) {
	var body io.Reader = http.MaxBytesReader(nil, req.Body, maxMessage)
	switch req.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("decompress the request: %w", err)
		}
		body = unzipped
	default:
		return nil, errors.New("decompress the request: only gzip is known")
	}
	content, err := readBounded(body, maxMessage)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	return content, nil
}

// export is the gRPC method. Its response message is empty.
func (r *Receiver) export(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var message []byte
	if err := decode(&message); err != nil {
		return nil, err
	}
	if err := r.take(message, r.builder.otlpProto); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return new([]byte), nil
}

func (r *Receiver) take(message []byte, decode func([]byte) ([]evidence.Span, error)) error {
	spans, err := decode(message)
	if err != nil {
		r.refuse(err)
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	r.keeper.add(spans)
	if r.requests%50 == 0 {
		r.cfg.Progress(collectors.Event{Source: r.Name(), Text: fmt.Sprintf("%d spans received", r.keeper.seen), Done: r.keeper.seen})
	}
	return nil
}

func (r *Receiver) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	r.refused++
	if r.firstBad == nil {
		r.firstBad = err
	}
}
