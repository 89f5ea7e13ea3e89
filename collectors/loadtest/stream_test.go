package loadtest

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// The three streams and the summary are of one run of k6 1.8.1, recorded at
// once: they must agree on what happened.
func TestK6StreamsAgree(t *testing.T) {
	want := readRecorded(t, "summary-scenarios.json")
	for _, file := range []string{"k6-points.json.gz", "k6-points.csv", "k6-points.influx"} {
		got := readRecorded(t, file)
		if text := counts(got); text != " 24/4; GET /products, all 20/0; POST /orders 4/4" {
			t.Errorf("%s: %s", file, text)
		}
		if got.Tool != "k6" || len(got.Notes) != 0 || got.End-got.Start < 2000 || got.End-got.Start > 4000 {
			t.Errorf("%s: %s from %d to %d, notes %q", file, got.Tool, got.Start, got.End, got.Notes)
		}
		all, summed := got.Requests[0], want.Requests[0]
		if math.Abs(all.Max-summed.Max) > 1e-6 || all.Count != summed.Count || all.Failed != summed.Failed || math.Abs(all.P50-summed.P50) > 1e-4 {
			t.Errorf("%s: %+v, the summary says %+v", file, all, summed)
		}
		if len(got.Modules) != 2 || got.Modules[0].Name != "browse" || got.Modules[1].Name != "buy" || got.Modules[1].Requests[0].Failed != 4 {
			t.Fatalf("%s: modules %+v", file, got.Modules)
		}
		if file != "k6-points.csv" && got.Modules[1].Start < got.Modules[0].End-500 { // the CSV has whole seconds
			t.Errorf("%s: buy ran after browse: %+v", file, got.Modules)
		}
	}
	if len(want.Modules) != 1 || want.Modules[0].Name != "buy" || want.Modules[0].Start != 0 || want.Modules[0].Requests[0].P95 == 0 {
		t.Errorf("summary: modules %+v", want.Modules)
	}
}

func TestStreamKilled(t *testing.T) {
	content, err := os.ReadFile("testdata/k6-points.influx")
	if err != nil {
		t.Fatal(err)
	}
	run, err := parseInflux(bytes.NewReader(content[:len(content)/2]), 0)
	if err != nil || len(run.Requests) == 0 || len(run.Notes) != 1 {
		t.Errorf("%v, notes %q", err, run.Notes)
	}
	if _, err := parseInflux(strings.NewReader("rubbish\n"), 0); err == nil {
		t.Error("rubbish is a line of InfluxDB")
	}
}

func TestInfluxEscapes(t *testing.T) {
	p, err := influxPoint(`http_req_duration,name=a\ b\,c\=d,scenario=x url="http://h/\"q\",r s",value=1.5 1700000000123456789`)
	if err != nil || p.tag("name") != "a b,c=d" || p.tag("url") != `http://h/"q",r s` || p.value != 1.5 || p.at != 1700000000123 {
		t.Errorf("%+v, %v, url %q, name %q", p, err, p.tag("url"), p.tag("name"))
	}
	for _, bad := range []string{"", " ", "a", "a b", "a value=x 1", "a value=1", "a value=1 x", "a b=1 2 3"} {
		if _, err := influxPoint(bad); err == nil {
			t.Errorf("%q is a point", bad)
		}
	}
}

// gatling310 is written after what is published of the text log of Gatling
// 3.4 to 3.11, not recorded; so are the older shapes below.
const gatling310 = "RUN\tshop.Load\tload\t1700000000000\t \t3.10.5\n" +
	"USER\tbrowse\tSTART\t1700000000010\n" +
	"REQUEST\t\tGET /products\t1700000000020\t1700000000070\tOK\t \n" +
	"REQUEST\tcheckout,pay\tPOST /orders\t1700000001000\t1700000001200\tKO\tstatus.find.is(200), but actually found 500\n" +
	"GROUP\tcheckout,pay\t1700000001000\t1700000001200\t200\tKO\n" +
	"USER\tbrowse\tEND\t1700000001300\n" +
	"USER\tbuy\tSTART\t1700000001400\n" +
	"USER\tbuy\tEND\t1700000001500\n"

func TestGatling(t *testing.T) {
	run, err := parseGatlingLog(strings.NewReader(gatling310), 0)
	if err != nil || counts(run) != " 2/1; GET /products 1/0; checkout / pay / POST /orders 1/1" {
		t.Fatalf("%v, %s", err, counts(run))
	}
	if run.Tool != "gatling" || run.Start != 1700000000020 || run.End != 1700000001200 || run.Requests[2].Max != .2 {
		t.Errorf("%+v", run)
	}
	want := []evidence.LoadModule{{Name: "browse", Start: 1700000000010, End: 1700000001300}, {Name: "buy", Start: 1700000001400, End: 1700000001500}}
	if fmt.Sprint(run.Modules) != fmt.Sprint(want) {
		t.Errorf("modules %+v", run.Modules)
	}
	for version, record := range map[string]string{
		"3.0": "REQUEST\t7\t\tGET /x\t1700000000020\t1700000000070\tOK\t ",
		"2.3": "REQUEST\tbrowse\t7\t\tGET /x\t1700000000020\t1700000000070\tOK\t ",
	} {
		run, err := parseGatlingLog(strings.NewReader("RUN\ta\tb\t1\t \t"+version+"\n"+record+"\n"), 0)
		if err != nil || counts(run) != " 1/0; GET /x 1/0" || len(run.Modules) != strings.Count(record, "browse") {
			t.Errorf("%s: %v, %s, %+v", version, err, counts(run), run.Modules)
		}
	}
	for _, bad := range []string{"REQUEST\tOK", "REQUEST\t\ta\tx\ty\tOK", "REQUEST\t\ta\t5\t4\tOK", "USER\tx", "USER\tx\tSTART\ty"} {
		if _, err := parseGatlingLog(strings.NewReader("RUN\ta\n"+bad), 0); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// gatlingStatistics has the shape of js/stats.json as it is published, not
// recorded.
const gatlingStatistics = `{"type":"GROUP","name":"All Requests","path":"","stats":{"numberOfRequests":{"total":30,"ok":29,"ko":1},
"maxResponseTime":{"total":900,"ok":900,"ko":12},"percentiles1":{"total":50},"percentiles2":{"total":60},"percentiles3":{"total":400},"percentiles4":{"total":800}},
"contents":{"group_checkout":{"type":"GROUP","name":"checkout","path":"checkout","stats":{},"contents":{
"req_pay":{"type":"REQUEST","name":"pay","path":"checkout / pay","stats":{"numberOfRequests":{"total":"30","ok":"29","ko":"1"},"maxResponseTime":{"total":"-"}}}}}}}`

func TestGatlingStatistics(t *testing.T) {
	run, err := readSummary(strings.NewReader(gatlingStatistics))
	if err != nil || counts(run) != " 30/1; checkout / pay 30/1" || run.Requests[0].P95 != .4 || run.Requests[1].Max != 0 {
		t.Errorf("%v, %+v", err, run)
	}
}

func TestPlainCSV(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"all":    {"time,name,duration_ms,ok,module\n1700000000,a,5,true,m\n1700000001,b,7.5,false,m\n", " 2/1; a 1/0; b 1/1"},
		"other":  {"Label,Timestamp,Elapsed_s,Status\na,2023-11-14T22:13:20Z,0.005,200\na,2023-11-14T22:13:21.5Z,0.1,503\n", " 2/1; a 2/1"},
		"errors": {"start,latency_us,error\n1700000000123,5,\n1700000000124,5,timeout\n", " 2/1"},
	} {
		path := filepath.Join(t.TempDir(), "x.csv")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		run, err := readFile(path, 0)
		if err != nil || counts(run) != c.want || run.Tool != "csv" || run.Start/1000 != 1700000000 {
			t.Errorf("%s: %v, %q, from %d", name, err, counts(run), run.Start)
		}
	}
	for _, bad := range []string{"time,duration_ms\nx,1\n", "time,duration_ms\n1700000000,-1\n", "time,duration_ms\n1700000000,NaN\n"} {
		if _, err := parsePlain(strings.NewReader(bad), 0); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// A module is named by its thread group.
func TestJMeterModules(t *testing.T) {
	run := readRecorded(t, "jmeter-2.13.csv.jtl")
	if len(run.Modules) != 1 || run.Modules[0].Name != "users" || run.Modules[0].Requests[0].Count != 20 {
		t.Errorf("%+v", run.Modules)
	}
	for thread, want := range map[string]string{"Thread Group 1-12": "Thread Group", "h-Group 2-3": "h-Group", "main": "main", "": "", "a b": "a b"} {
		if got := threadGroup(thread); got != want {
			t.Errorf("%q: %q", thread, got)
		}
	}
}

func TestResultsAreFound(t *testing.T) {
	for env, args := range map[string][]string{
		"":                   {"k6", "run", "--out", "json=p.json", "t.js"},
		"csv=p.json":         {"k6", "run", "t.js"},
		"influxdb=x,json=x ": {"k6", "run", "--out=json=p.json"},
	} {
		if got := k6Stream(args, env); got != "p.json" {
			t.Errorf("%v: %q", args, got)
		}
	}
	dir := t.TempDir()
	start := time.Now().Add(-time.Second)
	for name, text := range map[string]string{"old-1": gatling310, "new-2": "\x00\x01binary", "new-3": gatling310} {
		path := filepath.Join(dir, name, gatlingLog)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "old-1" {
			if err := os.Chtimes(path, start.Add(-time.Hour), start.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := newestResult([]string{dir}, start); filepath.Base(filepath.Dir(got)) != "new-3" {
		t.Errorf("found %q", got)
	}
	c, err := NewCommand([]string{"mvn", "gatling:test"}, dir)
	if err != nil || c.tool != "gatling" || len(c.roots) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = NewCommand([]string{"/opt/gatling/bin/gatling.sh", "-rf", dir}, dir); err != nil || c.roots[0] != dir {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzStreams(f *testing.F) {
	f.Add([]byte(gatling310))
	f.Add([]byte("time,name,duration_ms\n1700000000,a,5\n"))
	f.Add([]byte(`http_req_duration,name=a value=1.5 1700000000123456789`))
	f.Add([]byte(`{"metric":"http_req_duration","type":"Point","data":{"time":"2026-11-21T03:08:29.8Z","value":4.7,"tags":{"name":"a"}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, parse := range []func() (evidence.LoadRun, error){
			func() (evidence.LoadRun, error) { return parseGatlingLog(bytes.NewReader(content), 0) },
			func() (evidence.LoadRun, error) { return parsePlain(bytes.NewReader(content), 0) },
			func() (evidence.LoadRun, error) { return parseInflux(bytes.NewReader(content), 0) },
			func() (evidence.LoadRun, error) { return parseK6JSON(bytes.NewReader(content), 0) },
			func() (evidence.LoadRun, error) { return parseK6CSV(bytes.NewReader(content), 0) },
		} {
			run, _ := parse()
			for _, r := range run.Requests {
				if r.P50 < 0 || r.Count < r.Failed || r.P99 > r.Max {
					t.Errorf("%+v", r)
				}
			}
		}
	})
}
