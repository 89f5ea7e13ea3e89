package audits

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// toldEvery bounds how often refusals are written to the log: who tries
// passwords shall not fill a disk.
const toldEvery = time.Minute

// refusals counts who was turned away before anything was asked of the service.
type refusals struct {
	mu    sync.Mutex
	since int       // the last line in the log
	next  time.Time // when a line may be written again
}

// Guarded counts and logs the requests that a handler turns away for want of a
// password or of patience (401, 403, 429): it goes around the handler that asks
// for the password.
func (s *Service) Guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &answered{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		switch seen.code {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
			s.refused(r, seen.code, time.Now())
		}
	})
}

// refused counts one request, and logs it or leaves it to the next line.
func (s *Service) refused(r *http.Request, code int, now time.Time) {
	s.metrics.refused.WithLabelValues(http.StatusText(code)).Inc()
	s.turned.mu.Lock()
	defer s.turned.mu.Unlock()
	s.turned.since++
	if now.Before(s.turned.next) {
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	s.Log.Warn("requests were refused", "since_last_line", s.turned.since, "last", http.StatusText(code), "method", oneLine(r.Method, maxNote), "path", oneLine(r.URL.Path, maxNote), "from", host)
	s.turned.since, s.turned.next = 0, now.Add(toldEvery)
}

// answered remembers the code of an answer.
type answered struct {
	http.ResponseWriter
	code int
}

func (a *answered) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach what is below.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
