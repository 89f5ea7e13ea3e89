package archive

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// heldBytes is what a run that has ended may cost in memory: its names and the
// two lists that it stands in, not what its report says.
const heldBytes = 1200

// A history that grows by thousands of reports grows the process by their names
// alone, and gives each record back whole.
func TestDirectoryHoldsNames(t *testing.T) {
	s := openDirectory(t, t.TempDir())
	put := func(from, to int) {
		for i := from; i < to; i++ {
			if fresh, err := s.Put(t.Context(), large(i), nil); err != nil || !fresh {
				t.Fatal(fresh, err)
			}
		}
	}
	put(0, 50) // what is made once
	before := heap()
	const more = 400
	put(50, 50+more)
	if each := (heap() - before) / more; each > heldBytes {
		t.Errorf("%d bytes are held of each run, want at most %d", each, heldBytes)
	} else {
		t.Logf("%d bytes are held of each run", each)
	}
	runs, err := s.Runs(t.Context(), Query{Target: "shop", Limit: 1})
	if want := large(49 + more); err != nil || len(runs) != 1 || fmt.Sprint(runs[0]) != fmt.Sprint(want) {
		t.Errorf("%v, the newest is\n%+v, want\n%+v", err, runs, want)
	}
}

// large is a run that ended with as many causes as a record has.
func large(minute int) Run {
	r := planned("shop", minute)
	r.State, r.Began, r.Ended = Done, r.Slot, r.Slot
	r.Status, r.Headline = "causes-found", strings.Repeat("so it is ", 20)
	for i := range summaryCauses {
		r.Causes = append(r.Causes, Cause{Fingerprint: fmt.Sprint(minute, "-", i), Rule: fmt.Sprint("rule-", i), Title: strings.Repeat("title ", 15)})
	}
	return r
}

// heap is what lives, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
