package analyzers

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// What is left without the round trips is the work of the answers: all of a
// call that is not short, of each other what a typical one has, and one whole.
func TestWithoutChattyCallsTheWorkIsLeft(t *testing.T) {
	var b strings.Builder
	b.WriteString("0-100 shop server GET /home\n")
	at := 1.0
	ask := func(long float64) {
		fmt.Fprintf(&b, "  %.3f-%.3f shop client query | db.system.name=postgresql | db.query.text=select c%.0f from t\n", at, at+long, at*1000)
		at += long
	}
	for range 10 {
		ask(0.1) // the shortest: a round trip takes at most 0.4
	}
	for range 14 {
		ask(1) // typical: 0.6 of it is work
	}
	ask(3)  // longer by chance: no more work than the others
	ask(20) // no short call
	tr := tellOne(t, b.String())
	found := chattyCallsOf(tr)
	if len(found) != 1 {
		t.Fatalf("found %+v", found)
	}
	cuts := tr.NewCuts()
	found[0].cut(cuts)
	want := 100 - 10*0.1 - 14*0.4 - (3 - 0.6)
	if left := float64(tr.Retime(cuts)) / 1e6; math.Abs(left-want) > 0.01 {
		t.Errorf("%.2f ms are left, want %.2f", left, want)
	}
}
