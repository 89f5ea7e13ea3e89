package report

import (
	"slices"
	"strings"
)

// Words about one cause that several formats share.

// where says where a cause lies, for a ranking: without the instance, which is
// an address more often than a name, unless it alone tells two causes apart.
func (r *Report) where(c Cause) string {
	short := c.Subject
	short.Instance = ""
	for _, o := range r.Causes {
		other := o.Subject
		other.Instance = ""
		if o.Rank != c.Rank && o.Rule == c.Rule && other == short {
			return entityText(c.Subject)
		}
	}
	return or(entityText(short), entityText(c.Subject))
}

// actionRunes bounds what a ranking says of a remedy.
const actionRunes = 160

// action is the first sentence of what to do, for a ranking.
func (c *Cause) action() string {
	if len(c.Remedy) == 0 {
		return ""
	}
	text := c.Remedy[0]
	if i := strings.Index(text, ". "); i > 0 {
		text = text[:i+1]
	}
	if strings.Count(text, "`")%2 != 0 || len([]rune(text)) > actionRunes {
		text = shorten(strings.ReplaceAll(text, "`", "'"), actionRunes)
	}
	return text
}

// pros and cons split an account by what was asked: signs that should be
// there, and signs that should not. What the cause's own sentence says, and
// what two conditions read off the same finding, is not said again.
func (c Cause) pros() []Evidence { return c.lines(true) }
func (c Cause) cons() []Evidence { return c.lines(false) }

func (c Cause) lines(pro bool) []Evidence {
	var out []Evidence
	for _, e := range c.Evidence {
		said := e.Text == c.Finding && len(e.Warnings) == 0 ||
			slices.ContainsFunc(out, func(o Evidence) bool { return o.Text == e.Text && o.Verdict == e.Verdict })
		if e.For == pro && !said {
			out = append(out, e)
		}
	}
	return out
}

// proof is the query that shows a cause: that of its own finding, which comes
// first; nil where there is none.
func (c *Cause) proof() *Query {
	if len(c.Queries) == 0 {
		return nil
	}
	return &c.Queries[0]
}

func (c *Cause) otherQueries() []Query {
	if len(c.Queries) < 2 {
		return nil
	}
	return c.Queries[1:]
}

// tally says how many of an account's lines support, oppose and are unknown.
func (c Cause) tally() (support, against, unknown int) {
	var seen []Evidence
	for _, e := range c.Evidence {
		if slices.ContainsFunc(seen, func(o Evidence) bool { return o.For == e.For && o.Text == e.Text && o.Verdict == e.Verdict }) {
			continue // two conditions read off one sentence: one piece of evidence
		}
		seen = append(seen, e)
		switch verdictMark(e) {
		case "+":
			support++
		case "−":
			against++
		default:
			unknown++
		}
	}
	return
}
