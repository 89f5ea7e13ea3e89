package loadtest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// k6Stream finds the file of points that the command itself asks for, in the
// arguments or the environment.
func k6Stream(args []string, fromEnv string) string {
	var outputs []string
	for i, a := range args {
		switch {
		case (a == "--out" || a == "-o") && i+1 < len(args):
			outputs = append(outputs, args[i+1])
		case strings.HasPrefix(a, "--out="):
			outputs = append(outputs, strings.TrimPrefix(a, "--out="))
		}
	}
	for _, o := range append(outputs, strings.Split(fromEnv, ",")...) {
		kind, path, ok := strings.Cut(strings.TrimSpace(o), "=")
		if ok && (kind == "json" || kind == "csv") && path != "" && path != "-" {
			return path
		}
	}
	return ""
}

// addStream takes what the summary does not hold: the modules with their
// times, and every request name.
func (c *Command) addStream(run *evidence.LoadRun) *evidence.Gap {
	if c.stream == "" {
		return nil
	}
	read, err := readFile(c.stream, c.run.Start)
	if err != nil {
		return &evidence.Gap{Source: sourceName, Kinds: []evidence.Kind{evidence.LoadRequestStats},
			Reason: fmt.Sprintf("reading the points of %s: %v", c.tool, err), Remedy: "give the file with --load"}
	}
	if len(read.Requests) > len(run.Requests) {
		run.Requests = read.Requests
	}
	run.Modules = read.Modules
	run.Dropped = max(run.Dropped, read.Dropped)
	run.Notes = append(run.Notes, read.Notes...)
	return nil
}

// prepareGatling knows where Gatling's ways to be started put their results: a
// folder for each run. Nothing is added to the command.
func (c *Command) prepareGatling(home string) {
	named := slices.ContainsFunc(c.args, func(a string) bool { return strings.Contains(strings.ToLower(filepath.Base(a)), "gatling") })
	if !named {
		return
	}
	program := c.tool
	c.tool = "gatling"
	if dir := cmp.Or(flagValue(c.args, "-rf"), flagValue(c.args, "--results-folder")); dir != "" {
		c.roots = []string{dir}
		return
	}
	if program == "gatling" {
		c.roots = []string{filepath.Join(cmp.Or(home, filepath.Join(filepath.Dir(c.args[0]), "..")), "results")}
		return
	}
	c.roots = []string{filepath.Join("target", "gatling"), filepath.Join("build", "reports", "gatling")} // Maven, sbt and npm; Gradle
}

// newestResult finds what the run that began at start left: the log where it
// can be read, else the statistics of the report. "" for none.
func newestResult(roots []string, start time.Time) string {
	for _, name := range []string{gatlingLog, gatlingStats} {
		newest, at := "", start
		for _, root := range roots {
			found, _ := filepath.Glob(filepath.Join(root, "*", filepath.FromSlash(name))) // fails on a bad pattern only
			for _, path := range found {
				info, err := os.Stat(path)
				if err == nil && !info.ModTime().Before(at) && (name != gatlingLog || isText(path)) {
					newest, at = path, info.ModTime()
				}
			}
		}
		if newest != "" {
			return newest
		}
	}
	return ""
}

// isText tells a log that can be read from the binary one of later versions.
func isText(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len("RUN\t"))
	n, _ := f.Read(head)
	return string(head[:n]) == "RUN\t"
}
