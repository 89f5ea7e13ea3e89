package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func render(t testing.TB, f Format, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, s := range samples() {
		for _, f := range Formats {
			t.Run(s.name+"/"+f.Name, func(t *testing.T) {
				got := render(t, f.Write, s.report())
				golden(t, filepath.Join("testdata", s.name+"-"+f.File), got)
			})
		}
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./report -update writes it", err)
	}
	if got != string(want) {
		t.Errorf("%s differs from line %d on; go test ./report -update takes it over", path, firstDifference(got, string(want)))
	}
}

func firstDifference(a, b string) int {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return i + 1
		}
	}
	return min(len(x), len(y)) + 1
}

// Every format made from report.json read again is the same, byte for byte.
func TestReadGivesTheSameReport(t *testing.T) {
	for _, s := range samples() {
		r := s.report()
		again, err := Read(strings.NewReader(render(t, writeJSON, r)))
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		for _, f := range Formats {
			if render(t, f.Write, r) != render(t, f.Write, again) {
				t.Errorf("%s: %s differs when made from report.json", s.name, f.Name)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"no report": {`{"a":1}`, "no schema_version"},
		"newer":     {`{"schema_version":2}`, "schema_version 2 is newer"},
		"cut short": {`{"schema_version":1,"causes":[`, "unexpected EOF"},
		"html":      {`<html>`, "invalid character"},
	} {
		if _, err := Read(strings.NewReader(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := Read(strings.NewReader(`{"schema_version":1,"window":{"start":"2026-11-20T14:02:00Z","end":"2026-11-20T14:03:00Z"},"new_field":[{"x":1}]}`)); err != nil {
		t.Errorf("an unknown field is refused: %v", err)
	}
}

// Building a report leaves the evidence as it was, so that it can be judged
// and written again.
func TestBuildCopies(t *testing.T) {
	s := severalCauses()
	s.judged.Causes[0].Finding.Text = "a\x1b[31mb"
	first := render(t, writeJSON, s.report())
	if s.judged.Causes[0].Finding.Text != "a\x1b[31mb" {
		t.Error("the finding was changed")
	}
	if render(t, writeJSON, s.report()) != first {
		t.Error("a second report differs")
	}
}

// Whatever a file says, what can be read can be shown.
func FuzzRead(f *testing.F) {
	for _, s := range samples() {
		f.Add(render(f, writeJSON, s.report()))
	}
	f.Add(`{"schema_version":1,"causes":[{"explains":[9,-1],"charts":[{"lines":[{"t":[1],"v":[]},{"t":[2,1],"v":[-1e308,1e308]}]}],"traces":[{"id":"ab","spans":[{"depth":-3,"start_s":-1e300}]}],"impact":{"now_s":-1}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, o := range Formats {
			render(t, o.Write, r)
		}
	})
}
