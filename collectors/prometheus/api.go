package prometheus

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// nameList is the names that a server has, with what it had to say beside them.
type nameList struct {
	names    []string
	warnings []string
}

// metricNames lists the names with samples in the window. Some servers refuse
// the bounds of time; then all names are asked for.
func (c *client) metricNames(ctx context.Context, w evidence.Window) (nameList, error) {
	const path = "api/v1/label/__name__/values"
	read := func(s *scanner) (out nameList, err error) {
		e, err := decodeEnvelope(s, func() error { out.names, err = s.texts(); return err })
		out.warnings = e.warnings
		return out, err
	}
	names, err := fetch(ctx, c, call{path, between(w), true}, read)
	if isBadData(err) {
		return fetch(ctx, c, call{path, nil, true}, read)
	}
	return names, err
}

func between(w evidence.Window) url.Values {
	return url.Values{"start": {unix(w.Start)}, "end": {unix(w.End)}}
}

func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64) }

// series lists the label sets of some metrics, at most limit of them. Servers
// before 2.51 do not know limit: what comes beyond it is skipped.
func (c *client) series(ctx context.Context, selectors []string, w evidence.Window, limit int) (answer, error) {
	form := between(w)
	form["match[]"] = selectors
	form.Set("limit", strconv.Itoa(limit))
	return fetch(ctx, c, call{path: "api/v1/series", form: form}, func(s *scanner) (answer, error) {
		d := &matrixDecoder{scanner: s, interned: map[string]string{}}
		e, err := decodeEnvelope(s, func() error { return d.labelSets(limit) })
		d.out.Warnings, d.out.Infos = e.warnings, e.infos
		return d.out, err
	})
}

func (d *matrixDecoder) labelSets(limit int) error {
	return d.array(func() error {
		if len(d.out.Series) >= limit {
			d.out.Truncated = true
			return d.skip()
		}
		l, err := d.labels()
		d.out.Series = append(d.out.Series, samples{Labels: l})
		return err
	})
}

// query evaluates at one time.
func (c *client) query(ctx context.Context, query string, at time.Time, limit int) (answer, error) {
	form := url.Values{"query": {query}, "time": {unix(at)}}
	return c.evaluate(ctx, "api/v1/query", form, limit)
}

// queryRange evaluates at every step of a grid.
func (c *client) queryRange(ctx context.Context, query string, g grid, limit int) (answer, error) {
	form := url.Values{"query": {query}, "start": {unix(g.Start)}, "end": {unix(g.End)}, "step": {seconds(g.Step)}}
	return c.evaluate(ctx, "api/v1/query_range", form, limit)
}

// evaluate sends our bounds along: the server then stops when we would, and
// one that knows limit (3.2) does not send what we would drop.
func (c *client) evaluate(ctx context.Context, path string, form url.Values, limit int) (answer, error) {
	form.Set("timeout", seconds(c.timeout))
	form.Set("limit", strconv.Itoa(limit+1))
	return fetch(ctx, c, call{path: path, form: form}, func(s *scanner) (answer, error) { return decodeAnswer(s, limit) })
}

// seconds spells a duration as the API wants it.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// build is what a server says of itself.
type build struct{ Version, Application string }

func (c *client) buildInfo(ctx context.Context) (build, error) {
	return fetch(ctx, c, call{path: "api/v1/status/buildinfo", get: true}, func(s *scanner) (b build, err error) {
		_, err = decodeEnvelope(s, func() error {
			return s.object(func(key []byte) (err error) {
				switch string(key) {
				case "version":
					b.Version, err = s.text()
				case "application":
					b.Application, err = s.text()
				default:
					err = s.skip()
				}
				return err
			})
		})
		return b, err
	})
}

// grid is the times at which range queries are evaluated: multiples of Step
// since the epoch, so that runs and caches agree.
type grid struct {
	Start, End time.Time
	Step       time.Duration
}

// newGrid covers a window with at most maxPoints steps of a multiple of the
// scrape interval.
func newGrid(w evidence.Window, interval time.Duration) grid {
	step := max(interval, time.Second)
	if n := int64(w.Duration()/step) + 1; n > maxPoints {
		step *= time.Duration((n + maxPoints - 1) / maxPoints)
	}
	ms := step.Milliseconds()
	from := (w.Start.UnixMilli() + ms - 1) / ms * ms
	to := w.End.UnixMilli() / ms * ms
	return grid{Start: time.UnixMilli(from), End: time.UnixMilli(max(from, to)), Step: step}
}

// maxPoints of one series. Prometheus refuses more than 11,000; a report needs
// fewer, and a day at 15 s (5,760) is then read at four times that step.
const maxPoints = 1800
