package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors"
)

// newTestProgress has a clock that every reading moves by a second.
func newTestProgress(out *bytes.Buffer, live bool) *progress {
	at := time.Unix(0, 0)
	return &progress{out: out, live: live, width: 60, now: func() time.Time { at = at.Add(time.Second); return at }}
}

func TestProgressLines(t *testing.T) {
	var out bytes.Buffer
	p := newTestProgress(&out, false)
	p.Report(collectors.Event{Source: "prometheus", Text: "queried", Done: 1, Total: 4})
	p.Report(collectors.Event{Source: "traces", Err: errors.New("traces: refused\x1b[2J"), End: true})
	p.Report(collectors.Event{Source: "prometheus", Text: "412 series", End: true})
	p.Report(collectors.Event{Source: "prometheus", Text: "412 items", End: true})
	want := "traces     failed: traces: refused [2J (1.0 s)\nprometheus 412 series (4.0 s)\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q: one line a source, the first end counts", &out, want)
	}
}

func TestProgressLive(t *testing.T) {
	var out bytes.Buffer
	p := newTestProgress(&out, true)
	p.Report(collectors.Event{Source: "prometheus", Text: "queried", Done: 1, Total: 4})
	p.Report(collectors.Event{Source: "traces", Text: strings.Repeat("long ", 30)})
	out.Reset()
	p.Report(collectors.Event{Source: "prometheus", Text: "queried 2 of 4", Done: 2, Total: 4})
	text := out.String()
	if !strings.HasPrefix(text, "\x1b[2A") {
		t.Errorf("the two lines are not written over: %q", text)
	}
	if !strings.Contains(text, "queried 2 of 4, ") || !strings.Contains(text, "s left") {
		t.Errorf("no items or time left: %q", text)
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if _, shown, ok := strings.Cut(line, "\x1b[2K"); !ok || len([]rune(shown)) > 59 {
			t.Errorf("a line wraps at 60 columns: %q", line)
		}
	}
	p.Say("a line of %s", "its own")
	out.Reset()
	p.Report(collectors.Event{Source: "traces", Text: "done", End: true})
	if strings.Contains(out.String(), "\x1b[2A") {
		t.Errorf("the line of its own was written over: %q", &out)
	}
}

func TestColourOnlyWhenWanted(t *testing.T) {
	for _, colour := range []bool{false, true} {
		var out bytes.Buffer
		p := newTestProgress(&out, true)
		p.colour = colour
		p.Report(collectors.Event{Source: "x", Err: errors.New("no"), End: true})
		if got := strings.Contains(out.String(), "\x1b[31m"); got != colour {
			t.Errorf("colour %t: %q", colour, &out)
		}
	}
}

func TestNoTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("CI", "")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(t.TempDir() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, got := range map[string]bool{"null device": isTerminal(null), "file": isTerminal(file), "buffer": isTerminal(&bytes.Buffer{})} {
		if got {
			t.Errorf("the %s is a terminal", name)
		}
	}
}

func TestCheck(t *testing.T) {
	o := culprit(t, "check", "--prometheus", hostile(t)["down"], "--load", write(t, "s.json", k6Summary))
	o.wantError(t, exitFailed, "1 of 2 sources failed the check")
	for _, want := range []string{"prometheus: failed: ", "load: read when it is needed", "causes that could be weighed:", "  no   n-plus-one (needs traces.spans)"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("no %q in\n%s", want, o.stdout)
		}
	}
}

func TestRulesVerbs(t *testing.T) {
	if o := culprit(t, "rules", "list"); o.code != exitOK || !strings.Contains(o.stdout, "n-plus-one ") {
		t.Errorf("list: %+v", o)
	}
	o := culprit(t, "rules", "explain", "n-plus-one")
	for _, want := range []string{"n-plus-one: ", "subject: calls.repeated (found by n-plus-one)", "needed ", "remedy: ", "verify: ", "not when: "} {
		if o.code != exitOK || !strings.Contains(o.stdout, want) {
			t.Errorf("explain: no %q in\n%s%s", want, o.stdout, o.stderr)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/off.yaml", []byte("id: n-plus-one\noff: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := culprit(t, "rules", "check", dir); o.code != exitOK || !strings.Contains(o.stdout, fmt.Sprintf("rule n-plus-one is switched off by %s", dir)) {
		t.Errorf("check: %+v", o)
	}
	if err := os.WriteFile(dir+"/bad.yaml", []byte("id: x\nnope: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	culprit(t, "rules", "check", dir).wantError(t, exitUsage, "nope")
}
