package postgres

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"
)

// allowed is everything that may be sent to a server.
var allowed = regexp.MustCompile(`(?s)^(` + strings.Join([]string{
	`select /\* culprit \*/ .*`, `with /\* culprit \*/ .*`, `set /\* culprit \*/ local [a-z_]+ = [a-z0-9_]+`,
	`begin read only`, `commit`, `rollback`, `savepoint culprit(_index)?`, `rollback to savepoint culprit(_index)?`,
	`prepare culprit_plan as .*`, `deallocate culprit_plan`, `explain /\* culprit \*/ \(format json, verbose\) execute culprit_plan.*`,
	`-- ping`,
}, "|") + `)$`)

var harmful = regexp.MustCompile(`(?i)_reset"?\(|pg_terminate|pg_cancel|\(.*analyze.*\) execute|nextval\(|setval\(`)

// sent reads our statements from the server's log: "culprit|pid|LOG:  execute
// name: text", continued on lines that begin with a tab.
func sent(log string) (out []string) {
	start := regexp.MustCompile(`^([^|]*)\|(\d+)\|LOG:  (?:execute [^:]*|statement): (.*)$`)
	ours := false
	for _, line := range strings.Split(log, "\n") {
		if m := start.FindStringSubmatch(line); m != nil {
			ours = m[1] == "culprit"
			if ours {
				out = append(out, m[3])
			}
			continue
		}
		if ours && strings.HasPrefix(line, "\t") {
			out[len(out)-1] += "\n" + line[1:]
			continue
		}
		ours = false
	}
	return out
}

func TestOnlyReads(t *testing.T) { onEach(t, testOnlyReads) }

func testOnlyReads(t *testing.T, r release) {
	s := startRelease(t, r, "log_statement = all")
	s.shop()
	c := newCollector(t, Config{DSN: s.dsn("postgres", "shop"), Explain: true})
	most := countOurs(t, s)
	b := run(t, c, func() {
		s.lookUp(60)
		holder, waiter := s.connect("postgres", "shop"), s.connect("postgres", "shop")
		s.exec(holder, "begin", "update counter set n = 1 where id = 1")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = waiter.Exec(context.Background(), "update counter set n = 2 where id = 1")
		}()
		s.awaitRow(someWait, 1)
		s.await("a look at who blocks whom", func() bool { return strings.Contains(s.log(), "pg_blocking_pids") })
		s.exec(holder, "commit")
		<-done
	})
	if len(b.Postgres[0].Blocking) == 0 || len(b.Postgres[0].Advice) == 0 {
		t.Error("not everything was exercised")
	}
	if _, err := newCollector(t, Config{DSN: s.dsn("postgres", "shop")}).Check(context.Background()); err != nil {
		t.Error(err)
	}
	kinds := holdHarmless(t, s.log())
	if n := most(); n < 1 || n > 2 {
		t.Errorf("%d connections of ours at once, want one or two", n)
	}
	kindsWanted := []string{"select", "with"}
	if r.hypopg {
		kindsWanted = append(kindsWanted, "prepare", "explain", "deallocate", "begin", "set")
	}
	for _, kind := range kindsWanted {
		if kinds[kind] == 0 {
			t.Errorf("no %s in the log, so this proves nothing: %v", kind, kinds)
		}
	}
}

// holdHarmless wants nothing in a server's log of us that may not be sent, and
// counts what was sent by its first word. What a pooler sends in our name, to
// hand on application_name, is its own.
func holdHarmless(t *testing.T, log string) map[string]int {
	t.Helper()
	kinds := map[string]int{}
	for _, text := range sent(log) {
		if poolers.MatchString(text) {
			continue
		}
		if !allowed.MatchString(text) || harmful.MatchString(strings.ReplaceAll(text, `"hypopg_reset"()`, "")) {
			t.Errorf("sent: %s", text)
		}
		kinds[strings.Fields(text)[0]]++
	}
	return kinds
}

var poolers = regexp.MustCompile(`^(SET [a-z_]+='[^']*';)+$`)

// countOurs watches the server for our connections, and gives the most that
// there were at once.
func countOurs(t *testing.T, s *server) (most func() int) {
	t.Helper()
	watch := s.connect("postgres", "postgres")
	ctx, cancel := context.WithCancel(context.Background())
	seen, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			var n int
			if err := watch.QueryRow(context.Background(), "select count(*) from pg_stat_activity where application_name = 'culprit'").Scan(&n); err == nil {
				seen = max(seen, n)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() int {
		cancel()
		<-done
		return seen
	}
}

func TestForeignFunctionIsNotPlanned(t *testing.T) { onEach(t, testForeignFunctionIsNotPlanned) }

func testForeignFunctionIsNotPlanned(t *testing.T, r release) {
	s := startRelease(t, r)
	conn := s.shop()
	s.exec(conn, "create function evil(bigint) returns bigint language plpgsql stable as $$ begin raise warning 'evil ran'; return $1; end $$",
		"create view open_purchase as select * from purchase where evil(id) > 0")
	load := func(sql string) func() {
		return func() {
			for i := range 40 {
				if _, err := conn.Exec(context.Background(), sql, i); err != nil {
					t.Fatal(err)
				}
			}
			s.lookUp(1)
		}
	}
	for sql, want := range map[string]string{
		"select id from purchase where buyer = $1 and evil(5) = 5": "function",
		"select count(*) from open_purchase where buyer = $1":      "",
	} {
		c := newCollector(t, Config{DSN: s.dsn("postgres", "shop"), Explain: true, Settle: -1})
		b := run(t, c, func() { load(sql)(); s.stop(); s.start() })
		for _, a := range b.Postgres[0].Advice {
			if a.Verified || !strings.Contains(a.Note, want) {
				t.Errorf("%s: advice %+v", sql, a)
			}
		}
		conn = s.connect("postgres", "shop")
	}
	for _, line := range strings.Split(s.log(), "\n") {
		if strings.HasPrefix(line, "culprit|") && strings.Contains(line, "evil ran") {
			t.Errorf("a foreign function ran in our session: %s", line)
		}
	}
}

// cpu is a process's user and system time in s (proc(5), fields 14 and 15).
