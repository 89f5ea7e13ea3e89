package notify

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/culprit-rca/culprit/testdata/needs"
)

// realAlertmanager starts Debian's on a free port of the loopback interface.
func realAlertmanager(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		how := "Alertmanager is not here: go -C testdata/lab run . doctor --fix"
		needs.Missing(t, how)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	settings := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(settings, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "--config.file="+settings, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	for range 600 {
		answer, err := http.Get("http://" + address + "/-/ready")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("Alertmanager does not get ready")
	return ""
}

func alertsAt(t *testing.T, base string) (out []struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}) {
	t.Helper()
	answer, err := http.Get(base + "/api/v2/alerts?active=true")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// The real Alertmanager takes an alert for a cause, keeps one where it is told
// twice, and ends it when the cause is gone.
func TestRealAlertmanager(t *testing.T) {
	base := realAlertmanager(t)
	c := Config{Alertmanager: at(base)}
	n, err := New(c, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	hour := int(time.Since(began)/time.Hour) - 2
	first, second, gone := runAt(hour, map[string]float64{"a": 1, "b": 1}), runAt(hour+1, map[string]float64{"a": 3, "b": 1}), runAt(hour+2, map[string]float64{"b": 1})
	for range 2 { // the second time by a process that knows nothing of the first
		again, err := New(c, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Made(t.Context(), "shop", "http://c/r/1", first, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Made(t.Context(), "shop", "http://c/r/2", second, first); err != nil {
		t.Fatal(err)
	}
	got := alertsAt(t, base)
	if len(got) != 2 || got[0].Labels["alertname"] != "CulpritCause" || got[0].Labels["service"] != "web" || got[0].Annotations["summary"] == "" {
		t.Errorf("%+v", got)
	}
	if err := n.Made(t.Context(), "shop", "", gone, second); err != nil {
		t.Fatal(err)
	}
	if got = alertsAt(t, base); len(got) != 1 || got[0].Labels["rule"] != "b" {
		t.Errorf("after one was fixed: %s", fmt.Sprint(got))
	}
}
