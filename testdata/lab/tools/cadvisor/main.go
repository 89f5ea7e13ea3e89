// Command cadvisor serves the container metrics of one cgroup and those below
// it, from cAdvisor's own library. It leaves out what needs a container engine.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/google/cadvisor/lib/cache/memory"
	"github.com/google/cadvisor/lib/container"
	"github.com/google/cadvisor/lib/manager"
	"github.com/google/cadvisor/lib/metrics"
	info "github.com/google/cadvisor/lib/model"
	"github.com/google/cadvisor/lib/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "host:port to serve /metrics on")
	prefix := flag.String("cgroup", "/", "cgroup to watch, with its children")
	interval := flag.Duration("interval", time.Second, "how often to read")
	flag.Parse()
	if err := run(*listen, *prefix, *interval); err != nil {
		slog.Error("cadvisor", "error", err)
		os.Exit(1)
	}
}

func run(listen, prefix string, interval time.Duration) error {
	kept := container.MetricSet{container.CpuUsageMetrics: {}, container.MemoryUsageMetrics: {}, container.ProcessMetrics: {}}
	dynamic := false
	m, err := manager.New(memory.New(time.Minute, nil), sysfs.NewRealSysFs(),
		manager.HousekeepingConfig{Interval: &interval, AllowDynamic: &dynamic}, kept, []string{prefix}, nil, "", 0)
	if err != nil {
		return fmt.Errorf("create manager: %w", err)
	}
	if err := m.Start(); err != nil {
		return fmt.Errorf("start manager: %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metrics.NewPrometheusCollector(m, metrics.DefaultContainerLabels, kept, clock.RealClock{},
			info.RequestOptions{IdType: info.TypeName, Count: 1, Recursive: true}),
		metrics.NewPrometheusMachineCollector(m, kept))
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return http.ListenAndServe(listen, nil)
}
