package postgres

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestPgBouncerQueue(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.shop()
	port := startBouncer(t, s, "default_pool_size = 2", "stats_users = reader", "admin_users = postgres", "verbose = 2")
	b, err := NewPgBouncer(Config{DSN: fmt.Sprintf("postgres://reader@127.0.0.1:%d/pgbouncer?sslmode=disable", port)})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	w := evidence.Window{Start: time.Now()}
	if err := b.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := time.Now().Add(3500 * time.Millisecond)
	for range 8 {
		conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://postgres@127.0.0.1:%d/shop?sslmode=disable&default_query_exec_mode=exec", port))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer conn.Close(ctx)
			for time.Now().Before(stop) {
				_, _ = conn.Exec(ctx, "select pg_sleep(0.05)")
			}
		})
	}
	wg.Wait()
	w.End = time.Now()
	checkBouncer(t, port)
	bundle, err := b.Collect(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	holdConsole(t, s)
	most := map[evidence.Kind]float64{}
	for _, x := range bundle.Series {
		for _, v := range x.Values {
			most[x.Kind] = max(most[x.Kind], v)
		}
		if x.Entity.Resource != "pgbouncer/shop" {
			t.Errorf("series %+v", x)
		}
	}
	if most[evidence.PoolMax] != 2 || most[evidence.PoolUsed] != 2 || most[evidence.PoolPending] < 4 || most[evidence.PoolWaitTime] < 1 || most[evidence.PoolAcquires] < 10 {
		t.Errorf("pools %v of %+v", most, bundle.Series)
	}
}

// holdConsole reads the pooler's own log of what its console was asked: nothing
// but to show.
func holdConsole(t *testing.T, s *server) {
	t.Helper()
	log, err := os.ReadFile(s.bouncerLog())
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]int{}
	for _, m := range regexp.MustCompile(`got admin query: (.*)`).FindAllStringSubmatch(string(log), -1) {
		asked[strings.TrimSpace(m[1])]++
	}
	shows := []string{"SHOW POOLS", "SHOW DATABASES", "SHOW STATS"}
	for _, show := range shows {
		if asked[show] == 0 {
			t.Errorf("no %s in the pooler's log, so this proves nothing: %v", show, asked)
		}
	}
	if len(asked) != len(shows) {
		t.Errorf("the console was asked %v", asked)
	}
}

// checkBouncer asks for what `culprit check` prints.
func checkBouncer(t *testing.T, port int) {
	t.Helper()
	b, err := NewPgBouncer(Config{DSN: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/pgbouncer?sslmode=disable", port)})
	if err != nil {
		t.Fatal(err)
	}
	pre, err := b.Check(context.Background())
	if err != nil || len(pre.Lines) != 1 || !strings.Contains(pre.Lines[0], "pool of shop: at most 2 connections") || pre.Source.Version == "" {
		t.Errorf("%+v, %v", pre, err)
	}
}

func TestPgBouncerUnseen(t *testing.T) {
	b, err := NewPgBouncer(Config{DSN: "postgres://me:" + canary + "@127.0.0.1:1/pgbouncer"})
	if err != nil {
		t.Fatal(err)
	}
	w := evidence.Window{Start: time.Now().Add(-time.Minute), End: time.Now()}
	bundle, err := b.Collect(context.Background(), w)
	if err != nil || len(bundle.Gaps) != 1 || !strings.Contains(bundle.Gaps[0].Remedy, "culprit run") {
		t.Errorf("%+v, %v", bundle, err)
	}
	b, _ = NewPgBouncer(Config{DSN: "postgres://me:" + canary + "@127.0.0.1:1/pgbouncer", Timeout: time.Second})
	begin := b.Begin(context.Background())
	_, collect := b.Collect(context.Background(), w)
	for _, err := range []error{begin, collect} {
		if err == nil {
			t.Fatal("no error")
		}
		clean(t, err.Error())
	}
	if _, err := NewPgBouncer(Config{DSN: "postgres://me:" + canary + "@:x"}); err == nil {
		t.Error("accepted")
	} else {
		clean(t, err.Error())
	}
}
