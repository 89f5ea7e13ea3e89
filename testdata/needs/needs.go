// Package needs finds what integration tests need of a machine: programs, npm
// packages, ports, a user for PostgreSQL. What is not there makes a test skip
// and say how to get it, and fail where CI=true.
package needs

import (
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Missing skips the test, or fails it where everything must be there. The text
// says what is missing and how to get it.
func Missing(t testing.TB, how string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(how)
	}
	t.Skip(how)
}

// Program is the path of the first of these that is found: names on the PATH,
// or paths.
func Program(t testing.TB, remedy string, names ...string) string {
	t.Helper()
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	Missing(t, names[0]+" is not installed: "+remedy)
	return ""
}

// NodeModules is the folder of these npm packages, name@version each, which
// are installed once into the user's cache directory.
func NodeModules(t testing.TB, packages ...string) string {
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
	npm := Program(t, "apt-get install npm", "npm")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"install", "--no-save", "--no-audit", "--no-fund", "--prefix", dir}, packages...)
	if out, err := exec.Command(npm, args...).CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		Missing(t, "npm could not install "+strings.Join(packages, ", ")+": "+string(out))
	}
	return modules
}

// Browser is what drives Chromium and checks a page: the browser, Node.js, and
// the npm packages, the same for all pages.
func Browser(t testing.TB) (browser, node, modules string) {
	t.Helper()
	browser = Program(t, "apt-get install chromium", "chromium", "chromium-browser", "google-chrome")
	node = Program(t, "apt-get install nodejs", "node")
	return browser, node, NodeModules(t, "playwright-core@1.65.0", "axe-core@4.14.1")
}

// FreePort of the loopback interface.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// FreeAddress of the loopback interface, host:port.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

// PostgresOwner is whom to run PostgreSQL as, which refuses root, or nil: the
// folder becomes that user's, and those above it let that user through.
func PostgresOwner(t testing.TB, base string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		Missing(t, "no user postgres to run the server as: "+err.Error())
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(base, uid, gid); err != nil {
		t.Fatal(err)
	}
	for d := base; d != filepath.Clean(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
