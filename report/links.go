package report

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Links are the base URLs of the reader's own tools, as configured. Nothing
// that came from a source ever becomes part of an address but as an escaped
// parameter or as a checked id.
type Links struct {
	Prometheus string
	Traces     string // Jaeger's query page
}

// Validate refuses a base URL that cannot be linked to.
func (l Links) Validate() error {
	for _, x := range []struct{ name, base string }{{"prometheus", l.Prometheus}, {"traces", l.Traces}} {
		if x.base != "" && cleanURL(x.base) == "" {
			return fmt.Errorf("link base for %s is not an http or https address without a user", x.name)
		}
	}
	return nil
}

func (l Links) checked() Links {
	base := func(s string) string {
		u, err := url.Parse(cleanURL(s))
		if err != nil || u.Host == "" {
			return ""
		}
		u.RawQuery, u.Fragment = "", ""
		return strings.TrimRight(u.String(), "/")
	}
	return Links{Prometheus: base(l.Prometheus), Traces: base(l.Traces)}
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
