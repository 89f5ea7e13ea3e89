package loadtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

func readRecorded(t *testing.T, file string) evidence.LoadRun {
	t.Helper()
	b, err := NewFile(filepath.Join("testdata", file)).Collect(t.Context(), window)
	return runOf(t, b, err)
}

// counts of every name, as "name count/failed".
func counts(run evidence.LoadRun) string {
	var out []string
	for _, r := range run.Requests {
		out = append(out, fmt.Sprintf("%s %g/%g", r.Name, r.Count, r.Failed))
	}
	return strings.Join(out, "; ")
}

// Recorded from JMeter 2.13: the CSV holds the parent samples of transactions
// and not their requests, the XML holds both.
func TestJMeter(t *testing.T) {
	run := readRecorded(t, "jmeter-2.13.csv.jtl")
	if got := counts(run); got != " 20/10; GET /fail 10/10; checkout 10/0" {
		t.Errorf("CSV: %s", got)
	}
	if run.Tool != "jmeter" || run.Start != 1795224542223 || run.End <= run.Start || run.End-run.Start > 5000 || len(run.Notes) != 0 {
		t.Errorf("CSV: from %d to %d, notes %q", run.Start, run.End, run.Notes)
	}
	all := run.Requests[0]
	if all.Max != .361 || all.P50 <= 0 || all.P95 < all.P50 || all.P99 < all.P95 || all.Max < all.P99 {
		t.Errorf("CSV: %+v", all)
	}
	run = readRecorded(t, "jmeter-2.13.xml.jtl")
	if got := counts(run); got != " 30/10; GET /fail 10/10; GET /fast 10/0; GET /slow, with a comma 10/0; checkout 10/0" {
		t.Errorf("XML: %s", got)
	}
	if run.Start != 1795224551924 || run.Requests[0].Max != .612 || run.Requests[4].Max != .638 {
		t.Errorf("XML: from %d, %+v", run.Start, run.Requests)
	}
}

// Percentiles are exact on what was logged.
func TestSampleStatistics(t *testing.T) {
	s := newSamples(0)
	for i := range int64(100) {
		s.add(sample{name: "a", at: 1000 + i, elapsed: float64(100-i) / 1000, failed: i < 7})
	}
	got := s.run("x").Requests[0]
	if want := (evidence.LoadStat{Count: 100, Failed: 7, P50: .05, P95: .095, P99: .099, Max: .1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func jtl(t *testing.T, text string, from int64) (evidence.LoadRun, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.jtl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return readFile(path, from)
}

func TestJTLShapes(t *testing.T) {
	const names = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,success\n"
	for name, c := range map[string]struct {
		text string
		from int64
		want string
		note string
	}{
		"without names":          {"1700000000000,5,a,200,OK,t,text,true,1\n1700000001000,7,a,500,no,t,text,false,1\n", 0, " 2/1; a 2/1", ""},
		"semicolons":             {strings.ReplaceAll(names, ",", ";") + "1700000000000;5;a;200;OK;t;true\n", 0, " 1/0; a 1/0", ""},
		"byte order mark":        {"\ufeff" + names + "1700000000000,5,a,200,OK,t,true\n", 0, " 1/0; a 1/0", ""},
		"transaction and rows":   {names + "1700000000000,5,a,200,OK,t,true\n1700000000000,6,T,,\"Number of samples in transaction : 1, number of failing samples : 0\",t,true\n", 0, " 1/0; T 1/0; a 1/0", ""},
		"an earlier run":         {names + "1700000000000,5,a,200,OK,t,true\n1700000009000,5,a,200,OK,t,true\n", 1700000005000, " 1/0; a 1/0", "1 samples of an earlier run"},
		"killed in a line":       {names + "1700000000000,5,a,200,OK,t,true\n17000", 0, " 1/0; a 1/0", "read up to line 2 alone"},
		"killed in an element":   {`<testResults><httpSample t="5" ts="1700000000000" s="true" lb="a"/><httpSam`, 0, " 1/0; a 1/0", "read 1 samples alone"},
		"redirects are no more":  {`<testResults><httpSample t="5" ts="1700000000000" s="true" lb="a"><httpSample t="3" ts="1700000000000" s="true" lb="a-0"/></httpSample></testResults>`, 0, " 1/0; a 1/0", ""},
		"assertions are no more": {`<testResults><httpSample t="5" ts="1700000000000" s="false" lb="a"><assertionResult><name>x</name></assertionResult></httpSample></testResults>`, 0, " 1/1; a 1/1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			run, err := jtl(t, c.text, c.from)
			if err != nil || counts(run) != c.want || !strings.Contains(strings.Join(run.Notes, ";"), c.note) || c.note == "" && len(run.Notes) > 0 {
				t.Errorf("%q, notes %q, %v; want %q", counts(run), run.Notes, err, c.want)
			}
		})
	}
	for name, c := range map[string]struct{ text, want string }{
		"date":     {names + "2023/11/14 22:13:20,5,a,200,OK,t,true\n", "timestamp_format=ms"},
		"elapsed":  {names + "1700000000000,x,a,200,OK,t,true\n", "elapsed"},
		"negative": {names + "1700000000000,-4,a,200,OK,t,true\n", "elapsed"},
		"xml":      {"<?xml version='1.0'?><html><br></html>", "JTL"},
		"deep":     {"<testResults>" + strings.Repeat("<sample>", 100), "nested deeper"},
		"number":   {`<testResults><sample t="a"/></testResults>`, "attribute t"},
	} {
		if _, err := jtl(t, c.text, 0); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Recorded from Locust 2.12.1; either file finds the other.
func TestLocust(t *testing.T) {
	stats, history := readRecorded(t, "locust_stats.csv"), readRecorded(t, "locust_stats_history.csv")
	if fmt.Sprint(stats) != fmt.Sprint(history) {
		t.Errorf("by statistics %+v, by history %+v", stats, history)
	}
	if stats.Tool != "locust" || stats.Start != 1795224556000 || stats.End <= stats.Start || stats.End-stats.Start > 15000 {
		t.Errorf("from %d to %d", stats.Start, stats.End)
	}
	names := []string{}
	for _, r := range stats.Requests {
		names = append(names, r.Name)
	}
	if !slices.Equal(names, []string{"", "GET /fail", "GET /fast", "GET /slow/[id]"}) {
		t.Errorf("names %q", names)
	}
	all, failed := stats.Requests[0], stats.Requests[1]
	if all.Count < 100 || failed.Failed != failed.Count || all.Failed != failed.Count || all.P50 <= 0 || all.P50 > .05 || all.P99 < all.P95 {
		t.Errorf("%+v, %+v", all, failed)
	}
}

func TestLocustAlone(t *testing.T) {
	dir := t.TempDir()
	stats := filepath.Join(dir, "x_stats.csv")
	content, err := os.ReadFile("testdata/locust_stats.csv")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stats, content, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := NewFile(stats).Collect(t.Context(), window)
	if run := runOf(t, b, err); run.Start != window.Start.UnixMilli() || len(run.Notes) != 1 {
		t.Errorf("%+v", run)
	}
	history := filepath.Join(dir, "y_stats_history.csv")
	if err := os.WriteFile(history, []byte("Timestamp,User Count,Type,Name,\n1,1,,Aggregated\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readFile(history, 0); err == nil || !strings.Contains(err.Error(), "statistics beside") {
		t.Errorf("a history alone: %v", err)
	}
	if _, err := parseLocustStats(strings.NewReader("Type,Name,Request Count\n,Aggregated,many\n")); err == nil || !strings.Contains(err.Error(), "Request Count") {
		t.Errorf("not a number: %v", err)
	}
	if run, err := parseLocustStats(strings.NewReader("Type,Name,Request Count,95%\n,Aggregated,3,NaN\n")); err == nil {
		t.Errorf("NaN was taken: %+v", run)
	}
}

func TestPrepareOthers(t *testing.T) {
	dir := t.TempDir()
	log, prefix := filepath.Join(dir, "jmeter.jtl"), filepath.Join(dir, "locust")
	for name, c := range map[string]struct {
		args   []string
		env    string
		want   []string
		result string
	}{
		"jmeter":           {[]string{"/opt/jmeter.sh", "-n", "-t", "p.jmx"}, "", []string{"/opt/jmeter.sh", "-n", "-t", "p.jmx", "-l", log}, log},
		"jmeter with log":  {[]string{"jmeter", "-n", "-t", "p.jmx", "-l", "own.jtl"}, "", nil, "own.jtl"},
		"jmeter by window": {[]string{"jmeter", "-t", "p.jmx"}, "", nil, ""},
		"locust":           {[]string{"locust", "--headless"}, "", []string{"locust", "--headless", "--csv", prefix}, prefix + "_stats.csv"},
		"locust with csv":  {[]string{"locust", "--csv=own"}, "", nil, "own_stats.csv"},
		"locust by env":    {[]string{"locust"}, "env", nil, "env_stats.csv"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LOCUST_CSV", c.env)
			cmd, err := NewCommand(c.args, dir)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				c.want = c.args
			}
			if !slices.Equal(cmd.args, c.want) || cmd.result != c.result {
				t.Errorf("args %q, result %q", cmd.args, cmd.result)
			}
		})
	}
}

func FuzzLogs(f *testing.F) {
	for _, name := range []string{"jmeter-2.13.csv.jtl", "jmeter-2.13.xml.jtl", "locust_stats.csv"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, parse := range []func() (evidence.LoadRun, error){
			func() (evidence.LoadRun, error) { return parseJTLCSV(bytes.NewReader(content), ',', 0) },
			func() (evidence.LoadRun, error) { return parseJTLXML(bytes.NewReader(content), 0) },
			func() (evidence.LoadRun, error) { return parseLocustStats(bytes.NewReader(content)) },
		} {
			run, _ := parse()
			for _, r := range run.Requests {
				if r.P50 < 0 || r.Count < 0 {
					t.Errorf("%+v", r)
				}
			}
		}
	})
}
