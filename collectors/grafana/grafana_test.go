package grafana

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// No Grafana can be had from the package sources that the tests may use: the
// server here answers as https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
// says that Grafana does.

var window = evidence.Window{Start: time.UnixMilli(1_700_000_000_000), End: time.UnixMilli(1_700_000_600_000)}

const token = "glsa_secret"

func collector(t *testing.T, url string, tags ...string) *Collector {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := config.DefaultHTTPClientConfig
	settings.Authorization = &config.Authorization{Type: "Bearer", CredentialsFile: file}
	c, err := New(Config{URL: url, HTTP: settings, Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const documented = `[
 {"id":1124,"alertId":0,"dashboardId":468,"panelId":2,"userId":1,"userName":"","newState":"","prevState":"","time":1700000100000,"timeEnd":1700000160000,"text":"pool of <b>checkout</b> set to 4 &amp; back","metric":"","tags":["config","service:checkout"],"data":{}},
 {"id":1123,"time":1700000050000,"timeEnd":1700000050000,"text":"","tags":["deploy","service=cart","v2.3.0"]},
 {"id":1122,"time":1700000040000,"text":"pod killed","tags":["kind:chaos","pod:cart-0"]},
 {"id":1121,"time":1700000030000,"text":"looks slow to me","tags":[]},
 {"id":1120,"alertId":7,"alertName":"slow","newState":"alerting","prevState":"ok","time":1700000035000,"text":"","tags":["deploy"]},
 {"id":1119,"time":1700000020000,"timeEnd":1700000025000,"text":"culprit: pool","tags":["culprit","target:shop","culprit-run:1"]}
]`

func TestAnnotations(t *testing.T) {
	asked := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.String() + " " + r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		fmt.Fprint(w, documented)
	}))
	defer s.Close()
	b, err := collector(t, s.URL+"/grafana/", "a", "b c").Collect(context.Background(), window)
	if err != nil {
		t.Fatal(err)
	}
	if want := "GET /grafana/api/annotations?from=1699996400000&limit=1001&tags=a&tags=b+c&to=1700000600000 Bearer " + token; asked != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
	want := []evidence.Event{
		{At: 1_700_000_100_000, End: 1_700_000_160_000, Kind: "config", Text: "pool of checkout set to 4 & back", Entity: evidence.Entity{Service: "checkout"}},
		{At: 1_700_000_050_000, Kind: "deployment", Text: "deploy, service=cart, v2.3.0", Entity: evidence.Entity{Service: "cart"}},
		{At: 1_700_000_040_000, Kind: "chaos", Text: "pod killed", Entity: evidence.Entity{Instance: "cart-0"}},
		{At: 1_700_000_030_000, Kind: "annotation", Text: "looks slow to me"},
		{At: 1_700_000_035_000, Kind: "alert", Text: "deploy"},
	}
	if !reflect.DeepEqual(b.Events, want) {
		t.Errorf("%+v\nwant %+v", b.Events, want)
	}
	if src := b.Sources[0]; src.Status != evidence.StatusOK || src.Items != 5 || !strings.Contains(fmt.Sprint(src.Notes), "1 annotations that culprit wrote") || src.Requests != 1 {
		t.Errorf("%+v", src)
	}
}

func TestMoreAnnotationsThanAreKept(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "["+strings.Repeat(`{"time":1700000000000,"text":"x"},`, mostEvents)+`{"time":1700000000000,"text":"x"}]`)
	}))
	defer s.Close()
	b, err := collector(t, s.URL).Collect(context.Background(), window)
	if err != nil || len(b.Events) != mostEvents || !strings.Contains(fmt.Sprint(b.Sources[0].Notes), "1000 latest") {
		t.Errorf("%d events, %v, %+v", len(b.Events), err, b.Sources)
	}
}

// Whatever goes wrong is one line with a remedy, and shows no secret.
func TestAnnotationsThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		answer       http.HandlerFunc
		says, remedy string
		tries        int64
	}{
		"no token":      {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"message":"Unauthorized"}`, 401) }, "401 Unauthorized", "service account's token", 1},
		"no permission": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{}`, 403) }, "403 Forbidden", "annotations:read", 1},
		"not found":     {http.NotFound, "404", "path prefix", 1},
		"a login page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>")
		}, "web page", "token where it wants a login", 1},
		"sent to a login": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/login?"+token, 302)
		}, "login", "token where it wants a login", 1},
		"another server": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"success","data":{}}`) }, "no list of annotations", "Grafana's", 1},
		"cut off":        {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[{"time":1`) }, "no list of annotations", "Grafana's", 1},
		"it is ill":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "502", "log", maxTries},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for range maxBytes>>16 + 2 {
				fmt.Fprint(w, strings.Repeat(" ", 1<<16))
			}
		}, "larger than 8 MiB", "URL", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			col := collector(t, strings.Replace(s.URL, "//", "//admin:hunter2@", 1))
			b, err := col.Collect(context.Background(), window)
			if err == nil || !strings.Contains(err.Error(), c.says) || len(b.Gaps) != 1 || !strings.Contains(b.Gaps[0].Remedy, c.remedy) || b.Sources[0].Status != evidence.StatusFailed {
				t.Fatalf("%v, %+v", err, b.Gaps)
			}
			if n := col.requests.Load(); n != c.tries {
				t.Errorf("%d tries, want %d", n, c.tries)
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", b)} {
				if strings.Contains(text, token) || strings.Contains(text, "hunter2") || strings.Contains(text, "\n") {
					t.Errorf("it shows a secret: %s", text)
				}
			}
		})
	}
}

func TestNobodyIsThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	address := s.URL
	s.Close()
	b, err := collector(t, address).Collect(context.Background(), window)
	if err == nil || !strings.Contains(err.Error(), "cannot be reached") || len(b.Gaps) != 1 {
		t.Errorf("%v, %+v", err, b)
	}
	hung, release := make(chan struct{}), make(chan struct{})
	s = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(hung); <-release }))
	defer s.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-hung; cancel() }()
	if _, err := collector(t, s.URL).Collect(ctx, window); err == nil {
		t.Error("an ended context is no error")
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{"", "grafana:3000", "ftp://grafana", "http://", "://" + token} {
		if _, err := New(Config{URL: address, HTTP: config.DefaultHTTPClientConfig}); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestCheck(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[]`) }))
	defer s.Close()
	p, err := collector(t, s.URL).Check(context.Background())
	if err != nil || fmt.Sprint(p.Lines) != "[0 annotations in the last hour]" {
		t.Errorf("%+v, %v", p, err)
	}
}
