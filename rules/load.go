package rules

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"text/template"

	"github.com/culprit-rca/culprit/analyzers"
	"go.yaml.in/yaml/v3"
)

//go:embed catalogue/*.yaml
var embedded embed.FS

// Catalogue is a checked set of rules, ordered by id.
type Catalogue struct {
	Rules []*Rule
	// Notes say what a user's directory replaced or switched off; they belong
	// in the report.
	Notes []string
}

// Load reads the built-in catalogue and then the users' directories, in
// order. A rule with a known id replaces it; one with `off: true` removes it.
// The error names the file and what is wrong in it.
func Load(dirs ...string) (*Catalogue, error) {
	c := &Catalogue{}
	sub, err := fs.Sub(embedded, "catalogue")
	if err != nil {
		return nil, err
	}
	if err := c.read(sub, "built-in"); err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		if err := c.read(os.DirFS(dir), dir); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(c.Rules, func(x, y *Rule) int { return cmp.Compare(x.ID, y.ID) })
	return c, nil
}

// Rule by id, or nil.
func (c *Catalogue) Rule(id string) *Rule {
	i := slices.IndexFunc(c.Rules, func(r *Rule) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return c.Rules[i]
}

func (c *Catalogue) read(dir fs.FS, where string) error {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("rules in %s: no *.yaml file there", where)
	}
	for _, name := range names {
		r, err := readRule(dir, name)
		if err != nil {
			return fmt.Errorf("rule %s: %w", path.Join(where, name), err)
		}
		c.add(r, where)
	}
	return nil
}

// maxRuleBytes bounds one rule file; the largest of ours has 4 kB.
const maxRuleBytes = 1 << 20

func readRule(dir fs.FS, name string) (*Rule, error) {
	text, err := readBounded(dir, name)
	if err != nil {
		return nil, err
	}
	return ParseRule(text)
}

func readBounded(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRuleBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxRuleBytes {
		return nil, fmt.Errorf("larger than %d bytes", maxRuleBytes)
	}
	return text, nil
}

// ParseRule reads one rule, strictly: an unknown key is an error, and so is a
// finding that no analyzer reports.
func ParseRule(text []byte) (*Rule, error) {
	r := &Rule{}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(r); err != nil {
		return nil, err
	}
	return r, r.validate()
}

// add puts a rule in, or in the place of one with its id.
func (c *Catalogue) add(r *Rule, where string) {
	i := slices.IndexFunc(c.Rules, func(o *Rule) bool { return o.ID == r.ID })
	switch {
	case i < 0 && r.Off:
		return
	case i < 0:
		c.Rules = append(c.Rules, r)
	case r.Off:
		c.Rules = slices.Delete(c.Rules, i, i+1)
		c.Notes = append(c.Notes, fmt.Sprintf("rule %s is switched off by %s", r.ID, where))
	default:
		c.Rules[i] = r
		c.Notes = append(c.Notes, fmt.Sprintf("rule %s is replaced by the one in %s", r.ID, where))
	}
}

func (r *Rule) validate() error {
	if r.Off && r.ID != "" {
		return nil
	}
	var errs []error
	for _, need := range []struct{ name, value string }{{"id", r.ID}, {"title", r.Title}, {"doc", r.Doc}, {"subject", r.Subject.String()}, {"verify", r.Verify}, {"not-when", r.NotWhen}} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.name))
		}
	}
	if len(r.When) == 0 {
		errs = append(errs, errors.New("when is empty: a cause needs a condition"))
	}
	if !slices.Contains([]As{AsCause, AsHousekeeping, AsRunFlaw}, r.As) {
		errs = append(errs, fmt.Errorf("as %q is not one of housekeeping, run-flaw (a cause leaves it out)", r.As))
	}
	if len(r.Remedy) == 0 {
		errs = append(errs, errors.New("remedy is empty"))
	}
	known := knownFindings()
	for _, k := range r.Subject {
		if !known[k] {
			errs = append(errs, fmt.Errorf("subject: no analyzer finds %q", k))
		}
	}
	for _, c := range slices.Concat(r.When, r.For, r.Against) {
		errs = append(errs, c.validate(known))
	}
	for _, text := range append(slices.Clone(r.Remedy), r.Verify, r.NotWhen) {
		if _, err := parseText(text); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Condition) validate(known map[analyzers.Kind]bool) error {
	switch {
	case !known[c.Finding]:
		return fmt.Errorf("condition: no analyzer finds %q", c.Finding)
	case c.From == c.To:
		return fmt.Errorf("condition on %s: from and to are equal, so that it has no slope", c.Finding)
	case c.Weight < 0 || c.Weight > 1:
		return fmt.Errorf("condition on %s: weight %g is not within 0..1", c.Finding, c.Weight)
	case !slices.Contains([]string{"", "same", "service", "operation", "resource", "any"}, c.On):
		return fmt.Errorf("condition on %s: on %q is not one of same, service, operation, resource, any", c.Finding, c.On)
	}
	return nil
}

func knownFindings() map[analyzers.Kind]bool {
	known := map[analyzers.Kind]bool{}
	for _, a := range analyzers.All() {
		for _, k := range a.Finds {
			known[k] = true
		}
	}
	return known
}

// parseText reads a sentence with {{.fact}} holes. A fact that is not known
// leaves "?", which the writer of a rule avoids with {{if .fact}}.
func parseText(text string) (*template.Template, error) {
	return template.New("").Option("missingkey=zero").Parse(text)
}

// fill puts a finding's facts into a rule's sentence.
func fill(text string, facts map[string]string) string {
	t, err := parseText(text)
	if err != nil {
		return text // cannot happen: validated at load
	}
	var b bytes.Buffer
	if err := t.Execute(&b, facts); err != nil {
		return text
	}
	return b.String()
}
