package report

import (
	"io"
	"strings"
)

// Terminal is a writer for a format that knows how to suit a screen. Where
// text goes elsewhere it is plain, and as wide as textWidth.
type Terminal struct {
	io.Writer
	Width  int  // columns; 0 is textWidth
	Colour bool // may be used
}

// Widths between which lines are broken: narrower cannot be read as a table,
// wider not as prose.
const (
	narrowest = 40
	broadest  = 160
)

// terminalOf is what is known of a writer.
func terminalOf(w io.Writer) Terminal {
	t, ok := w.(Terminal)
	if !ok || t.Width == 0 {
		t.Width = textWidth
	}
	t.Width = min(max(t.Width, narrowest), broadest)
	return t
}

// ink is how a piece of text stands out, as parameters of the terminal's SGR
// sequence. Every ink goes with a word or a sign that says the same.
type ink string

const (
	bold   ink = "1"
	red    ink = "31"
	green  ink = "32"
	yellow ink = "33"
	soft   ink = "2"
)

// paint adds colour where it may be used.
func (t Terminal) paint(s string, inks ...ink) string {
	if !t.Colour || strings.TrimSpace(s) == "" {
		return s
	}
	codes := make([]string, len(inks))
	for i, k := range inks {
		codes[i] = string(k)
	}
	return "\x1b[" + strings.Join(codes, ";") + "m" + s + "\x1b[0m"
}
