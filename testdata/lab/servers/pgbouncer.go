package servers

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/lab/shop/names"
)

// pooler is a PgBouncer in transaction mode before the server, with a pool of
// its own for each service that goes through it.
type pooler struct {
	port  int
	pools map[string]int // server connections, by service

	names names.Names // of roles and the database
}

// dsn for a service. Statements must not be prepared by name: the next one may
// meet another server connection (PgBouncer before 1.21).
func (p *pooler) dsn(service string) string {
	return p.address("shop", service, url.Values{"sslmode": {"disable"}, "default_query_exec_mode": {"exec"}})
}

// console is where SHOW commands are answered.
func (p *pooler) console() string {
	return p.address("culprit", "pgbouncer", url.Values{"sslmode": {"disable"}})
}

func (p *pooler) address(role, name string, query url.Values) string {
	u := url.URL{Scheme: "postgres", User: url.User(p.names.Rename(role)), Host: address(p.port), Path: name, RawQuery: query.Encode()}
	return u.String()
}

// configuration files of the pooler, by name.
func (p *pooler) configuration(dir string, server int) map[string]string {
	lines := []string{"[databases]"}
	for _, service := range slices.Sorted(maps.Keys(p.pools)) {
		lines = append(lines, fmt.Sprintf("%s = host=127.0.0.1 port=%d dbname=%s pool_size=%d", service, server, p.names.Rename("shop"), p.pools[service]))
	}
	lines = append(lines, "[pgbouncer]", "listen_addr = 127.0.0.1", "listen_port = "+strconv.Itoa(p.port), "unix_socket_dir =",
		"auth_type = trust", "auth_file = "+filepath.Join(dir, poolerUsers), "stats_users = culprit", "pool_mode = transaction", "max_client_conn = 500", "")
	return map[string]string{poolerConfig: strings.Join(lines, "\n"), poolerUsers: p.names.Rename("\"shop\" \"\"\n\"culprit\" \"\"\n")}
}

const poolerConfig, poolerUsers = "pgbouncer.ini", "pgbouncer-users.txt"

// startPooler puts PgBouncer before the server where the scenario asks for it.
func (l *lab) startPooler(ctx context.Context) error {
	if len(l.Scenario.Fault.PgBouncer) == 0 {
		return nil
	}
	if l.Programs["pgbouncer"] == "" {
		return fmt.Errorf("%w: pgbouncer is missing", ErrCannotRun)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	l.pooler = &pooler{port: port, pools: l.Scenario.Fault.PgBouncer, names: l.Sight.Names}
	for name, text := range l.pooler.configuration(l.Dir, l.db.port) {
		if err := os.WriteFile(filepath.Join(l.Dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("configure pgbouncer: %w", err)
		}
	}
	group, err := l.group("pgbouncer")
	if err != nil {
		return err
	}
	p, err := l.start(command{name: "pgbouncer", path: l.Programs["pgbouncer"], args: []string{filepath.Join(l.Dir, poolerConfig)},
		dir: l.Dir, user: l.db.owner, cgroup: group}) // as the server's user: it refuses to run as root, too
	if err != nil {
		return err
	}
	l.state.Addresses.PgBouncer = l.pooler.console()
	return waitFor(ctx, p, port, l.logOf(p), l.pooler.ready)
}

// ready asks through every pool.
func (p *pooler) ready(ctx context.Context) error {
	for service := range p.pools {
		conn, err := pgx.Connect(ctx, p.dsn(service))
		if err != nil {
			return err
		}
		err = conn.Ping(ctx)
		conn.Close(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}
