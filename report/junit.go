package report

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/culprit-rca/culprit/rules"
)

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Time    string     `xml:"time,attr"`
	Failure *junitNote `xml:"failure"`
	Error   *junitNote `xml:"error"`
	Skipped *junitNote `xml:"skipped"`
}

type junitNote struct {
	Message string `xml:"message,attr,omitempty"` // the schema that Jenkins reads has none for skipped
	Text    string `xml:",chardata"`
}

// writeJUnit has a test case for the verdict and for everything weighed:
// causes fail, what was rejected passes, what could not be weighed is skipped,
// and a run that cannot be judged is an error, never green.
func writeJUnit(w io.Writer, r *Report) error {
	s := junitSuite{Name: "culprit", Time: fmt.Sprintf("%.3f", r.Window.Duration().Seconds()), Stamp: r.Window.Start.UTC().Format("2006-01-02T15:04:05")}
	s.add(junitVerdict(r))
	s.addObjectives(r.Objectives)
	for _, c := range r.Causes {
		s.add(junitCase{Class: "culprit." + c.Rule, Name: c.Title + ": " + entityText(c.Subject), Failure: &junitNote{nowThen(c.Impact), junitText(c)}})
	}
	for _, x := range r.Rejected {
		s.add(junitCase{Class: "culprit." + x.Rule, Name: or(entityText(x.Subject), x.Rule)})
	}
	for _, u := range r.Unweighed {
		s.add(junitCase{Class: "culprit." + u.Analyzer, Name: u.Analyzer, Skipped: &junitNote{Text: "could not be weighed: " + or(kindsText(u.Missing), "no evidence") + " missing"}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", " ")
	if err := enc.Encode(s); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(c junitCase) {
	c.Time = "0"
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

// addObjectives has a test case for each: what could not be judged is an error,
// never green.
func (s *junitSuite) addObjectives(o *Objectives) {
	if o == nil {
		return
	}
	for _, x := range o.Results {
		c := junitCase{Class: "culprit.objective", Name: x.Name}
		switch x.Verdict {
		case ObjectiveMissed:
			c.Failure = &junitNote{Message: fmt.Sprintf("%s is %s, the limit %s", x.Measure, x.figure(x.Value), x.figure(x.Limit)), Text: x.Reason}
		case ObjectiveUnknown:
			c.Error = &junitNote{Message: x.Reason}
		}
		s.add(c)
	}
}

func junitVerdict(r *Report) junitCase {
	c := junitCase{Class: "culprit", Name: "verdict"}
	switch r.Verdict.Status {
	case rules.RunUnusable:
		c.Error = &junitNote{Message: r.Verdict.Headline}
	case rules.NoProblem:
	default:
		c.Failure = &junitNote{Message: r.Verdict.Headline}
	}
	return c
}

func junitText(c Cause) string {
	text := c.Finding + "\n"
	for _, s := range c.Remedy {
		text += "- " + s + "\n"
	}
	return text + "Evidence " + scoreText(c.Score) + "; fingerprint " + c.Fingerprint + "\n"
}
