package postgres

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// loaded is the load of one of the cases below: one request that every client
// repeats on a connection of its own, and what happens beside them.
type loaded struct {
	clients int
	every   time.Duration // between the starts of a client's requests; 0: one after the other
	lasts   time.Duration // 0: caseRuns
	request []string      // statements; $1 is the number of the client
	beside  func(s *server)
}

// caseRuns is how long most cases run: 40 ticks are enough for a share.
const caseRuns = 3 * time.Second

// spans records each request of a client as a trace of a server span with its
// statements below it, as an instrumented application would.
type spans struct {
	sync.Mutex
	requests uint64
	all      []evidence.Span
}

// call is one statement of a request.
type call struct {
	text     string
	from, to time.Time
}

func (r *spans) add(calls []call) {
	r.Lock()
	defer r.Unlock()
	r.requests++
	var trace evidence.TraceID
	binary.BigEndian.PutUint64(trace[8:], r.requests)
	root := evidence.Span{Trace: trace, ID: evidence.SpanID{7: 1}, Service: "app", Name: "GET /", Kind: evidence.KindServer,
		Start: calls[0].from.UnixNano() - 1e5, End: calls[len(calls)-1].to.UnixNano() + 1e5}
	r.all = append(r.all, root)
	for i, c := range calls {
		normal, key := evidence.NormalizeSQL(c.text)
		r.all = append(r.all, evidence.Span{Trace: trace, ID: evidence.SpanID{7: byte(i + 2)}, Parent: root.ID, Service: "app", Name: "query", Kind: evidence.KindClient, Start: c.from.UnixNano(), End: c.to.UnixNano(),
			Attrs: evidence.NewAttrs(evidence.Attr{Key: evidence.AttrDBSystem, Value: "postgresql"}, evidence.Attr{Key: evidence.AttrDBQuery, Value: normal}, evidence.Attr{Key: evidence.AttrDBKey, Value: key})})
	}
}

// judgeLoad runs a load against the server under the collector's eyes and
// judges what it saw.
func judgeLoad(t *testing.T, s *server, l loaded) (*rules.Judgement, *analyzers.Result) {
	t.Helper()
	record := &spans{}
	b := run(t, newCollector(t, Config{DSN: s.dsn("postgres", "shop")}), func() { l.drive(t, s, record) })
	b.Spans = record.all
	b.Window = evidence.Window{Start: time.UnixMilli(b.Postgres[0].Since), End: time.UnixMilli(b.Postgres[0].Until)}
	b.Sort()
	catalogue, err := rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	r := analyzers.Run(b)
	return catalogue.Judge(b, r), r
}

func (l loaded) drive(t *testing.T, s *server, record *spans) {
	lasts := cmp.Or(l.lasts, caseRuns)
	ctx, cancel := context.WithTimeout(context.Background(), lasts+8*time.Second)
	defer cancel()
	end := time.Now().Add(lasts)
	var wg sync.WaitGroup
	for client := range l.clients {
		conn := s.connect("postgres", "shop")
		wg.Go(func() {
			defer conn.Close(context.Background())
			for next := time.Now(); next.Before(end); next = later(next.Add(l.every), time.Now()) {
				time.Sleep(time.Until(next))
				if err := l.one(ctx, conn, client, record); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	if l.beside != nil {
		l.beside(s)
	}
	wg.Wait()
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// one request, all statements of it in one trace.
func (l loaded) one(ctx context.Context, conn *pgx.Conn, client int, record *spans) error {
	var calls []call
	for _, text := range l.request {
		var args []any
		if strings.Contains(text, "$1") {
			args = append(args, client)
		}
		c := call{text: text, from: time.Now()}
		if _, err := conn.Exec(ctx, text, args...); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		c.to = time.Now()
		calls = append(calls, c)
	}
	record.add(calls)
	return nil
}

// hold keeps a transaction open for a while after its statements.
func hold(s *server, app string, d time.Duration, statements ...string) {
	conn := s.connect("postgres", "shop")
	s.exec(conn, append([]string{"set application_name = '" + app + "'"}, statements...)...)
	time.Sleep(d)
	s.exec(conn, "commit")
}

func wantCause(t *testing.T, j *rules.Judgement, r *analyzers.Result, rule, resource string) *rules.Hypothesis {
	t.Helper()
	if len(j.Causes) > 0 && j.Causes[0].Rule.ID == rule && j.Causes[0].Subject.Resource == resource {
		return j.Causes[0]
	}
	for _, f := range r.Findings {
		t.Logf("%s %s = %.3g: %s %+v", f.Kind, f.Entity, f.Value, f.Text, f.Impact)
	}
	for _, x := range j.Rejected {
		t.Logf("rejected %s %s: %s", x.Rule, x.Subject, x.Reason)
	}
	for _, c := range j.Causes {
		t.Logf("cause %s of %s", c.Rule.ID, c.Subject)
	}
	t.Fatalf("want %s of %s first", rule, resource)
	return nil
}

// TestFindings plants faults in a real server, one after the other, and has
// what the collector saw judged by the catalogue.
func TestFindings(t *testing.T) {
	t.Parallel()
	s := startServer(t, "synchronous_commit = off")
	shop := s.shop()
	update := "update counter set n = n + 1 where id = $1"
	t.Run("healthy", func(t *testing.T) {
		j, _ := judgeLoad(t, s, loaded{clients: 4, every: 20 * time.Millisecond, request: []string{"select n from counter where id = $1", update}})
		if len(j.Causes) > 0 {
			t.Errorf("%s of %s: %s", j.Causes[0].Rule.ID, j.Causes[0].Subject, j.Causes[0].Finding.Text)
		}
	})
	t.Run("hot row", func(t *testing.T) {
		j, r := judgeLoad(t, s, loaded{clients: 8, request: []string{"begin", "update counter set n = n + 1 where id = 1", "select n from counter where id = $1", "select pg_sleep(0.002)", "commit"}})
		wantCause(t, j, r, "row-lock-contention", "counter")
	})
	t.Run("idle in transaction", func(t *testing.T) {
		j, r := judgeLoad(t, s, loaded{clients: 12, every: 250 * time.Millisecond, request: []string{update}, beside: func(s *server) {
			hold(s, "forgetful", 2*time.Second, "begin", "update counter set n = 0")
		}})
		h := wantCause(t, j, r, "idle-in-transaction", "counter")
		if h.Finding.Facts["app"] != "forgetful" {
			t.Errorf("held by %q", h.Finding.Facts["app"])
		}
	})
	t.Run("lock queue", func(t *testing.T) {
		j, r := judgeLoad(t, s, loaded{clients: 30, every: 400 * time.Millisecond, request: []string{"select n from counter where id = $1"}, beside: func(s *server) {
			alter := s.connect("postgres", "shop")
			var wg sync.WaitGroup
			wg.Go(func() { hold(s, "forgetful", 2500*time.Millisecond, "begin", "select n from counter where id = 4242") })
			time.Sleep(500 * time.Millisecond)
			s.exec(alter, "set application_name = 'migration'", "alter table counter add column if not exists extra int")
			wg.Wait()
		}})
		h := wantCause(t, j, r, "lock-queue", "counter")
		if f := h.Finding.Facts; !strings.Contains(f["root"], "forgetful") || !strings.Contains(f["middle"], "migration") {
			t.Errorf("root %q, middle %q", f["root"], f["middle"])
		}
	})
	t.Run("vacuum blocked", func(t *testing.T) {
		s.exec(shop, "create table busy (id int primary key, n bigint)", "insert into busy select i, 0 from generate_series(0, 7) i",
			"alter table busy set (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0)")
		holder := s.connect("postgres", "shop")
		s.exec(holder, "set application_name = 'report'", "begin isolation level repeatable read", "select n from counter where id = 4242")
		churn := func(times int) { // on a connection that ends, so that its counters are flushed
			conn := s.connect("postgres", "shop")
			s.exec(conn, fmt.Sprintf("do $$ begin for i in 1..%d loop update busy set n = n + 1 where id = i %% 8; commit; end loop; end $$", times))
			_ = conn.Close(context.Background())
		}
		churn(20_000)
		j, r := judgeLoad(t, s, loaded{clients: 4, every: 50 * time.Millisecond, request: slices.Repeat([]string{"update busy set n = n + 1 where id = $1", "select n from busy where id = $1"}, 4),
			beside: func(*server) { churn(3000) }})
		s.exec(holder, "commit")
		h := wantCause(t, j, r, "vacuum-blocked", "busy")
		if !strings.Contains(h.Finding.Facts["holder"], "report") {
			t.Errorf("holder %q", h.Finding.Facts["holder"])
		}
	})
	t.Run("slow commit", func(t *testing.T) {
		s.exec(shop, "create table log (id bigserial, client int)", "alter system set synchronous_commit = on", "alter system set fsync = on", "alter system set commit_delay = 30000", "alter system set commit_siblings = 0", "select pg_reload_conf()")
		time.Sleep(200 * time.Millisecond)
		for name, request := range map[string][]string{
			"by itself":  {"insert into log (client) values ($1)"},
			"explicitly": {"begin", "insert into log (client) values ($1)", "commit"},
		} {
			t.Run(name, func(t *testing.T) {
				j, r := judgeLoad(t, s, loaded{clients: 8, request: request})
				wantCause(t, j, r, "slow-commit", fmt.Sprintf("127.0.0.1:%d/shop", s.port))
			})
		}
	})
}
