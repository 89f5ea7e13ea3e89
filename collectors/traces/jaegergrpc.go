package traces

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // answers, and what the receiver gets, may be compressed
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// rawCodec passes messages through as bytes. It is given to single calls, so
// the process-wide codec stays as it is; its name is the content type's.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("raw codec: cannot send %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

func (rawCodec) Unmarshal(d mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("raw codec: cannot receive into %T", v)
	}
	*b = d.Materialize()
	return nil
}

// grpcStore is the gRPC side of Jaeger's stores. Their messages are few, so
// requests are written field by field and answers read the same way, without
// generated code.
type grpcStore struct {
	conn    *grpc.ClientConn
	headers metadata.MD
	timeout time.Duration
	meter   *meter
	builder *builder
}

// jaegerGRPC is Jaeger's gRPC api_v3: OTLP in protobuf.
type jaegerGRPC struct{ *grpcStore }

const queryServiceV3 = "/jaeger.api_v3.QueryService/"

func openGRPC(ctx context.Context, target *url.URL, cfg *Config, b *builder, m *meter) (store, error) {
	secure, err := transport(target.Scheme, cfg)
	if err != nil {
		return nil, err
	}
	headers, err := grpcHeaders(target, cfg)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target.Host, grpc.WithTransportCredentials(secure), grpc.WithUserAgent("culprit"))
	if err != nil {
		return nil, errors.New("prepare the gRPC connection: the address cannot be used")
	}
	g := &grpcStore{conn: conn, headers: headers, timeout: cfg.Timeout, meter: m, builder: b}
	var errs []error
	for _, s := range []store{&jaegerGRPC{g}, &jaegerGRPCv2{g}} {
		_, err := s.Services(ctx)
		if err == nil {
			return s, nil
		}
		if errs = append(errs, err); status.Code(err) != codes.Unimplemented {
			break
		}
	}
	conn.Close()
	return nil, errs[0]
}

func transport(scheme string, cfg *Config) (credentials.TransportCredentials, error) {
	if scheme == "grpc" {
		return insecure.NewCredentials(), nil
	}
	settings, err := config.NewTLSConfig(&cfg.HTTP.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("prepare TLS: %w", err)
	}
	settings.MinVersion = max(settings.MinVersion, tls.VersionTLS12)
	return credentials.NewTLS(settings), nil
}

// grpcHeaders writes the credentials of an HTTP client configuration as
// metadata. A password in the address counts as basic auth, as with http://.
func grpcHeaders(target *url.URL, cfg *Config) (metadata.MD, error) {
	md := metadata.MD{}
	for name, value := range cfg.Headers {
		md.Set(name, value)
	}
	if password, ok := target.User.Password(); ok {
		md.Set("authorization", basic(target.User.Username(), password))
	}
	if a := cfg.HTTP.BasicAuth; a != nil {
		password, err := secret(string(a.Password), a.PasswordFile)
		if err != nil {
			return nil, err
		}
		md.Set("authorization", basic(a.Username, password))
	}
	if a := cfg.HTTP.Authorization; a != nil {
		token, err := secret(string(a.Credentials), a.CredentialsFile)
		if err != nil {
			return nil, err
		}
		kind := a.Type
		if kind == "" {
			kind = "Bearer"
		}
		md.Set("authorization", kind+" "+token)
	}
	return md, nil
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func secret(value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the credentials: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

func (s *jaegerGRPC) Protocol() string { return "Jaeger api_v3 over gRPC" }
func (s *grpcStore) Close()            { s.conn.Close() }

func (s *jaegerGRPC) Services(ctx context.Context) ([]string, error) {
	return s.services(ctx, queryServiceV3)
}

func (s *jaegerGRPC) Operations(ctx context.Context, service string) ([]operation, error) {
	return s.operations(ctx, queryServiceV3, service, 1)
}

func (s *jaegerGRPC) Search(ctx context.Context, q query) ([]evidence.Span, error) {
	var spans []evidence.Span
	err := s.call(ctx, queryServiceV3+"FindTraces", appendMessage(nil, 1, q.proto()), func(message []byte) error {
		more, err := s.builder.otlpProto(message)
		spans = append(spans, more...)
		return err
	})
	return found404(spans, err)
}

// found404 takes NOT_FOUND for what it means here: nothing matched.
func found404(spans []evidence.Span, err error) ([]evidence.Span, error) {
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	return spans, err
}

// services reads GetServicesResponse: names in field 1.
func (s *grpcStore) services(ctx context.Context, api string) ([]string, error) {
	var services []string
	err := s.call(ctx, api+"GetServices", nil, func(message []byte) error {
		return eachField(string(message), func(f wireField) error {
			if f.id == 1 {
				services = append(services, f.text)
			}
			return nil
		})
	})
	return services, err
}

// operations reads GetOperationsResponse: in field at, a name 1 and a kind 2.
func (s *grpcStore) operations(ctx context.Context, api, service string, at protowire.Number) ([]operation, error) {
	var out []operation
	err := s.call(ctx, api+"GetOperations", appendString(nil, 1, service), func(message []byte) error {
		return eachField(string(message), func(f wireField) error {
			if f.id != at {
				return nil
			}
			var o operation
			err := eachField(f.text, func(part wireField) error {
				switch part.id {
				case 1:
					o.name = part.text
				case 2:
					o.kind = part.text
				}
				return nil
			})
			out = append(out, o)
			return err
		})
	})
	return out, err
}

// proto writes TraceQueryParameters: service 1, operation 2, start 4 and 5,
// least duration 6, depth 8. The depth is always sent: older servers take 0
// for an error.
func (q *query) proto() []byte {
	p := appendString(nil, 1, q.service)
	if q.operation != "" {
		p = appendString(p, 2, q.operation)
	}
	p = appendMessage(p, 4, appendTime(q.window.Start.Unix(), int64(q.window.Start.Nanosecond())))
	p = appendMessage(p, 5, appendTime(q.window.End.Unix(), int64(q.window.End.Nanosecond())))
	if q.slower > 0 {
		p = appendMessage(p, 6, appendTime(int64(q.slower/time.Second), int64(q.slower%time.Second)))
	}
	p = protowire.AppendTag(p, 8, protowire.VarintType)
	return protowire.AppendVarint(p, uint64(q.depth))
}

// appendTime writes a Timestamp or a Duration: seconds 1, nanoseconds 2.
func appendTime(seconds, nanos int64) []byte {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(seconds))
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(nanos))
}

func appendString(b []byte, n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func appendMessage(b []byte, n protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), m)
}

// call sends one request and hands over every message of the answer. All
// methods are called as streams: a unary answer is a stream of one.
func (s *grpcStore) call(ctx context.Context, method string, request []byte, each func([]byte) error) error {
	err := s.meter.polite(ctx, s.timeout, func(ctx context.Context) error {
		return s.stream(metadata.NewOutgoingContext(ctx, s.headers), method, request, each)
	})
	if err != nil {
		return fmt.Errorf("call %s: %w", path.Base(method), grpcError(err))
	}
	return nil
}

func (s *grpcStore) stream(ctx context.Context, method string, request []byte, each func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends a stream that is left early
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method,
		grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessage))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&request); err != nil && err != io.EOF { // on EOF the answer tells why
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	received := 0
	for {
		var message []byte
		err := stream.RecvMsg(&message)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		s.meter.received(len(message))
		if received += len(message); received > maxAnswer {
			return &answerError{text: fmt.Sprintf("the answer is larger than %d MiB", maxAnswer>>20)}
		}
		if err := each(message); err != nil {
			return err
		}
	}
}

// maxAnswer bounds one streamed answer: a server may stream forever.
const maxAnswer = 2 * maxMessage

// grpcError says a status in words; its code remains to be asked for.
func grpcError(err error) error {
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	switch st.Code() {
	case codes.Unauthenticated, codes.PermissionDenied:
		return status.Errorf(st.Code(), "the server refuses access; check credentials and tenant")
	case codes.Unimplemented:
		return status.Errorf(st.Code(), "the server does not know this call of Jaeger")
	case codes.Unavailable:
		return fmt.Errorf("cannot reach the server: %w", status.Error(st.Code(), clean(st.Message(), 200)))
	}
	return status.Error(st.Code(), clean(st.Message(), 200))
}
