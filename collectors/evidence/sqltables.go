package evidence

import (
	"slices"
	"strings"
)

// SQLVerb is the statement's first keyword in upper case, or what a WITH
// leads to; "" for a text without one.
func SQLVerb(text string) string { return verb(lexSQL(text)) }

func verb(tokens []sqlToken) string {
	depth, first := 0, ""
	for _, t := range tokens {
		switch {
		case isMark(t, "("):
			depth++
		case isMark(t, ")"):
			depth--
		case t.kind != tokenWord:
		case first == "" && t.text != "with":
			return strings.ToUpper(t.text)
		case first == "":
			first = t.text
		case depth == 0 && isWord(t, "select", "insert", "update", "delete", "merge", "values"):
			return strings.ToUpper(t.text)
		}
	}
	return strings.ToUpper(first)
}

// SQLTables lists the tables that a statement names, sorted, each once,
// schema-qualified unless public. Functions, subqueries and common table
// expressions are not tables.
func SQLTables(text string) []string { return tables(lexSQL(text)) }

func tables(tokens []sqlToken) []string {
	f := tableFinder{tokens: tokens}
	f.run()
	slices.Sort(f.tables)
	f.tables = slices.Compact(f.tables)
	return slices.DeleteFunc(f.tables, func(name string) bool { return slices.Contains(f.ctes, name) })
}

type tableFinder struct {
	tokens []sqlToken
	calls  []string // for every open parenthesis the word before it
	tables []string
	ctes   []string
}

func (f *tableFinder) at(i int) sqlToken {
	if i < 0 || i >= len(f.tokens) {
		return sqlToken{kind: tokenMark}
	}
	return f.tokens[i]
}

func (f *tableFinder) run() {
	for i, t := range f.tokens {
		switch {
		case isMark(t, "("):
			f.calls = append(f.calls, f.at(i-1).text)
		case isMark(t, ")") && len(f.calls) > 0:
			f.calls = f.calls[:len(f.calls)-1]
		case isWord(t, "as") && f.definesCTE(i):
			f.ctes = append(f.ctes, f.cteName(i-1))
		case f.introducesTable(i):
			f.list(i + 1)
		}
	}
}

// introducesTable reports whether the word at i is followed by table names.
func (f *tableFinder) introducesTable(i int) bool {
	before := f.at(i - 1)
	switch t := f.tokens[i]; {
	case isWord(t, "join", "into", "truncate", "table"):
		return true
	case isWord(t, "update"):
		return !isWord(before, "for", "do", "on", "key")
	case isWord(t, "using"):
		return f.at(0).text == "delete" || f.at(0).text == "merge"
	case isWord(t, "from"):
		inCall := len(f.calls) > 0 && slices.Contains([]string{"extract", "substring", "trim", "overlay"}, f.calls[len(f.calls)-1])
		return !inCall && !isWord(before, "distinct")
	}
	return false
}

// list reads name [[as] alias], name ... from i on.
func (f *tableFinder) list(i int) {
	for {
		for isWord(f.at(i), "only", "lateral", "table", "if", "exists", "not") {
			i++
		}
		name, next := f.name(i)
		if name == "" || isMark(f.at(next), "(") && f.at(i-1).text != "into" {
			return
		}
		f.tables = append(f.tables, name)
		if isWord(f.at(next), "as") {
			next++
		}
		if t := f.at(next); t.kind == tokenQuoted || t.kind == tokenWord && !sqlReserved[t.text] {
			next++
		}
		if !isMark(f.at(next), ",") {
			return
		}
		i = next + 1
	}
}

// name reads a possibly qualified name at i; "" when there is none.
func (f *tableFinder) name(i int) (name string, next int) {
	for {
		t := f.at(i)
		if t.kind != tokenQuoted && (t.kind != tokenWord || sqlReserved[t.text]) {
			return "", i
		}
		name += strings.Trim(t.text, `"`)
		if !isMark(f.at(i+1), ".") {
			return strings.TrimPrefix(name, "public."), i + 1
		}
		name += "."
		i += 2
	}
}

// definesCTE reports whether AS at i stands in name [(columns)] AS
// [[NOT] MATERIALIZED] (, the head of a common table expression.
func (f *tableFinder) definesCTE(i int) bool {
	for i++; isWord(f.at(i), "not", "materialized"); i++ {
	}
	inner := f.at(i + 1)
	return isMark(f.at(i), "(") && isWord(inner, "select", "insert", "update", "delete", "values", "with", "merge")
}

// cteName finds the name that ends at i, before its column list if it has one.
func (f *tableFinder) cteName(i int) string {
	if isMark(f.at(i), ")") {
		for i--; i >= 0 && !isMark(f.at(i), "("); i-- {
		}
		i--
	}
	return strings.Trim(f.at(i).text, `"`)
}

// SQLAssigned lists the columns that an UPDATE, or the UPDATE of an ON
// CONFLICT, sets: sorted, each once.
func SQLAssigned(text string) []string {
	f := tableFinder{tokens: lexSQL(text)}
	var out []string
	depth, inSet := 0, false
	for i, t := range f.tokens {
		switch {
		case isMark(t, "("):
			depth++
		case isMark(t, ")"):
			depth--
		case isWord(t, "set"):
			depth, inSet = 0, f.updates(i)
		case depth == 0 && isWord(t, "where", "from", "returning"):
			inSet = false
		}
		if inSet && depth == 0 && (isWord(t, "set") || isMark(t, ",")) {
			out = append(out, f.targets(i+1)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// updates reports whether SET at i belongs to an UPDATE, and is no setting of
// the session.
func (f *tableFinder) updates(i int) bool {
	return slices.ContainsFunc(f.tokens[:i], func(t sqlToken) bool { return isWord(t, "update") })
}

// targets are the columns assigned at i: one, or a list in parentheses.
func (f *tableFinder) targets(i int) (out []string) {
	if !isMark(f.at(i), "(") {
		if name, _ := f.name(i); name != "" {
			return []string{name[strings.LastIndex(name, ".")+1:]}
		}
		return nil
	}
	for i++; i < len(f.tokens) && !isMark(f.at(i), ")"); i++ {
		if name, next := f.name(i); name != "" {
			out = append(out, name)
			i = next - 1
		}
	}
	return out
}
