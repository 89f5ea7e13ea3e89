package prometheus

import (
	"regexp"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// directory knows the services that were seen under a name of their own, and
// finds the one that runs in a container.
type directory struct {
	byName map[string]string // lower case: as it was spelled
	byPod  map[string]string // pod: service, "" where two claim it
}

func (d *directory) add(e evidence.Entity, pod string) {
	if e.Service == "" {
		return
	}
	if low := strings.ToLower(e.Service); d.byName[low] == "" {
		d.byName[low] = e.Service
	}
	if pod == "" {
		return
	}
	if seen, ok := d.byPod[pod]; ok && seen != e.Service {
		d.byPod[pod] = ""
		return
	}
	d.byPod[pod] = e.Service
}

// The names that orchestrators give: Deployment-hash-suffix, DaemonSet-suffix,
// StatefulSet-ordinal, project-service-number (Compose).
var (
	deploymentPod  = regexp.MustCompile(`^(.+)-[a-z0-9]{6,10}-[a-z0-9]{5}$`)
	daemonPod      = regexp.MustCompile(`^(.+)-[a-z0-9]{5}$`)
	statefulPod    = regexp.MustCompile(`^(.+)-\d+$`)
	composeName    = regexp.MustCompile(`^[^-_]+[-_](.+)[-_]\d+$`)
	unitDecoration = regexp.MustCompile(`^(docker-|cri-containerd-|crio-)?(.+?)(\.service|\.scope|\.slice)?$`)
)

// serviceOf a container, from its labels by the catalogue's spelling. "" when
// no service of that name was seen: a guess would blame a stranger.
func (d *directory) serviceOf(get func(string) string, e evidence.Entity) string {
	pod := firstOf(get, "pod", "kubernetes_pod_name", "pod_name")
	if s := d.byPod[pod]; pod != "" && s != "" {
		return s
	}
	candidates := []string{
		get("container_label_com_docker_compose_service"),
		get("container_label_app_kubernetes_io_name"),
		get("container"), get("name"), e.Resource,
	}
	for _, name := range []string{pod, get("name")} {
		for _, re := range []*regexp.Regexp{deploymentPod, statefulPod, daemonPod, composeName} {
			if m := re.FindStringSubmatch(name); m != nil {
				candidates = append(candidates, m[1])
			}
		}
	}
	for _, id := range []string{get("id"), get("container_id")} {
		if m := unitDecoration.FindStringSubmatch(lastElement(id)); m != nil {
			candidates = append(candidates, m[2])
		}
	}
	for _, c := range candidates {
		if s := d.byName[strings.ToLower(c)]; s != "" {
			return s
		}
	}
	return ""
}

func firstOf(get func(string) string, names ...string) string {
	for _, n := range names {
		if v := get(n); v != "" {
			return v
		}
	}
	return ""
}

// lastElement of a path such as a cgroup's.
func lastElement(path string) string {
	path = strings.TrimRight(path, "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}
