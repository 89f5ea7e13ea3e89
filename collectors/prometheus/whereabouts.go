package prometheus

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// whereabouts say in which pod an instance of a service runs, where its own
// series do not: OpenTelemetry puts what it knows of a process beside its
// metrics, into target_info, and kube-state-metrics knows every pod's address.
// The join is made here: in PromQL it fails on the first target that is there
// twice.
type whereabouts struct {
	ofTarget  map[evidence.Entity]string // service and instance: pod, "" where two claim it
	ofAddress map[string]string          // IP of a pod: its name, "" where two had it
	exporters map[evidence.Entity]bool   // services and instances that are exporters
	services  map[evidence.Entity]bool   // services and their pods, that containers are found by
}

const (
	targetInfo = "target_info"
	podInfo    = "kube_pod_info"
)

// exporterInfo is what an exporter says of itself.
var exporterInfo = regexp.MustCompile(`^(.+_?exporter_build_info|kube_state_metrics_build_info|cadvisor_version_info)$`)

// locate reads what tells the whereabouts of instances, if it is there.
func (r *run) locate(ctx context.Context) error {
	r.where = whereabouts{ofTarget: map[evidence.Entity]string{}, ofAddress: map[string]string{}, services: map[evidence.Entity]bool{}, exporters: map[evidence.Entity]bool{}}
	var ask []string
	for n := range r.have {
		if n == targetInfo || n == podInfo || exporterInfo.MatchString(n) {
			ask = append(ask, n)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	slices.Sort(ask)
	probes, err := r.probeSeries(ctx, ask)
	if err != nil {
		return fmt.Errorf("read where instances run: %w", err)
	}
	if p := probes[targetInfo]; p != nil {
		r.where.addTargets(p)
	}
	if p := probes[podInfo]; p != nil {
		r.where.addPods(p)
	}
	for _, n := range ask {
		if p := probes[n]; p != nil && exporterInfo.MatchString(n) {
			r.where.addExporters(p)
		}
	}
	return nil
}

func (w *whereabouts) addExporters(p *probe) {
	for _, l := range p.sets {
		get := p.reader(l)
		w.exporters[evidence.Entity{Service: serviceName(defaultService.fill(get)), Instance: defaultInstance.fill(get)}] = true
	}
}

// dropExporters takes away what an exporter's own process uses: it is called
// like what it watches, and that one's memory it is not.
func (r *run) dropExporters() {
	for i := range r.results {
		res := &r.results[i]
		if res.prefix != "" || !strings.HasPrefix(res.names[0], "process_") && !strings.HasPrefix(res.names[0], "go_") {
			continue
		}
		res.series = slices.DeleteFunc(res.series, func(s evidence.Series) bool {
			return r.where.exporters[evidence.Entity{Service: s.Entity.Service, Instance: s.Entity.Instance}]
		})
	}
}

// disownQueues takes the exporter's name off the queues that it tells of: it is
// no service, and whose a queue is it does not know.
func (r *run) disownQueues() {
	for i := range r.results {
		for k := range r.results[i].series {
			s := &r.results[i].series[k]
			if strings.HasPrefix(string(s.Kind), "queue.") && s.Entity.Resource != "" &&
				r.where.exporters[evidence.Entity{Service: s.Entity.Service, Instance: s.Entity.Instance}] {
				s.Entity.Service = ""
			}
		}
	}
}

func (w *whereabouts) addTargets(p *probe) {
	for _, l := range p.sets {
		get := p.reader(l)
		pod := get("k8s_pod_name")
		e := evidence.Entity{Service: serviceName(defaultService.fill(get)), Instance: defaultInstance.fill(get)}
		if pod == "" || e.Service == "" {
			continue
		}
		once(w.ofTarget, e, pod)
		w.services[evidence.Entity{Service: e.Service, Instance: pod}] = true
	}
}

func (w *whereabouts) addPods(p *probe) {
	for _, l := range p.sets {
		get := p.reader(l)
		ip := get("pod_ip")
		if pod := firstOf(get, "exported_pod", "pod"); pod != "" && ip != "" && ip != get("host_ip") {
			once(w.ofAddress, ip, pod)
		}
	}
}

// once keeps a value unless another claims the same key: then neither.
func once[K comparable](m map[K]string, key K, value string) {
	if seen, ok := m[key]; ok && seen != value {
		value = ""
	}
	m[key] = value
}

// podOf an instance; "" where it is not known.
func (w *whereabouts) podOf(e evidence.Entity) string {
	if pod := w.ofTarget[evidence.Entity{Service: e.Service, Instance: e.Instance}]; pod != "" {
		return pod
	}
	if host, _, err := net.SplitHostPort(e.Instance); err == nil {
		return w.ofAddress[host]
	}
	return ""
}

// nameInstances calls the instances of services by their pods, as containers
// are called, so that both are about the same thing. A pod that serves two
// ports of one service stays two instances.
func (r *run) nameInstances() {
	claimed := map[evidence.Entity]string{} // service and pod: the instance, "" for several
	each := func(visit func(*evidence.Entity)) {
		for i := range r.results {
			res := &r.results[i]
			if res.family.About != aboutService || res.probe.has("pod") {
				continue
			}
			for j := range res.series {
				visit(&res.series[j].Entity)
			}
			for j := range res.histograms {
				visit(&res.histograms[j].Entity)
			}
		}
	}
	each(func(e *evidence.Entity) {
		if pod := r.where.podOf(*e); pod != "" {
			once(claimed, evidence.Entity{Service: e.Service, Instance: pod}, e.Instance)
		}
	})
	each(func(e *evidence.Entity) {
		pod := r.where.podOf(*e)
		in := evidence.Entity{Service: e.Service, Instance: pod}
		if pod == "" {
			return
		}
		r.where.services[in] = true
		if claimed[in] != "" {
			e.Instance = pod
		}
	})
}
