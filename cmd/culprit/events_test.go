package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func TestEventsFile(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	run := recordedRun(t, start, 10, map[string]float64{"GET /x": 0.1})
	at := start.Add(20 * time.Second)
	for name, text := range map[string]string{
		"YAML":                fmt.Sprintf("- {time: %s, kind: deploy, text: a goes to v2, entity: {service: a}}\n- {time: 100, text: long ago}\n", at.UTC().Format(time.RFC3339)),
		"YAML, seconds":       fmt.Sprintf("- time: %d\n  kind: deploy\n  text: a goes to v2\n  entity: {service: a}\n- {time: 100, text: long ago}\n", at.Unix()),
		"JSON lines":          fmt.Sprintf("{\"time\":%q,\"kind\":\"deploy\",\"text\":\"a goes to v2\",\"entity\":{\"service\":\"a\"}}\n{\"time\":100,\"text\":\"long ago\"}\n", at.UTC().Format(time.RFC3339)),
		"JSON lines, seconds": fmt.Sprintf("{\"time\":%d,\"kind\":\"deploy\",\"text\":\"a goes to v2\",\"entity\":{\"service\":\"a\"}}\n{\"time\":100,\"text\":\"long ago\"}\n", at.Unix()),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if o := culprit(t, "analyze", run, "--events", write(t, "events", text), "-o", dir); o.code != exitOK {
				t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
			}
			r := readReport(t, dir)
			want := evidence.Event{At: at.UnixMilli(), Kind: "deploy", Text: "a goes to v2", Entity: evidence.Entity{Service: "a"}}
			if len(r.Events) != 1 || r.Events[0] != want {
				t.Errorf("events %+v, want %+v", r.Events, want)
			}
			if !strings.Contains(r.Generator.Command, "--events") || !strings.Contains(fmt.Sprint(r.Coverage), "1 events lie outside") {
				t.Errorf("command %q, coverage %+v", r.Generator.Command, r.Coverage)
			}
		})
	}
	t.Run("with an end", func(t *testing.T) {
		dir := t.TempDir()
		text := fmt.Sprintf("{\"time\":%d,\"end\":%q,\"kind\":\"chaos\"}\n", at.Unix(), at.Add(5*time.Second).UTC().Format(time.RFC3339))
		if o := culprit(t, "analyze", run, "--events", write(t, "events", text), "-o", dir); o.code != exitOK {
			t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
		}
		if r := readReport(t, dir); len(r.Events) != 1 || r.Events[0].End != at.UnixMilli()+5000 {
			t.Errorf("events %+v", r.Events)
		}
	})
	for name, c := range map[string]struct{ text, want string }{
		"an end before the beginning": {"- {time: 100, end: 90, kind: chaos}", "event 1: it ends before"},
		"an end that is no time":      {"- {time: 100, end: soon, kind: chaos}", "event 1: end"},
		"no time":                     {"- {kind: deploy}", "event 1: time"},
		"no words":                    {"- {time: 100}", "event 1: neither kind nor text"},
		"unknown key":                 {"- {time: 100, knid: x}", "unknown key knid"},
		"no list":                     {"time: 100", "wrong kind"},
		"JSON unknown key":            {`{"time":100,"text":"a"}` + "\n" + `{"tiem":100}`, "event 2"},
		"JSON cut":                    {`{"time":100,"te`, "event 1"},
	} {
		t.Run(name, func(t *testing.T) {
			culprit(t, "analyze", run, "--events", write(t, "events", c.text)).wantError(t, exitUsage, c.want)
		})
	}
	culprit(t, "analyze", run, "--events", "/no/such/events").wantError(t, exitUsage, "/no/such/events")
}

// Events that the load command itself writes are in the report of the run; a
// file that never comes is a gap.
func TestEventsOfARun(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "events.jsonl")
	script := fmt.Sprintf(`echo "{\"time\":$(date +%%s).5,\"kind\":\"chaos\",\"text\":\"a pod was killed\"}" > %s; sleep 1`, file)
	o := culprit(t, "run", "--load", write(t, "s.json", k6Summary), "--events", file, "--settle", "0", "-o", dir, "--", "sh", "-c", script)
	if o.code != exitOK {
		t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
	}
	if r := readReport(t, dir); len(r.Events) != 1 || r.Events[0].Kind != "chaos" {
		t.Errorf("events %+v", r.Events)
	}
	missed := t.TempDir()
	o = culprit(t, "run", "--load", write(t, "s.json", k6Summary), "--events", filepath.Join(missed, "none"), "--settle", "0", "-o", missed, "--", "true")
	if o.code != exitOK {
		t.Fatalf("exit code %d, stderr %q", o.code, o.stderr)
	}
	for _, c := range readReport(t, missed).Coverage {
		if c.Source == "events" && c.Status == evidence.StatusFailed && len(c.Gaps) == 1 && c.Gaps[0].Remedy != "" {
			return
		}
	}
	t.Error("no gap for the missing file")
}
