package means

// source is where a program is built from.
type source struct {
	version string
	path    string   // of the package to build, in the module tools/NAME
	flags   []string // of go build
	install bool     // go install does: it needs no module of its own
}

// sources of every program that is built rather than installed.
//
// Prometheus is built without its discovery of services, whose clients of every
// cloud are most of it: tests name their targets. It does not know its own
// version unless it is told at the build.
var sources = map[string]source{
	"k6":       {version: K6Version, path: "go.k6.io/k6", install: true},
	"jaeger":   {version: JaegerVersion, path: "github.com/jaegertracing/jaeger/cmd/jaeger"},
	"cadvisor": {version: CadvisorVersion, path: "."},
	"prometheus-3": {version: Prometheus3Version, path: "github.com/prometheus/prometheus/cmd/prometheus", flags: []string{
		"-tags", "remove_all_sd", "-ldflags", "-s -w -X github.com/prometheus/common/version.Version=" + Prometheus3Version}},
	"victoria-metrics": {version: VictoriaVersion, path: "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"},
}
