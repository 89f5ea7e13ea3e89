package prometheus

import (
	"errors"
	"fmt"
	"strconv"
)

// label is one name and value, in the order of the server.
type label struct{ Name, Value string }

// labels of a series. Prometheus sends them sorted; nothing relies on it.
type labels []label

// get gives the value of a label, "" where it is absent: to PromQL the same.
func (l labels) get(name string) string {
	for _, x := range l {
		if x.Name == name {
			return x.Value
		}
	}
	return ""
}

// answer is a decoded matrix or vector.
type answer struct {
	Series    []samples
	Warnings  []string // of the server: partial data, truncation
	Infos     []string // of the server: hints about the query
	Truncated bool     // more series came than were kept
}

// samples of one series. Times may be shared between series of one answer:
// they are never written to.
type samples struct {
	Labels     labels
	Times      []int64 // Unix ms
	Values     []float64
	Histograms []nativeSample
}

// nativeSample is a native histogram at a time.
type nativeSample struct {
	Time       int64
	Count, Sum float64
	Buckets    []nativeBucket
}

// nativeBucket holds the observations between two bounds. Rule says which
// bound belongs to the bucket: 0 open left, 1 open right, 2 open, 3 closed.
type nativeBucket struct {
	Rule         int
	Lower, Upper float64
	Count        float64
}

// apiError is what the server said of a request that it refused.
type apiError struct{ Type, Message string }

func (e *apiError) Error() string { return e.Message }

// envelope walks the answer around data: status, error, warnings, infos.
type envelope struct {
	status, kind, message string
	warnings, infos       []string
}

// decodeEnvelope reads a whole answer; data is called at its data, which it
// must consume.
func decodeEnvelope(s *scanner, data func() error) (envelope, error) {
	var e envelope
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "status":
			e.status, err = s.text()
		case "errorType":
			e.kind, err = s.text()
		case "error":
			e.message, err = s.text()
		case "warnings":
			e.warnings, err = s.texts()
		case "infos":
			e.infos, err = s.texts()
		case "isPartial": // VictoriaMetrics's cluster, where a node does not answer
			if string(s.bare()) == "true" {
				e.warnings = append(e.warnings, "isPartial")
			}
		case "data":
			if c, perr := s.peek(); perr == nil && c == 'n' {
				return s.skip() // null beside an error
			}
			err = data()
		default:
			err = s.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return e, err
	case e.status == "error":
		return e, &apiError{Type: e.kind, Message: e.message}
	case e.status != "success":
		return e, errNotPrometheus
	}
	return e, nil
}

var errNotPrometheus = errors.New("the answer is JSON but not a Prometheus answer (no status): is this the base URL of a Prometheus API?")

func (s *scanner) text() (string, error) {
	b, err := s.str()
	return string(b), err
}

// texts reads a list of strings, or null.
func (s *scanner) texts() ([]string, error) {
	if c, err := s.peek(); err != nil || c == 'n' {
		if err != nil {
			return nil, err
		}
		return nil, s.skip()
	}
	var out []string
	err := s.array(func() error {
		t, err := s.text()
		out = append(out, t)
		return err
	})
	return out, err
}

// matrixDecoder decodes the result of a query. Values lie in few large
// blocks, times are shared while series agree, names and values of labels are
// kept once.
type matrixDecoder struct {
	*scanner
	limit    int // series kept
	out      answer
	interned map[string]string
	values   arena[float64]
	times    arena[int64]
	grid     []int64 // the longest times so far: what later series share
}

// decodeAnswer decodes a matrix or vector, keeping at most limit series.
func decodeAnswer(s *scanner, limit int) (answer, error) {
	d := &matrixDecoder{scanner: s, limit: limit, interned: map[string]string{}}
	e, err := decodeEnvelope(s, d.data)
	d.out.Warnings, d.out.Infos = e.warnings, e.infos
	return d.out, err
}

func (d *matrixDecoder) data() error {
	return d.object(func(key []byte) error {
		switch string(key) {
		case "resultType":
			t, err := d.str()
			if err == nil && string(t) != "matrix" && string(t) != "vector" {
				return fmt.Errorf("the answer is a %s where a matrix or vector belongs", t)
			}
			return err
		case "result":
			return d.array(d.series)
		}
		return d.skip()
	})
}

func (d *matrixDecoder) series() error {
	if len(d.out.Series) >= d.limit {
		d.out.Truncated = true
		return d.skip()
	}
	var s samples
	err := d.object(func(key []byte) (err error) {
		switch string(key) {
		case "metric":
			s.Labels, err = d.labels()
		case "values":
			s.Times, s.Values, err = d.floats()
		case "value":
			s.Times, s.Values, err = d.single()
		case "histograms":
			err = d.array(func() error { return d.native(&s) })
		case "histogram":
			err = d.native(&s)
		default:
			err = d.skip()
		}
		return err
	})
	d.out.Series = append(d.out.Series, s)
	return err
}

func (d *matrixDecoder) labels() (labels, error) {
	out := make(labels, 0, 8)
	err := d.object(func(key []byte) error {
		name := d.intern(key)
		value, err := d.str()
		out = append(out, label{name, d.intern(value)})
		return err
	})
	return out, err
}

func (d *matrixDecoder) intern(b []byte) string {
	if s, ok := d.interned[string(b)]; ok {
		return s
	}
	s := string(b)
	d.interned[s] = s
	return s
}

func (d *matrixDecoder) single() ([]int64, []float64, error) {
	t, v, err := d.pair()
	if err != nil {
		return nil, nil, err
	}
	return []int64{t}, []float64{v}, nil
}

// floats reads [[time,"value"],...]. While the times run along the grid they
// are not stored again.
func (d *matrixDecoder) floats() ([]int64, []float64, error) {
	if err := d.expect('['); err != nil {
		return nil, nil, err
	}
	d.values.open()
	run := gridRun{grid: d.grid, own: &d.times}
	for first := true; ; first = false {
		ok, err := d.more(']', first)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			break
		}
		t, v, err := d.pair()
		if err != nil {
			return nil, nil, err
		}
		run.add(t)
		d.values.add(v)
	}
	times := run.close()
	if len(times) > len(d.grid) {
		d.grid = times
	}
	return times, d.values.close(), nil
}

// pair reads [time,"value"]; the fast path needs it whole in the buffer and
// without white space, as every server sends it.
func (d *matrixDecoder) pair() (int64, float64, error) {
	d.ensure(64)
	if t, v, n := fastPair(d.buf[d.r:d.w]); n > 0 {
		d.r += n
		return t, v, nil
	}
	if err := d.expect('['); err != nil {
		return 0, 0, err
	}
	seconds, err := d.number()
	if err != nil {
		return 0, 0, fmt.Errorf("malformed time: %w", err)
	}
	if err := d.expect(','); err != nil {
		return 0, 0, err
	}
	v, err := d.quoted()
	if err != nil {
		return 0, 0, err
	}
	return millis(seconds), v, d.expect(']')
}

func (d *matrixDecoder) quoted() (float64, error) {
	b, err := d.str()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("malformed sample value: %w", err)
	}
	return v, nil
}

// native reads [time,{"count":..,"sum":..,"buckets":[[rule,lower,upper,count]]}].
func (d *matrixDecoder) native(s *samples) error {
	var h nativeSample
	if err := d.expect('['); err != nil {
		return err
	}
	seconds, err := d.number()
	if err != nil {
		return fmt.Errorf("malformed time: %w", err)
	}
	h.Time = millis(seconds)
	if err := d.expect(','); err != nil {
		return err
	}
	err = d.object(func(key []byte) (err error) {
		switch string(key) {
		case "count":
			h.Count, err = d.quoted()
		case "sum":
			h.Sum, err = d.quoted()
		case "buckets":
			err = d.array(func() error { return d.bucket(&h) })
		default:
			err = d.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	s.Histograms = append(s.Histograms, h)
	return d.expect(']')
}

func (d *matrixDecoder) bucket(h *nativeSample) error {
	var b nativeBucket
	i := 0
	err := d.array(func() (err error) {
		switch i {
		case 0:
			var rule float64
			rule, err = d.number()
			b.Rule = int(rule)
		case 1:
			b.Lower, err = d.quoted()
		case 2:
			b.Upper, err = d.quoted()
		case 3:
			b.Count, err = d.quoted()
		default:
			err = d.skip()
		}
		i++
		return err
	})
	if err == nil && i < 4 {
		err = fmt.Errorf("malformed bucket: %d of 4 fields", i)
	}
	h.Buckets = append(h.Buckets, b)
	return err
}
