package analyzers

import (
	"cmp"
	"fmt"
)

// Whose says whose time a line is. What a service did by itself and what it
// waited for without a span cannot be told apart.
func (l LedgerLine) Whose() string {
	words := map[string]string{
		"self": "own work of %s, or a wait without a span", "database": "database call of %s", "cache": "cache call of %s", "messaging": "message sent by %s",
		"call": "%s waiting for it: the way there and back", "driver": "driver of %s: connecting, acquiring, transactions",
	}
	if w, ok := words[l.Kind]; ok {
		return fmt.Sprintf(w, cmp.Or(l.Service, "the service"))
	}
	return l.Service
}
