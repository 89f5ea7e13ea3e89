package servers

import (
	"errors"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/testdata/lab/means"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

func TestPoolerIsBeforeTheServicesThatWereNamed(t *testing.T) {
	p := &pooler{port: 6432, pools: map[string]int{"orders": 2}}
	files := p.configuration("/lab", 5432)
	for _, want := range []string{"orders = host=127.0.0.1 port=5432 dbname=shop pool_size=2\n", "pool_mode = transaction\n", "auth_file = /lab/" + poolerUsers + "\n"} {
		if !strings.Contains(files[poolerConfig], want) {
			t.Errorf("configuration lacks %q:\n%s", want, files[poolerConfig])
		}
	}
	l := &lab{state: &State{}, ports: map[string]int{}, db: &database{port: 5432}, pooler: p}
	for service, port := range map[string]string{"orders": ":6432/orders", "payments": ":5432/shop"} {
		if dsn := l.shopProcess(service, service, 1).Postgres; !strings.Contains(dsn, port) {
			t.Errorf("%s goes to %s, want %s", service, dsn, port)
		}
	}
}

func TestWithoutPgBouncerTheScenarioCannotRun(t *testing.T) {
	l := &lab{state: &State{}}
	if err := l.startPooler(t.Context()); err != nil {
		t.Errorf("nobody asked for it: %v", err)
	}
	l.Programs, l.Scenario = means.Paths{}, scenario.Scenario{Fault: scenario.Fault{PgBouncer: map[string]int{"orders": 2}}}
	if err := l.startPooler(t.Context()); !errors.Is(err, ErrCannotRun) {
		t.Errorf("error is %v", err)
	}
}
