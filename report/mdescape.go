package report

import (
	"strings"
	"unicode"
)

// How text becomes inert in Markdown. Only what could be read as markup is
// escaped, so that the text stays readable where nobody renders it: on a
// terminal. goldmark and fuzzing hold these functions to it.

// mdText escapes one line of prose, wherever in a line it stands.
func mdText(s string) string { return mdProse(s, true) }

// mdProse escapes prose; atStart says that it may stand at the start of a line,
// where more is markup.
func mdProse(s string, atStart bool) string {
	s = strings.TrimSpace(strings.ReplaceAll(s, "\n", " "))
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case strings.ContainsRune("\\`*<>&|~$", r),
			r == '[' && i == 0,
			r == ']' && (i+1 == len(runes) || strings.ContainsRune("([:", runes[i+1])),
			r == '_' && !(inWord(runes, i-1) && inWord(runes, i+1)),
			r == '!' && i+1 < len(runes) && runes[i+1] == '[',
			r == '!' && i+1 == len(runes),
			atStart && i == 0 && strings.ContainsRune("#+-=:/", r),                                  // the last: GitLab's quick actions
			(r == '!' || r == '%') && i+1 < len(runes) && (inWord(runes, i+1) || runes[i+1] == '"'), // merge request, milestone
			(r == '{' || r == '[') && i+1 < len(runes) && (runes[i+1] == '+' || runes[i+1] == '-'),  // inline diff
			(r == '.' || r == ')') && allDigits(runes[:i]) && (i+1 == len(runes) || runes[i+1] == ' '),
			r == ':' && autolinks(runes, i):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
		if breaksWord(runes, i) {
			b.WriteRune(wordBreak)
		}
	}
	return b.String()
}

// wordBreak has no width: it keeps a mention, an issue number or an address
// without a scheme from becoming a link, where no escape can.
const wordBreak = '\u200b'

func breaksWord(runes []rune, i int) bool {
	next := i+1 < len(runes)
	switch runes[i] {
	case '@', '#':
		return next && inWord(runes, i+1)
	case '.', ':':
		return next && i > 0 && inWord(runes, i-1) && unicode.IsLetter(runes[i+1]) && wwwBefore(runes, i)
	}
	return false
}

// wwwBefore tells "www" or an address's scheme right before i.
func wwwBefore(runes []rune, i int) bool {
	return i >= 3 && strings.EqualFold(string(runes[i-3:i]), "www")
}

// autolinks tells the colon of a scheme.
func autolinks(runes []rune, i int) bool {
	return i+2 < len(runes) && runes[i+1] == '/' && runes[i+2] == '/' || i > 0 && strings.HasSuffix(strings.ToLower(string(runes[max(0, i-6):i])), "mailto") || i >= 4 && strings.EqualFold(string(runes[i-4:i]), "xmpp")
}

func inWord(runes []rune, i int) bool {
	return i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]))
}

func allDigits(runes []rune) bool {
	for _, r := range runes {
		if r < '0' || r > '9' {
			return false
		}
	}
	return len(runes) > 0
}

// mdCode makes a code span whose fence is longer than any run of backticks in
// it. Nothing to say is a dash.
func mdCode(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return "–"
	}
	fence := strings.Repeat("`", longestRun(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// mdCell is mdCode for a table. A pipe cannot be escaped in a code span in
// every dialect: such a text is prose.
func mdCell(s string) string {
	if strings.ContainsAny(s, "|\\") {
		return mdText(s)
	}
	return mdCode(s)
}

// mdTableInline is mdInline for a table, with mdCell's reservation.
func mdTableInline(s string) string {
	if strings.ContainsAny(s, "|\\") {
		return mdText(s)
	}
	return mdInline(s)
}

// mdInline is prose with code between backticks.
func mdInline(s string) string {
	var b strings.Builder
	s = strings.TrimSpace(s)
	for i, p := range pieces(s) {
		if p.Code {
			b.WriteString(mdCode(p.Text))
			continue
		}
		text := mdProse(p.Text, i == 0)
		if i > 0 && text != "" && unicode.IsSpace([]rune(p.Text)[0]) {
			b.WriteByte(' ')
		}
		b.WriteString(text)
		if last := []rune(p.Text); unicode.IsSpace(last[len(last)-1]) {
			b.WriteByte(' ')
		}
	}
	return strings.TrimSpace(b.String())
}

// mdFence makes a fenced block; language is the program's own word.
func mdFence(s, language string) string {
	fence := strings.Repeat("`", max(3, longestRun(s)+1))
	return fence + language + "\n" + strings.TrimRight(s, "\n") + "\n" + fence + "\n"
}

// mdURL makes a checked address fit between angle brackets. An ampersand is
// itself there unless it could begin an entity.
func mdURL(s string) string {
	s = strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20", "\\", "%5C", "\n", "").Replace(s)
	if strings.Contains(s, ";") {
		s = strings.ReplaceAll(s, "&", "&amp;")
	}
	return s
}

func longestRun(s string) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
