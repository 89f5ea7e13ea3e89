package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/culprit-rca/culprit/collectors/bundle"
)

const pipelines = "deploy/pipelines/"

// scriptsOf takes the shell out of a pipeline's file as its runner would.
func scriptsOf(t *testing.T, file string) (load, gate string) {
	t.Helper()
	text, err := os.ReadFile(pipelines + file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	if file == "Jenkinsfile" {
		for _, m := range regexp.MustCompile(`(?s)'''(.*?)'''`).FindAllStringSubmatch(string(text), -1) {
			found = append(found, m[1])
		}
	} else {
		var doc yaml.Node
		if err := yaml.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		found = shellIn(&doc)
	}
	if len(found) != 2 {
		t.Fatalf("%s: %d scripts, want load and gate: %q", file, len(found), found)
	}
	return found[0], found[1]
}

// shellIn lists what stands under run and script, in order.
func shellIn(n *yaml.Node) (out []string) {
	for i, c := range n.Content {
		key := n.Kind == yaml.MappingNode && i%2 == 1 && (n.Content[i-1].Value == "run" || n.Content[i-1].Value == "script")
		switch {
		case key && c.Kind == yaml.ScalarNode:
			out = append(out, c.Value)
		case key && c.Kind == yaml.SequenceNode:
			for _, line := range c.Content {
				out = append(out, line.Value)
			}
		default:
			out = append(out, shellIn(c)...)
		}
	}
	return out
}

// shell runs a script as a runner does, in a folder with the pipeline's
// configuration, and gives its exit code.
func shell(t *testing.T, dir, bin, script string) (code int, output string) {
	t.Helper()
	c := exec.Command("sh", "-e", "-c", script)
	c.Dir = dir
	c.Env = append(os.Environ(), "PATH="+filepath.Dir(bin)+":"+os.Getenv("PATH"), "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary.md"), "CULPRIT_POSTGRES=postgres://culprit@127.0.0.1:1/x")
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

// build compiles culprit as it is shipped, but for the version stamp.
func build(t *testing.T, dir, source string) string {
	t.Helper()
	path := filepath.Join(dir, "culprit")
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "./cmd/culprit")
	c.Dir = source
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Every example, with the recorded system instead of a live one: the healthy
// run passes and is what later ones are held against; the planted fault, which
// misses by that alone, is exit 3; a run without the operations is exit 4. The
// load's own line reaches the sources: nothing in it is wrong usage.
func TestPipelines(t *testing.T) {
	if testing.Short() {
		t.Skip("builds culprit")
	}
	bin := build(t, t.TempDir(), root(t))
	stub := filepath.Join(filepath.Dir(bin), "k6")
	if err := os.WriteFile(stub, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	blind, err := bundle.ReadFile(recordings + "healthy/run.culprit")
	if err != nil {
		t.Fatal(err)
	}
	blind.Spans, blind.Weights, blind.Histograms, blind.Series = nil, nil, nil, nil
	empty := filepath.Join(t.TempDir(), "blind.culprit")
	if err := bundle.WriteFile(empty, blind); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"gitlab-ci.yml", "github.yml", "Jenkinsfile", "azure-pipelines.yml"} {
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			copyTo(t, pipelines+"culprit.yaml", filepath.Join(dir, "culprit.yaml"))
			load, gate := scriptsOf(t, file)
			for _, step := range []struct {
				run  string
				want int
			}{{recordings + "healthy/run.culprit", exitOK}, {recordings + "n-plus-one/run.culprit", exitGate}, {empty, exitInconclusive}} {
				copyTo(t, step.run, filepath.Join(dir, "out", "run.culprit"))
				if code, out := shell(t, dir, bin, gate); code != step.want {
					t.Errorf("%s: exit code %d, want %d: %s", step.run, code, step.want, out)
				}
			}
			if file == "github.yml" {
				if summary, err := os.ReadFile(filepath.Join(dir, "summary.md")); err != nil || !strings.Contains(string(summary), "Objectives: failed") {
					t.Errorf("summary: %v", err)
				}
			}
			if code, out := shell(t, dir, bin, strings.Replace(load, "-o out", "--settle 0s --timeout 2s -o live", 1)); code != exitFailed || !strings.Contains(out, "nothing is concluded") {
				t.Errorf("load: exit code %d, %s", code, out)
			}
		})
	}
}
