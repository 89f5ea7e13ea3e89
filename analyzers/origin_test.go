package analyzers

import (
	"slices"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A call that fails because one within it was given up did not give up: the
// place is where the waiting ended.
func TestATimeoutThatIsPassedOnIsCountedWhereItHappened(t *testing.T) {
	tr := tellOne(t, `0-120 front server GET /home | error
  1-119 front client GET | http.response.status_code=504
    2-118 shop server GET /list | http.response.status_code=504
      3-103 shop client GET | error | error.type=timeout
        4-300 items server GET /items
`)
	found := timedOutCalls(tr)
	if len(found) != 1 || tr.Spans[found[0].server].Service != "shop" || found[0].facts["depth"] != "2" {
		t.Fatalf("found %+v", found)
	}
}

// One that both passed on a failure and left its callee at work is not only a
// messenger.
func TestATimeoutThatLeftWorkBehindIsItsOwn(t *testing.T) {
	tr := tellOne(t, `0-120 front server GET /home | error
  1-101 front client GET | error | error.type=timeout
    2-250 shop server GET /list
      3-203 shop client GET | error | error.type=timeout
        4-300 items server GET /items
`)
	var services []string
	for _, p := range timedOutCalls(tr) {
		services = append(services, tr.Spans[p.server].Service)
	}
	if !slices.Contains(services, "front") {
		t.Errorf("found at %v, not at front", services)
	}
}

// What is repeated is named with the call that it failed for, and everybody
// who waited meanwhile with it.
func TestRetriesNameTheOriginAndWhoWaits(t *testing.T) {
	story := `0-120 front server POST /buy
  1-119 front client POST
    2-118 shop server POST /buy
      3-50 shop client POST | http.response.status_code=500
        4-49 bank server POST /pay | http.response.status_code=500
          5-48 bank client POST | http.request.method=POST | server.address=cards | url.path=/authorize | http.response.status_code=503
      51-117 shop client POST | http.response.status_code=200
        52-116 bank server POST /pay | http.response.status_code=200
`
	f := passOver(t, retries, story)[FindRetriedCalls]
	if len(f) != 1 || f[0].Facts["origin"] != "POST cards /authorize" || f[0].Facts["error"] != "503" {
		t.Fatalf("found %+v", f)
	}
	want := []evidence.Entity{{Service: "front", Operation: "POST /buy"}, {Service: "shop", Operation: "POST /buy"}}
	if !slices.Equal(f[0].Held, want) {
		t.Errorf("held up are %v, want %v", f[0].Held, want)
	}
}
