package collectors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// Options of a run. The zero value is usable.
type Options struct {
	// Timeout of one source, for Begin and for Collect each; 0: DefaultTimeout.
	Timeout time.Duration
	// Grace is how long a source whose context has ended may take to hand over
	// what it has; 0: DefaultGrace. After it the source is abandoned.
	Grace    time.Duration
	Progress Reporter // may be nil; called from several goroutines, one at a time
}

const (
	DefaultTimeout = 2 * time.Minute
	DefaultGrace   = 5 * time.Second
)

// ErrAllFailed says that no source was of any use: nothing can be concluded.
var ErrAllFailed = errors.New("no source could be read")

// errTimeout ends the context of a source that took too long to begin.
var errTimeout = errors.New("timed out")

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	report, mu := o.Progress, new(sync.Mutex)
	o.Progress = func(e Event) {
		if report == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		report(e)
	}
	return o
}

// Begin starts every Beginner before the load: all at once, each bounded by
// the timeout. The context must live until Collect, because samplers run on
// it. A source that could not begin leaves a gap; it is still collected from
// afterwards, for what can be read after the fact.
func Begin(ctx context.Context, cs []Collector, opts Options) []evidence.Gap {
	opts = opts.withDefaults()
	gaps := make([]*evidence.Gap, len(cs))
	var wg sync.WaitGroup
	for i, c := range cs {
		b, ok := c.(Beginner)
		if !ok {
			continue
		}
		wg.Go(func() {
			if err := begin(ctx, b, opts); err != nil {
				opts.Progress(Event{Source: c.Name(), Text: "did not begin", Err: err})
				gaps[i] = &evidence.Gap{Source: c.Name(), Kinds: c.Provides(),
					Reason: "nothing was read before and during the load: " + oneLine(err), Remedy: remedy(err)}
			}
		})
	}
	wg.Wait()
	var out []evidence.Gap
	for _, g := range gaps {
		if g != nil {
			out = append(out, *g)
		}
	}
	return out
}

// begin cancels the source's context only when it is late: samplers that did
// begin keep running on it.
func begin(ctx context.Context, b Beginner, opts Options) error {
	own, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(opts.Timeout, func() { cancel(errTimeout) })
	defer late.Stop()
	_, err := bounded(own, opts.Grace, func() (struct{}, error) { return struct{}{}, b.Begin(own) })
	if err != nil {
		cancel(err)
		if errors.Is(context.Cause(own), errTimeout) {
			return fmt.Errorf("%w after %s", errTimeout, opts.Timeout)
		}
	}
	return err
}

// Collect reads all sources at once and merges what they brought, in canonical
// order. A source that fails, hangs or panics becomes a failed Source and a
// Gap; the error is ErrAllFailed, and the bundle holds the gaps even then.
// When the context ends, what has arrived by then is returned.
func Collect(ctx context.Context, w evidence.Window, cs []Collector, opts Options) (*evidence.Bundle, error) {
	opts = opts.withDefaults()
	parts := make([]*evidence.Bundle, len(cs))
	errs := make([]error, len(cs))
	var wg sync.WaitGroup
	for i, c := range cs {
		wg.Go(func() { parts[i], errs[i] = collect(ctx, w, c, opts) })
	}
	wg.Wait()
	all := &evidence.Bundle{Window: w}
	failed := 0
	for i := range cs {
		all.Merge(parts[i])
		if errs[i] != nil {
			failed++
		}
	}
	all.Sort()
	if failed == len(cs) {
		return all, fmt.Errorf("%w: %s", ErrAllFailed, joined(errs))
	}
	return all, nil
}

func collect(ctx context.Context, w evidence.Window, c Collector, opts Options) (*evidence.Bundle, error) {
	own, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	began := time.Now()
	b, err := bounded(own, opts.Grace, func() (*evidence.Bundle, error) { return c.Collect(own, w) })
	seconds := time.Since(began).Seconds()
	if err == nil && b == nil {
		err = fmt.Errorf("%s: brought nothing", c.Name())
	}
	if err != nil {
		opts.Progress(Event{Source: c.Name(), Text: "failed", End: true, Err: err})
		return failure(c, b, err, seconds), err
	}
	account(b, seconds)
	dropNonFinite(b)
	opts.Progress(Event{Source: c.Name(), Text: summary(b), End: true})
	return b, nil
}

// bounded calls f, catches its panic, and leaves it behind when it has not
// returned a grace after its context ended.
func bounded[T any](ctx context.Context, grace time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("internal error, please report it: %v", p)
			}
			done <- r
		}()
		r.value, r.err = f()
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r.value, r.err
	case <-time.After(grace):
		var none T
		return none, fmt.Errorf("did not stop when told to: %w", context.Cause(ctx))
	}
}

// failure keeps the gaps and the account that a failed collector may have
// returned, so that the report says where it looked.
func failure(c Collector, b *evidence.Bundle, err error, seconds float64) *evidence.Bundle {
	out := &evidence.Bundle{}
	source := evidence.Source{Name: c.Name()}
	if b != nil {
		out.Gaps = b.Gaps
		if len(b.Sources) > 0 {
			source = b.Sources[0]
		}
	}
	source.Status, source.Items = evidence.StatusFailed, 0
	if source.Seconds == 0 {
		source.Seconds = seconds
	}
	out.Sources = []evidence.Source{source}
	out.Gaps = append(out.Gaps, evidence.Gap{Source: c.Name(), Kinds: c.Provides(), Reason: oneLine(err), Remedy: remedy(err)})
	return out
}

// account fills in the seconds that a collector did not state.
func account(b *evidence.Bundle, seconds float64) {
	for i := range b.Sources {
		if b.Sources[i].Seconds == 0 {
			b.Sources[i].Seconds = seconds
		}
	}
}

func summary(b *evidence.Bundle) string {
	items, status := 0, evidence.StatusOK
	for _, s := range b.Sources {
		items += s.Items
		if s.Status != evidence.StatusOK {
			status = s.Status
		}
	}
	text := fmt.Sprintf("%d items", items)
	if status != evidence.StatusOK {
		text += ", " + string(status)
	}
	return text
}

// remedy of an error that carries none of its own.
func remedy(err error) string {
	var r interface{ Remedy() string }
	switch {
	case errors.As(err, &r):
		return r.Remedy()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errTimeout):
		return "raise --timeout, shorten the window, or see why the source answers slowly"
	case errors.Is(err, context.Canceled):
		return "let the collection finish"
	}
	return "make the source answer (culprit check tells what it sees), then collect the window again"
}

func joined(errs []error) string {
	texts := make([]string, 0, len(errs))
	for _, err := range errs {
		texts = append(texts, oneLine(err))
	}
	if len(texts) == 0 {
		return "none was named"
	}
	return strings.Join(texts, "; ")
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
