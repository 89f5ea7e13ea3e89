package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schema.json
var schemaJSON []byte

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaJSON))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJSONKeepsItsSchema(t *testing.T) {
	schema := compiledSchema(t)
	for _, s := range append(samples(), wide(30)) {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(render(t, writeJSON, s.report())))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	schema := compiledSchema(t)
	for name, change := range map[string][2]string{
		"a verdict that is none": {`"causes-found"`, `"guilty"`},
		"a score above 1":        {`"score": 0.91`, `"score": 1.91`},
		"a missing fingerprint":  {`"fingerprint"`, `"finger"`},
	} {
		text := render(t, writeJSON, severalCauses().report())
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(text, change[0], change[1], 1)))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(doc) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// Every field of a report is described in the schema, so that a new one cannot
// be forgotten there.
func TestSchemaNamesEveryField(t *testing.T) {
	var doc any
	if err := json.Unmarshal(schemaJSON, &doc); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	collectProperties(doc, named)
	for _, f := range jsonFields(reflect.TypeFor[Report](), nil) {
		if !named[f] {
			t.Errorf("schema.json does not describe %q", f)
		}
	}
}

func collectProperties(v any, out map[string]bool) {
	switch x := v.(type) {
	case map[string]any:
		for k, v := range x {
			if props, ok := v.(map[string]any); ok && k == "properties" {
				for name := range props {
					out[name] = true
				}
			}
			collectProperties(v, out)
		}
	case []any:
		for _, v := range x {
			collectProperties(v, out)
		}
	}
}

func jsonFields(t reflect.Type, seen []reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return jsonFields(t.Elem(), seen)
	case reflect.Struct:
	default:
		return nil
	}
	if t == reflect.TypeFor[time.Time]() || slices.Contains(seen, t) {
		return nil
	}
	var out []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		out = append(out, name)
		out = append(out, jsonFields(t.Field(i).Type, append(seen, t))...)
	}
	return out
}
