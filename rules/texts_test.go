package rules

import (
	"regexp"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// holes that templates leave where a fact is missing.
var hole = regexp.MustCompile("<no value>|``|\\(\\)|  |: *[.,]| [.,;:]|\\bof to\\b|from to")

// code is shown as it is: SQL has dots and brackets of its own.
var code = regexp.MustCompile("`[^`]+`")

// Every text of every rule reads well with all facts that it names, and with
// none of those that it says it can do without.
func TestTextsReadWell(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\.([a-z0-9_]+)`)
	optional := regexp.MustCompile(`\{\{if \.([a-z0-9_]+)\}\}`)
	for _, r := range c.Rules {
		texts := strings.Join(append(r.Remedy, r.Verify, r.NotWhen), "\n")
		all, fewest := map[string]string{}, map[string]string{}
		for _, action := range regexp.MustCompile(`\{\{[^}]*\}\}`).FindAllString(texts, -1) {
			for _, m := range named.FindAllStringSubmatch(action, -1) {
				all[m[1]], fewest[m[1]] = "word", "word"
			}
		}
		for _, m := range optional.FindAllStringSubmatch(texts, -1) {
			delete(fewest, m[1])
		}
		for _, facts := range []map[string]string{all, fewest} {
			h := &Hypothesis{Rule: r, Subject: evidence.Entity{}, Finding: &analyzers.Finding{Facts: facts}}
			h.fillTexts()
			for _, text := range append(h.Remedy, h.Verify, h.NotWhen) {
				if at := hole.FindString(code.ReplaceAllString(text, "`code`")); at != "" || strings.Count(text, "`")%2 != 0 {
					t.Errorf("%s: %q in: %s", r.ID, at, text)
				}
			}
			if len(h.Remedy) == 0 {
				t.Errorf("%s: nothing to do without its optional facts", r.ID)
			}
		}
		for _, s := range append([]string{r.Doc, r.Verify, r.NotWhen}, r.Remedy[0]) {
			if strings.TrimSpace(s) == "" {
				t.Errorf("%s has an empty text", r.ID)
			}
		}
	}
}
