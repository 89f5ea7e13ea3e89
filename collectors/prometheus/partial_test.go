package prometheus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A server with a part of its data: Thanos says so in a warning, a cluster of
// VictoriaMetrics in a field. PromQL's own warnings are of another sort. The
// answers have the documented shapes; none of these clusters runs here.
func TestAnswersInPart(t *testing.T) {
	for name, tc := range map[string]struct{ extra, want string }{
		"Thanos":          {`"warnings":["receive series from Addr: store-2: rpc error: code = Unavailable"]`, "the server answered in part: receive series from Addr: store-2: rpc error: code = Unavailable"},
		"VictoriaMetrics": {`"isPartial":true`, "the server answered in part: some of its storage nodes did not answer"},
		"whole":           {`"isPartial":false`, ""},
		"PromQL":          {`"warnings":["PromQL warning: bucket label \"le\" is missing or has a malformed value"]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				data := `["up"]`
				if strings.HasSuffix(r.URL.Path, "/series") {
					data = `[{"__name__":"up","job":"a","instance":"b"}]`
				} else if strings.Contains(r.URL.Path, "/query") {
					data = `{"resultType":"matrix","result":[]}`
				}
				fmt.Fprintf(w, `{"status":"success","data":%s,%s}`, data, tc.extra)
			}))
			defer server.Close()
			b, err := collectFrom(t, Config{URL: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			var got []evidence.Gap
			for _, g := range b.Gaps {
				if strings.HasPrefix(g.Reason, "the server answered in part") {
					got = append(got, g)
				}
			}
			if tc.want == "" && len(got) > 0 || tc.want != "" && (len(got) != 1 || got[0].Reason != tc.want || got[0].Remedy == "" || len(got[0].Kinds) < 100) {
				t.Errorf("gaps %+v, want %q", got, tc.want)
			}
		})
	}
}

// A target that was silent for a while is a gap with the share and the time;
// one missed scrape of many is not.
func TestHoles(t *testing.T) {
	up := func(service string, silentFrom, n int) evidence.Series {
		s := evidence.Series{Kind: evidence.Up, Entity: evidence.Entity{Service: service, Instance: "a:1"}}
		for i := range 40 {
			v := 1.0
			if i >= silentFrom && i < silentFrom+n {
				v = 0
			}
			s.Times, s.Values = append(s.Times, int64(i)*2000), append(s.Values, v)
		}
		return s
	}
	r := &run{}
	r.holes(&evidence.Bundle{Series: []evidence.Series{up("well", 0, 0), up("once", 5, 1), up("web", 10, 30)}})
	if len(r.gaps.list) != 1 || r.gaps.list[0].Reason != "web a:1 did not answer 75 % of its scrapes, the first at 00:00:20: what it measured then is missing" {
		t.Errorf("%+v", r.gaps.list)
	}
	r = &run{}
	b := &evidence.Bundle{}
	for i := range 9 {
		b.Series = append(b.Series, up(fmt.Sprint("s", i), 0, 40))
	}
	if r.holes(b); len(r.gaps.list) != mostHoles || len(r.notes.sorted()) != 1 {
		t.Errorf("%d gaps, notes %v", len(r.gaps.list), r.notes.sorted())
	}
}
