package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Slack refuses a message whose blocks are together longer than about 13,000
// characters, or one section longer than 3,000.
const (
	slackBudget  = 10_000
	slackSection = 2_900
	slackCauses  = 5
)

type slackMessage struct {
	Text   string       `json:"text"` // for notifications
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type string    `json:"type"`
	Text slackText `json:"text"`
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// writeSlack is the body of an incoming webhook: what a channel needs to know,
// and that the rest is in the report.
func writeSlack(w io.Writer, r *Report) error {
	m := slackMessage{Text: slackEscape(statusWord(r) + ": " + r.Verdict.Headline)}
	used := 0
	add := func(s string) bool {
		s = shorten(s, slackSection)
		if used += utf8.RuneCountInString(s); used > slackBudget-200 {
			return false
		}
		m.Blocks = append(m.Blocks, slackBlock{"section", slackText{"mrkdwn", s}})
		return true
	}
	add("*" + slackEscape(statusWord(r)) + "*\n" + slackEscape(shorten(r.Verdict.Headline, 600)) + "\n" + slackEscape(r.windowText(r.Window)))
	shown := 0
	for shown < min(len(r.Causes), slackCauses) && add(slackCause(r.Causes[shown])) {
		shown++
	}
	if left := len(r.Causes) - shown; left > 0 {
		m.Blocks = append(m.Blocks, slackBlock{"section", slackText{"mrkdwn", fmt.Sprintf("%d more causes are in the report.", left)}})
	} else if n := len(r.gaps()); n > 0 {
		add(fmt.Sprintf("What could not be seen is in the report: %d of what was asked for.", n))
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(m)
}

func slackCause(c Cause) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d. %s* %s\n", c.Rank, slackEscape(c.Title), slackCode(entityText(c.Subject)))
	fmt.Fprintf(&b, "%s Evidence: %s.\n", slackEscape(nowThen(c.Impact)), scoreText(c.Score))
	for _, s := range c.Remedy {
		b.WriteString("• " + slackProse(shorten(s, 500)) + "\n")
	}
	return b.String()
}

// slackProse is text with code between backticks.
func slackProse(s string) string {
	var b strings.Builder
	for _, p := range pieces(s) {
		if p.Code {
			b.WriteString(slackCode(p.Text))
			continue
		}
		b.WriteString(slackEscape(p.Text))
	}
	return b.String()
}

var slackControls = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "ˋ", "\n", " ")

// slackEscape makes text inert in mrkdwn. Its three control characters have
// escapes; the formatting characters have none: they are shown by look-alikes,
// or kept from standing at the edge of a word, where alone they mean something.
func slackEscape(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case r == '*':
			r = '∗'
		case r == '~':
			r = '∼'
		}
		b.WriteRune(r)
		if r == '@' || r == '_' && !(inWord(runes, i-1) && inWord(runes, i+1)) {
			b.WriteRune(wordBreak)
		}
	}
	return slackControls.Replace(b.String())
}

func slackCode(s string) string {
	if s == "" {
		return ""
	}
	return "`" + slackControls.Replace(shorten(s, 300)) + "`"
}
