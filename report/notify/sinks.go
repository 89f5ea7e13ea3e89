package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report"
)

// webhook posts JSON to whoever reads it; schema_version 1. The key is the same
// when a message is sent again.
type webhook struct{ *poster }

type webhookBody struct {
	SchemaVersion int                  `json:"schema_version"`
	Target        string               `json:"target"`
	Link          string               `json:"link,omitempty"`
	Window        evidence.Window      `json:"window"`
	Verdict       report.Verdict       `json:"verdict"`
	Changes       []report.CauseChange `json:"changes"`
}

func (w *webhook) wants(n *Notice) []report.CauseChange { return n.Fresh() }

func (w *webhook) say(ctx context.Context, n *Notice) error {
	_, err := w.send(ctx, "", n.key(), webhookBody{1, n.Target, n.Link, n.Report.Window, n.Report.Verdict, n.Changes})
	return err
}

// slack posts the report's own Slack message with the changed causes alone.
// Slack knows no key: where its answer is lost it may say a message twice.
type slack struct{ *poster }

func (s *slack) wants(n *Notice) []report.CauseChange { return n.Fresh() }

func (s *slack) say(ctx context.Context, n *Notice) error {
	short := *n.Report
	short.Causes = nil
	for _, c := range n.Report.Causes {
		for _, x := range n.Changes {
			if x.Fingerprint == c.Fingerprint {
				short.Causes = append(short.Causes, c)
			}
		}
	}
	format, _ := report.FormatNamed("slack")
	var text bytes.Buffer
	if err := format.Write(&text, &short); err != nil {
		return err
	}
	_, err := s.send(ctx, "", n.key(), json.RawMessage(text.Bytes()))
	return err
}

// alertmanager keeps an alert for every cause, by its v2 API. The same labels
// are the same alert: sending twice changes nothing. It is told of fixed causes,
// too, which end their alerts.
type alertmanager struct {
	*poster
	hold time.Duration
	now  func() time.Time
}

type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func (a *alertmanager) wants(n *Notice) []report.CauseChange {
	out := n.Fresh()
	for _, c := range n.Changes {
		if c.Change == "fixed" {
			out = append(out, c)
		}
	}
	return out
}

func (a *alertmanager) say(ctx context.Context, n *Notice) error {
	var alerts []alert
	for _, c := range n.Changes {
		x := alert{StartsAt: n.Report.Window.Start, EndsAt: a.now().Add(a.hold), GeneratorURL: n.Link,
			Labels:      map[string]string{"alertname": "CulpritCause", "target": n.Target, "rule": c.Rule, "fingerprint": c.Fingerprint},
			Annotations: map[string]string{"summary": c.Title, "description": description(c)}}
		for name, value := range map[string]string{"service": c.Subject.Service, "operation": c.Subject.Operation, "resource": c.Subject.Resource} {
			if value != "" {
				x.Labels[name] = value
			}
		}
		if c.Change == "fixed" {
			x.StartsAt, x.EndsAt = n.Report.Window.Start, a.now()
		}
		alerts = append(alerts, x)
	}
	_, err := a.send(ctx, "/api/v2/alerts", "", alerts)
	return err
}

// grafana marks the window on every dashboard that shows the tag culprit. An
// annotation of the same run is not made twice: its tag is looked for first.
type grafana struct{ *poster }

type annotation struct {
	Time    int64    `json:"time"`
	TimeEnd int64    `json:"timeEnd"`
	Tags    []string `json:"tags"`
	Text    string   `json:"text"`
}

func (g *grafana) wants(n *Notice) []report.CauseChange { return n.Fresh() }

func (g *grafana) say(ctx context.Context, n *Notice) error {
	run := "culprit-run:" + n.key()
	found, err := g.send(ctx, "/api/annotations?type=annotation&limit=1&tags="+url.QueryEscape(run), "", nil)
	if err != nil {
		return err
	}
	var there []json.RawMessage
	if err := json.Unmarshal(found, &there); err != nil {
		return fmt.Errorf("its answer is no list of annotations")
	}
	if len(there) > 0 {
		return nil
	}
	var lines []string
	for _, c := range n.Changes {
		lines = append(lines, c.Title+": "+description(c))
	}
	if n.Link != "" {
		lines = append(lines, n.Link)
	}
	_, err = g.send(ctx, "/api/annotations", "", annotation{n.Report.Window.Start.UnixMilli(), n.Report.Window.End.UnixMilli(),
		[]string{"culprit", "target:" + n.Target, run}, escapeHTML(strings.Join(lines, "\n"))})
	return err
}

// escapeHTML: Grafana shows the text of an annotation as HTML.
func escapeHTML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// description is one line: what, where, and what it costs.
func description(c report.CauseChange) string {
	text := strings.TrimSpace(c.Change + " " + c.Rule + " at " + c.Subject.String())
	if i := c.Head; i != nil && i.Saved > 0 {
		text += fmt.Sprintf(", costs %.0f ms of the %s of %s", 1000*i.Saved, i.Percentile, i.Operation)
	}
	return text
}
