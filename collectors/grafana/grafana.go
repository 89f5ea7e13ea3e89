// Package grafana reads the annotations that people and pipelines write into
// Grafana: what was done to the system, and when. It asks for the window and
// the hour before it, and writes nothing.
package grafana

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/config"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

const (
	name = "grafana"
	// before the window something may have been done that has to do with it.
	before = time.Hour
	// mostEvents of a window: Grafana is asked for so many and one more, to know
	// whether there are.
	mostEvents = 1000
	// maxBytes bounds one answer.
	maxBytes = 8 << 20
	// maxText in characters of what an annotation says.
	maxText = 500
	// requestTime bounds one try, maxTries how many there are.
	requestTime = 10 * time.Second
	maxTries    = 3
)

// ownTag marks what culprit itself has written: the echo of an earlier report
// is no event.
const ownTag = "culprit"

// Config of the collector.
type Config struct {
	URL      string                  // of Grafana, with its path prefix
	HTTP     config.HTTPClientConfig // a service account's token as authorization
	Headers  map[string]string       // X-Grafana-Org-Id, or what a proxy wants
	Tags     []string                // an annotation must have all of them; none: every annotation
	Progress collectors.Reporter     // nil: nobody listens
}

// Collector reads annotations.
type Collector struct {
	cfg      Config
	base     *url.URL
	http     *http.Client
	requests atomic.Int64
}

// New checks the settings; it asks nothing yet. Its error shows no secret.
func New(cfg Config) (*Collector, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("grafana: the URL must look like http://host:3000 or https://host/prefix")
	}
	if err := cfg.HTTP.Validate(); err != nil {
		return nil, fmt.Errorf("grafana: the HTTP client settings: %w", err)
	}
	client, err := config.NewClientFromConfig(cfg.HTTP, name)
	if err != nil {
		return nil, fmt.Errorf("grafana: the HTTP client settings: %w", err)
	}
	// Grafana sends whom it does not know to a login page: that is an answer, to
	// be told as it is.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if cfg.Progress == nil {
		cfg.Progress = func(collectors.Event) {}
	}
	return &Collector{cfg: cfg, base: base, http: client}, nil
}

// Name of the source.
func (c *Collector) Name() string { return name }

// Provides no kind: events need none.
func (c *Collector) Provides() []evidence.Kind { return nil }

// target is the address without userinfo and query.
func (c *Collector) target() string {
	u := url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: strings.TrimRight(c.base.Path, "/")}
	return u.String()
}

// Collect reads the annotations of the window and the hour before it.
func (c *Collector) Collect(ctx context.Context, w evidence.Window) (*evidence.Bundle, error) {
	found, err := c.annotations(ctx, w.Start.Add(-before), w.End)
	if err != nil {
		return c.failed(w, err)
	}
	b := &evidence.Bundle{Window: w}
	source := evidence.Source{Name: name, Status: evidence.StatusOK, Target: c.target(), Protocol: "HTTP API", Requests: int(c.requests.Load())}
	if len(found) > mostEvents {
		found = found[:mostEvents]
		source.Notes = append(source.Notes, fmt.Sprintf("only the %d latest annotations were read: choose by tags", mostEvents))
	}
	own := 0
	for i := range found {
		if found[i].own() {
			own++
			continue
		}
		b.Events = append(b.Events, found[i].event())
	}
	if own > 0 {
		source.Notes = append(source.Notes, fmt.Sprintf("%d annotations that culprit wrote itself are left out", own))
	}
	source.Items = len(b.Events)
	b.Sources = []evidence.Source{source}
	c.cfg.Progress(collectors.Event{Source: name, Text: fmt.Sprintf("%d annotations", len(b.Events)), End: true})
	return b, nil
}

// failed gives the gap with what to do about it.
func (c *Collector) failed(w evidence.Window, err error) (*evidence.Bundle, error) {
	remedy := "check the URL, and that Grafana can be reached from here"
	var r *refused
	if errors.As(err, &r) {
		remedy = r.remedy()
	}
	b := &evidence.Bundle{Window: w,
		Sources: []evidence.Source{{Name: name, Status: evidence.StatusFailed, Target: c.target(), Requests: int(c.requests.Load())}},
		Gaps:    []evidence.Gap{{Source: name, Reason: err.Error(), Remedy: remedy}}}
	return b, fmt.Errorf("grafana: reading the annotations: %w", err)
}

// Check says whether annotations can be read.
func (c *Collector) Check(ctx context.Context) (collectors.Preflight, error) {
	now := time.Now()
	found, err := c.annotations(ctx, now.Add(-before), now)
	if err != nil {
		b, err := c.failed(evidence.Window{}, err)
		return collectors.Preflight{Source: b.Sources[0], Gaps: b.Gaps}, err
	}
	return collectors.Preflight{Source: evidence.Source{Name: name, Status: evidence.StatusOK, Target: c.target(), Requests: int(c.requests.Load())},
		Lines: []string{fmt.Sprintf("%d annotations in the last hour", min(len(found), mostEvents))}}, nil
}

// annotation as Grafana's HTTP API gives it; times in Unix ms.
type annotation struct {
	Time    int64    `json:"time"`
	TimeEnd int64    `json:"timeEnd"` // of a region; else 0 or as Time
	Tags    []string `json:"tags"`
	Text    string   `json:"text"`
	Alert   string   `json:"alertName"` // of a change of state that Grafana wrote
	State   string   `json:"newState"`
}

func (a *annotation) own() bool { return slices.Contains(a.Tags, ownTag) }

// event of an annotation: a tag names its kind, and one like service:NAME whom
// it is about.
func (a *annotation) event() evidence.Event {
	e := evidence.Event{At: a.Time, Kind: a.kind(), Text: plain(a.Text)}
	if a.TimeEnd > a.Time {
		e.End = a.TimeEnd
	}
	for _, t := range a.Tags {
		key, value, ok := cutTag(t)
		if !ok {
			continue
		}
		switch key {
		case "service", "app", "deployment":
			e.Entity.Service = cmp.Or(e.Entity.Service, value)
		case "instance", "pod":
			e.Entity.Instance = cmp.Or(e.Entity.Instance, value)
		case "operation", "route":
			e.Entity.Operation = cmp.Or(e.Entity.Operation, value)
		}
	}
	e.Text = cmp.Or(e.Text, strings.Join(a.Tags, ", "), "annotation")
	return e
}

// alertKind is of what Grafana writes itself when an alert changes its state:
// it follows from what happens.
const alertKind = "alert"

// kind of an annotation: what one of its tags says, else that it is one.
func (a *annotation) kind() string {
	if a.Alert != "" || a.State != "" {
		return alertKind
	}
	for _, t := range a.Tags {
		t = strings.ToLower(t)
		if key, value, ok := cutTag(t); ok && (key == "kind" || key == "type") {
			t = value
		}
		if kind := tagKinds[t]; kind != "" {
			return kind
		}
	}
	return "annotation"
}

// tagKinds are tags that say what was done.
var tagKinds = map[string]string{
	"deploy": "deployment", "deployment": "deployment", "release": "deployment", "rollout": "deployment", "rollback": "deployment",
	"chaos": "chaos", "experiment": "chaos", "litmus": "chaos", "chaos-mesh": "chaos",
	"config": "config", "configuration": "config", "feature-flag": "config", "migration": "migration", "scaling": "scaling", "restart": "restart", "maintenance": "maintenance",
}

// cutTag cuts key:value and key=value.
func cutTag(t string) (key, value string, ok bool) {
	i := strings.IndexAny(t, ":=")
	if i <= 0 || i == len(t)-1 {
		return "", "", false
	}
	return strings.ToLower(strings.TrimSpace(t[:i])), strings.TrimSpace(t[i+1:]), true
}
