package postgres

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
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
	slow    bool // against an earlier run, however fast this machine is
	clients int
	every   time.Duration // between the starts of a client's requests; 0: one after the other
	lasts   time.Duration // 0: caseRuns
	request []string      // statements; $1 is the number of the client
	beside  func(s *server)
	fails   string // SQLSTATE that a request may end with, and is rolled back then
	fresh   bool   // a connection of its own for every request
	silent  bool   // the driver leaves no span of connecting
}

// clientRole is whom the loads connect as: nobody special, so that the server's
// reserved connections are not theirs.
const clientRole = "app"

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
	text     string // "" for connecting
	from, to time.Time
	silent   bool // leaves no span
}

// enough requests for a p95; on a busy machine a load goes on until it has
// them, up to longest.
const (
	enough  = 40
	longest = 60 * time.Second
)

// wanted reports whether a load that was to end has to go on.
func (r *spans) wanted(end time.Time) bool {
	r.Lock()
	defer r.Unlock()
	late := time.Since(end)
	return late < 0 || r.requests < enough && late < longest-10*time.Second
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
		if c.silent {
			continue
		}
		span := evidence.Span{Trace: trace, ID: evidence.SpanID{7: byte(i + 2)}, Parent: root.ID, Service: "app", Name: "connect", Kind: evidence.KindClient, Start: c.from.UnixNano(), End: c.to.UnixNano(),
			Attrs: evidence.NewAttrs(evidence.Attr{Key: evidence.AttrDBSystem, Value: "postgresql"})}
		if c.text != "" {
			normal, key := evidence.NormalizeSQL(c.text)
			span.Name = "query"
			span.Attrs = span.Attrs.With(evidence.AttrDBQuery, normal).With(evidence.AttrDBKey, key)
		}
		r.all = append(r.all, span)
	}
}

// view is one way to look at a server: a role, perhaps through a pooler.
type view struct {
	name, dsn string
	target    string // as reports name the server
	blind     bool   // may not see other roles' statements and sessions
}

// viewsOf a server: all that a load is watched by at once.
func viewsOf(t *testing.T, s *server) []view {
	t.Helper()
	port := startBouncer(t, s)
	direct := fmt.Sprintf("127.0.0.1:%d/shop", s.port)
	return []view{
		{name: "superuser", dsn: s.dsn("postgres", "shop"), target: direct},
		{name: "pg_monitor", dsn: s.dsn("watcher", "shop"), target: direct},
		{name: "bare role", dsn: s.dsn("bare", "shop"), target: direct, blind: true},
		{name: "through PgBouncer", dsn: fmt.Sprintf("postgres://reader@127.0.0.1:%d/shop?sslmode=disable", port), target: fmt.Sprintf("127.0.0.1:%d/shop", port)},
	}
}

// judged is what one view made of a load.
type judged struct {
	view
	bundle *evidence.Bundle
	*rules.Judgement
	result *analyzers.Result
}

// wasFast is a run in which the request took 10 ms.
var wasFast = &evidence.BaselineRun{Operations: []evidence.BaselineOp{{Entity: evidence.Entity{Service: "app", Operation: "GET /"}, Source: "traces", Requests: 1000, RPS: 100, P95: 0.01}}}

// judgeLoad runs a load against the server under the eyes of a collector a
// view, and judges what each of them saw.
func judgeLoad(t *testing.T, s *server, l loaded, views ...view) []judged {
	t.Helper()
	catalogue, err := rules.Load()
	if err != nil {
		t.Fatal(err)
	}
	record := &spans{}
	cores := evidence.Series{Kind: evidence.NodeCPUCount, Entity: evidence.Entity{Resource: "node"}, Times: []int64{time.Now().UnixMilli()}, Values: []float64{float64(runtime.NumCPU())}}
	var out []judged
	for i, b := range watch(t, views, func() { l.drive(t, s, record) }) {
		b.Spans, b.Series = slices.Clone(record.all), append(b.Series, cores)
		b.Window = evidence.Window{Start: time.UnixMilli(b.Postgres[0].Since), End: time.UnixMilli(b.Postgres[0].Until)}
		if l.slow {
			b.BaselineRun = wasFast
		}
		b.Sort()
		r := analyzers.Run(b)
		out = append(out, judged{views[i], b, catalogue.Judge(b, r), r})
	}
	return out
}

// watch collects by every view around one load.
func watch(t *testing.T, views []view, load func()) []*evidence.Bundle {
	t.Helper()
	ctx := context.Background()
	collectors := make([]*Collector, len(views))
	w := evidence.Window{Start: time.Now()}
	for i, v := range views {
		collectors[i] = newCollector(t, Config{DSN: v.dsn, Explain: true})
		if err := collectors[i].Begin(ctx); err != nil {
			t.Fatal(err)
		}
	}
	load()
	w.End = time.Now()
	out := make([]*evidence.Bundle, len(views))
	var wg sync.WaitGroup
	for i := range views {
		wg.Go(func() {
			var err error
			if out[i], err = collectors[i].Collect(ctx, w); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// holdCause wants every view that may see it to put the cause first, and the
// others to name no cause but say what to grant.
func holdCause(t *testing.T, all []judged, rule string, resource func(judged) string) {
	t.Helper()
	for _, j := range all {
		t.Run(j.name, func(t *testing.T) {
			if j.blind {
				wantGap(t, j.bundle, "GRANT pg_monitor TO bare;")
				if len(j.Causes) > 0 && j.Causes[0].Rule.ID != rule && !seenByAll[j.Causes[0].Rule.ID] {
					t.Errorf("it cannot see and names %s of %s: %s", j.Causes[0].Rule.ID, j.Causes[0].Subject, j.Causes[0].Finding.Text)
				}
				return
			}
			wantCause(t, j, rule, resource(j))
		})
	}
}

// seenByAll are what clients' traces alone show.
var seenByAll = map[string]bool{"slow-query": true, "slow-dependency": true, "network-latency": true}

func of(resource string) func(judged) string { return func(judged) string { return resource } }

func ofTarget(j judged) string { return j.target }

func (l loaded) drive(t *testing.T, s *server, record *spans) {
	lasts := cmp.Or(l.lasts, caseRuns)
	ctx, cancel := context.WithTimeout(context.Background(), lasts+longest)
	defer cancel()
	end := time.Now().Add(lasts)
	var wg sync.WaitGroup
	for client := range l.clients {
		var conn *pgx.Conn
		if !l.fresh {
			conn = s.connect(clientRole, "shop")
		}
		wg.Go(func() {
			defer func() {
				if conn != nil {
					_ = conn.Close(context.Background())
				}
			}()
			for next := time.Now(); record.wanted(end); next = later(next.Add(l.every), time.Now()) {
				time.Sleep(time.Until(next))
				var calls []call
				if l.fresh {
					if conn, calls = l.reconnect(ctx, s, conn); conn == nil {
						return
					}
				}
				if err := l.one(ctx, conn, client, calls, record); err != nil {
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

// reconnect ends a connection and opens the next one, as often as it takes. The
// call has no text.
func (l loaded) reconnect(ctx context.Context, s *server, conn *pgx.Conn) (*pgx.Conn, []call) {
	if conn != nil {
		_ = conn.Close(ctx)
	}
	c := call{from: time.Now(), silent: l.silent}
	for {
		next, err := pgx.Connect(ctx, s.dsn(clientRole, "shop"))
		if err == nil {
			c.to = time.Now()
			return next, []call{c}
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// one request, all statements of it in one trace.
func (l loaded) one(ctx context.Context, conn *pgx.Conn, client int, calls []call, record *spans) error {
	for _, text := range l.request {
		var args []any
		if strings.Contains(text, "$1") {
			args = append(args, client)
		}
		c := call{text: text, from: time.Now()}
		_, err := conn.Exec(ctx, text, args...)
		if err != nil && (l.fails == "" || code(err) != l.fails) {
			return fmt.Errorf("%s: %w", text, err)
		}
		c.to = time.Now()
		calls = append(calls, c)
		if err != nil {
			_, err = conn.Exec(ctx, "rollback")
			record.add(calls)
			return err
		}
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

func wantCause(t *testing.T, j judged, rule, resource string) *rules.Hypothesis {
	t.Helper()
	if len(j.Causes) > 0 && j.Causes[0].Rule.ID == rule && j.Causes[0].Subject.Resource == resource {
		return j.Causes[0]
	}
	for _, f := range j.result.Findings {
		t.Logf("%s %s = %.3g: %s", f.Kind, f.Entity, f.Value, f.Text)
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
