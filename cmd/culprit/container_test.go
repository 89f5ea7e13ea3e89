//go:build linux

package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/culprit-rca/culprit/testdata/needs"
)

const containerfile = "deploy/Containerfile"

// recipe is a container file: its instructions in order, those of the last stage
// apart.
type recipe struct {
	all  [][]string // instruction and words
	last [][]string
}

func readRecipe(t *testing.T) (out recipe) {
	t.Helper()
	text, err := os.ReadFile(containerfile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if words[0] == "FROM" {
			out.last = nil
		}
		out.all, out.last = append(out.all, words), append(out.last, words)
	}
	return out
}

// word is the one argument of an instruction of the image.
func (r recipe) word(t *testing.T, instruction string) string {
	t.Helper()
	var found []string
	for _, words := range r.last {
		if words[0] == instruction {
			found = append(found, strings.Join(words[1:], " "))
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s: %q, want one", instruction, found)
	}
	return found[0]
}

// What the container file names is there, and agrees with the program and the
// manifests: the compiler is the module's, the port is the default one, the user
// is nobody's superuser.
func TestContainerAgrees(t *testing.T) {
	r := readRecipe(t)
	for _, words := range r.all {
		if words[0] != "COPY" || slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--from=") }) {
			continue
		}
		for _, source := range words[1 : len(words)-1] {
			if _, err := os.Stat(filepath.Join(root(t), source)); err != nil {
				t.Errorf("%s: %v", strings.Join(words, " "), err)
			}
		}
	}
	text, err := os.ReadFile(containerfile)
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	image := regexp.MustCompile(`FROM docker.io/library/golang:(\d+\.\d+) `).FindStringSubmatch(string(text))
	if image == nil || !regexp.MustCompile(`(?m)^go `+regexp.QuoteMeta(image[1])+`(\.|$)`).Match(module) {
		t.Errorf("the compiler of the image is %v, go.mod wants another", image)
	}
	_, port, _ := net.SplitHostPort(defaultListen)
	if got := r.word(t, "EXPOSE"); got != port {
		t.Errorf("port %s, the program listens on %s", got, port)
	}
	user := r.word(t, "USER")
	id, _, _ := strings.Cut(user, ":")
	deployment, err := os.ReadFile("deploy/kubernetes/serve/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(id); err != nil || n == 0 || !strings.Contains(string(deployment), "runAsUser: "+id) || !strings.Contains(string(deployment), "containerPort: "+port) {
		t.Errorf("user %s and port %s are not those of the manifests, or root", user, port)
	}
}

// imageVersion is what the test calls its build.
const imageVersion = "v9.8.7"

// build runs the recipe's own line.
func (r recipe) build(t *testing.T, to string) {
	t.Helper()
	i := slices.IndexFunc(r.all, func(words []string) bool {
		return words[0] == "RUN" && slices.Contains(words, "build") && slices.Contains(words, "/culprit")
	})
	if i < 0 {
		t.Fatal("no line builds /culprit")
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", strings.Replace(strings.Join(r.all[i][1:], " "), "-o /culprit", "-o '"+to+"'", 1))
	cmd.Dir, cmd.Env = root(t), append(os.Environ(), "VERSION="+imageVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// The image as far as it can be had without a registry: a directory with the
// static binary, certificates, a user, and the one place to write; in it the
// entry point answers, trusts the certificates, and serves and keeps a history
// as that user.
func TestContainerWithoutImage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds culprit")
	}
	r := readRecipe(t)
	var entry []string
	if err := json.Unmarshal([]byte(r.word(t, "ENTRYPOINT")), &entry); err != nil || len(entry) != 1 {
		t.Fatalf("the entry point: %v, %v", entry, err)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	c := newContainer(t, r, entry[0], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	if out, err := c.command("version").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "culprit "+imageVersion+" ") {
		t.Errorf("%v: %s", err, out)
	}
	if out, _ := c.command("check", "--prometheus", secure.URL).CombinedOutput(); strings.Contains(string(out), "x509") || strings.Contains(string(out), "certificate") || !strings.Contains(string(out), "404") {
		t.Errorf("it does not trust the certificates of the image: %s", out)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", needs.FreePort(t))
	serving := play(t, &actor{name: "culprit", ready: answersAt("http://" + addr + "/-/ready"), command: func() *exec.Cmd {
		return c.command("serve", "--config", "/etc/culprit/culprit.yaml", "--listen", addr)
	}})
	if err := serving.end(syscall.SIGTERM); err != nil {
		t.Errorf("it did not stop well: %v\n%s", err, serving.log.String())
	}
	if _, err := os.Stat(filepath.Join(c.root, c.state, "culprit-history", "version")); err != nil {
		t.Errorf("no history where the image has its volume: %v\n%s", err, serving.log.String())
	}
}

// container is a directory that stands for the image, and its user.
type container struct {
	root, entry, state string
	env                []string
	id                 int
}

func newContainer(t *testing.T, r recipe, entry string, certificates []byte) *container {
	t.Helper()
	c := &container{root: t.TempDir(), entry: entry, state: r.word(t, "VOLUME"), env: []string{r.word(t, "ENV"), "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"}}
	id, _, _ := strings.Cut(r.word(t, "USER"), ":")
	c.id, _ = strconv.Atoi(id)
	for path, text := range map[string]string{
		"/etc/passwd": "nonroot:x:" + id + ":" + id + ":nonroot:/home/nonroot:/sbin/nologin\n", "/etc/ssl/certs/ca-certificates.crt": string(certificates),
		"/etc/culprit/culprit.yaml": "targets: [" + strings.Replace(nowhere, "{", "{time_zone: Europe/Berlin, ", 1) + "]\n",
	} {
		c.put(t, path, text)
	}
	r.build(t, filepath.Join(c.root, entry))
	state := filepath.Join(c.root, c.state)
	if err := os.MkdirAll(state, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		for d := c.root; d != filepath.Clean(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(state, c.id, c.id); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *container) put(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(c.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// command runs the entry point inside of the directory, as the image's user: a
// superuser becomes it, anybody else is it in a name space of their own.
func (c *container) command(args ...string) *exec.Cmd {
	cmd := &exec.Cmd{Path: c.entry, Args: append([]string{c.entry}, args...), Dir: "/", Env: c.env}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.root}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.id), Gid: uint32(c.id)}
		return cmd
	}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: c.id, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: c.id, HostID: os.Getgid(), Size: 1}}
	return cmd
}
