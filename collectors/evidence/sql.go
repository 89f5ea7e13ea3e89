package evidence

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// SQL is what one reading of a statement tells.
type SQL struct {
	Text     string   // as of NormalizeSQL
	Key      string   // as of NormalizeSQL
	Verb     string   // as of SQLVerb
	Tables   []string // as of SQLTables
	Literals []string // as written, in order; they may be personal data
}

// ReadSQL gives all of it for the price of one reading.
func ReadSQL(text string) SQL {
	tokens := lexSQL(text)
	s := SQL{Verb: verb(tokens), Tables: tables(tokens), Literals: literals(tokens)}
	s.Text, s.Key = normalize(tokens) // last: it changes the tokens
	return s
}

// NormalizeSQL brings a statement into the form under which traces, databases
// and reports know it: comments gone, keywords and names folded, every literal
// and placeholder a ?, lists after IN, VALUES and ARRAY and repeated rows
// collapsed. key is FNV-1a 64 of that text, 16 hex digits; the text that a
// client sent and the one that pg_stat_statements shows have the same key.
// Both are "" for a text without tokens. Normalising twice changes nothing.
func NormalizeSQL(text string) (normal string, key string) { return normalize(lexSQL(text)) }

func normalize(tokens []sqlToken) (normal, key string) {
	tokens = collapse(dropSigns(extractFields(tokens)))
	for len(tokens) > 0 && tokens[len(tokens)-1].text == ";" {
		tokens = tokens[:len(tokens)-1]
	}
	if len(tokens) == 0 {
		return "", ""
	}
	normal = printSQL(tokens)
	h := fnv.New64a()
	h.Write([]byte(normal))
	return normal, fmt.Sprintf("%016x", h.Sum64())
}

// literals of a statement as written, in order: what tells two calls of the
// same statement apart. They may be personal data.
func literals(tokens []sqlToken) []string {
	var out []string
	for _, t := range tokens {
		if t.literal != "" {
			out = append(out, t.literal)
		}
	}
	return out
}

// sqlReserved are the words after which a sign is a sign and a parenthesis
// does not open a call; a quoted name among them keeps its quotes.
var sqlReserved = wordSet(`all and any array as between by case cross default delete distinct do else end except exists fetch for from
	group having in inner insert intersect interval into is join key lateral left like ilike limit materialized not null offset on only or order outer
	over partition recursive return returning right select set some table then true false truncate union update using values
	when where window with`)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

func isWord(t sqlToken, words ...string) bool {
	return t.kind == tokenWord && slices.Contains(words, t.text)
}

func isMark(t sqlToken, marks ...string) bool {
	return t.kind == tokenMark && slices.Contains(marks, t.text)
}

// extractFields makes a value of the field in EXTRACT(field FROM ...), which
// PostgreSQL takes for a constant.
func extractFields(tokens []sqlToken) []sqlToken {
	for i := 0; i+3 < len(tokens); i++ {
		if isWord(tokens[i], "extract") && isMark(tokens[i+1], "(") && tokens[i+2].kind == tokenWord && isWord(tokens[i+3], "from") {
			tokens[i+2] = sqlToken{kind: tokenValue, text: "?"}
		}
	}
	return tokens
}

// dropSigns removes a sign that belongs to a value: pg_stat_statements shows
// -1 as $1.
func dropSigns(tokens []sqlToken) []sqlToken {
	out := tokens[:0]
	for _, t := range tokens {
		for n := len(out); t.kind == tokenValue && n > 0 && isMark(out[n-1], "-", "+") && (n == 1 || opensOperand(out[n-2])); n-- {
			out = out[:n-1]
		}
		out = append(out, t)
	}
	return out
}

// opensOperand reports whether an operand, not an operator, follows t.
func opensOperand(t sqlToken) bool {
	if t.kind == tokenMark {
		return t.text != ")" && t.text != "]"
	}
	return t.kind == tokenWord && sqlReserved[t.text] && t.text != "end"
}

// collapse drops repeated neighbours from the lists after IN, VALUES and
// ARRAY, nested ones included, so that the number of items leaves no mark.
func collapse(tokens []sqlToken) []sqlToken {
	c := collapser{in: tokens, out: make([]sqlToken, 0, len(tokens))}
	for c.pos < len(c.in) {
		c.step(false)
	}
	return c.out
}

type collapser struct {
	in, out []sqlToken
	pos     int
	depth   int
}

// maxNesting bounds recursion; a list nested deeper is kept as it stands.
const maxNesting = 200

// step copies one token, or one whole list where a list begins. inList tells
// that the token stands inside a list, where parentheses are rows.
func (c *collapser) step(inList bool) {
	t := c.in[c.pos]
	opens := isMark(t, "(", "[")
	if !opens || c.depth >= maxNesting {
		c.out = append(c.out, t)
		c.pos++
		return
	}
	last := sqlToken{}
	if len(c.out) > 0 {
		last = c.out[len(c.out)-1]
	}
	switch {
	case isWord(last, "values"):
		c.rows()
	case isWord(last, "in", "array"), inList && (isMark(last, ",", "(", "[")):
		c.group(true)
	default:
		c.group(false)
	}
}

// rows reads (...), (...), ... after VALUES and keeps one of equal neighbours.
func (c *collapser) rows() {
	previous := -1
	for {
		start := len(c.out)
		c.group(true)
		if previous >= 0 && sameTokens(c.out[previous:start-1], c.out[start:]) {
			c.out = c.out[:start-1] // and the comma before it
		} else {
			previous = start
		}
		if c.pos+1 >= len(c.in) || !isMark(c.in[c.pos], ",") || !isMark(c.in[c.pos+1], "(") {
			return
		}
		c.out = append(c.out, c.in[c.pos])
		c.pos++
	}
}

// group reads one bracketed group; as a list, it keeps one of equal
// neighbouring items.
func (c *collapser) group(list bool) {
	c.depth++
	defer func() { c.depth-- }()
	c.out = append(c.out, c.in[c.pos])
	c.pos++
	previous, item := -1, len(c.out)
	for c.pos < len(c.in) {
		t := c.in[c.pos]
		end := isMark(t, ")", "]")
		if !end && !isMark(t, ",") {
			c.step(list)
			continue
		}
		if list && previous >= 0 && sameTokens(c.out[previous:item-1], c.out[item:]) {
			c.out = c.out[:item-1]
		} else {
			previous = item
		}
		c.out = append(c.out, t)
		c.pos++
		if end {
			return
		}
		item = len(c.out)
	}
}

func sameTokens(a, b []sqlToken) bool {
	return slices.EqualFunc(a, b, func(x, y sqlToken) bool { return x.kind == y.kind && x.text == y.text })
}

// printSQL writes tokens with the spacing that people use. It depends on the
// tokens alone, and reading it gives the same tokens again.
func printSQL(tokens []sqlToken) string {
	var b strings.Builder
	b.Grow(8 * len(tokens))
	for i, t := range tokens {
		if i > 0 && spaced(tokens[i-1], t) {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}

func spaced(before, t sqlToken) bool {
	switch {
	case isMark(before, "(", "[", ".", "::"), isMark(t, ",", ")", "]", ";"):
		return false
	case isMark(t, "::"):
		return before.kind == tokenMark && !isMark(before, ")", "]")
	case isMark(t, "."):
		return before.kind == tokenValue || before.kind == tokenMark
	case isMark(t, "("):
		return before.kind == tokenValue || before.kind == tokenMark || before.kind == tokenWord && sqlReserved[before.text]
	case isMark(t, "["):
		return before.kind == tokenMark && before.text != "]"
	}
	return true
}
