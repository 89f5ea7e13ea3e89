package main

import (
	"strings"
	"testing"
)

func TestVersionAndHelp(t *testing.T) {
	if o := culprit(t, "version"); o.code != exitOK || !strings.HasPrefix(o.stdout, "culprit test go1.") {
		t.Errorf("%+v", o)
	}
	for _, verb := range []string{"run", "collect", "analyze", "report", "check", "rules"} {
		if o := culprit(t, verb, "--help"); o.code != exitOK || o.stderr != "" || !strings.Contains(o.stdout, "Usage:") {
			t.Errorf("%s: %+v", verb, o)
		}
	}
	if o := culprit(t, "completion", "bash"); o.code != exitOK || !strings.Contains(o.stdout, "culprit") {
		t.Errorf("completion: %+v", o.code)
	}
}
