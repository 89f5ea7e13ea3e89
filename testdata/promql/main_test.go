package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	var out strings.Builder
	wrong, err := check(strings.NewReader("sum by (job) (rate(up[1m]))\nrate(up)\nsum by (\n"), &out)
	if err != nil || wrong != 2 {
		t.Errorf("%d wrong, %v: %s", wrong, err, out.String())
	}
	for _, want := range []string{"expected type range vector in call to function \"rate\"", "unclosed left parenthesis", "3 queries, 2 wrong"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}
