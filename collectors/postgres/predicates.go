package postgres

import (
	"slices"
	"strings"
	"unicode"
)

// predicate is a comparison of a column that an index could serve.
type predicate struct {
	Qualifier string // alias or table, "" where none is written
	Column    string // as the catalogue spells it
	Kind      predicateKind
}

type predicateKind int

// In the order in which their columns stand in an index.
const (
	equality predicateKind = iota
	ranged
	ordered
)

// query is what a statement says of tables and of their columns.
type query struct {
	Aliases    map[string]string // alias or bare name -> table as written
	Predicates []predicate
	Functions  []string // names of functions called, as written
	Verb       string
	Or         bool // an OR among the conditions: one b-tree does not serve it
}

// parseQuery reads a text that evidence.NormalizeSQL wrote. It understands
// conditions of the form column operator value and no more: what it does not
// understand gives no predicate.
func parseQuery(normal string) query {
	r := reader{tokens: words(normal), query: query{Aliases: map[string]string{}}}
	if len(r.tokens) > 0 {
		r.query.Verb = r.tokens[0]
	}
	for r.pos < len(r.tokens) {
		r.step()
	}
	return r.query
}

// words splits a normalised text. Quoted names keep their quotes.
func words(text string) (out []string) {
	for i := 0; i < len(text); {
		start := i
		switch c := rune(text[i]); {
		case c == ' ':
			i++
			continue
		case c == '"':
			i = closing(text, i)
		case isNameByte(c):
			for i < len(text) && isNameByte(rune(text[i])) {
				i++
			}
		case strings.ContainsRune("<>=!~@&|+-*/%^#", c):
			for i < len(text) && strings.ContainsRune("<>=!~@&|+-*/%^#", rune(text[i])) {
				i++
			}
		case strings.HasPrefix(text[i:], "::"):
			i += 2
		default:
			i++
		}
		out = append(out, text[start:i])
	}
	return out
}

func closing(text string, i int) int {
	for i++; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		if i+1 < len(text) && text[i+1] == '"' {
			i++
			continue
		}
		return i + 1
	}
	return i
}

func isNameByte(c rune) bool {
	return c == '_' || c == '$' || c >= 0x80 || unicode.IsLetter(c) || unicode.IsDigit(c)
}

// keywords end a name: none of them is an alias or a column where it stands.
var keywords = wordSet(`all and any array as asc between by case cast cross current_date current_timestamp default delete desc distinct do else end except exists false fetch first
 for from full group having ilike in inner insert intersect interval into is isnull join last lateral left like limit materialized natural no not notnull null nulls of offset on only or order outer
 over partition recursive returning right rows select set similar skip locked some table then true union update using values when where window with share nowait row`)

func wordSet(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(list) {
		set[w] = true
	}
	return set
}

// clauses change what a name means until the next one.
var clauses = wordSet(`select from where having on set group order limit offset returning values using window union intersect except for fetch`)

type reader struct {
	tokens []string
	pos    int
	query  query
	clause string
	outer  []string // clauses around the parentheses that are open
}

func (r *reader) at(i int) string {
	if i < 0 || i >= len(r.tokens) {
		return ""
	}
	return r.tokens[i]
}

func (r *reader) step() {
	t := r.at(r.pos)
	switch {
	case t == "(":
		r.outer = append(r.outer, r.clause)
	case t == ")" && len(r.outer) > 0:
		r.clause = r.outer[len(r.outer)-1]
		r.outer = r.outer[:len(r.outer)-1]
	case t == "from" && r.inCall(), t == "for" && r.inCall():
		// extract(x from y), substring(x from y for z)
	case t == "join" || t == "update" && r.at(r.pos-1) != "for":
		r.clause = "from"
		r.table()
	case clauses[t]:
		r.clause = t
		if t == "from" {
			r.table()
		}
	case t == "," && r.clause == "from":
		r.table()
	case r.clause == "where" || r.clause == "on":
		r.condition(t)
	case r.clause == "order":
		r.ordering(t)
	}
	if r.at(r.pos+1) == "(" && isName(t) && !keywords[t] {
		r.query.Functions = append(r.query.Functions, r.qualified(r.pos))
	}
	r.pos++
}

// qualified is the name at i with the schema written before it.
func (r *reader) qualified(i int) string {
	if r.at(i-1) == "." {
		return r.at(i-2) + "." + r.at(i)
	}
	return r.at(i)
}

// inCall reports whether the innermost parenthesis belongs to a function.
func (r *reader) inCall() bool {
	depth := 0
	for i := r.pos - 1; i >= 0; i-- {
		switch r.tokens[i] {
		case ")":
			depth++
		case "(":
			if depth == 0 {
				return isName(r.at(i-1)) && !keywords[r.at(i-1)]
			}
			depth--
		}
	}
	return false
}

func isName(t string) bool {
	return t != "" && (t[0] == '"' || isNameByte(rune(t[0])) && !unicode.IsDigit(rune(t[0])))
}

// table reads [only] [schema.]name [[as] alias] after FROM, JOIN, UPDATE or a
// comma, and leaves the position on its last token.
func (r *reader) table() {
	i := r.pos + 1
	if r.at(i) == "only" {
		i++
	}
	if !isName(r.at(i)) || keywords[r.at(i)] {
		return
	}
	name := r.at(i)
	bare := name
	if r.at(i+1) == "." && isName(r.at(i+2)) {
		bare = r.at(i + 2)
		name += "." + bare
		i += 2
	}
	if r.at(i+1) == "(" {
		r.query.Functions = append(r.query.Functions, name)
		return
	}
	alias := bare
	if r.at(i+1) == "as" {
		i++
	}
	if next := r.at(i + 1); isName(next) && !keywords[next] {
		alias = next
		i++
	}
	r.query.Aliases[alias] = name
	r.pos = i
}

// condition recognises column OP value, column IN (...) and column BETWEEN at
// its column. A column inside a call or an expression is not one.
func (r *reader) condition(t string) {
	if t == "or" {
		r.query.Or = true
	}
	if !isName(t) || keywords[t] || r.at(r.pos-1) == "." || !startsOperand(r.at(r.pos-1)) || r.inCall() {
		return
	}
	p := predicate{Column: t}
	next := r.pos + 1
	if r.at(next) == "." {
		p.Qualifier, p.Column = t, r.at(next+1)
		next += 2
	}
	kind, known := comparisons[r.at(next)]
	if !known || !isName(p.Column) || keywords[p.Column] || r.at(next) == "=" && !r.endsOperand(next+1) {
		return
	}
	p.Kind, p.Column = kind, unquote(p.Column)
	r.query.Predicates = append(r.query.Predicates, p)
	r.joined(next)
}

var comparisons = map[string]predicateKind{"=": equality, "in": equality, "<": ranged, ">": ranged, "<=": ranged, ">=": ranged, "between": ranged}

func startsOperand(t string) bool {
	return t == "where" || t == "on" || t == "and" || t == "or" || t == "("
}

// endsOperand tells that what follows = is one value, placeholder, call or
// column, and not the start of a row or of arithmetic on another column.
func (r *reader) endsOperand(i int) bool {
	return r.at(i) != "" && r.at(i) != "row"
}

// joined adds the right-hand column of left = right.
func (r *reader) joined(op int) {
	if r.at(op) != "=" || r.at(op+2) != "." || !isName(r.at(op+1)) || !isName(r.at(op+3)) || r.at(op+4) == "(" {
		return
	}
	r.query.Predicates = append(r.query.Predicates, predicate{Qualifier: r.at(op + 1), Column: unquote(r.at(op + 3)), Kind: equality})
}

// ordering takes the first plain column of ORDER BY at the outermost level.
func (r *reader) ordering(t string) {
	if r.at(r.pos-1) != "by" || len(r.outer) > 0 || !isName(t) || keywords[t] || r.at(r.pos+1) == "(" {
		return
	}
	p := predicate{Column: t, Kind: ordered}
	if r.at(r.pos+1) == "." {
		p.Qualifier, p.Column = t, r.at(r.pos+2)
	}
	p.Column = unquote(p.Column)
	r.query.Predicates = append(r.query.Predicates, p)
}

// of lists the columns that predicates of one kind name for a table, each
// once. resolve says whose column it is.
func (q *query) of(kind predicateKind, table string, resolve func(predicate) string) (out []string) {
	for _, p := range q.Predicates {
		if p.Kind == kind && resolve(p) == table && !slices.Contains(out, p.Column) {
			out = append(out, p.Column)
		}
	}
	return out
}

func unquote(name string) string {
	if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return name
}
