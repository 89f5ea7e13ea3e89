package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/bundle"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// tracedBundle is an evidence file whose sources say where they answered.
func tracedBundle(t *testing.T) string {
	t.Helper()
	start := time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
	b := &evidence.Bundle{Window: evidence.Window{Start: start, End: start.Add(time.Minute)}, Sources: []evidence.Source{
		{Name: "prometheus", Status: evidence.StatusOK, Target: "http://evil.example:9090"},
		{Name: "traces", Status: evidence.StatusOK, Target: "http://evil.example:16686", Protocol: "Jaeger HTTP"},
	}}
	for n := range byte(60) {
		add := func(id, parent byte, kind evidence.SpanKind, name string, from, to int64, attrs ...evidence.Attr) {
			at := start.UnixNano() + int64(n)*1e9
			b.Spans = append(b.Spans, evidence.Span{Trace: evidence.TraceID{0: 1, 15: n}, ID: evidence.SpanID{7: id}, Parent: evidence.SpanID{7: parent}, Kind: kind, Service: "shop", Name: name, Start: at + from*1e6, End: at + to*1e6, Attrs: evidence.NewAttrs(attrs...)})
		}
		add(1, 0, evidence.KindServer, "GET /list", 0, 1300)
		for k := range byte(30) {
			add(2+k, 1, evidence.KindClient, "query", int64(k)*40+5, int64(k)*40+42, evidence.Attr{Key: evidence.AttrDBSystem, Value: "postgresql"}, evidence.Attr{Key: evidence.AttrDBQuery, Value: "select name from t where id = ?"})
		}
	}
	path := filepath.Join(t.TempDir(), "run.culprit")
	if err := bundle.WriteFile(path, b); err != nil {
		t.Fatal(err)
	}
	return path
}

// Links go where the reader said, and never where a bundle says.
func TestLinksComeFromTheReader(t *testing.T) {
	path := tracedBundle(t)
	plain := culprit(t, "analyze", path)
	if plain.code != exitOK || !strings.Contains(plain.stdout, "Example traces:") {
		t.Fatalf("exit code %d, %s\n%s", plain.code, plain.stderr, plain.stdout)
	}
	if strings.Contains(plain.stdout, "evil.example:16686/trace") {
		t.Error("a link goes where the bundle says")
	}
	o := culprit(t, "analyze", path, "--link-traces", "https://jaeger.example.org/ui/")
	for _, want := range []string{"(<https://jaeger.example.org/ui/trace/01", "culprit analyze run.culprit --link-traces https://jaeger.example.org/ui"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("no %q in\n%s", want, o.stdout)
		}
	}
	config := write(t, "c.yaml", "links:\n  traces: https://from-config.example.org\n")
	if o := culprit(t, "analyze", path, "--config", config); !strings.Contains(o.stdout, "(<https://from-config.example.org/trace/01") {
		t.Errorf("the configuration's link is not used: %s", o.stderr)
	}
	for _, base := range []string{"javascript:alert(1)", "https://user:" + canary + "@jaeger.example.org", "jaeger:16686"} {
		culprit(t, "analyze", path, "--link-traces", base).wantError(t, exitUsage, "is not an http or https address without a user")
	}
}

func TestZone(t *testing.T) {
	path := tracedBundle(t)
	dir := t.TempDir()
	if o := culprit(t, "analyze", path, "--tz", "Europe/Berlin", "--format", "md,json", "-o", dir); o.code != exitOK {
		t.Fatal(o.stderr)
	}
	if r := readReport(t, dir); r.Zone == nil || r.Zone.Name != "CET" || r.Zone.OffsetS != 3600 {
		t.Errorf("zone %+v", r.Zone)
	}
	o := culprit(t, "report", filepath.Join(dir, "report.json"), "--format", "md")
	if !strings.Contains(o.stdout, "2026-11-20 15:00:00–15:01:00 CET") || !strings.Contains(o.stdout, "--tz Europe/Berlin") {
		t.Errorf("not in the zone:\n%.300s", o.stdout)
	}
	o = culprit(t, "report", filepath.Join(dir, "report.json"), "--format", "md", "--tz", "Asia/Kolkata")
	if !strings.Contains(o.stdout, "2026-11-20 19:30:00–19:31:00 IST") {
		t.Errorf("not in the other zone:\n%.300s", o.stdout)
	}
	culprit(t, "analyze", path, "--tz", "Mars/Olympus").wantError(t, exitUsage, "is no zone")
	culprit(t, "analyze", path, "--tz", "Local").wantError(t, exitUsage, "another zone on every machine")
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"a/b-c.d": "a/b-c.d", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$(x)": "'$(x)'"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
