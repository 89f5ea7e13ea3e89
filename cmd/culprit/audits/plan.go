package audits

import (
	"fmt"
	"hash/fnv"
	"math"
	"time"

	"github.com/robfig/cron/v3"
)

// planParser takes the five fields of cron, a sixth for seconds before them,
// and the names: @hourly, @daily, @every 15m.
var planParser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Plan says at which times a target is audited.
type Plan struct {
	text     string
	schedule cron.Schedule
	jitter   time.Duration
}

// ParsePlan reads a cron expression in a zone. Jitter spreads the audits of
// many targets: each begins up to so much later, by a delay that every replica
// finds the same.
func ParsePlan(expression string, zone *time.Location, jitter time.Duration) (*Plan, error) {
	parsed, err := planParser.Parse(expression)
	if err != nil {
		return nil, fmt.Errorf("schedule %q is no cron expression: %w", expression, err)
	}
	switch s := parsed.(type) {
	case *cron.SpecSchedule:
		if s.Location != time.Local {
			return nil, fmt.Errorf("schedule %q: give the zone as time_zone", expression)
		}
		s.Location = zone
	case cron.ConstantDelaySchedule:
		parsed = every(s.Delay)
	}
	if parsed.Next(time.Unix(0, 0)).IsZero() {
		return nil, fmt.Errorf("schedule %q never comes", expression)
	}
	p := &Plan{text: expression + " " + zone.String(), schedule: parsed, jitter: jitter}
	if gap := p.shortestGap(); jitter < 0 || jitter >= gap {
		return nil, fmt.Errorf("schedule %q: a jitter of %s is not shorter than the %s between two audits", expression, jitter, gap)
	}
	return p, nil
}

// shortestGap is between two slots of a few hundred: beyond these a plan of
// cron repeats itself in all that matters here.
func (p *Plan) shortestGap() time.Duration {
	slot := p.Next(time.Unix(0, 0))
	shortest := time.Duration(math.MaxInt64)
	for range 400 {
		next := p.Next(slot)
		if next.IsZero() {
			break
		}
		shortest, slot = min(shortest, next.Sub(slot)), next
	}
	return shortest
}

// every is a time that all replicas agree on: multiples of the duration, not
// so long after the start of the process.
type every time.Duration

func (d every) Next(t time.Time) time.Time {
	return t.Truncate(time.Duration(d)).Add(time.Duration(d))
}

// String is the expression with its zone.
func (p *Plan) String() string { return p.text }

// Next gives the first slot after a time.
func (p *Plan) Next(t time.Time) time.Time { return p.schedule.Next(t).UTC() }

// due is when the audit of a slot begins.
func (p *Plan) due(target string, slot time.Time) time.Time {
	if p.jitter == 0 {
		return slot
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", target, slot.Unix())
	return slot.Add(time.Duration(h.Sum64() % uint64(p.jitter)))
}

const (
	// maxMissed slots get a record each; those before them share one.
	maxMissed = 50
	// lookBack bounds the search for slots that were missed.
	lookBack = 400 * 24 * time.Hour
)

// passed are the slots after one time and not after another: the newest in
// full, and a word for those before them.
type passed struct {
	slots   []time.Time // oldest first
	earlier int
	first   time.Time // of the earlier
	last    time.Time
	more    bool // there were even more, before the look-back
}

func (p *Plan) between(after, until time.Time) (out passed) {
	if from := until.Add(-lookBack); after.Before(from) {
		after, out.more = from, true
	}
	for slot := p.Next(after); !slot.IsZero() && !slot.After(until); slot = p.Next(slot) {
		out.slots = append(out.slots, slot)
		if len(out.slots) <= maxMissed+1 {
			continue
		}
		if out.earlier == 0 {
			out.first = out.slots[0]
		}
		out.earlier, out.last, out.slots = out.earlier+1, out.slots[0], out.slots[1:]
	}
	return out
}
