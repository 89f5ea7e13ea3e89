package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// recorded makes a bundle of the size of a real load run: traces of 8 spans,
// series of one point a second with values as rates have them.
func recorded(traces, series int) *evidence.Bundle {
	rng := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	b := &evidence.Bundle{
		Version:  "test",
		Window:   evidence.Window{Start: start, End: start.Add(75 * time.Second)},
		Baseline: &evidence.Window{Start: start, End: start.Add(15 * time.Second)},
		Prices:   &evidence.Prices{Currency: "EUR", CoreHour: 0.04},
		Sources:  []evidence.Source{{Name: "prometheus", Status: evidence.StatusOK, Items: series, Seconds: 1.25, Notes: []string{"step 1 s"}}},
		Gaps:     []evidence.Gap{{Source: "traces", Kinds: []evidence.Kind{evidence.Spans}, Reason: "cut at 1,500 traces", Remedy: "narrow the window"}},
		Loads:    []evidence.LoadRun{{Tool: "k6", ExitCode: 99, Start: start.UnixMilli(), Requests: []evidence.LoadStat{{Count: 3, P50: 0.1}}}},
		Events:   []evidence.Event{{At: start.UnixMilli(), Kind: "restart", Text: "gateway <restarted>", Entity: evidence.Entity{Service: "gateway"}}},
		Postgres: []evidence.Postgres{{Server: evidence.PGServer{Name: "localhost:5432/shop", Version: 150018, Settings: map[string]string{"work_mem": "4096 kB"}},
			Statements: []evidence.Statement{{Key: "1", QueryID: "-77", Text: "select 1 where a < $1", Calls: 12, Exec: 0.0123}},
			Activity:   []evidence.WaitSample{{At: 5, Ticks: 10, Sessions: 3, State: "active"}}, Ticks: 10}},
	}
	for i := range traces {
		b.Spans = append(b.Spans, traceOf(rng, start.Add(time.Duration(i)*24*time.Millisecond))...)
	}
	for i := range series {
		b.Series = append(b.Series, seriesOf(rng, i, start))
		if i%25 == 0 {
			b.Histograms = append(b.Histograms, histogramOf(rng, i, start))
		}
	}
	b.Weights = []evidence.TraceWeight{{Trace: b.Spans[0].Trace, Weight: 12.5, Stratum: "tail"}}
	b.Sort()
	return b
}

func traceOf(rng *rand.Rand, at time.Time) []evidence.Span {
	names := []string{"GET /orders", "GET /orders/{id}", "select", "GET", "SELECT orders", "POST /pay", "acquire", "INSERT events"}
	query := "select o.id, o.customer_id, o.total, o.created_at from orders o where o.customer_id = ? order by o.created_at desc limit ?"
	var trace evidence.TraceID
	binary.LittleEndian.PutUint64(trace[:], rng.Uint64())
	binary.LittleEndian.PutUint64(trace[8:], rng.Uint64())
	spans := make([]evidence.Span, len(names))
	for i := range spans {
		s := &spans[i]
		*s = evidence.Span{Trace: trace, Start: at.UnixNano() + int64(i)*700_000 + rng.Int64N(500_000), Kind: evidence.KindClient,
			Service: []string{"gateway", "orders", "orders", "payments"}[i%4], Instance: "host-1", Name: names[i]}
		s.End = s.Start + 1_000_000 + rng.Int64N(4_000_000)
		binary.LittleEndian.PutUint64(s.ID[:], rng.Uint64())
		if i > 0 {
			s.Parent = spans[(i-1)/2].ID
		}
		if i%3 == 2 {
			s.Attrs = evidence.NewAttrs(evidence.Attr{Key: evidence.AttrDBKey, Value: "00ff00ff00ff00ff"}, evidence.Attr{Key: evidence.AttrDBQuery, Value: query}, evidence.Attr{Key: evidence.AttrDBSystem, Value: "postgresql"})
			s.Error, s.Follows = i == 5, i == 2
		} else {
			s.Attrs = evidence.NewAttrs(evidence.Attr{Key: evidence.AttrHTTPMethod, Value: "GET"}, evidence.Attr{Key: evidence.AttrHTTPRoute, Value: names[i]}, evidence.Attr{Key: evidence.AttrHTTPStatus, Value: "200"})
		}
	}
	return spans
}

func seriesOf(rng *rand.Rand, i int, start time.Time) evidence.Series {
	s := evidence.Series{Kind: evidence.CPUUsage, Unit: "{core}", Over: 4, Query: "rate(x[4s])",
		Entity: evidence.Entity{Service: fmt.Sprint("service-", i%8), Resource: fmt.Sprint("c", i)}, Labels: map[string]string{"a": "b<c", "i": fmt.Sprint(i)}}
	for k := range 75 {
		s.Times = append(s.Times, start.UnixMilli()+int64(k)*1000)
		switch i % 3 { // as recorded: a third flat, a third counts, a third rates
		case 0:
			s.Values = append(s.Values, float64(i))
		case 1:
			s.Values = append(s.Values, float64(rng.IntN(100)))
		default:
			s.Values = append(s.Values, float64(rng.IntN(10000))/float64(3+rng.IntN(9)))
		}
	}
	return s
}

func histogramOf(rng *rand.Rand, i int, start time.Time) evidence.Histogram {
	h := evidence.Histogram{Kind: evidence.ServerLatency, Unit: "s", Over: 4, Bounds: []float64{.005, .01, .025, .05, .1, .25, .5, 1},
		Entity: evidence.Entity{Service: "gateway", Operation: fmt.Sprint("GET /r", i)}}
	for k := range 75 {
		h.Times = append(h.Times, start.UnixMilli()+int64(k)*1000)
		row := make([]float64, len(h.Bounds)+1)
		for n := range row {
			row[n] = float64(rng.IntN(40)) / 4
		}
		h.Rates, h.Sum = append(h.Rates, row), append(h.Sum, rng.Float64())
	}
	return h
}

func encoded(t testing.TB, b *evidence.Bundle) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, b); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestRoundTrip(t *testing.T) {
	want := recorded(50, 60)
	got, err := Read(bytes.NewReader(encoded(t, want)), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	v, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range v.NumField() {
		if !reflect.DeepEqual(v.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s differs:\n got %.400v\nwant %.400v", v.Type().Field(i).Name, v.Field(i), w.Field(i))
		}
	}
}

func TestEmptyRoundTrip(t *testing.T) {
	want := &evidence.Bundle{Version: "v", Window: evidence.Window{Start: time.Unix(1, 0).UTC(), End: time.Unix(2, 0).UTC()}}
	got, err := Read(bytes.NewReader(encoded(t, want)), DefaultLimits)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestSameBytes(t *testing.T) {
	first := encoded(t, recorded(200, 50))
	if !bytes.Equal(first, encoded(t, recorded(200, 50))) {
		t.Error("the same bundle gave other bytes")
	}
	again, err := Read(bytes.NewReader(first), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, encoded(t, again)) {
		t.Error("writing what was read gave other bytes")
	}
}

// The size promised for a recorded scenario.
func TestSize(t *testing.T) {
	b := recorded(25000/8, 500)
	size := len(encoded(t, b))
	t.Logf("%d spans, %d series, %d histograms: %d bytes", len(b.Spans), len(b.Series), len(b.Histograms), size)
	if size > 1<<20 {
		t.Errorf("%d bytes, want at most 1 MiB", size)
	}
}

func TestWriteRefusesNaN(t *testing.T) {
	b := recorded(1, 1)
	b.Series[0].Values[3] = math.NaN()
	if err := Write(io.Discard, b); err == nil || !strings.Contains(err.Error(), "series.jsonl: line 1") {
		t.Errorf("error %v", err)
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.culprit")
	if err := WriteFile(path, recorded(3, 3)); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadFile(path); err != nil || len(b.Spans) != 24 {
		t.Errorf("%v, %v", b, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := WriteFile(filepath.Join(t.TempDir(), "no", "such", "x"), recorded(1, 1)); err == nil {
		t.Error("wrote into a folder that is not there")
	}
}

// Wherever the file is cut, the error is one line and says where.
func TestCutShort(t *testing.T) {
	whole := encoded(t, recorded(400, 80))
	parts := map[string]bool{}
	for n := 0; n < len(whole)-1; n += 1 + len(whole)/97 {
		b, err := Read(bytes.NewReader(whole[:n]), DefaultLimits)
		if err == nil {
			t.Fatalf("cut at %d of %d: no error, %d spans", n, len(whole), len(b.Spans))
		}
		if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "cut short in ") {
			t.Errorf("cut at %d: %q", n, err)
		}
		parts[err.Error()] = true
	}
	t.Logf("%d different errors", len(parts))
	if len(parts) < 2 {
		t.Errorf("the errors name too few parts: %v", parts)
	}
}

func TestDamage(t *testing.T) {
	whole := encoded(t, recorded(5, 5))
	plainTar := unzstd(t, whole)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"text":          {[]byte("hello, this is not a bundle at all, only text"), "not a culprit bundle"},
		"empty":         {nil, "cut short in manifest.json"},
		"tar only":      {plainTar, "not a culprit bundle"},
		"zeros":         {rezstd(t, make([]byte, 4096)), "cut short in manifest.json"},
		"flipped":       {rezstd(t, bytes.Replace(plainTar, []byte(`"{core}"`), []byte(`"{bore}"`), 1)), "series.jsonl: the checksum differs"},
		"newer":         {archiveOf(t, partManifest, `{"schema_version":9,"parts":7}`), "schema version 9"},
		"older":         {archiveOf(t, partManifest, `{}`), "schema version 0"},
		"no json":       {archiveOf(t, partManifest, `<html>`), "damaged: manifest.json"},
		"other first":   {archiveOf(t, "../../etc/passwd", "root"), `"../../etc/passwd" stands in its place`},
		"part missing":  {archiveOf(t, partManifest, `{"schema_version":1,"parts":[{"name":"series.jsonl"}]}`), "cut short in series.jsonl"},
		"part unknown":  {archiveOf(t, partManifest, `{"schema_version":1,"parts":[{"name":"x","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}`, "x", ""), "x: an unknown part"},
		"one too many":  {archiveOf(t, partManifest, `{"schema_version":1}`, "../slip", "boo"), `part "../slip" is not in the manifest`},
		"over the size": {archiveOf(t, partManifest, strings.Repeat(" ", 2<<20)+`{"schema_version":1}`), "larger than the 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			limits := DefaultLimits
			if name == "over the size" {
				limits.Bytes = 1 << 20
			}
			_, err := Read(bytes.NewReader(c.data), limits)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.want)
			}
		})
	}
}

// A gigabyte of zeros behind a few kilobytes must not be unpacked.
func TestBomb(t *testing.T) {
	var buf bytes.Buffer
	z, err := zstd.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: partManifest, Size: 1 << 30, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(&buf, Limits{Bytes: 64 << 20, Line: 1 << 20}); err == nil || !strings.Contains(err.Error(), "larger than the 64 MiB") {
		t.Errorf("error %v", err)
	}
}

func TestLongLine(t *testing.T) {
	b := recorded(1, 1)
	if _, err := Read(bytes.NewReader(encoded(t, b)), Limits{Bytes: 1 << 20, Line: 64}); err == nil || !strings.Contains(err.Error(), "weights.jsonl: line 1 is longer than 64 bytes") {
		t.Errorf("error %v", err)
	}
}

func unzstd(t testing.TB, data []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func rezstd(t testing.TB, data []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(data, nil)
}

// archiveOf packs names and contents in turn.
func archiveOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := 0; i < len(files); i += 2 {
		if err := writePart(w, files[i], []byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return rezstd(t, buf.Bytes())
}

func FuzzRead(f *testing.F) {
	whole := encoded(f, recorded(2, 2))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkRead(t, func() (*evidence.Bundle, error) {
			return Read(bytes.NewReader(data), Limits{Bytes: 1 << 20, Line: 1 << 18})
		})
	})
}

// FuzzArchive starts behind the compression, where a fuzzer gets further.
func FuzzArchive(f *testing.F) {
	f.Add(unzstd(f, encoded(f, recorded(2, 2))))
	f.Add(unzstd(f, archiveOf(f, partManifest, `{"schema_version":1}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkRead(t, func() (*evidence.Bundle, error) {
			return readArchive(bytes.NewReader(data), Limits{Bytes: 1 << 20, Line: 1 << 18})
		})
	})
}

// FuzzSpans reads the one binary part.
func FuzzSpans(f *testing.F) {
	spans := recorded(2, 1).Spans
	content, err := encodeSpans(spans)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content, len(spans))
	f.Fuzz(func(t *testing.T, data []byte, items int) {
		got, err := decodeSpans(data, items)
		if err == nil && len(got) != items {
			t.Errorf("%d spans of %d", len(got), items)
		}
	})
}

// checkRead: what was read without an error can be written again.
func checkRead(t *testing.T, read func() (*evidence.Bundle, error)) {
	b, err := read()
	if err != nil {
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("error of several lines: %q", err)
		}
		return
	}
	if _, err := encodeParts(b, &manifest{}); err != nil {
		t.Errorf("read but not written: %v", err)
	}
}

func BenchmarkRead(b *testing.B) {
	whole := encoded(b, recorded(25000/8, 500))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(bytes.NewReader(whole), DefaultLimits); err != nil {
			b.Fatal(err)
		}
	}
}

func TestReadFileNamesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.culprit")
	if err := os.WriteFile(path, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("error %v", err)
	}
}
