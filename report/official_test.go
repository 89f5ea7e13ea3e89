package report

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// Where the schemas of other people's formats are published as files of a
// module: the OASIS schema of SARIF 2.1.0 (errata 01), and the XSD of JUnit that
// Jenkins reads. They are fetched for the test and are no part of the program.
const (
	sarifModule, sarifFile = "github.com/owenrumney/go-sarif/v3@v3.3.1", "pkg/report/v210/sarif/schema.go"
	junitModule, junitFile = "github.com/yannh/kubeconform@v0.7.0", "fixtures/junit.xsd"
	xmllintPackage         = "xmllint-wasm@5.3.0"
)

// moduleFile reads a file of a module, through the module cache.
func moduleFile(t *testing.T, module, file string) (path string, content []byte) {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // apart from the program's own modules
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if json.Unmarshal(out, &answer) != nil || answer.Dir == "" {
		needs.Missing(t, "go mod download "+module+" brings nothing: "+answer.Error)
	}
	path = filepath.Join(answer.Dir, filepath.FromSlash(file))
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func TestSARIFKeepsTheOfficialSchema(t *testing.T) {
	_, source := moduleFile(t, sarifModule, sarifFile)
	parts := strings.SplitN(string(source), "`", 3)
	if len(parts) != 3 {
		t.Fatal("the schema is not where it was")
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(parts[1]))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("sarif.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text string) error {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		return schema.Validate(doc)
	}
	for _, s := range append(samples(), wide(30)) {
		if err := validate(render(t, writeSARIF, s.report())); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	if validate(strings.Replace(render(t, writeSARIF, severalCauses().report()), `"runs"`, `"walks"`, 1)) == nil {
		t.Error("the schema refuses nothing")
	}
}

// xmllint says in JSON whether each file is valid against a schema.
const xmllint = `const { validateXML } = require('xmllint-wasm');
const fs = require('fs');
const [schema, ...files] = process.argv.slice(1);
(async () => {
  const wrong = [];
  for (const f of files) {
    const r = await validateXML({ xml: [{ fileName: f, contents: fs.readFileSync(f, 'utf8') }], schema: [fs.readFileSync(schema, 'utf8')] });
    if (!r.valid) wrong.push(f.split('/').pop() + ': ' + r.errors.map(e => e.message).join('; '));
  }
  console.log(JSON.stringify(wrong));
})().catch(e => { console.error(String(e)); process.exit(1); });`

func TestJUnitKeepsItsSchema(t *testing.T) {
	node := needs.Program(t, "apt-get install nodejs", "node")
	schema, _ := moduleFile(t, junitModule, junitFile)
	modules := needs.NodeModules(t, xmllintPackage)
	args, dir := []string{"-e", xmllint, schema}, t.TempDir()
	add := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	for _, s := range samples() {
		add(s.name+".xml", render(t, writeJUnit, s.report()))
	}
	add("wrong.xml", `<testsuite><walk/></testsuite>`)
	cmd := exec.Command(node, args...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var wrong []string
	if err := json.Unmarshal(out, &wrong); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	refused := false
	for _, w := range wrong {
		if strings.HasPrefix(w, "wrong.xml") {
			refused = true
			continue
		}
		t.Error(w)
	}
	if !refused {
		t.Error("the schema refuses nothing")
	}
}
