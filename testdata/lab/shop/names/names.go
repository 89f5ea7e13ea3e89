// Package names gives what the lab calls by one name another: a diagnosis that
// depends on what a service or a table happens to be called is none. It knows
// words and no meaning.
package names

import (
	"regexp"
	"strings"
)

// Names maps a word of the shop to the one that stands for it. Nil keeps all.
type Names map[string]string

// Others are names that nothing was ever tuned with: of services, tables,
// routes and the database.
func Others() Names {
	return Names{
		"gateway": "portal", "catalog": "atlas", "orders": "dispatch", "payments": "ledgerd", "recommender": "muse",
		"products": "exhibits", "reviews": "verdicts", "customers": "members", "order_items": "loan_rows", "events": "readings",
		"quotes": "tariffs", "summary": "dossier", "shop": "museum",
	}
}

// word is what may stand in the dictionary.
var word = regexp.MustCompile(`[a-z_]+`)

// Rename replaces the words of a text. The name of an index begins with that
// of its table, and goes with it.
func (n Names) Rename(text string) string {
	if len(n) == 0 {
		return text
	}
	return word.ReplaceAllStringFunc(text, func(found string) string {
		for end := len(found); end > 0; end = strings.LastIndexByte(found[:end], '_') {
			if other, ok := n[found[:end]]; ok {
				return other + found[end:]
			}
		}
		return found
	})
}
