package rules

import (
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/analyzers"
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// op is the operation that the tests' findings slow down.
var op = evidence.Entity{Service: "front", Operation: "GET /list"}

func impact(now, then float64) *analyzers.Impact {
	return &analyzers.Impact{Operation: op, Percentile: 0.95, Now: now, Then: then, Low: (now - then) * 0.9, High: (now - then) * 1.1}
}

func rule(id string, subject analyzers.Kind, explains ...string) *Rule {
	return &Rule{ID: id, Title: id, Subject: Subjects{subject}, Explains: explains, Remedy: []string{"do {{.what}}"},
		When: []Condition{{Finding: subject, From: 1, To: 2}}}
}

func finding(k analyzers.Kind, service string, value float64, i *analyzers.Impact) analyzers.Finding {
	return analyzers.Finding{Kind: k, Entity: evidence.Entity{Service: service}, Value: value, Text: string(k), Impact: i,
		Victims: []evidence.Entity{op}, Facts: map[string]string{"what": "this"}}
}

func slow(p95 float64) *analyzers.Facts {
	s := analyzers.Symptom{Entity: op, P95: p95, Requests: 1000, Slow: true, Why: "slow"}
	return &analyzers.Facts{Symptoms: []analyzers.Symptom{s}, Slow: []analyzers.Symptom{s}}
}

func judge(rules []*Rule, facts *analyzers.Facts, findings ...analyzers.Finding) *Judgement {
	c := &Catalogue{Rules: rules}
	return c.Judge(&evidence.Bundle{}, &analyzers.Result{Facts: facts, Findings: findings})
}

func causes(j *Judgement) string {
	var out []string
	for _, h := range j.Causes {
		s := h.Rule.ID
		for _, v := range h.Explains {
			s += ">" + v.Rule.ID
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestRankedByWhatFixingBuys(t *testing.T) {
	j := judge([]*Rule{rule("small", "a"), rule("large", "b")}, slow(1),
		finding("a", "x", 2, impact(1, 0.8)), finding("b", "y", 2, impact(1, 0.3)))
	if got := causes(j); got != "large small" {
		t.Errorf("causes %q, want the larger gain first", got)
	}
	if j.Status != CausesFound || !strings.Contains(j.Headline, "large") {
		t.Errorf("verdict %s %q", j.Status, j.Headline)
	}
	if got := j.Causes[0].Remedy[0]; got != "do this" {
		t.Errorf("remedy %q: the finding's facts are not filled in", got)
	}
}

func TestVictimsNestUnderTheirCause(t *testing.T) {
	rules := []*Rule{rule("cause", "a", "victim"), rule("victim", "b")}
	j := judge(rules, slow(1), finding("a", "x", 2, impact(1, 0.6)), finding("b", "y", 2, impact(1, 0.3)))
	if got := causes(j); got != "cause>victim" {
		t.Errorf("causes %q, want the victim below its cause though it is louder", got)
	}
	j = judge(rules, slow(1), finding("a", "x", 2, impact(1, 0.93)), finding("b", "y", 2, impact(1, 0.3)))
	if got := causes(j); got != "victim" {
		t.Errorf("causes %q, want no cause a tenth of the victim's size to explain it", got)
	}
}

func TestWhatConcernsOneTableOfADatabaseIsOneCause(t *testing.T) {
	rules := []*Rule{rule("cause", "a", "victim"), rule("victim", "b")}
	at := func(kind analyzers.Kind, table, hurts string, gain float64) analyzers.Finding {
		f := finding(kind, "x", 2, impact(1, gain))
		f.Entity = evidence.Entity{Instance: "db:5432/shop", Resource: table}
		f.Victims = []evidence.Entity{{Service: "s", Operation: hurts}}
		return f
	}
	for table, want := range map[string]string{"t": "cause>victim", "u": "cause victim"} {
		if got := causes(judge(rules, slow(1), at("a", "t", "GET /a", 0.3), at("b", table, "GET /b", 0.4))); got != want {
			t.Errorf("%s beside t: causes %q, want %q", table, got, want)
		}
	}
}

// Who uses up what has run out is the cause, though that costs more and might
// explain it as well.
func TestTheConsumerComesBeforeWhatItUsesUp(t *testing.T) {
	rules := []*Rule{rule("gone", "b", "leak"), rule("leak", "a", "gone")}
	for consumer, want := range map[string]string{"x": "leak>gone", "another": "gone leak"} {
		gone := finding("b", "", 2, impact(1, 0.3))
		gone.Facts["consumer"] = consumer
		leak := finding("a", "x", 2, impact(1, 0.4))
		leak.Victims = []evidence.Entity{{Service: "x", Operation: "GET /inner"}}
		if got := causes(judge(rules, slow(1), gone, leak)); got != want {
			t.Errorf("used up by %s: causes %q, want %q", consumer, got, want)
		}
	}
}

func TestOfTwoThatExplainEachOtherTheLowerIsTheVictim(t *testing.T) {
	rules := []*Rule{rule("one", "a", "other"), rule("other", "b", "one")}
	for gain, want := range map[float64]string{0.3: "one>other", 0.7: "other>one"} {
		j := judge(rules, slow(1), finding("a", "x", 2, impact(1, gain)), finding("b", "y", 2, impact(1, 0.5)))
		if got := causes(j); got != want {
			t.Errorf("causes %q, want %q", got, want)
		}
	}
}

func TestSamePlaceIsOneCause(t *testing.T) {
	j := judge([]*Rule{rule("r", "a")}, slow(1), finding("a", "x", 2, impact(1, 0.3)), finding("a", "x", 1.9, impact(1, 0.5)))
	if got := causes(j); got != "r>r" {
		t.Errorf("causes %q, want one", got)
	}
}

func TestAbstains(t *testing.T) {
	for _, tt := range []struct {
		name    string
		facts   *analyzers.Facts
		finding analyzers.Finding
		status  VerdictStatus
	}{
		{"mechanism without a symptom", &analyzers.Facts{Symptoms: []analyzers.Symptom{{Entity: op, P95: 0.02, Requests: 1000}}}, finding("a", "x", 2, impact(0.02, 0.016)), NoProblem},
		{"mechanism below its threshold", slow(1), finding("a", "x", 1, impact(1, 0.2)), Inconclusive},
		{"nobody waits for it", slow(1), finding("a", "x", 2, nil), Inconclusive},
		{"too little gained", slow(1), finding("a", "x", 2, impact(1, 0.95)), Inconclusive},
		{"nothing seen", &analyzers.Facts{}, finding("a", "x", 2, nil), Inconclusive},
		{"too few requests", &analyzers.Facts{Symptoms: []analyzers.Symptom{{Entity: op, P95: 3, Requests: 4}}}, finding("a", "x", 2, nil), RunUnusable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := judge([]*Rule{rule("r", "a")}, tt.facts, tt.finding)
			if len(j.Causes) != 0 || j.Status != tt.status || len(j.Rejected) != 1 {
				t.Errorf("causes %q, status %s, rejected %d; want none, %s, 1", causes(j), j.Status, len(j.Rejected), tt.status)
			}
		})
	}
}

func TestAvoidableTimeIsASymptom(t *testing.T) {
	facts := &analyzers.Facts{Symptoms: []analyzers.Symptom{{Entity: op, P95: 0.2, Requests: 1000}}}
	if got := causes(judge([]*Rule{rule("r", "a")}, facts, finding("a", "x", 2, impact(0.2, 0.05)))); got != "r" {
		t.Errorf("causes %q: three quarters of the p95 can be avoided", got)
	}
}

// Removing a witness must never raise a score.
func TestSeeingLessNeverRaisesAScore(t *testing.T) {
	r := rule("r", "a")
	r.For = []Condition{{Finding: "f", From: 0, To: 1, Weight: 0.5}, {Finding: "g", From: 0, To: 1, Weight: 0.5}}
	r.Against = []Condition{{Finding: "x", From: 0, To: 1, Weight: 0.4}}
	base := finding("a", "x", 2, impact(1, 0.2))
	score := func(fs ...analyzers.Finding) float64 {
		j := judge([]*Rule{r}, slow(1), append(fs, base)...)
		for _, h := range append(j.Causes, j.Leads...) {
			return h.Score
		}
		return 0
	}
	full := score(finding("f", "x", 1, nil), finding("g", "x", 0, nil), finding("x", "x", 0, nil))
	if less := score(finding("f", "x", 1, nil), finding("x", "x", 0, nil)); less > full {
		t.Errorf("without an absent witness %.2f > %.2f", less, full)
	}
	if less := score(finding("g", "x", 0, nil), finding("x", "x", 0, nil)); less >= full {
		t.Errorf("without a present witness %.2f >= %.2f", less, full)
	}
	contradicted := score(finding("f", "x", 1, nil), finding("g", "x", 0, nil), finding("x", "x", 1, nil))
	if less := score(finding("f", "x", 1, nil), finding("g", "x", 0, nil)); less > contradicted {
		t.Errorf("without the contradicting witness %.2f > %.2f", less, contradicted)
	}
	if less := score(finding("f", "x", 1, nil), finding("g", "x", 0, nil)); less >= full {
		t.Errorf("without the witness that could have contradicted %.2f >= %.2f", less, full)
	}
}

func TestEveryBuiltInRuleIsSound(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rules) < 6 {
		t.Errorf("%d rules, want at least 6", len(c.Rules))
	}
}

func TestStrictRules(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "id: x\ncolour: red\n", "colour"},
		{"unknown finding", "id: x\ntitle: t\ndoc: d\nsubject: no.such\nverify: v\nnot-when: n\nremedy: [r]\nwhen: [{finding: no.such, from: 0, to: 1}]\n", "no analyzer finds"},
		{"no slope", "id: x\ntitle: t\ndoc: d\nsubject: pool.wait\nverify: v\nnot-when: n\nremedy: [r]\nwhen: [{finding: pool.wait, from: 1, to: 1}]\n", "no slope"},
		{"nothing", "id: x\n", "when is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseRule([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}

func TestACauseBeginsNoLaterThanItsSymptom(t *testing.T) {
	facts := slow(1)
	facts.Symptoms[0].Onset = &analyzers.Onset{At: 10_000, Tolerance: 2000}
	f := finding("a", "x", 2, impact(1, 0.3))
	f.Onset = &analyzers.Onset{At: 11_000, Tolerance: 2000}
	if got := judge([]*Rule{rule("r", "a")}, facts, f).Causes[0].Score; got != 1 {
		t.Errorf("score %.2f with an onset that cannot be told apart, want 1", got)
	}
	f.Onset = &analyzers.Onset{At: 40_000, Tolerance: 2000}
	j := judge([]*Rule{rule("r", "a")}, facts, f)
	if len(j.Causes) > 0 && j.Causes[0].Score >= 0.9 {
		t.Errorf("score %.2f though it began 30 s after the symptom", j.Causes[0].Score)
	}
}
