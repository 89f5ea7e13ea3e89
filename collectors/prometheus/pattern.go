package prometheus

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pattern makes a field of an Entity from labels: "{a|b} {c}" is the value of
// label a, or where that is empty of b, a space and the value of c. A choice
// in quotes is a literal: "{pool|'default'}".
type pattern struct {
	text  string
	parts []part
}

// part is literal text, or the choices of a label.
type part struct {
	literal string
	choices []string
}

var hole = regexp.MustCompile(`\{([^{}]+)\}`)

func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	at := 0
	for _, m := range hole.FindAllStringSubmatchIndex(text, -1) {
		if m[0] > at {
			p.parts = append(p.parts, part{literal: text[at:m[0]]})
		}
		p.parts = append(p.parts, part{choices: strings.Split(text[m[2]:m[3]], "|")})
		at = m[1]
	}
	if at < len(text) {
		p.parts = append(p.parts, part{literal: text[at:]})
	}
	for _, x := range p.parts {
		if strings.ContainsAny(x.literal, "{}") {
			return p, fmt.Errorf("pattern %q: a brace is not closed", text)
		}
	}
	return p, nil
}

// mustPattern is for patterns in this package's source.
func mustPattern(text string) pattern {
	p, err := parsePattern(text)
	if err != nil {
		panic(err)
	}
	return p
}

// UnmarshalYAML reads a pattern from a string.
func (p *pattern) UnmarshalYAML(n *yaml.Node) error {
	var text string
	if err := n.Decode(&text); err != nil {
		return err
	}
	parsed, err := parsePattern(text)
	*p = parsed
	return err
}

func (p pattern) empty() bool { return len(p.parts) == 0 }

// or gives p, or where p was not set the default.
func (p pattern) or(byDefault pattern) pattern {
	if p.empty() {
		return byDefault
	}
	return p
}

// labels that the pattern reads.
func (p pattern) labels() []string {
	var out []string
	for _, x := range p.parts {
		for _, c := range x.choices {
			if !strings.HasPrefix(c, "'") && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// fill takes the values from get; white space left by empty labels goes.
func (p pattern) fill(get func(label string) string) string {
	var b strings.Builder
	for _, x := range p.parts {
		b.WriteString(x.literal)
		for _, c := range x.choices {
			value := strings.Trim(c, "'")
			if value == c {
				value = get(c)
			}
			if value != "" {
				b.WriteString(value)
				break
			}
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
