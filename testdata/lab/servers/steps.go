package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
)

func (l *lab) startJaeger(context.Context) error {
	if l.OTLP != "" {
		l.state.Addresses.OTLP = l.OTLP
		return nil
	}
	var ports jaegerPorts
	for _, port := range []*int{&ports.HTTP, &ports.GRPC, &ports.OTLPHTTP, &ports.OTLPGRPC, &ports.Health} {
		free, err := freePort()
		if err != nil {
			return err
		}
		*port = free
	}
	c, err := jaegerCommand(l.Programs["jaeger"], l.Dir, ports)
	if err != nil {
		return err
	}
	a := &l.state.Addresses
	a.Traces, a.TracesGRPC, a.OTLP = "http://"+address(ports.HTTP), address(ports.GRPC), "http://"+address(ports.OTLPHTTP)
	return l.startHTTP(c, ports.HTTP, "/api/services")
}

func (l *lab) startPostgres(ctx context.Context) error {
	db, err := newDatabase(filepath.Dir(l.Programs["postgres"]), l.Dir, l.Sight.Names)
	if err != nil {
		return err
	}
	l.db = db
	if err := db.create(ctx, l.Scenario.Fault.Postgres); err != nil {
		return err
	}
	if db.group, err = l.group("postgres"); err != nil {
		return err
	}
	if err := l.withDisk("postgres", db.group); err != nil {
		return err
	}
	p, err := l.start(db.command())
	if err != nil {
		return err
	}
	l.state.Addresses.Postgres, l.state.Addresses.Owner = db.dsn("culprit", "shop"), db.dsn("shop", "shop")
	return waitFor(ctx, p, db.port, l.logOf(p), db.ready)
}

func (l *lab) seed(ctx context.Context) error {
	return l.db.fill(ctx, l.Scenario.Fault.SQL)
}

func (l *lab) startRedis(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	group, err := l.group("redis")
	if err != nil {
		return err
	}
	p, err := l.start(redisCommand(l.Programs["redis-server"], l.Dir, port, group))
	if err != nil {
		return err
	}
	l.state.Addresses.Redis = address(port)
	return waitFor(ctx, p, port, l.logOf(p), func(ctx context.Context) error { return ping(ctx, address(port)) })
}

// ping speaks just enough of Redis' protocol to know that it is up.
func ping(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // without it the read waits for the server
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 5)
	if _, err := conn.Read(answer); err != nil {
		return err
	}
	if string(answer) != "+PONG" {
		return errors.New("redis is not ready")
	}
	return nil
}

func (l *lab) startExporters(context.Context) error {
	_, redisPort, err := net.SplitHostPort(l.state.Addresses.Redis)
	if err != nil {
		return fmt.Errorf("address of redis: %w", err)
	}
	redis, err := net.LookupPort("tcp", redisPort)
	if err != nil {
		return fmt.Errorf("address of redis: %w", err)
	}
	exporters := map[string]func(port int) command{
		"node_exporter": func(port int) command { return nodeExporterCommand(l.Programs["node_exporter"], port) },
		"postgres_exporter": func(port int) command {
			return postgresExporterCommand(l.Programs["postgres_exporter"], port, l.db.dsn("culprit", "shop"))
		},
		"redis_exporter": func(port int) command { return redisExporterCommand(l.Programs["redis_exporter"], port, redis) },
	}
	if l.parent != nil && l.Programs["cadvisor"] != "" {
		exporters["cadvisor"] = func(port int) command { return cadvisorCommand(l.Programs["cadvisor"], port, l.state.ID) }
	}
	for name, commandOn := range exporters {
		port, err := l.port(name)
		if err != nil {
			return err
		}
		if err := l.startHTTP(commandOn(port), port, "/metrics"); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) startPrometheus(context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	c, err := prometheusCommand(l.Programs["prometheus"], l.Dir, port, l.scrapeTargets())
	if err != nil {
		return err
	}
	l.state.Addresses.Prometheus = "http://" + address(port)
	return l.startHTTP(c, port, "/-/ready")
}
