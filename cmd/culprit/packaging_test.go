package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// The same sources in two directories give the same bytes.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("builds culprit twice")
	}
	var sums [][sha256.Size]byte
	for _, name := range []string{"one", "another"} {
		source := filepath.Join(t.TempDir(), name)
		for _, part := range []string{"cmd", "collectors", "analyzers", "rules", "report"} {
			if err := os.CopyFS(filepath.Join(source, part), os.DirFS(filepath.Join(root(t), part))); err != nil {
				t.Fatal(err)
			}
		}
		for _, part := range []string{"go.mod", "go.sum"} {
			copyTo(t, filepath.Join(root(t), part), filepath.Join(source, part))
		}
		binary, err := os.ReadFile(build(t, t.TempDir(), source))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(binary, []byte(source)) {
			t.Errorf("the binary names the directory that it was built in")
		}
		sums = append(sums, sha256.Sum256(binary))
	}
	if sums[0] != sums[1] {
		t.Errorf("sha256 %x and %x", sums[0], sums[1])
	}
}

// The units are what systemd takes for units.
func TestSystemdUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		how := "systemd-analyze is not here: go -C testdata/lab run . doctor --fix"
		needs.Missing(t, how)
	}
	self, err := os.Executable() // stands in for the program: systemd wants it to be there
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	units, _ := filepath.Glob("deploy/systemd/*")
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte("/usr/bin/culprit"), []byte(self)), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || len(out) > 0 || len(units) != 3 {
		t.Errorf("%d units, %v: %s", len(units), err, out)
	}
}

// What Kubernetes and systemd are told to run is a command line that culprit
// takes, with a configuration that it reads; and a container is given nothing
// that it does not need.
func TestDeployedCommands(t *testing.T) {
	lines := map[string][]string{}
	for _, name := range []string{"cronjob/cronjob.yaml", "serve/deployment.yaml"} {
		f, err := os.Open("deploy/kubernetes/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for d := yaml.NewDecoder(f); ; {
			var doc yaml.Node
			if err := d.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			containersIn(&doc, func(c containerSpec) {
				lines[name] = c.Args
				s := c.SecurityContext
				if s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 {
					t.Errorf("%s: the container may do more than it needs: %+v", name, s)
				}
			})
		}
	}
	for _, unit := range []string{"culprit.service", "culprit-audit.service"} {
		text, err := os.ReadFile("deploy/systemd/" + unit)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=/usr/bin/culprit "); ok {
				lines[unit] = strings.Fields(rest)
			}
		}
	}
	if len(lines) != 4 {
		t.Fatalf("%d command lines: %v", len(lines), lines)
	}
	for name, args := range lines {
		a := &app{version: "test"}
		c, rest, err := a.root().Find(args)
		if err == nil {
			err = c.ParseFlags(rest)
		}
		if err == nil {
			err = c.ValidateArgs(c.Flags().Args())
		}
		if err != nil {
			t.Errorf("%s: culprit %s: %v", name, strings.Join(args, " "), err)
		}
	}
	if _, err := readConfiguration("deploy/kubernetes/cronjob/culprit.yaml"); err != nil {
		t.Error(err)
	}
	if _, err := readService("deploy/kubernetes/serve/culprit.yaml"); err != nil {
		t.Error(err)
	}
}

type containerSpec struct {
	Args            []string `yaml:"args"`
	SecurityContext struct {
		AllowPrivilegeEscalation bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct {
			Drop []string `yaml:"drop"`
		} `yaml:"capabilities"`
	} `yaml:"securityContext"`
}

// containersIn hands over every container of a manifest.
func containersIn(n *yaml.Node, each func(containerSpec)) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "containers" {
			var all []containerSpec
			if c.Decode(&all) == nil {
				for _, one := range all {
					each(one)
				}
			}
		}
		containersIn(c, each)
	}
}

// The manual pages name every verb, and are the same each time.
func TestManual(t *testing.T) {
	page := culprit(t, "man")
	if page.code != exitOK || page.stdout != culprit(t, "man").stdout {
		t.Fatalf("exit code %d, or two pages: %q", page.code, page.stderr)
	}
	dir := t.TempDir()
	if o := culprit(t, "man", "-o", dir); o.code != exitOK {
		t.Fatal(o.stderr)
	}
	for _, c := range (&app{}).root().Commands() {
		if !strings.Contains(page.stdout, "culprit-"+c.Name()) {
			t.Errorf("the page does not name %s", c.Name())
		}
		if _, err := os.Stat(filepath.Join(dir, "culprit-"+c.Name()+".1")); err != nil {
			t.Error(err)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if o := culprit(t, "completion", shell); o.code != exitOK || !strings.Contains(o.stdout, "culprit") {
			t.Errorf("%s: exit code %d", shell, o.code)
		}
	}
}
