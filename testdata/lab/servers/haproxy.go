package servers

import (
	_ "embed"
	"fmt"
	"path/filepath"
)

//go:embed haproxy.cfg.tmpl
var haproxyConfig string

// haproxy stands before the replicas of a service and lets each have so many
// requests at once. The others wait in its queue.
type haproxy struct {
	Service, Listen, Metrics string
	Servers                  map[string]string // addresses by name
	MaxConn                  int
}

// startProxy puts HAProxy before a service where the scenario asks for it. Who
// is started later finds the proxy in the service's place.
func (l *lab) startProxy(service string) error {
	most := l.Scenario.Fault.HAProxy[service]
	if most == 0 {
		return nil
	}
	if l.Programs["haproxy"] == "" {
		return fmt.Errorf("%w: haproxy is missing", ErrCannotRun)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	metrics, err := l.port("haproxy")
	if err != nil {
		return err
	}
	h := haproxy{Service: service, Listen: address(port), Metrics: address(metrics), MaxConn: most, Servers: map[string]string{}}
	for _, name := range l.replicas(service) {
		h.Servers[name] = address(l.ports[name])
	}
	config := filepath.Join(l.Dir, "haproxy-"+service+".cfg")
	if err := render(haproxyConfig, config, h); err != nil {
		return err
	}
	group, err := l.group("haproxy-" + service)
	if err != nil {
		return err
	}
	l.proxies[service] = port
	return l.startHTTP(command{name: "haproxy-" + service, path: l.Programs["haproxy"], args: []string{"-db", "-f", config}, cgroup: group}, metrics, "/metrics")
}
