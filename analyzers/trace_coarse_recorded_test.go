package analyzers

import (
	"os"
	"strings"
	"testing"
)

// What @opentelemetry/instrumentation-pg 0.76.0 told of one request of a shop
// on Node.js 20 that asks for the brand of each of 20 items, one at a time.
func TestStatementsWithStartsInMillisecondsAreOneAfterAnother(t *testing.T) {
	text, err := os.ReadFile("testdata/millisecond-starts.txt")
	if err != nil {
		t.Fatal(err)
	}
	request := tellOne(t, string(text))
	if len(request.Repairs) != 1 || !strings.Contains(request.Repairs[0], "in whole milliseconds") {
		t.Errorf("repairs %q", request.Repairs)
	}
	loops := request.loops()
	if len(loops) != 1 || len(loops[0][0].calls) != 20 {
		t.Fatalf("%d loops, want one of 20 statements", len(loops))
	}
	spent := int64(0)
	for _, i := range loops[0][0].calls {
		spent += request.Spans[i].Duration()
	}
	// what the request itself was cut by is lost at its end
	if held := request.onPath(loops[0][0].calls); held < spent-coarseStep || held > spent {
		t.Errorf("the statements hold up the request for %d ns of the %d they take", held, spent)
	}
}
