package postgres

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

const canary = "s3cr3t-canary"

// clean fails where a text holds the canary, a part of it, or a second line.
func clean(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{canary, "s3cr3t", "canary"} {
		if strings.Contains(text, secret) {
			t.Errorf("the password is in %q", text)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("more than one line: %q", text)
	}
}

func TestUnparsableDSN(t *testing.T) {
	for _, dsn := range []string{
		"",
		"postgres://me:" + canary + "@127.0.0.1:notaport/db",
		"postgres://me:s3cr3t%zzcanary@127.0.0.1/db",
		"postgres://me:" + canary + "@127.0.0.1:5432/db?sslmode=perhaps",
		"postgres://me:s3cr3t canary@[::1/db",
		"host=127.0.0.1 password=s3cr3t\\ canary port=x",
		"host=127.0.0.1 password='s3cr3t-canary",
		"password=s3cr3t canary",
		canary,
	} {
		_, err := New(Config{DSN: dsn})
		if err == nil {
			t.Errorf("%q was accepted", dsn)
			continue
		}
		clean(t, err.Error())
	}
}

func TestHzOutOfRange(t *testing.T) {
	for _, hz := range []float64{-1, 0.01, 51} {
		if _, err := New(Config{DSN: "postgres://me@127.0.0.1/db", Hz: hz}); err == nil {
			t.Errorf("%g Hz was accepted", hz)
		}
	}
}

// answer listens on loopback and does f with each connection.
func answer(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); f(c) }()
		}
	}()
	return l.Addr().String()
}

func TestDeadServers(t *testing.T) {
	closed := answer(t, func(net.Conn) {})
	hang := answer(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	first := func(say string) func(net.Conn) {
		return func(c net.Conn) {
			c.Read(make([]byte, 1024))
			io.WriteString(c, say)
			time.Sleep(200 * time.Millisecond)
		}
	}
	html := answer(t, first("HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>"+canary+"</html>"))
	echo := answer(t, first("E\x00\x00\x00\x40SFATAL\x00C28P01\x00Mno entry for me with "+canary+"\x00\x00\x00\x00\x00\x00\x00\x00"))
	for _, test := range []struct{ name, address, want string }{
		{"down", "127.0.0.1:1", "refused"},
		{"closes", closed, "closed"},
		{"hangs", hang, "no answer within"},
		{"html", html, "protocol"},
		{"echoes the password", echo, ""},
		{"no such host", "nowhere.invalid:5432", "cannot be resolved"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := New(Config{DSN: "postgres://me:" + canary + "@" + test.address + "/shop?sslmode=disable", Timeout: 400 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			for _, err := range everyFailure(c) {
				if err == nil {
					t.Fatal("no error")
				}
				clean(t, err.Error())
				if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.address+"/shop") {
					t.Errorf("got %q, want %q and the target in it", err, test.want)
				}
			}
			if d := time.Since(start); d > 6*time.Second {
				t.Errorf("took %s", d)
			}
		})
	}
}

// everyFailure runs all that can fail on a server that is of no use.
func everyFailure(c *Collector) []error {
	ctx := context.Background()
	_, check := c.Check(ctx)
	begin := c.Begin(ctx)
	_, collect := c.Collect(ctx, evidence.Window{Start: time.Now().Add(-time.Minute), End: time.Now()})
	return []error{check, begin, collect}
}

func TestRefusedLogin(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	conn := s.connect("postgres", "postgres")
	s.exec(conn, "create role locked login password 'other'")
	hba := "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	s.write("pg_hba.conf", hba)
	s.exec(conn, "select pg_reload_conf()")
	s.await("the new rules", func() bool {
		_, err := pgx.Connect(t.Context(), s.dsn("locked", "postgres"))
		return err != nil
	})
	var told []string
	for _, test := range []struct{ user, database, want string }{
		{"locked", "postgres", "28P01"}, {"postgres", "nodatabase", "3D000"}, {"nobody", "postgres", "28P01"},
	} {
		dsn := strings.Replace(s.dsn(test.user, test.database), "@", ":"+canary+"@", 1)
		c := newCollector(t, Config{DSN: dsn, Progress: func(e collectors.Event) {
			told = append(told, e.Text)
			if e.Err != nil {
				told = append(told, e.Err.Error())
			}
		}})
		for _, err := range everyFailure(c) {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s on %s: got %v, want %s", test.user, test.database, err, test.want)
				continue
			}
			clean(t, err.Error())
		}
	}
	for _, text := range told {
		clean(t, text)
	}
}
