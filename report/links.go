package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Links are the base URLs of the reader's own tools, as configured. Nothing
// that came from a source ever becomes part of an address but as an escaped
// parameter or as a checked id.
type Links struct {
	Prometheus       string
	Traces           string // Jaeger's query page
	Grafana          string
	GrafanaSourceUID string // of the Prometheus data source; "" is Grafana's default
}

// Validate refuses a base URL that cannot be linked to. It does not repeat the
// address, which may hold a password.
func (l Links) Validate() error {
	for _, x := range []struct{ name, base string }{{"prometheus", l.Prometheus}, {"traces", l.Traces}, {"grafana", l.Grafana}} {
		if x.base != "" && linkBase(x.base) == "" {
			return fmt.Errorf("the link base for %s is not an http or https address without a user", x.name)
		}
	}
	return nil
}

// Or fills what l lacks from others, as far as it can be linked to.
func (l Links) Or(others Links) Links {
	others = others.checked()
	l.Prometheus, l.Traces, l.Grafana = cmp.Or(l.Prometheus, others.Prometheus), cmp.Or(l.Traces, others.Traces), cmp.Or(l.Grafana, others.Grafana)
	return l.checked()
}

func (l Links) checked() Links {
	return Links{Prometheus: linkBase(l.Prometheus), Traces: linkBase(l.Traces), Grafana: linkBase(l.Grafana), GrafanaSourceUID: l.GrafanaSourceUID}
}

// linkBase is an address to which paths can be added, or "".
func linkBase(s string) string {
	u, err := url.Parse(cleanURL(s))
	if err != nil || u.Host == "" {
		return ""
	}
	u.RawQuery, u.Fragment = "", ""
	return strings.TrimRight(u.String(), "/")
}

// trace links to one trace; id is hexadecimal.
func (l Links) trace(id string) string {
	if l.Traces == "" {
		return ""
	}
	return l.Traces + "/trace/" + strings.Repeat("0", 32-len(id)) + id
}

// query links to a PromQL expression over the window.
func (l Links) query(ref evidence.Ref, w evidence.Window) string {
	if l.Prometheus == "" || ref.Source != "prometheus" {
		return ""
	}
	v := url.Values{}
	v.Set("g0.expr", ref.Query)
	v.Set("g0.tab", "0")
	v.Set("g0.range_input", fmt.Sprintf("%ds", int(w.Duration().Seconds())))
	v.Set("g0.end_input", w.End.UTC().Format(time.DateTime))
	return l.Prometheus + "/graph?" + v.Encode()
}

// grafana links to a PromQL expression in Grafana's Explore, over the window.
func (l Links) grafana(ref evidence.Ref, w evidence.Window) string {
	if l.Grafana == "" || ref.Source != "prometheus" {
		return ""
	}
	query := map[string]any{"refId": "A", "expr": ref.Query}
	pane := map[string]any{"queries": []any{query}, "range": map[string]string{"from": strconv.FormatInt(w.Start.UnixMilli(), 10), "to": strconv.FormatInt(w.End.UnixMilli(), 10)}}
	if l.GrafanaSourceUID != "" {
		pane["datasource"] = l.GrafanaSourceUID
		query["datasource"] = map[string]string{"type": "prometheus", "uid": l.GrafanaSourceUID}
	}
	panes, err := json.Marshal(map[string]any{"culprit": pane})
	if err != nil {
		return "" // cannot happen: strings alone
	}
	v := url.Values{}
	v.Set("schemaVersion", "1")
	v.Set("panes", string(panes))
	return l.Grafana + "/explore?" + v.Encode()
}
