package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/culprit-rca/culprit"

// room is what a package may import: ours by path below the module, third
// parties by prefix. Tests may import what they need.
type room struct{ ours, third []string }

var (
	source      = []string{"collectors", "collectors/evidence"}
	httpClients = []string{"github.com/prometheus/common/", "github.com/cenkalti/backoff/"}
)

// floorPlan is the import plan of the house. A folder below one that is listed
// with a trailing slash belongs to it.
var floorPlan = map[string]room{
	"collectors/evidence":   {},
	"collectors":            {ours: []string{"collectors/evidence"}},
	"collectors/prometheus": {source, append([]string{"go.yaml.in/yaml/", "google.golang.org/protobuf/"}, httpClients...)},
	"collectors/traces":     {source, append([]string{"go.opentelemetry.io/collector/pdata/", "github.com/jaegertracing/jaeger-idl/", "google.golang.org/", "github.com/klauspost/compress/"}, httpClients...)},
	"collectors/postgres":   {source, []string{"github.com/jackc/pgx/"}},
	"collectors/grafana":    {source, append([]string{"golang.org/x/net/"}, httpClients...)},
	"collectors/loadtest":   {ours: source},
	"collectors/bundle":     {source, []string{"go.opentelemetry.io/collector/pdata/", "github.com/klauspost/compress/"}},
	"analyzers":             {[]string{"collectors/evidence"}, []string{"gonum.org/"}},
	"rules":                 {[]string{"analyzers", "collectors/evidence"}, []string{"go.yaml.in/yaml/"}},
	"report":                {ours: []string{"rules", "analyzers", "collectors/evidence"}},
	"report/archive":        {[]string{"report", "collectors/evidence"}, []string{"github.com/jackc/pgx/", "github.com/klauspost/compress/", "golang.org/x/sys/"}},
	"report/web":            {ours: []string{"report", "report/archive"}},
	"report/notify":         {[]string{"report", "report/archive", "collectors/evidence"}, append([]string{"go.yaml.in/yaml/"}, httpClients...)},
	"report/mcp":            {[]string{"report", "collectors/evidence"}, []string{"github.com/modelcontextprotocol/go-sdk/"}},
	"cmd/culprit/audits":    {[]string{"report", "report/archive", "collectors/evidence"}, []string{"github.com/robfig/cron/", "github.com/prometheus/client_golang/"}},
	"cmd/culprit":           {[]string{"collectors", "collectors/evidence", "collectors/prometheus", "collectors/traces", "collectors/postgres", "collectors/grafana", "collectors/loadtest", "collectors/bundle", "analyzers", "rules", "report", "report/archive", "report/web", "report/notify", "report/mcp", "cmd/culprit/audits"}, []string{"github.com/spf13/", "github.com/prometheus/common/", "github.com/prometheus/client_golang/", "github.com/prometheus/exporter-toolkit/", "go.yaml.in/yaml/", "golang.org/x/sys/", "golang.org/x/net/"}},
}

const (
	maxFileLines     = 400
	maxFunctionLines = 60
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

type listed struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	c := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	c.Dir = root(t)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportPlan(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		r, ok := floorPlan[name]
		if !ok {
			t.Errorf("package %s is not in the floor plan", name)
			continue
		}
		seen[name] = true
		for _, imported := range p.Imports {
			if !r.allows(imported) {
				t.Errorf("%s imports %s, which the floor plan does not allow", name, imported)
			}
		}
	}
	for name := range floorPlan {
		if !seen[name] {
			t.Errorf("the floor plan has a room %s that is not there", name)
		}
	}
}

func (r room) allows(imported string) bool {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		return slices.Contains(r.ours, ours)
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // standard library
	}
	return slices.ContainsFunc(r.third, func(prefix string) bool { return strings.HasPrefix(imported+"/", prefix) })
}

func TestTopLevel(t *testing.T) {
	allowed := []string{"cmd", "collectors", "analyzers", "rules", "report", "testdata", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "CONTRIBUTING.md",
		"bin", "out", "culprit"} // the last three are ignored by git
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s has no place at the top level", e.Name())
		}
	}
}

func TestFolderNames(t *testing.T) {
	banned := []string{"internal", "utils", "util", "common", "helpers", "helper", "types", "models", "misc", "pkg"}
	err := fs.WalkDir(os.DirFS(root(t)), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return err
		case strings.HasPrefix(d.Name(), ".") && name != ".", d.Name() == "out", d.Name() == "node_modules":
			return fs.SkipDir
		case slices.Contains(banned, d.Name()):
			t.Errorf("%s: a name that says nothing", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSizes holds files and functions small, and packages documented.
func TestSizes(t *testing.T) {
	for _, p := range packages(t) {
		documented := false
		for _, file := range p.GoFiles {
			name := filepath.Join(p.Dir, file)
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			documented = documented || f.Doc != nil
			short := path.Join(strings.TrimPrefix(p.ImportPath, module+"/"), file)
			if n := fset.File(f.FileStart).LineCount(); n > maxFileLines+1 {
				t.Errorf("%s has %d lines, at most %d", short, n, maxFileLines)
			}
			checkFunctions(t, fset, f, short)
		}
		if !documented {
			t.Errorf("package %s has no comment", p.ImportPath)
		}
	}
}

func checkFunctions(t *testing.T, fset *token.FileSet, f *ast.File, name string) {
	t.Helper()
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFunctionLines {
			t.Errorf("%s: %s has %d lines, at most %d", name, fn.Name.Name, n, maxFunctionLines)
		}
	}
}
