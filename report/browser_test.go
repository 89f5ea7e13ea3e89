package report

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// TestInBrowser opens the reports in Chromium, wide and narrow, light and
// dark, and prints them: no console message, no request, nothing wider than
// the window, no violation that axe-core finds, everything in the keyboard's
// reach.
func TestInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("not in short mode")
	}
	browser, node, modules := needs.Browser(t)
	check := func(name string, text []byte) {
		t.Run(name, func(t *testing.T) { checkInBrowser(t, browser, node, modules, text) })
	}
	for _, s := range []sample{severalCauses(), inconclusive()} {
		check(s.name, []byte(render(t, writeHTML, s.report())))
	}
	recorded, err := filepath.Glob("../testdata/scenarios/*/report.html")
	if err != nil || len(recorded) == 0 {
		t.Fatalf("%d recorded reports, %v", len(recorded), err)
	}
	for _, path := range recorded {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(filepath.Base(filepath.Dir(path)), text)
	}
}

func checkInBrowser(t *testing.T, browser, node, modules string, text []byte) {
	t.Helper()
	dir := t.TempDir()
	page, pdf := filepath.Join(dir, "report.html"), filepath.Join(dir, "report.pdf")
	if err := os.WriteFile(page, text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, filepath.Join("testdata", "browser", "check.cjs"), browser, page, pdf)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var wrong []string
	if err := json.Unmarshal(out, &wrong); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, w := range wrong {
		t.Error(w)
	}
	if info, err := os.Stat(pdf); err != nil || info.Size() < 10_000 {
		t.Errorf("the print is empty: %v", err)
	}
}
