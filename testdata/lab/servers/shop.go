package servers

import (
	"context"
	"strings"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

const (
	// outside is the process that is not the shop's own: a company that it
	// calls, which nobody here watches.
	outside = "partner"
	// batch is a job that shares the machine and serves nobody. It runs where a
	// scenario says how.
	batch = "recommender"
)

// shopServices in the order in which they are started: callees first, so that
// each finds its peers.
var shopServices = [...]string{outside, batch, "payments", "catalog", "orders", "gateway"}

// serviceOf a process: its replicas are numbered from the second on.
func serviceOf(name string) string {
	for _, service := range shopServices {
		if strings.HasPrefix(name, service+"-") {
			return service
		}
	}
	return name
}

// replicas are the names of a service's processes in this scenario.
func (l *lab) replicas(service string) []string {
	if _, wanted := l.Scenario.Fault.Shop[batch]; service == batch && !wanted {
		return nil
	}
	var names []string
	for n := range max(1, l.Scenario.Fault.Replicas[service]) {
		names = append(names, settings.ReplicaName(service, n+1))
	}
	return names
}

func (l *lab) startShop(context.Context) error {
	for _, service := range shopServices {
		for _, name := range l.replicas(service) {
			if err := l.startProcess(service, name); err != nil {
				return err
			}
		}
		if err := l.startProxy(service); err != nil {
			return err
		}
	}
	peers := l.peers()
	l.state.Addresses.Gateway, l.state.Addresses.Batch = peers["gateway"], peers[batch]
	return nil
}

func (l *lab) startProcess(service, name string) error {
	port, err := l.port(name)
	if err != nil {
		return err
	}
	group, err := l.shopGroup(name)
	if err != nil {
		return err
	}
	c, err := shopCommand(l.shopBinary(), l.Dir, name, l.shopProcess(service, name, port), group)
	if err != nil {
		return err
	}
	c.outside = name == batch && group == nil
	for key, value := range l.Scenario.Fault.Env[name] {
		c.env = append(c.env, key+"="+value)
	}
	l.state.again[name] = func(ctx context.Context) (Process, error) {
		p, err := c.start(l.logs())
		if err != nil {
			return p, err
		}
		return p, answering(ctx, p, port, "/healthz", l.logOf(p))
	}
	return l.startHTTP(c, port, "/healthz")
}

// shopGroup is the group of a process. What is not the shop's runs unseen, and
// a batch runs on the machine itself, beside the containers, unless it has a
// quota or shares of its own.
func (l *lab) shopGroup(name string) (*cgroup, error) {
	contained := l.Scenario.Fault.Quota[batch] > 0 || l.Scenario.Fault.Shares[batch] > 0
	if name == outside || name == batch && !contained {
		return nil, nil
	}
	return l.group(name)
}

// shopProcess is the configuration of one process under the scenario's fault:
// what is chosen for a replica goes before what is chosen for its service.
func (l *lab) shopProcess(service, name string, port int) settings.Process {
	dsn := l.db.dsn("shop", "shop")
	if l.pooler != nil && l.pooler.pools[service] > 0 {
		dsn = l.pooler.dsn(service)
	}
	choices, own := l.Scenario.Fault.Shop[name]
	if !own {
		choices = l.Scenario.Fault.Shop[service]
	}
	return settings.Process{
		Service: service, Listen: address(port), Postgres: dsn,
		Redis: l.state.Addresses.Redis, OTLP: l.state.Addresses.OTLP, Peers: l.peers(), Choices: choices, Sight: l.Sight,
	}
}

// peers are the processes that run already, or the proxies before them.
func (l *lab) peers() map[string]string {
	peers := map[string]string{}
	for _, service := range shopServices {
		for _, name := range l.replicas(service) {
			port := l.ports[name]
			if proxied := l.proxies[service]; proxied != 0 {
				port = proxied
			}
			if port != 0 {
				peers[name] = "http://" + address(port)
			}
		}
	}
	return peers
}
