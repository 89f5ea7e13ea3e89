package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func onTerminal(t *testing.T, r *Report, width int, colour bool) string {
	t.Helper()
	var b bytes.Buffer
	if err := writeText(Terminal{Writer: &b, Width: width, Colour: colour}, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]+m")

// Colour adds nothing but colour, and only where it may be used.
func TestColourIsLooksAlone(t *testing.T) {
	for _, s := range samples() {
		r := s.report()
		plain, coloured := onTerminal(t, r, 100, false), onTerminal(t, r, 100, true)
		if strings.Contains(plain, "\x1b") {
			t.Errorf("%s: colour where there should be none", s.name)
		}
		if coloured == plain || sgr.ReplaceAllString(coloured, "") != plain {
			t.Errorf("%s: coloured text differs in more than colour", s.name)
		}
		if render(t, writeText, r) != plain {
			t.Errorf("%s: a file differs from a terminal of 100 columns", s.name)
		}
		for l := range strings.Lines(coloured) {
			if strings.Count(l, "\x1b[")%2 != 0 || strings.Contains(l, "\x1b[") && !strings.Contains(l, "\x1b[0m") {
				t.Errorf("%s: colour runs over the end of %q", s.name, l)
			}
		}
	}
}

// No text that came from outside becomes an escape sequence of its own.
func TestTerminalStaysTheReports(t *testing.T) {
	r := severalCauses().report()
	for _, text := range corpus {
		for _, code := range regexp.MustCompile("\x1b[^m]*m?").FindAllString(onTerminal(t, poisoned(r, orHarmless(text)), 100, true), -1) {
			if !sgr.MatchString(code) {
				t.Errorf("%.30q: %q", text, code)
			}
		}
	}
}

// Lines end at the width of the terminal, but for a word that is longer.
func TestTextIsAsWideAsTheTerminal(t *testing.T) {
	for _, width := range []int{60, 80, 100, 140} {
		for _, s := range samples() {
			for l := range strings.Lines(onTerminal(t, s.report(), width, false)) {
				l = strings.TrimRight(l, "\n")
				longest := 0
				for _, word := range strings.Fields(l) {
					longest = max(longest, utf8.RuneCountInString(word))
				}
				if n := utf8.RuneCountInString(l); n > max(width, 80) && n > longest+8 {
					t.Errorf("%s: %d of %d columns: %s", s.name, n, width, l)
				}
			}
		}
	}
}
