package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// The verb tells of a report once, says what it told where, and warns of a
// configuration by which it would repeat itself.
func TestNotify(t *testing.T) {
	var posts atomic.Int32
	ear := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { posts.Add(1) }))
	defer ear.Close()
	hook := "notify:\n  webhooks: [{url: '" + ear.URL + "/" + canary + "'}]\n"
	made := recordings + "n-plus-one/report.json"
	remembers := write(t, "remembers.yaml", hook+"  state: said.json\n")
	forgets := write(t, "forgets.yaml", hook)
	for i, c := range []struct {
		args  []string
		posts int32
		said  string
	}{
		{[]string{"--config", remembers}, 1, "culprit: webhook: told of "},
		{[]string{"--config", remembers}, 1, "culprit: webhook: nothing new to say"},
		{[]string{"--config", forgets}, 2, "culprit: webhook: told of "},
		{[]string{"--config", forgets, "--previous", made}, 2, "culprit: webhook: nothing new to say"},
	} {
		o := culprit(t, append([]string{"notify", made}, c.args...)...)
		if o.code != exitOK || posts.Load() != c.posts || !strings.Contains(o.stderr, c.said) || strings.Contains(o.stderr, canary) {
			t.Errorf("step %d: exit code %d, %d posts, %s", i+1, o.code, posts.Load(), o.stderr)
		}
		if warns := strings.Contains(o.stderr, "warning: neither"); warns != (i == 2) {
			t.Errorf("step %d: %s", i+1, o.stderr)
		}
	}
	ear.Close()
	culprit(t, "notify", made, "--config", forgets).wantError(t, exitFailed, "webhook")
}
