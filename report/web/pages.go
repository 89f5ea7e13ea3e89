// Package web shows a history in a browser: the targets, their runs, how each
// cause went over time, and the reports. Its pages need no script, load
// nothing, and change nothing.
package web

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/report"
	"github.com/culprit-rca/culprit/report/archive"
)

var (
	//go:embed pages.html
	pagesHTML string
	//go:embed pages.css
	pagesCSS string
)

// Target is one that the service knows.
type Target struct {
	Name   string
	Plan   string // cron expression and zone; "" for none
	Alerts bool   // alerts start a run
	Window time.Duration
	Next   func(time.Time) time.Time // nil without a plan
}

// Pages shows a store.
type Pages struct {
	Store   archive.Store
	Targets []Target
	Version string
	Now     func() time.Time // nil: the clock
}

const (
	// listed runs stand on a target's page; a link leads to those before.
	listed = 50
	// looked runs are behind a trend.
	looked = 200
)

// view is what every page has, and the one thing that it is about.
type view struct {
	Style     template.CSS
	StyleHash string
	Version   string
	Title     string
	Up        string // from this page's folder to the root
	Body      any
}

// Handler answers GET requests below /.
func (p Pages) Handler() http.Handler {
	if p.Now == nil {
		p.Now = time.Now
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.page("overview", "", p.overview))
	mux.HandleFunc("GET /targets/{name}", p.page("target", "../", p.target))
	mux.HandleFunc("GET /runs/{id}", p.page("run", "../", p.run))
	mux.HandleFunc("GET /runs/{id}/{file}", p.report)
	return mux
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"stamp": stamp, "ago": ago, "word": statusWord, "class": statusClass, "state": stateWord, "seconds": report.Seconds, "entity": report.EntityText,
	"saved": savedText, "took": took, "plural": plural,
}).Parse(pagesHTML))

// content makes the body of a page and its title.
type content func(*http.Request) (title string, body any, err error)

func (p Pages) page(name, up string, make content) http.HandlerFunc {
	css := report.Style() + pagesCSS
	hash := report.StyleHash(css)
	return func(w http.ResponseWriter, r *http.Request) {
		title, body, err := make(r)
		if err != nil {
			p.fail(w, err)
			return
		}
		var buf bytes.Buffer
		v := view{Style: template.CSS(css), StyleHash: hash, Version: p.Version, Title: title, Up: up, Body: body}
		if err := templates.ExecuteTemplate(&buf, name, v); err != nil {
			http.Error(w, "internal error, please report it: "+err.Error(), http.StatusInternalServerError)
			return
		}
		header(w, "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src '"+hash+"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		_, _ = buf.WriteTo(w)
	}
}

func header(w http.ResponseWriter, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// fail says what is wrong without a page: not there, or not to be reached.
func (p Pages) fail(w http.ResponseWriter, err error) {
	if errors.Is(err, archive.ErrUnknown) {
		http.Error(w, "There is no such page. The history may have dropped it; begin at the list of targets.", http.StatusNotFound)
		return
	}
	w.Header().Set("Retry-After", "10")
	http.Error(w, "The history cannot be read now: "+err.Error(), http.StatusServiceUnavailable)
}

// report gives one file of a run: the stored report in one of the formats.
func (p Pages) report(w http.ResponseWriter, r *http.Request) {
	file := r.PathValue("file")
	for _, f := range report.Formats {
		if f.File != file {
			continue
		}
		text, err := p.Store.Report(r.Context(), r.PathValue("id"))
		if err != nil {
			p.fail(w, err)
			return
		}
		made, err := report.Read(bytes.NewReader(text))
		if err != nil {
			p.fail(w, err)
			return
		}
		var buf bytes.Buffer
		if err := f.Write(&buf, made); err != nil {
			p.fail(w, err)
			return
		}
		header(w, contentType(f.File))
		// The page has its own policy; a frame around it is forbidden here.
		w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'")
		_, _ = buf.WriteTo(w)
		return
	}
	p.fail(w, archive.ErrUnknown)
}

// contentType never lets a browser take a text for a page.
func contentType(file string) string {
	switch ext := path.Ext(file); ext {
	case ".html", ".json", ".csv", ".xml":
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
	}
	return "text/plain; charset=utf-8"
}

// stamp is a time for people, in UTC.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// ago is how far a time lies back or ahead.
func ago(now, t time.Time) string {
	d := now.Sub(t).Round(time.Second)
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

func took(r archive.Run) string {
	if r.Began.IsZero() || r.Ended.IsZero() {
		return "–"
	}
	return report.Seconds(r.Ended.Sub(r.Began).Seconds())
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func statusWord(r archive.Run) string {
	switch r.Status {
	case "causes-found":
		return plural(len(r.Causes), "cause", "causes")
	case "no-problem":
		return "no problem found"
	case "run-unusable":
		return "run not usable"
	case "":
		return "no report"
	}
	return "not explained"
}

func statusClass(r archive.Run) string {
	if r.Status == "" {
		return "absent"
	}
	return r.Status
}

// stateWord says what became of a run, "" where its verdict says it all.
func stateWord(r archive.Run) string {
	if r.State == archive.Done {
		return ""
	}
	return strings.ToLower(string(r.State))
}

func savedText(c archive.Cause) string {
	if c.Saved == 0 {
		return "not measured"
	}
	return report.Seconds(c.Saved)
}
