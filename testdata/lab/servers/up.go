// Package servers starts and ends the lab: PostgreSQL, Redis, Prometheus with
// its exporters, Jaeger, and the four processes of the shop, all on loopback
// ports that were free, each in a cgroup where that is possible. It writes down
// what it starts before it goes on, ends exactly that, and never ends or asks
// anything of a server that is not its own.
package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/means"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

// Options say what lab to bring up.
type Options struct {
	Dir      string // its folder, which must not exist
	Source   string // folder of the lab's module, from which the shop is built
	Programs means.Paths
	Scenario scenario.Scenario
	OTLP     string // base URL of an OTLP/HTTP receiver; "": Jaeger is started
	Sight    settings.Sight
	Scrape   time.Duration // between scrapes of every target; 0: each has its own
	Progress func(string)
}

// ErrCannotRun is returned for a fault that this machine has no means for.
var ErrCannotRun = errors.New("this machine cannot run the scenario")

// lab is one on its way up.
type lab struct {
	Options
	state   *State
	groups  hierarchy
	parent  *cgroup // nil where no cgroup can be made
	watch   *cgroup // of all that watches: what they cost is known, too
	ports   map[string]int
	pending []func(context.Context) error // waits for what was started without waiting
	db      *database
	proxies map[string]int // ports of what stands before a service
	pooler  *pooler        // nil: the services reach the server themselves
}

// Up brings a lab up and returns when all of it answers. If it cannot, nothing
// is left behind.
func Up(ctx context.Context, options Options) (*State, error) {
	l, err := newLab(options)
	if err != nil {
		return nil, err
	}
	if err := l.up(ctx); err != nil {
		return nil, errors.Join(err, l.abandon())
	}
	return l.state, nil
}

func newLab(o Options) (*lab, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find folder of the lab: %w", err)
	}
	if _, err := os.Stat(stateFile(dir)); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("a lab is up in %s: take it down first", dir)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create folder of the lab: %w", err)
	}
	o.Dir = dir
	l := &lab{Options: o, groups: kernelGroups, ports: map[string]int{}, proxies: map[string]int{}}
	l.state = &State{ID: "culprit-lab-" + strings.ToLower(rand.Text()[:8]), Dir: dir, Scenario: o.Scenario.Name, again: map[string]starter{}}
	return l, errors.Join(l.state.save(), os.Mkdir(l.logs(), 0o755))
}

// abandon takes down what came up, keeping the logs' last words.
func (l *lab) abandon() error {
	return Down(l.Dir)
}

func (l *lab) logs() string { return filepath.Join(l.Dir, "logs") }

func (l *lab) up(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"build the shop, which takes minutes the first time", l.buildShop},
		{"make cgroups", l.makeParent},
		{"start jaeger", l.startJaeger},
		{"start postgres", l.startPostgres},
		{"start redis", l.startRedis},
		{"seed postgres", l.seed},
		{"limit the disk", l.limitDisk},
		{"start the pooler", l.startPooler},
		{"start exporters", l.startExporters},
		{"start the shop", l.startShop},
		{"start prometheus", l.startPrometheus},
		{"wait for all to answer", l.settle},
	} {
		l.Progress(step.name)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func (l *lab) shopBinary() string { return filepath.Join(l.Dir, "shop") }

func (l *lab) buildShop(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", l.shopBinary(), "./cmd/shop")
	build.Dir = l.Source
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, lastLine(out))
	}
	return nil
}

// makeParent makes the group under which each service gets its own. Without it
// there are no container metrics and no quota; the rest works.
func (l *lab) makeParent(context.Context) error {
	parent, err := l.groups.create(l.state.ID)
	if err == nil {
		l.state.Cgroups = append(l.state.Cgroups, parent.folders...)
		err = parent.delegate()
	}
	if err != nil {
		if len(l.Scenario.Fault.Quota) > 0 || len(l.Scenario.Fault.Shares) > 0 {
			return fmt.Errorf("%w: a CPU quota and CPU shares need a writable cgroup: %w", ErrCannotRun, err)
		}
		l.state.Notes = append(l.state.Notes, "no container metrics: "+err.Error())
		return l.state.save()
	}
	l.parent = parent
	l.watch, err = l.group("observers")
	return err
}

// group makes the group of one service, with its quota and its shares.
func (l *lab) group(service string) (*cgroup, error) {
	if l.parent == nil {
		return nil, nil
	}
	group, err := l.groups.create(filepath.Join(l.state.ID, l.rename(service)))
	if err != nil {
		return nil, err
	}
	l.state.Cgroups = append(l.state.Cgroups, group.folders...)
	if cores := l.Scenario.Fault.Quota[service]; cores > 0 && l.Scenario.Fault.QuotaAt == 0 {
		if err := group.limit(cores); err != nil {
			return nil, fmt.Errorf("limit %s to %g cores: %w", service, cores, err)
		}
	}
	if shares := l.Scenario.Fault.Shares[service]; shares > 0 {
		if err := group.share(shares); err != nil {
			return nil, fmt.Errorf("give %s %d shares: %w", service, shares, err)
		}
	}
	return group, l.state.save()
}

// start starts a server and writes it down.
func (l *lab) start(c command) (Process, error) {
	if c.cgroup == nil && !c.outside {
		c.cgroup = l.watch
	}
	p, err := c.start(l.logs())
	if err != nil {
		return p, err
	}
	l.state.Processes = append(l.state.Processes, p)
	return p, l.state.save()
}

// startHTTP starts a server and leaves waiting for it to settle.
func (l *lab) startHTTP(c command, port int, path string) error {
	p, err := l.start(c)
	if err != nil {
		return err
	}
	l.pending = append(l.pending, func(ctx context.Context) error {
		return answering(ctx, p, port, path, l.logOf(p))
	})
	return nil
}

func (l *lab) logOf(p Process) string { return filepath.Join(l.logs(), p.Name+".log") }

// settle waits for everything that was started.
func (l *lab) settle(ctx context.Context) error {
	for _, wait := range l.pending {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	l.pending = nil
	return l.state.save()
}

// port takes a free port under a name.
func (l *lab) port(name string) (int, error) {
	port, err := freePort()
	l.ports[name] = port
	return port, err
}

// rename gives the name under which something of the shop is known.
func (l *lab) rename(text string) string { return l.Sight.Names.Rename(text) }
