package servers

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/lab/shop/names"
	"github.com/culprit-rca/culprit/testdata/lab/shop/schema"
)

// baseSettings are those that every scenario starts from. Everything else is as
// shipped, so that what is found in the lab is found elsewhere.
func baseSettings() map[string]string {
	return map[string]string{
		"listen_addresses":         "127.0.0.1",
		"max_connections":          "120",
		"shared_buffers":           "256MB",
		"shared_preload_libraries": "pg_stat_statements",
		"pg_stat_statements.track": "all",
		"compute_query_id":         "on",
		"track_io_timing":          "on",
		"track_wal_io_timing":      "on",
		"max_wal_size":             "2GB",
		"synchronous_commit":       "off", // the disk of whatever machine this is must not decide a scenario
	}
}

// database is the PostgreSQL server of one lab.
type database struct {
	bin, data string
	port      int
	owner     *syscall.Credential // the server refuses to run as root
	names     names.Names         // of roles, databases and tables
	group     *cgroup             // nil where none can be made
}

func newDatabase(bin, dir string, called names.Names) (*database, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	d := &database{bin: bin, data: filepath.Join(dir, "postgres"), port: port, names: called}
	if err := os.Mkdir(d.data, 0o700); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	if os.Geteuid() != 0 {
		return d, nil
	}
	if d.owner, err = credential("postgres"); err != nil {
		return nil, err
	}
	return d, os.Chown(d.data, int(d.owner.Uid), int(d.owner.Gid))
}

// credential of a user by name.
func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("find user %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("find user %s: %w", name, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// create makes an empty cluster with the settings, those of the fault last.
func (d *database) create(ctx context.Context, fault map[string]string) error {
	initdb := exec.CommandContext(ctx, filepath.Join(d.bin, "initdb"), "-D", d.data, "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir = d.data
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: d.owner}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(out))
	}
	all := baseSettings()
	maps.Copy(all, fault)
	all["port"], all["unix_socket_directories"] = strconv.Itoa(d.port), ""
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s = '%s'\n", key, strings.ReplaceAll(all[key], "'", "''"))
	}
	file, err := os.OpenFile(filepath.Join(d.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open configuration: %w", err)
	}
	defer file.Close()
	_, err = file.WriteString(text.String())
	return err
}

// command starts the server; SIGINT is its fast shutdown.
func (d *database) command() command {
	return command{name: "postgres", path: filepath.Join(d.bin, "postgres"), args: []string{"-D", d.data},
		dir: d.data, user: d.owner, stop: syscall.SIGINT, cgroup: d.group}
}

func (d *database) dsn(role, name string) string {
	u := url.URL{Scheme: "postgres", User: url.User(d.names.Rename(role)), Host: "127.0.0.1:" + strconv.Itoa(d.port), Path: d.names.Rename(name), RawQuery: "sslmode=disable"}
	return u.String()
}

// ready connects and checks that the server is this one, before anything is
// asked of it: another may hold the port.
func (d *database) ready(ctx context.Context) error {
	return d.on(ctx, "postgres", func(conn *pgx.Conn) error {
		var data string
		if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
			return err
		}
		if data != d.data {
			return fmt.Errorf("port %d belongs to the server of %s", d.port, data)
		}
		return nil
	})
}

// on runs f on a connection of the superuser.
func (d *database) on(ctx context.Context, name string, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, d.dsn("postgres", name))
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}

// roles are the shop's own and one that may read statistics and nothing write.
const roles = `CREATE ROLE shop LOGIN; CREATE ROLE culprit LOGIN; GRANT pg_monitor, pg_read_all_data TO culprit; CREATE DATABASE shop OWNER shop`

// fill creates roles, tables and rows, and then does what the fault asks for.
func (d *database) fill(ctx context.Context, fault []string) error {
	err := d.on(ctx, "postgres", func(conn *pgx.Conn) error {
		return d.execute(ctx, conn, strings.Split(roles, ";")...)
	})
	if err != nil {
		return err
	}
	return d.on(ctx, "shop", func(conn *pgx.Conn) error {
		if err := createExtensions(ctx, conn); err != nil {
			return err
		}
		err := d.execute(ctx, conn, "SET synchronous_commit = off", "SET maintenance_work_mem = '128MB'", "SET ROLE shop",
			schema.Tables, schema.Seed, schema.Indexes)
		if err != nil {
			return err
		}
		if err := d.execute(ctx, conn, fault...); err != nil {
			return fmt.Errorf("plant the fault: %w", err)
		}
		return d.execute(ctx, conn, "RESET ROLE", "VACUUM ANALYZE", "CHECKPOINT", "SELECT pg_stat_statements_reset()")
	})
}

// createExtensions adds pg_stat_statements, which is needed, and hypopg, with
// which an index can be tried without building it, where it is installed.
func createExtensions(ctx context.Context, conn *pgx.Conn) error {
	if err := execute(ctx, conn, "CREATE EXTENSION pg_stat_statements"); err != nil {
		return err
	}
	rows, _ := conn.Query(ctx, "SELECT name FROM pg_available_extensions WHERE name = 'hypopg'")
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) == 0 {
		return err
	}
	return execute(ctx, conn, "CREATE EXTENSION hypopg")
}

// execute runs texts in turn, under the names that things have here.
func (d *database) execute(ctx context.Context, conn *pgx.Conn, texts ...string) error {
	renamed := make([]string, len(texts))
	for i, text := range texts {
		renamed[i] = d.names.Rename(text)
	}
	return execute(ctx, conn, renamed...)
}

// execute runs texts in turn; one text may hold several statements.
func execute(ctx context.Context, conn *pgx.Conn, texts ...string) error {
	for _, text := range texts {
		if _, err := conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
			return fmt.Errorf("execute %.60q: %w", text, err)
		}
	}
	return nil
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
