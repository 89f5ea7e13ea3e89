package archive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// postgresBin is where Debian keeps the server's programs.
const postgresBin = "/usr/lib/postgresql/15/bin"

// server is one for all tests of the package; each has a database of its own.
var server struct {
	once sync.Once
	cmd  *exec.Cmd
	base string
	dsn  string // with %s for the database
	err  error
	made atomic.Int32
}

func TestMain(m *testing.M) {
	code := m.Run()
	if server.cmd != nil {
		_ = server.cmd.Process.Signal(syscall.SIGINT)
		kill := time.AfterFunc(10*time.Second, func() { _ = server.cmd.Process.Kill() })
		_ = server.cmd.Wait()
		kill.Stop()
	}
	os.RemoveAll(server.base)
	os.Exit(code)
}

// startPostgres gives an empty database. It skips where there is no server's
// program, and fails on CI.
func startPostgres(t *testing.T) (dsn string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(postgresBin, "initdb")); err != nil {
		needs.Missing(t, "no PostgreSQL in "+postgresBin+": apt-get install postgresql-15")
	}
	if server.once.Do(func() { server.err = runServer() }); server.err != nil {
		t.Fatal(server.err)
	}
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf(server.dsn, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	name := fmt.Sprintf("test%d", server.made.Add(1))
	if _, err := conn.Exec(t.Context(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(server.dsn, name)
}

// runServer starts a server of the tests' own on a free loopback port.
func runServer() (err error) {
	if server.base, err = os.MkdirTemp("", "culprit-archive-"); err != nil {
		return err
	}
	data := filepath.Join(server.base, "data")
	attr, err := owner(server.base)
	if err != nil {
		return err
	}
	program := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(postgresBin, name), args...)
		cmd.Dir, cmd.SysProcAttr = "/", attr
		return cmd
	}
	if out, err := program("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	server.cmd = program("postgres", "-D", data, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=16MB")
	if err := server.cmd.Start(); err != nil {
		return err
	}
	server.dsn = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%%s?sslmode=disable", port)
	return await(fmt.Sprintf(server.dsn, "postgres"), data)
}

// owner is whom to run as: PostgreSQL refuses root.
func owner(base string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(base, uid, gid); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// await waits until what answers is our server.
func await(dsn, data string) error {
	ask := func() (dir string) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return ""
		}
		defer conn.Close(ctx)
		_ = conn.QueryRow(ctx, "show data_directory").Scan(&dir)
		return dir
	}
	for deadline := time.Now().Add(30 * time.Second); ask() != data; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("the server did not come up")
		}
	}
	return nil
}
