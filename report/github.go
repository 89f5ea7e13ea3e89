package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/culprit-rca/culprit/rules"
)

// annotationsPerKind is what GitHub shows of a step; more are dropped there in
// silence.
const annotationsPerKind = 10

// writeGitHub is workflow commands: an error for every cause, a warning for
// every gap, a notice for the verdict. The summary of a step is the md format.
func writeGitHub(w io.Writer, r *Report) error {
	var b strings.Builder
	kind := "notice"
	if r.Verdict.Status == rules.RunUnusable || r.Verdict.Status == rules.Inconclusive {
		kind = "warning"
	}
	command(&b, kind, "culprit: "+statusWord(r), r.Verdict.Headline)
	if o := r.Objectives; o != nil && !o.Passed {
		command(&b, "error", "objectives missed", o.Reason)
	}
	for i, c := range first(r.Causes, annotationsPerKind) {
		text := nowThen(c.Impact) + " Evidence " + scoreText(c.Score) + "."
		if len(c.Remedy) > 0 {
			text += "\n" + c.Remedy[0]
		}
		if left := len(r.Causes) - annotationsPerKind; i == annotationsPerKind-1 && left > 0 {
			text += fmt.Sprintf("\n%d more causes are in the report.", left)
		}
		command(&b, "error", fmt.Sprintf("%d. %s: %s", c.Rank, c.Title, entityText(c.Subject)), text)
	}
	for _, g := range first(r.gaps(), annotationsPerKind-1) {
		command(&b, "warning", "could not be seen: "+g.Source, g.Reason+"\n"+g.Remedy)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// command escapes as the runner unescapes: percent and line ends everywhere,
// colon and comma in properties too. Nothing in it can end a line.
func command(b *strings.Builder, kind, title, text string) {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	fmt.Fprintf(b, "::%s title=%s::%s\n", kind, property.Replace(title), data.Replace(text))
}
