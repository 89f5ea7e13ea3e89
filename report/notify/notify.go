// Package notify says where people are that a report has new or worse causes: to
// a webhook, Slack, Alertmanager and Grafana's annotations. It speaks only when
// something changed, never twice of the same, and not of what is muted.
//
// It renders nothing itself and decides nothing about causes. No address that it
// posts to, which may be a secret, ever stands in an error.
package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
)

// Config is the block of a configuration; every sink is optional.
type Config struct {
	Webhooks     []Endpoint    `yaml:"webhooks"`
	Slack        []Endpoint    `yaml:"slack"`        // incoming webhooks
	Alertmanager []Endpoint    `yaml:"alertmanager"` // base URLs
	Grafana      []Endpoint    `yaml:"grafana"`      // base URLs
	Mutes        string        `yaml:"mutes"`        // file of mutes
	State        string        `yaml:"state"`        // file of what was said; "": remembered while the process lives
	Hold         time.Duration `yaml:"hold"`         // for which an alert stands without being said again, default 24h
}

// Endpoint is where to post. The URL may hold a token, as those of Slack do: it
// can come from a file.
type Endpoint struct {
	Name    string                  `yaml:"name"` // in errors and the state
	URL     config.Secret           `yaml:"url"`
	URLFile string                  `yaml:"url_file"`
	HTTP    config.HTTPClientConfig `yaml:",inline"`
}

// UnmarshalYAML gives an endpoint the defaults of its HTTP settings.
func (e *Endpoint) UnmarshalYAML(decode func(any) error) error {
	type plain Endpoint
	*e = Endpoint{HTTP: config.DefaultHTTPClientConfig}
	return decode((*plain)(e))
}

// Empty reports whether there is nobody to tell.
func (c *Config) Empty() bool {
	return len(c.Webhooks)+len(c.Slack)+len(c.Alertmanager)+len(c.Grafana) == 0
}

// SetDirectory makes relative paths relative to a folder.
func (c *Config) SetDirectory(dir string) {
	c.Mutes, c.State = config.JoinDir(dir, c.Mutes), config.JoinDir(dir, c.State)
	for _, all := range [][]Endpoint{c.Webhooks, c.Slack, c.Alertmanager, c.Grafana} {
		for i := range all {
			all[i].URLFile = config.JoinDir(dir, all[i].URLFile)
			all[i].HTTP.SetDirectory(dir)
		}
	}
}

// Notice is what is said: the changes of one report of one target.
type Notice struct {
	Target  string
	Link    string // page of the report, "" for none
	Report  *report.Report
	Changes []report.CauseChange // new, worse, and fixed for those who keep a state
}

// Fresh are the changes that are worth saying: new and worse ones.
func (n *Notice) Fresh() (out []report.CauseChange) {
	for _, c := range n.Changes {
		if c.Change == "new" || c.Change == "worse" {
			out = append(out, c)
		}
	}
	return out
}

// sink says a notice at one place.
type sink interface {
	// name tells the sink from others in errors and in the state.
	name() string
	// wants lists the changes that it is to be told of.
	wants(*Notice) []report.CauseChange
	say(context.Context, *Notice) error
}

// Notifier has the sinks of a configuration. It may be used from several
// goroutines.
type Notifier struct {
	sinks []sink
	mutes string // path
	said  *said
	now   func() time.Time

	// Told, if set, hears of every place that was reached or had nothing new to
	// be told of, with the number of changes said there.
	Told func(place string, changes int)
}

// New makes the sinks. Nothing is sent.
func New(c Config, now func() time.Time) (*Notifier, error) {
	n := &Notifier{mutes: c.Mutes, now: now}
	hold := c.Hold
	if hold <= 0 {
		hold = 24 * time.Hour
	}
	for kind, make := range map[string]func(*poster) sink{
		"webhook": func(p *poster) sink { return &webhook{p} }, "slack": func(p *poster) sink { return &slack{p} },
		"alertmanager": func(p *poster) sink { return &alertmanager{p, hold, now} }, "grafana": func(p *poster) sink { return &grafana{p} },
	} {
		for i, e := range map[string][]Endpoint{"webhook": c.Webhooks, "slack": c.Slack, "alertmanager": c.Alertmanager, "grafana": c.Grafana}[kind] {
			p, err := newPoster(kind, i, e)
			if err != nil {
				return nil, fmt.Errorf("notify: %s: %w", kind, err)
			}
			n.sinks = append(n.sinks, make(p))
		}
	}
	var err error
	if _, err = readMutes(c.Mutes); err != nil {
		return nil, err
	}
	n.said, err = openSaid(c.State)
	return n, err
}

// Sinks are what a service announces its reports to, one for each place.
func (n *Notifier) Sinks() []archive.Sink {
	var out []archive.Sink
	for _, s := range n.sinks {
		out = append(out, announcer{n, s})
	}
	return out
}

// announcer is one place as a service knows it.
type announcer struct {
	notifier *Notifier
	sink     sink
}

// Name of the place.
func (a announcer) Name() string { return a.sink.name() }

// Announce says what is new in a report, if anything is.
func (a announcer) Announce(ctx context.Context, x archive.Announcement) error {
	return a.notifier.tell(ctx, a.sink, x.Run.Target, x.URL, x.Report, x.Previous)
}

// Made is called when a report was made for a target; previous is the one
// before, nil for none. Every sink is tried, whatever the others do; the error
// names those that could not be reached. A change is said once at each sink, also
// by a process that was started anew with the same state.
func (n *Notifier) Made(ctx context.Context, target, link string, r, previous *report.Report) error {
	var errs []error
	for _, s := range n.sinks {
		errs = append(errs, n.tell(ctx, s, target, link, r, previous))
	}
	return errors.Join(errs...)
}

// tell says at one sink what is not muted and was not said there yet.
func (n *Notifier) tell(ctx context.Context, s sink, target, link string, r, previous *report.Report) error {
	notice := Notice{Target: target, Link: link, Report: r, Changes: changes(r, previous)}
	mutes, err := readMutes(n.mutes)
	if err != nil {
		return err
	}
	notice.Changes = mutes.without(notice.Changes, target, n.now())
	notice.Changes = n.said.unsaid(s.name(), &notice, s.wants(&notice))
	if len(notice.Changes) > 0 {
		err = s.say(ctx, &notice)
	}
	if err != nil {
		return fmt.Errorf("notify: %s: %w", s.name(), err)
	}
	if n.Told != nil {
		n.Told(s.name(), len(notice.Changes))
	}
	if len(notice.Changes) == 0 {
		return nil
	}
	return n.said.add(s.name(), &notice, n.now())
}

// changes of a report against the one before. One without a verdict says
// nothing of causes: neither that they came nor that they went.
func changes(r, previous *report.Report) []report.CauseChange {
	if previous == nil {
		previous = &report.Report{SchemaVersion: r.SchemaVersion, Generator: r.Generator}
	}
	return report.Compare(previous, r, [2]string{"before", "now"}, nil, 0).Causes
}

// poster sends requests to one endpoint.
type poster struct {
	label  string
	url    string
	client *http.Client
}

func newPoster(kind string, i int, e Endpoint) (*poster, error) {
	label := strings.TrimSpace(kind + " " + e.Name)
	if e.Name == "" && i > 0 {
		label = fmt.Sprintf("%s %d", kind, i+1)
	}
	url, err := e.address()
	if err != nil {
		return nil, err
	}
	client, err := config.NewClientFromConfig(e.HTTP, "culprit-notify", config.WithHTTP2Disabled())
	if err != nil {
		return nil, fmt.Errorf("HTTP settings: %w", err)
	}
	client.Timeout = requestTime
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &poster{label: label, url: strings.TrimRight(url, "/"), client: client}, nil
}

func (p *poster) name() string { return p.label }
