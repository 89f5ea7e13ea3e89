package prometheus

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A file testdata/*.prom is the text that a real program answered to a scrape,
// with the program, its version and how it was run in its first lines. As a
// past, what it counted was counted evenly over the ten minutes before the
// hour, and goes on like that: a counter at 600 rises by 1 a second.

var sampleLine = regexp.MustCompile(`^([^{\s]+)(?:\{(.*)\})?\s+(\S+)(?:\s+\S+)?$`)

// scraped adds what the catalogue knows of a recorded text, under a target's labels.
func (p *past) scraped(t testing.TB, file, target string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{} // family: what its TYPE line says
	known := builtinCatalogue(t).knownNames()
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 4 && words[1] == "TYPE" {
			kinds[words[2]] = words[3]
		}
		m := sampleLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || len(indexNames(known, []string{m[1]})) == 0 && !exporterInfo.MatchString(m[1]) {
			continue
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
		series := m[1] + "{" + strings.Trim(strings.Join([]string{target, strings.TrimSuffix(m[2], ",")}, ","), ",") + "}"
		if counts(m[1], kinds) {
			p.add(series, func(i int) (float64, bool) { return v * float64(i+40) / 40, true })
		} else {
			p.gauge(series, v)
		}
	}
}

// counts reports whether a sample is a count that only rises. Where nobody
// says so, as in texts without types, its name does.
func counts(name string, kinds map[string]string) bool {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && slices.Contains([]string{"histogram", "summary"}, kinds[base]) {
			return true
		}
	}
	switch kinds[name] {
	case "counter", "untyped":
		return true
	case "":
		return slices.ContainsFunc([]string{"_total", "_bucket", "_sum", "_count"}, func(s string) bool { return strings.HasSuffix(name, s) })
	}
	return false
}
