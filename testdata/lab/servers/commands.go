package servers

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/template"

	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

//go:embed jaeger.yaml.tmpl
var jaegerConfig string

//go:embed prometheus.yaml.tmpl
var prometheusConfig string

// address of a port of the loopback interface, to which everything is bound.
func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func redisCommand(path, dir string, port int, group *cgroup) command {
	return command{name: "redis", path: path, dir: dir, cgroup: group, args: []string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no", "--dir", dir}}
}

// jaegerPorts are those of Jaeger's query APIs and OTLP receivers.
type jaegerPorts struct{ HTTP, GRPC, OTLPHTTP, OTLPGRPC, Health int }

func jaegerCommand(path, dir string, ports jaegerPorts) (command, error) {
	config := filepath.Join(dir, "jaeger.yaml")
	if err := render(jaegerConfig, config, ports); err != nil {
		return command{}, err
	}
	return command{name: "jaeger", path: path, args: []string{"--config", config}, dir: dir}, nil
}

func nodeExporterCommand(path string, port int) command {
	return command{name: "node_exporter", path: path, args: []string{"--web.listen-address=" + address(port)}}
}

func postgresExporterCommand(path string, port int, dsn string) command {
	return command{name: "postgres_exporter", path: path, args: []string{"--web.listen-address=" + address(port)},
		env: []string{"DATA_SOURCE_NAME=" + dsn}}
}

func redisExporterCommand(path string, port, redis int) command {
	return command{name: "redis_exporter", path: path,
		args: []string{"-web.listen-address=" + address(port), "-redis.addr=redis://" + address(redis), "-check-single-keys=" + settings.PaymentsQueue}}
}

func cadvisorCommand(path string, port int, group string) command {
	return command{name: "cadvisor", path: path, args: []string{"-listen", address(port), "-cgroup", "/" + group}}
}

// target is a scraped job. Interval is what its cost allows.
type target struct {
	Job       string
	Addresses []string // of its instances
	Interval  string
}

func prometheusCommand(path, dir string, port int, targets []target) (command, error) {
	config := filepath.Join(dir, "prometheus.yaml")
	if err := render(prometheusConfig, config, targets); err != nil {
		return command{}, err
	}
	return command{name: "prometheus", path: path, dir: dir, args: []string{
		"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "prometheus"),
		"--web.listen-address=" + address(port), "--log.level=warn"}}, nil
}

// shopCommand starts one process of the shop. Its name is the service's, or
// that of one of its replicas.
func shopCommand(path, dir, name string, p settings.Process, group *cgroup) (command, error) {
	file := filepath.Join(dir, name+".json")
	if err := p.Write(file); err != nil {
		return command{}, err
	}
	return command{name: name, path: path, args: []string{"-settings", file}, dir: dir, cgroup: group}, nil
}

// render writes a configuration file from its template.
func render(text, path string, data any) error {
	t, err := template.New(filepath.Base(path)).Parse(text)
	if err != nil {
		return fmt.Errorf("parse template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return fmt.Errorf("render %s: %w", filepath.Base(path), err)
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// scrapeTargets are all endpoints of ours by job, sorted by job; the replicas
// of a service are one job.
func (l *lab) scrapeTargets() []target {
	intervals := map[string]string{"postgres_exporter": "5s", "node_exporter": "2s", "redis_exporter": "2s"}
	var targets []target
	for _, name := range slices.Sorted(maps.Keys(l.ports)) {
		service := serviceOf(name)
		if service == outside {
			continue
		}
		job := l.rename(service)
		if n := len(targets); n > 0 && targets[n-1].Job == job { // sorted: SERVICE before SERVICE-2
			targets[n-1].Addresses = append(targets[n-1].Addresses, address(l.ports[name]))
			continue
		}
		interval := cmp.Or(intervals[service], "1s")
		if l.Scrape > 0 {
			interval = fmt.Sprintf("%ds", int(l.Scrape.Seconds()))
		}
		targets = append(targets, target{Job: job, Addresses: []string{address(l.ports[name])}, Interval: interval})
	}
	return targets
}
