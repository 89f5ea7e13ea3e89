package prometheus

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// recorded answers every request of client_golang with the same text.
type recorded []byte

func (recorded) URL(string, map[string]string) *url.URL {
	return &url.URL{Scheme: "http", Host: "recorded"}
}

func (r recorded) Do(context.Context, *http.Request) (*http.Response, []byte, error) {
	return &http.Response{StatusCode: http.StatusOK}, r, nil
}

// CloseIdleConnections is part of newer api.Clients.
func (recorded) CloseIdleConnections() {}

var _ api.Client = recorded(nil)

// peer decodes with client_golang.
func peer(text []byte) (model.Value, v1.Warnings, v1.Infos, error) {
	return v1.NewAPI(recorded(text)).QueryRange(context.Background(), "q", v1.Range{})
}

// matrixOf brings client_golang's value into our shape.
func matrixOf(v model.Value) []samples {
	var out []samples
	switch v := v.(type) {
	case model.Matrix:
		for _, s := range v {
			one := samples{Labels: labelsOf(s.Metric)}
			for _, p := range s.Values {
				one.Times, one.Values = append(one.Times, int64(p.Timestamp)), append(one.Values, float64(p.Value))
			}
			for _, h := range s.Histograms {
				one.Histograms = append(one.Histograms, nativeOf(h.Timestamp, h.Histogram))
			}
			out = append(out, one)
		}
	case model.Vector:
		for _, s := range v {
			one := samples{Labels: labelsOf(s.Metric)}
			if s.Histogram != nil {
				one.Histograms = []nativeSample{nativeOf(s.Timestamp, s.Histogram)}
			} else {
				one.Times, one.Values = []int64{int64(s.Timestamp)}, []float64{float64(s.Value)}
			}
			out = append(out, one)
		}
	}
	return out
}

func labelsOf(m model.Metric) labels {
	var out labels
	for k, v := range m {
		out = append(out, label{string(k), string(v)})
	}
	return out
}

func nativeOf(t model.Time, h *model.SampleHistogram) nativeSample {
	out := nativeSample{Time: int64(t), Count: float64(h.Count), Sum: float64(h.Sum)}
	for _, b := range h.Buckets {
		out.Buckets = append(out.Buckets, nativeBucket{Rule: int(b.Boundaries), Lower: float64(b.Lower), Upper: float64(b.Upper), Count: float64(b.Count)})
	}
	return out
}

// spell makes samples comparable bit for bit, whatever the order of labels.
func spell(all []samples) string {
	var b strings.Builder
	for _, s := range all {
		m := labelMap(s.Labels)
		if le := s.Labels.get("le"); le != "" {
			m["le"] = le
		}
		fmt.Fprintf(&b, "%v %v [", m, s.Times)
		for _, v := range s.Values {
			fmt.Fprintf(&b, "%x ", math.Float64bits(v))
		}
		fmt.Fprintf(&b, "] %v\n", s.Histograms)
	}
	return b.String()
}

func same(t *testing.T, text []byte) {
	t.Helper()
	value, warnings, infos, err := peer(text)
	if err != nil {
		t.Fatalf("client_golang: %v", err)
	}
	got, err := decodeAnswer(newScanner(bytes.NewReader(text)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if want, have := spell(matrixOf(value)), spell(got.Series); want != have {
		t.Errorf("decoded otherwise than client_golang:\nhave %s\nwant %s", have, want)
	}
	if fmt.Sprint(got.Warnings, got.Infos) != fmt.Sprint([]string(warnings), []string(infos)) {
		t.Errorf("have warnings %q, infos %q; want %q, %q", got.Warnings, got.Infos, warnings, infos)
	}
}

// The answers in testdata/prom3_*.json were recorded from Prometheus 3.15.
func TestDecodeRecorded(t *testing.T) {
	for _, name := range []string{"query_range", "query_native_histogram", "query_vector", "warning"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "prom3_"+name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			same(t, text)
		})
	}
}

func TestDecodeAsClientGolang(t *testing.T) {
	wrap := func(kind, result, rest string) string {
		return `{"status":"success","data":{"resultType":"` + kind + `","result":` + result + `}` + rest + `}`
	}
	for name, text := range map[string]string{
		"empty":             wrap("matrix", `[]`, ""),
		"nan, inf":          wrap("matrix", `[{"metric":{},"values":[[1,"NaN"],[2,"+Inf"],[3,"-Inf"],[4,"-0"],[5,"0"]]}]`, ""),
		"odd numbers":       wrap("matrix", `[{"metric":{"a":"b"},"values":[[1.5,"1e-7"],[2.25,"1.7976931348623157e+308"],[3.125,"5e-324"],[4.001,"123456789012345"],[5.999,"1234567890123456789"],[6,"-0.1"],[7,"0.30000000000000004"],[8,"100000000000000000000000"],[9,"9007199254740993"]]}]`, ""),
		"two grids":         wrap("matrix", `[{"metric":{"a":"1"},"values":[[1,"1"],[2,"2"],[3,"3"]]},{"metric":{"a":"2"},"values":[[2,"4"],[3,"5"]]},{"metric":{"a":"3"},"values":[[1,"6"],[3,"7"]]},{"metric":{"a":"4"},"values":[[0,"6"],[3,"7"],[9,"8"]]}]`, ""),
		"escapes":           wrap("matrix", `[{"metric":{"a":"\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00","ü":"é"},"values":[[1,"1"]]}]`, ""),
		"native":            wrap("matrix", `[{"metric":{"a":"b"},"histograms":[[1.5,{"count":"3","sum":"-0.5","buckets":[[3,"-1","1","2"],[0,"1","2","1"]]}],[2,{"count":"0","sum":"NaN"}]]}]`, ""),
		"floats and native": wrap("matrix", `[{"metric":{"a":"b"},"values":[[1,"2"]],"histograms":[[3,{"count":"1","sum":"1","buckets":[[0,"1","2","1"]]}]]}]`, ""),
		"warnings, infos":   wrap("vector", `[{"metric":{},"value":[1.5,"2"]}]`, `,"warnings":["a","b"],"infos":["c"]`),
		"white space":       " {\n \"status\" : \"success\" , \"data\" : { \"resultType\":\"matrix\" , \"result\" : [ { \"metric\" : { \"a\" : \"b\" } , \"values\" : [ [ 1 , \"2\" ] , [ 2.5 , \"3\" ] ] } ] } }",
		"unknown keys":      wrap("matrix", `[{"metric":{"a":"b"},"values":[[1,"2"]]}]`, `,"isPartial":false,"stats":{"seriesFetched":"1","x":[1,{"y":null}]}`),
	} {
		t.Run(name, func(t *testing.T) { same(t, []byte(text)) })
	}
}

// A reader that gives one byte at a time crosses a refill at every place.
func TestDecodeByteByByte(t *testing.T) {
	text := matrixText(3, 50)
	whole, err := decodeAnswer(newScanner(bytes.NewReader(text)), 10)
	if err != nil {
		t.Fatal(err)
	}
	s := newScanner(iotest.OneByteReader(bytes.NewReader(text)))
	s.buf = make([]byte, 1)
	pieces, err := decodeAnswer(s, 10)
	if err != nil {
		t.Fatal(err)
	}
	if spell(whole.Series) != spell(pieces.Series) {
		t.Error("the size of reads changes the result")
	}
}

func TestDecodeInfosAndErrors(t *testing.T) {
	a, err := decodeAnswer(newScanner(strings.NewReader(`{"status":"success","data":{"resultType":"matrix","result":[]},"infos":["i"]}`)), 1)
	if err != nil || len(a.Infos) != 1 || a.Infos[0] != "i" {
		t.Errorf("infos: %v, %v", a.Infos, err)
	}
	for text, want := range map[string]string{
		``:                                 errEarlyEnd.Error(),
		`{"status":"success","data":{"res`: errEarlyEnd.Error(),
		`{"status":"error","errorType":"bad_data","error":"no"}`: "no",
		`{"hello":1}`: errNotPrometheus.Error(),
		`[]`:          "malformed JSON",
		`{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`:                            "a scalar where",
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}`: "malformed sample value",
		`{"a":` + strings.Repeat("[", 1000):                                                               "nested deeper",
	} {
		if _, err := decodeAnswer(newScanner(strings.NewReader(text)), 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}

func TestDecodeKeepsTheLimit(t *testing.T) {
	a, err := decodeAnswer(newScanner(bytes.NewReader(matrixText(5, 3))), 2)
	if err != nil || len(a.Series) != 2 || !a.Truncated {
		t.Errorf("%d series, truncated %v, %v", len(a.Series), a.Truncated, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(matrixText(2, 3))
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"\ud800"},"values":[[1e3,"1e9"]]}]},"warnings":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := decodeAnswer(newScanner(bytes.NewReader(text)), 100)
		if err != nil {
			return // client_golang is laxer and stricter in turn about what is malformed
		}
		for _, s := range got.Series {
			if len(s.Times) != len(s.Values) {
				t.Fatalf("%d times, %d values", len(s.Times), len(s.Values))
			}
		}
		value, _, _, err := peer(text)
		if err != nil || got.Truncated {
			return
		}
		if want, have := spell(matrixOf(value)), spell(got.Series); len(matrixOf(value)) == len(got.Series) && want != have {
			t.Errorf("have %s\nwant %s", have, want)
		}
	})
}

// matrixText is an answer as Prometheus sends it: short and long numbers, a
// series that starts late, labels that repeat.
func matrixText(series, points int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[`)
	for i := range series {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"metric":{"http_route":"/r/%d","instance":"10.0.0.%d:8080","job":"svc-%d","le":"%g"},"values":[`, i%97, i%17, i%13, float64(i%11)/4)
		for j := i % 3; j < points; j++ {
			if j > i%3 {
				b.WriteByte(',')
			}
			v := rng.Float64() * 100
			if j%2 == 0 {
				v = math.Round(v)
			}
			fmt.Fprintf(&b, `[%d,"%v"]`, 1795209521+5*j, v)
		}
		b.WriteString(`]}`)
	}
	b.WriteString(`]}}`)
	return b.Bytes()
}

// BenchmarkDecode is 10,000 series x 360 points, with client_golang beside it.
func BenchmarkDecode(b *testing.B) {
	text := matrixText(10_000, 360)
	b.Run("culprit", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := decodeAnswer(newScanner(io.MultiReader(bytes.NewReader(text))), maxSeries); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("client_golang", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, _, _, err := peer(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
