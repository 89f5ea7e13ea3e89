package audits

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report/archive"
)

const (
	// maxPost bounds the body of a post, in bytes, and maxAlerts what is looked
	// at of it. A group of Alertmanager is seldom beyond a few dozen.
	maxPost   = 1 << 20
	maxAlerts = 1000
	// maxReading posts are read at once; the others wait so long for a place.
	maxReading = 8
	readWait   = 10 * time.Second
	// maxReason and maxNote bound texts of others in a record, in runes.
	maxReason = 500
	maxNote   = 160
)

// post is what Alertmanager sends, version 4, as far as it is used. Addresses
// in it are not even read.
type post struct {
	Version  string  `json:"version"`
	GroupKey string  `json:"groupKey"`
	Status   string  `json:"status"`
	Alerts   []alert `json:"alerts"`
}

type alert struct {
	Status   string            `json:"status"`
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
}

// answer says what became of a post.
type answer struct {
	Runs  []queuedRun `json:"runs"`
	Error string      `json:"error,omitempty"`
}

type queuedRun struct {
	Target  string          `json:"target"`
	ID      string          `json:"id,omitempty"`
	Outcome archive.Outcome `json:"outcome"`
}

// Alerts is the webhook of Alertmanager: it records the runs and answers, long
// before they are done. 202: recorded or known; 200: no target is meant; 4xx:
// not to be sent again; 503: to be sent again, as Alertmanager does.
func (s *Service) Alerts(w http.ResponseWriter, r *http.Request) {
	code, a := s.receive(w, r)
	s.metrics.posts.WithLabelValues(fmt.Sprint(code)).Inc()
	if code >= 400 {
		s.Log.Warn("a post was refused", "code", code, "error", a.Error, "from", r.RemoteAddr)
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(a)
}

func refuse(code int, format string, args ...any) (int, answer) {
	return code, answer{Runs: []queuedRun{}, Error: fmt.Sprintf(format, args...)}
}

func (s *Service) receive(w http.ResponseWriter, r *http.Request) (int, answer) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "the content type must be application/json")
	}
	if !s.enter(r) {
		return refuse(http.StatusServiceUnavailable, "too many posts at once")
	}
	defer func() { <-s.hook }()
	var p post
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPost))
	if err := in.Decode(&p); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return refuse(http.StatusRequestEntityTooLarge, "a post has at most %d bytes", maxPost)
		}
		return refuse(http.StatusBadRequest, "this is no JSON of Alertmanager")
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "there is something behind the JSON")
	}
	if p.Version != "4" || p.GroupKey == "" || len(p.Alerts) > maxAlerts {
		return refuse(http.StatusBadRequest, "expected a webhook of Alertmanager, version 4, with a groupKey and at most %d alerts", maxAlerts)
	}
	return s.admit(r, p)
}

// enter waits for a place among those who are read.
func (s *Service) enter(r *http.Request) bool {
	timer := time.NewTimer(readWait)
	defer timer.Stop()
	select {
	case s.hook <- struct{}{}:
		return true
	case <-r.Context().Done():
	case <-timer.C:
	}
	return false
}

// admit records a run for every target that the post concerns.
func (s *Service) admit(r *http.Request, p post) (int, answer) {
	a, code := answer{Runs: []queuedRun{}}, http.StatusOK
	for i := range s.Targets {
		run, ok := s.alerted(&s.Targets[i], p, time.Now())
		if !ok {
			continue
		}
		stands, outcome, err := s.Store.Add(r.Context(), run, s.Admit)
		if s.heard("recording an alert", err) != nil {
			return refuse(http.StatusServiceUnavailable, "the history cannot be reached")
		}
		q := queuedRun{Target: run.Target, ID: stands.ID, Outcome: outcome}
		switch outcome {
		case archive.Full:
			a.Error, code, q.ID = "the queue is full", http.StatusServiceUnavailable, ""
		case archive.Added:
			s.Log.Info("queued for an alert", "run", stands.ID, "target", stands.Target, "alert", stands.Note)
			s.poke()
		case archive.Cooling:
			q.ID = ""
		}
		if code != http.StatusServiceUnavailable {
			code = http.StatusAccepted
		}
		a.Runs = append(a.Runs, q)
	}
	return code, a
}

// alerted is the run that a post asks for: from before the first of its firing
// alerts until now. The same group with the same start is the same run, however
// often it is sent.
func (s *Service) alerted(t *Target, p post, now time.Time) (archive.Run, bool) {
	var first time.Time
	var before time.Duration
	var name string
	for _, a := range p.Alerts {
		route, ok := t.route(a)
		if !ok {
			continue
		}
		if first.IsZero() || a.StartsAt.Before(first) {
			first, name = a.StartsAt, a.Labels["alertname"]
		}
		before = max(before, route.Before)
	}
	if first.IsZero() {
		return archive.Run{}, false
	}
	sum := sha256.Sum256([]byte(p.GroupKey))
	group := hex.EncodeToString(sum[:8])
	r := archive.NewRun(t.Name, archive.Alert, group+"/"+first.UTC().Format(time.RFC3339Nano), now.Truncate(time.Second), s.alertWindow(first, before, now))
	r.Group, r.Note, r.Added = group, oneLine(name, maxNote), now.UTC()
	return r, true
}

// alertWindow is held to what makes sense, whatever the alert says.
func (s *Service) alertWindow(first time.Time, before time.Duration, now time.Time) evidence.Window {
	end := now.UTC().Truncate(time.Second)
	start := first.UTC().Add(-before)
	if latest := end.Add(-max(before, time.Minute)); start.After(latest) {
		start = latest
	}
	if earliest := end.Add(-s.MaxAlert); start.Before(earliest) {
		start = earliest
	}
	return evidence.Window{Start: start.Truncate(time.Second), End: end}
}

func (t *Target) route(a alert) (Route, bool) {
	if a.Status != "firing" || a.StartsAt.IsZero() {
		return Route{}, false
	}
	for _, r := range t.Route {
		if r.takes(a.Labels) {
			return r, true
		}
	}
	return Route{}, false
}

// oneLine makes a text of somebody else fit for a log and a list.
func oneLine(text string, limit int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	}), " ")
	if r := []rune(text); len(r) > limit {
		text = string(r[:limit-1]) + "…"
	}
	return text
}
