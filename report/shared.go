package report

import "github.com/culprit-rca/culprit/collectors/evidence"

// What the pages around a report share with it, so that they look and speak
// alike.

// Style is the sheet of the page.
func Style() string { return pageCSS }

// StyleHash names a sheet in a content security policy.
func StyleHash(css string) string { return styleHash(css) }

// Seconds writes a latency for people.
func Seconds(v float64) string { return seconds(v) }

// EntityText writes where something is, in one line.
func EntityText(e evidence.Entity) string { return entityText(e) }
