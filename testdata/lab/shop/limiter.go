package shop

import (
	"net/http"
	"strconv"

	"golang.org/x/time/rate"
)

// burst is how many payments may come at once after a pause.
const burst = 3

// retryAfter is what a refused caller is told, in s: the header knows no
// smaller unit.
const retryAfter = 1

// limited refuses what comes faster than a rate a second; 0 refuses nothing.
func limited(perSecond float64, next http.HandlerFunc) http.HandlerFunc {
	if perSecond == 0 {
		return next
	}
	limiter := rate.NewLimiter(rate.Limit(perSecond), burst)
	return func(w http.ResponseWriter, r *http.Request) {
		if !limiter.Allow() {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
			http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
			return
		}
		next(w, r)
	}
}
