package analyzers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestEvents(t *testing.T) {
	start := time.Unix(1000, 0).UTC()
	starts := func(instance string, values ...float64) evidence.Series {
		s := evidence.Series{Kind: evidence.Restarts, Entity: evidence.Entity{Service: "a", Instance: instance}, Values: values}
		for i := range values {
			s.Times = append(s.Times, start.UnixMilli()+int64(i)*5000)
		}
		return s
	}
	b := &evidence.Bundle{Window: evidence.Window{Start: start, End: start.Add(time.Minute)},
		Series: []evidence.Series{
			starts("old", 900, 900, 900),
			starts("jitter", 900, 901, 900, 901),
			starts("restarted", 900, 900, 1007, 1007),
			starts("twice", 900, 1005, 1015),
			starts("new", 1020, 1020),
			starts("new", 1020, 1020), // through two exporters
		},
		Events:   []evidence.Event{{At: 1_010_000, Kind: "deploy", Text: "v2"}},
		Postgres: []evidence.Postgres{{Server: evidence.PGServer{Name: "db", StartedAt: 1_030_000}}, {Server: evidence.PGServer{Name: "old", StartedAt: 5000}}},
	}
	var got []string
	for _, e := range eventsOf(b) {
		got = append(got, fmt.Sprintf("%d %s %s", e.At/1000, e.Kind, e.Entity))
	}
	want := "1005 restart a twice; 1007 restart a restarted; 1010 deploy ; 1015 restart a twice; 1020 start a new; 1030 restart db"
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	loop := make([]float64, 1000)
	for i := range loop {
		loop[i] = 1000 + float64(i)*0.05
	}
	b.Series = []evidence.Series{starts("loop", loop...)}
	if n := len(eventsOf(b)); n > maxEvents {
		t.Errorf("%d events", n)
	}
}
