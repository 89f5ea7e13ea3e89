package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/culprit-rca/culprit/collectors"
)

// progress shows how a collection goes: on a terminal one live line a source,
// elsewhere one line a source when it has ended. It is safe for concurrent use.
type progress struct {
	mu      sync.Mutex
	out     io.Writer
	live    bool
	colour  bool
	width   int
	began   time.Time
	now     func() time.Time
	sources []*sourceLine // in order of appearance
	drawn   int           // live lines on the screen
	last    time.Time     // of the last drawing
}

type sourceLine struct {
	name  string
	event collectors.Event
	began time.Time
	took  time.Duration
}

// redrawEvery keeps a chatty collector from flooding the terminal.
const redrawEvery = 100 * time.Millisecond

func (a *app) newProgress() *progress {
	live := isTerminal(a.stderr)
	return &progress{out: a.stderr, live: live, colour: live && os.Getenv("NO_COLOR") == "", width: terminalWidth(a.stderr), now: a.now, began: a.now()}
}

// isTerminal holds for a character device that is not the null device, unless
// the environment says that nobody watches.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("CI") != "" || os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// terminalWidth believes COLUMNS, then the terminal, else the narrowest that is
// usual.
func terminalWidth(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= 20 {
		return n
	}
	if f, ok := w.(*os.File); ok {
		if n := columnsOf(f); n >= 20 {
			return n
		}
	}
	return 80
}

// Report takes one event. What comes after a source's end is dropped: both
// the collector and the runner may say that it has ended.
func (p *progress) Report(e collectors.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := p.line(e.Source)
	if line.event.End {
		return
	}
	if e.End && e.Text == "" {
		e.Text = line.event.Text
	}
	line.event, line.took = e, p.now().Sub(line.began)
	switch {
	case p.live && (e.End || p.now().Sub(p.last) >= redrawEvery):
		p.draw()
	case !p.live && e.End:
		fmt.Fprintln(p.out, line.text(false))
	}
}

func (p *progress) line(name string) *sourceLine {
	for _, l := range p.sources {
		if l.name == name {
			return l
		}
	}
	l := &sourceLine{name: name, began: p.now()}
	p.sources = append(p.sources, l)
	return l
}

// draw writes the block of lines over itself.
func (p *progress) draw() {
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	for _, l := range p.sources {
		b.WriteString("\r\x1b[2K" + clip(l.text(true), p.width-1) + "\n")
	}
	text := b.String()
	if p.colour {
		text = strings.ReplaceAll(text, " failed: ", " \x1b[31mfailed\x1b[0m: ")
	}
	fmt.Fprint(p.out, text)
	p.drawn, p.last = len(p.sources), p.now()
}

// text of a line: source, what it has, seconds, and the time left where the
// number of items is known.
func (l *sourceLine) text(live bool) string {
	e := l.event
	what := e.Text
	if e.Err != nil {
		what = "failed: " + e.Err.Error()
	}
	if live && !e.End && e.Done > 0 && e.Total >= e.Done {
		left := time.Duration(float64(l.took) / float64(e.Done) * float64(e.Total-e.Done))
		what += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return fmt.Sprintf("%-10s %s (%.1f s)", l.name, printable(what), l.took.Seconds())
}

// Say writes a line of its own above the live ones.
func (p *progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.out, printable(fmt.Sprintf(format, args...)))
	p.drawn = 0
}

// Restart forgets the sources: another phase begins.
func (p *progress) Restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live && len(p.sources) > 0 {
		p.draw()
	}
	p.sources, p.drawn = nil, 0
}

// printable keeps control characters of servers off the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
}

func clip(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return s
}
