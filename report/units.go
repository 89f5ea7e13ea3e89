package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// scale is one way to write a quantity: v / Div with Suffix.
type scale struct {
	From   float64 // used from this absolute value on
	Div    float64
	Suffix string
}

var (
	secondScales = []scale{{1, 1, "s"}, {1e-3, 1e-3, "ms"}, {0, 1e-6, "µs"}}
	byteScales   = []scale{{1e12, 1e12, "TB"}, {1e9, 1e9, "GB"}, {1e6, 1e6, "MB"}, {1e3, 1e3, "kB"}, {0, 1, "B"}}
	countScales  = []scale{{1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e4, 1e3, "k"}, {0, 1, ""}}
)

func pick(scales []scale, v float64) scale {
	v = math.Abs(v)
	for _, s := range scales {
		if v >= s.From {
			return s
		}
	}
	return scales[len(scales)-1]
}

// digits writes a number with three significant digits and no more decimals
// than it needs.
func digits(v float64) string {
	a := math.Abs(v)
	switch {
	case a == 0:
		return "0"
	case a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return trimZeros(strconv.FormatFloat(v, 'f', 1, 64))
	case a >= 0.0095:
		return trimZeros(strconv.FormatFloat(v, 'f', 2, 64))
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func (s scale) format(v float64) string {
	if s.Suffix == "" {
		return digits(v / s.Div)
	}
	return digits(v/s.Div) + " " + s.Suffix
}

// seconds writes a latency: 412 ms, 1.24 s, 2 min 5 s.
func seconds(v float64) string {
	if v == 0 {
		return "0 ms"
	}
	if math.Abs(v) >= 120 {
		d := time.Duration(math.Round(v)) * time.Second
		return duration(d)
	}
	return pick(secondScales, v*1.0005).format(v)
}

// duration writes a span of time for people: 45 s, 2 min 5 s, 3 h 10 min.
func duration(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h > 0 && m == 0:
		return fmt.Sprintf("%d h", h)
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0 && s == 0:
		return fmt.Sprintf("%d min", m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	}
	return fmt.Sprintf("%d s", s)
}

// secondsRange writes an interval, in one unit where both ends share it.
func secondsRange(low, high float64) string {
	a, b := seconds(low), seconds(high)
	if low == 0 {
		a = "0" + b[strings.LastIndexByte(b, ' '):]
	}
	if na, ua, ok := strings.Cut(a, " "); ok && strings.HasSuffix(b, " "+ua) && strings.Count(b, " ") == 1 {
		return na + "–" + b
	}
	return a + "–" + b
}

func percent(ratio float64) string {
	switch a := math.Abs(ratio); {
	case a == 0:
		return "0 %"
	case a < 0.0001:
		return "< 0.01 %"
	}
	return digits(ratio*100) + " %"
}

// quantity writes a value of a UCUM unit. A plain number is a ratio to no
// one: callers that know it is one ask for percent.
func quantity(v float64, unit string) string {
	switch unit {
	case "s":
		return seconds(v)
	case "By":
		return pick(byteScales, v).format(v)
	case "By/s":
		return pick(byteScales, v).format(v) + "/s"
	case "", "1":
		return pick(countScales, v).format(v)
	case "%":
		return digits(v) + " %"
	case "s/s":
		return digits(v) + " s/s"
	}
	return pick(countScales, v).format(v) + " " + unitWord(unit, v)
}

// unitWord turns an annotation such as {connection} into words.
func unitWord(unit string, v float64) string {
	word, rest, _ := strings.Cut(strings.TrimPrefix(unit, "{"), "}")
	if strings.HasPrefix(unit, "{") && v != 1 && !strings.HasSuffix(word, "s") {
		word += "s"
	}
	return word + rest
}

// percentile writes 0.95 as p95 and 0.999 as p99.9.
func percentile(q float64) string {
	return "p" + trimZeros(strconv.FormatFloat(q*100, 'f', 3, 64))
}

// offset writes a time as T+mm:ss since the window's start.
func (r *Report) offset(ms int64) string {
	d := (ms - r.Window.Start.UnixMilli()) / 1000
	sign := "+"
	if d < 0 {
		sign, d = "-", -d
	}
	if d >= 3600 {
		return fmt.Sprintf("T%s%d:%02d:%02d", sign, d/3600, d/60%60, d%60)
	}
	return fmt.Sprintf("T%s%02d:%02d", sign, d/60, d%60)
}

// span writes a stretch of the window as T+00:30–T+01:15.
func (r *Report) span(s Span) string { return r.offset(s.Start) + "–" + r.offset(s.End) }

// windowText writes a window with its date, zone and length.
func (r *Report) windowText(w evidence.Window) string {
	a, b := w.Start.In(r.location()), w.End.In(r.location())
	end := b.Format("15:04:05")
	if a.Format(time.DateOnly) != b.Format(time.DateOnly) {
		end = b.Format("2006-01-02 15:04:05")
	}
	zone, _ := a.Zone()
	return a.Format("2006-01-02 15:04:05") + "–" + end + " " + zone + ", " + duration(w.Duration())
}
