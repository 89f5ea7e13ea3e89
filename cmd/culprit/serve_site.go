package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/netutil"

	"github.com/culprit-rca/culprit/cmd/culprit/audits"
	"github.com/culprit-rca/culprit/report/archive"
	"github.com/culprit-rca/culprit/report/web"
)

const (
	// maxConnections at once; a caller beyond waits until one ends.
	maxConnections = 256
	// goodbye is what open requests get when the service stops.
	goodbye = 5 * time.Second
)

// authenticates reports whether a file of --web-config asks everybody who they
// are. The toolkit says whether the file is right.
func authenticates(path string) (bool, error) {
	if path == "" {
		return false, nil
	}
	if err := toolkit.Validate(path); err != nil {
		return false, fmt.Errorf("--web-config %s: %w", path, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("--web-config: %w", err)
	}
	var c struct {
		TLS struct {
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
		Users map[string]string `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(content, &c); err != nil {
		return false, fmt.Errorf("--web-config %s: %s", path, yamlText(err))
	}
	return len(c.Users) > 0 || c.TLS.ClientAuth == "RequireAndVerifyClientCert", nil
}

// onLoopback reports whether only this machine can reach an address.
func onLoopback(address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, fmt.Errorf("--listen %q is no address such as %s", address, defaultListen)
	}
	if host == "localhost" {
		return true, nil
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback(), nil
}

// site is the service's place on the network.
type site struct {
	server   *http.Server
	listener net.Listener
	config   string
	log      *slog.Logger
}

// listenFor takes the address before any work begins.
func (a *app) listenFor(s *audits.Service, store archive.Store, targets []audits.Target, flags *serveFlags, log *slog.Logger) (*site, error) {
	pages := web.Pages{Store: store, Targets: shown(targets), Version: a.version}
	mux := http.NewServeMux()
	mux.Handle("GET /", pages.Handler())
	mux.HandleFunc("POST /api/v1/alertmanager", s.Alerts)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Gatherer(), promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "culprit is healthy") })
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Ready(); err != nil {
			http.Error(w, "culprit is not ready: "+printable(err.Error()), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "culprit is ready")
	})
	l, err := net.Listen("tcp", flags.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	log.Info("serving", "address", l.Addr().String(), "targets", len(targets), "version", a.version)
	var guard http.CrossOriginProtection
	server := &http.Server{
		Handler:           guard.Handler(flags.guardHost(mux)),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	outermost := func() { server.Handler = s.Guarded(server.Handler) }
	return &site{listener: &opened{Listener: netutil.LimitListener(l, maxConnections), first: outermost}, config: flags.webConfig, log: log, server: server}, nil
}

// opened does something before its first connection. The toolkit puts the
// question for the password around the server's handler, has no place for a
// handler of ours around that, and is done with it when it first accepts.
type opened struct {
	net.Listener
	once  sync.Once
	first func()
}

func (o *opened) Accept() (net.Conn, error) {
	o.once.Do(o.first)
	return o.Listener.Accept()
}

// guardHost keeps a page of somebody else's, whose name was made to mean this
// machine, from reading what is served to the loopback without a password.
func (f *serveFlags) guardHost(next http.Handler) http.Handler {
	if loopback, _ := onLoopback(f.listen); !loopback {
		return next
	}
	external, _ := url.Parse(f.external)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		ip := net.ParseIP(host)
		if host != "localhost" && (ip == nil || !ip.IsLoopback()) && (external == nil || host != external.Hostname()) {
			http.Error(w, "this address is served to its own machine alone: name it in --external-url if a proxy passes it on", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve answers until stop; what ends it before that ends the service too.
func (s *site) serve(end context.CancelFunc) (failed func() error) {
	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		err = toolkit.Serve(s.listener, s.server, &toolkit.FlagConfig{WebConfigFile: &s.config}, s.log)
		end()
	})
	return func() error {
		wg.Wait()
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	}
}

func (s *site) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
}

func shown(targets []audits.Target) []web.Target {
	out := make([]web.Target, len(targets))
	for i, t := range targets {
		out[i] = web.Target{Name: t.Name, Alerts: len(t.Route) > 0, Window: t.Window}
		if t.Plan != nil {
			out[i].Plan, out[i].Next = t.Plan.String(), t.Plan.Next
		}
	}
	return out
}
