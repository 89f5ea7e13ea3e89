package analyzers

import (
	"maps"
	"slices"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// leastCutText is how much of a statement must be left, in bytes of its normal
// form, for what begins like it to be the same statement.
const leastCutText = 60

// joinCutStatements finds the statements whose text was cut short on its way
// into a span (SDKs and agents bound the length of attributes): the database
// knows one statement, and one alone, that begins so. Their spans are then
// found under its key.
func (x *traceIndex) joinCutStatements(b *evidence.Bundle) {
	known := map[string]bool{}
	for i := range b.Postgres {
		for j := range b.Postgres[i].Statements {
			known[b.Postgres[i].Statements[j].Key] = true
		}
	}
	var whole []wholeStatement // by text; read only where some span's statement is not known
	for _, key := range slices.Sorted(maps.Keys(x.statements)) {
		set := x.statements[key]
		if len(known) == 0 || known[key] {
			continue
		}
		head := beginning(set.traces[0].Spans[set.at(0)[0]].Attr(evidence.AttrDBQuery))
		if len(head) < leastCutText {
			continue
		}
		if whole == nil {
			whole = wholeStatements(b)
		}
		if match := onlyOne(whole, head); match != "" && x.statements[match] == nil {
			x.statements[match] = set
		}
	}
}

// beginning of a normal form, without its last word, which may be cut.
func beginning(text string) string {
	return text[:max(strings.LastIndexByte(text, ' '), 0)]
}

type wholeStatement struct{ text, key string }

func wholeStatements(b *evidence.Bundle) []wholeStatement {
	texts := map[string]string{}
	for i := range b.Postgres {
		for j := range b.Postgres[i].Statements {
			s := &b.Postgres[i].Statements[j]
			text, _ := evidence.NormalizeSQL(s.Text)
			texts[text] = s.Key
		}
	}
	var out []wholeStatement
	for _, text := range slices.Sorted(maps.Keys(texts)) {
		out = append(out, wholeStatement{text, texts[text]})
	}
	return out
}

// onlyOne gives the key of the statement that begins so, "" for none or more.
func onlyOne(whole []wholeStatement, head string) string {
	at, _ := slices.BinarySearchFunc(whole, head, func(s wholeStatement, head string) int { return strings.Compare(s.text, head) })
	begins := func(k int) bool { return k < len(whole) && strings.HasPrefix(whole[k].text, head) }
	if !begins(at) || begins(at+1) {
		return ""
	}
	return whole[at].key
}
