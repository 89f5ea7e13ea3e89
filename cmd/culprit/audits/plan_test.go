package audits

import (
	"strings"
	"testing"
	"time"
)

func plan(t *testing.T, expression, zone string, jitter time.Duration) *Plan {
	t.Helper()
	l, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePlan(expression, l, jitter)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanNext(t *testing.T) {
	for name, c := range map[string]struct{ expression, zone, after, want string }{
		"hourly":              {"@hourly", "UTC", "2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z"},
		"a zone":              {"0 3 * * *", "Europe/Berlin", "2026-11-20T12:00:00Z", "2026-11-21T02:00:00Z"},
		"half an hour off":    {"0 9 * * 1", "Asia/Kolkata", "2026-11-20T12:00:00Z", "2026-11-23T03:30:00Z"},
		"spring has no 02:30": {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"},
		"autumn has 2 of it":  {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		"seconds":             {"*/15 * * * * *", "UTC", "2026-11-20T12:00:15Z", "2026-11-20T12:00:30Z"},
		"every is aligned":    {"@every 15m", "UTC", "2026-11-20T12:07:31Z", "2026-11-20T12:15:00Z"},
		"every, in a row":     {"@every 15m", "UTC", "2026-11-20T12:15:00Z", "2026-11-20T12:30:00Z"},
		"29 February":         {"0 0 29 2 *", "UTC", "2026-11-20T12:00:00Z", "2028-02-29T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			after, err := time.Parse(time.RFC3339, c.after)
			if err != nil {
				t.Fatal(err)
			}
			if got := plan(t, c.expression, c.zone, 0).Next(after).Format(time.RFC3339); got != c.want {
				t.Errorf("after %s comes %s, want %s", c.after, got, c.want)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, expression := range []string{"", "hourly", "61 * * * *", "0 0 30 2 *", "CRON_TZ=Asia/Tokyo 0 3 * * *", "* * * *"} {
		if _, err := ParsePlan(expression, time.UTC, 0); err == nil || !strings.Contains(err.Error(), "schedule") {
			t.Errorf("%q: %v", expression, err)
		}
	}
	for _, jitter := range []time.Duration{-time.Second, time.Hour, 2 * time.Hour} {
		if _, err := ParsePlan("@hourly", time.UTC, jitter); err == nil || !strings.Contains(err.Error(), "jitter") {
			t.Errorf("a jitter of %s: %v", jitter, err)
		}
	}
}

// Two replicas find the same delay; it differs from slot to slot and from
// target to target.
func TestJitter(t *testing.T) {
	p, again := plan(t, "@hourly", "UTC", 10*time.Minute), plan(t, "@hourly", "UTC", 10*time.Minute)
	delays := map[time.Duration]bool{}
	for _, target := range []string{"shop", "till"} {
		slot := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
		for range 24 {
			slot = p.Next(slot)
			d := p.due(target, slot).Sub(slot)
			if d < 0 || d >= 10*time.Minute || again.due(target, slot) != p.due(target, slot) {
				t.Errorf("%s at %s is delayed by %s", target, slot, d)
			}
			delays[d] = true
		}
	}
	if len(delays) < 40 {
		t.Errorf("%d delays of 48 differ", len(delays))
	}
}

func TestBetween(t *testing.T) {
	p := plan(t, "* * * * *", "UTC", 0)
	from := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	if got := p.between(from, from.Add(30*time.Second)); len(got.slots) != 0 || got.earlier != 0 {
		t.Errorf("too early: %+v", got)
	}
	if got := p.between(from, from.Add(3*time.Minute)); len(got.slots) != 3 || !got.slots[0].Equal(from.Add(time.Minute)) || got.earlier != 0 {
		t.Errorf("three minutes: %+v", got)
	}
	got := p.between(from, from.Add(24*time.Hour))
	if len(got.slots) != maxMissed+1 || got.earlier != 24*60-maxMissed-1 || !got.first.Equal(from.Add(time.Minute)) ||
		!got.slots[0].Equal(got.last.Add(time.Minute)) || got.more {
		t.Errorf("a day: %d slots, %d earlier, %s to %s", len(got.slots), got.earlier, got.first, got.last)
	}
	if got := p.between(from, from.Add(2*lookBack)); !got.more {
		t.Error("beyond the look-back nothing is said of it")
	}
}
