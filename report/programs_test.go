package report

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The formats for programs keep their shape whatever the text: shape is what
// their own parser sees, without the values.
func TestHostileTextKeepsTheShapeOfFormats(t *testing.T) {
	shapes := map[string]func(testing.TB, string) string{"csv": csvShape, "junit": xmlShape, "sarif": jsonShape, "slack": slackShape, "json": jsonShape, "github": githubShape, "openmetrics": metricsShape}
	r := severalCauses().report()
	for name, shape := range shapes {
		f, ok := FormatNamed(name)
		if !ok {
			t.Fatalf("no format %s", name)
		}
		want := shape(t, render(t, f.Write, poisoned(r, "harmless")))
		for _, text := range corpus {
			if got := shape(t, render(t, f.Write, poisoned(r, orHarmless(text)))); got != want {
				t.Errorf("%s: %.40q changes the shape: %s", name, text, difference(got, want))
			}
		}
	}
}

func csvShape(t testing.TB, s string) string {
	rows, err := csv.NewReader(strings.NewReader(s)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintln(&b, len(row))
		for _, v := range row {
			if _, err := strconv.ParseFloat(v, 64); err != nil && v != "" && strings.ContainsAny(v[:1], "=+-@\t\r") {
				t.Errorf("a spreadsheet takes %.40q for a formula", v)
			}
		}
	}
	return b.String()
}

func xmlShape(t testing.TB, s string) string {
	var b strings.Builder
	dec := xml.NewDecoder(strings.NewReader(s))
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			fmt.Fprintln(&b, e.Name.Local, len(e.Attr))
		}
	}
}

func jsonShape(t testing.TB, s string) string {
	var b strings.Builder
	dec := json.NewDecoder(strings.NewReader(s))
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%T\n", token)
	}
}

// In a code span nothing is a mention.
var slackSpan = regexp.MustCompile("`[^`]*`")

// slackShape also holds the message to Slack's limits and to no mention, link
// or command.
func slackShape(t testing.TB, s string) string {
	var m slackMessage
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, block := range m.Blocks {
		n := len([]rune(block.Text.Text))
		if total += n; n > 3000 {
			t.Errorf("a section of %d characters", n)
		}
		if strings.ContainsAny(block.Text.Text, "<>") || strings.Contains(slackSpan.ReplaceAllString(block.Text.Text, ""), "@e") {
			t.Errorf("a mention, link or command: %.200s", block.Text.Text)
		}
	}
	if total > slackBudget {
		t.Errorf("%d characters", total)
	}
	return ""
}

var workflowCommand = regexp.MustCompile(`^::(notice|warning|error) title=[^:,]+::[^\r]*$`)

func githubShape(t testing.TB, s string) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		m := workflowCommand.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
		if m == nil {
			t.Fatalf("not a command: %.200q", l)
		}
		fmt.Fprintln(&b, m[1])
	}
	return b.String()
}

var metricsLine = regexp.MustCompile(`^(# (TYPE|UNIT|HELP) .*|# EOF|[a-z0-9_]+(\{([a-z]+="([^"\\]|\\.)*",?)+\})? -?[0-9.]+)$`)

func metricsShape(t testing.TB, s string) string {
	seen := map[string]bool{}
	for l := range strings.Lines(s) {
		l = strings.TrimSuffix(l, "\n")
		series, _, _ := strings.Cut(l, "} ")
		if !metricsLine.MatchString(l) || seen[series] && !strings.HasPrefix(l, "#") {
			t.Errorf("not a sample, or one that was there: %.200q", l)
		}
		seen[series] = true
	}
	if !strings.HasSuffix(s, "# EOF\n") {
		t.Error("no end")
	}
	return ""
}

func TestJUnitCountsAgree(t *testing.T) {
	for name, want := range map[string]string{"several-causes": `tests="12" failures="5" errors="1" skipped="1"`, "run-unusable": `tests="1" failures="0" errors="1" skipped="0"`, "no-problem": `tests="1" failures="0" errors="0" skipped="0"`} {
		for _, s := range samples() {
			if s.name == name && !strings.Contains(render(t, writeJUnit, s.report()), want) {
				t.Errorf("%s: want %s", name, want)
			}
		}
	}
}
