package report

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Versions of the npm packages that drive the browser and check the page.
var browserPackages = []string{"playwright-core@1.65.0", "axe-core@4.14.1"}

// TestInBrowser opens the reports in Chromium, wide and narrow, light and
// dark, and prints them: no console message, no request, nothing wider than
// the window, no violation that axe-core finds, everything in the keyboard's
// reach.
func TestInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("not in short mode")
	}
	browser := need(t, "apt-get install chromium", "chromium", "chromium-browser", "google-chrome")
	node := need(t, "apt-get install nodejs", "node")
	modules := nodeModules(t, browserPackages...)
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

// need finds a program, or skips with how to get it; in CI it must be there.
func need(t *testing.T, remedy string, names ...string) string {
	t.Helper()
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	missing(t, names[0]+" is not installed: "+remedy)
	return ""
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// nodeModules installs npm packages once, into the user's cache directory.
func nodeModules(t *testing.T, packages ...string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "culprit-lab", "browser-"+strings.Join(packages, "-"))
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}
	npm := need(t, "apt-get install npm", "npm")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"install", "--no-save", "--no-audit", "--no-fund", "--prefix", dir}, packages...)
	if out, err := exec.Command(npm, args...).CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		missing(t, "npm could not install "+strings.Join(packages, ", ")+": "+string(out))
	}
	return modules
}
