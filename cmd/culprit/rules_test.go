package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// The catalogue's own tests run by the command as well; rules that a user
// changes change the outcome.
func TestRulesTest(t *testing.T) {
	const tests = "../../rules/testdata"
	if o := culprit(t, "rules", "test", tests); o.code != exitOK || !strings.HasPrefix(o.stdout, "ok: ") {
		t.Errorf("exit code %d, stdout %q, stderr %q", o.code, o.stdout, o.stderr)
	}
	off := filepath.Dir(write(t, "off.yaml", "id: slow-query\noff: true\n"))
	o := culprit(t, "rules", "test", "--rules", off, tests)
	o.wantError(t, exitFailed, "tests failed")
	if !strings.Contains(o.stdout, "FAIL slow-query.yaml: one statement is most of the request: ") {
		t.Errorf("stdout %q", o.stdout)
	}
	culprit(t, "rules", "test", t.TempDir()).wantError(t, exitUsage, "no *.yaml file")
	culprit(t, "rules", "test", "/no/such/dir").wantError(t, exitUsage, "/no/such/dir")
	culprit(t, "rules", "test", filepath.Dir(write(t, "x.yaml", "tests: [{nme: x}]"))).wantError(t, exitUsage, "x.yaml")
}
