package evidence

import "strings"

// tokenKind tells what a piece of a statement is once its value no longer
// matters: everything that may carry data is a literal or a placeholder.
type tokenKind uint8

const (
	tokenWord   tokenKind = iota // keyword or unquoted identifier, folded to lower case
	tokenQuoted                  // identifier that needs its quotes
	tokenValue                   // literal or placeholder, printed as ?
	tokenMark                    // operator or punctuation
)

type sqlToken struct {
	kind    tokenKind
	text    string // as printed
	literal string // the raw literal, "" for a placeholder
}

// sqlLexer splits a statement into tokens. It never fails: text it cannot
// understand becomes a value, so that no literal survives a lexing error.
type sqlLexer struct {
	src    string
	pos    int
	mysql  bool // backslash escapes, "strings", # comments
	out    []sqlToken
	strays bool // saw what standard SQL cannot contain: a backtick, a backslash outside quotes, an open quote
	open   bool // ended inside quotes
}

// lexSQL reads standard SQL (PostgreSQL's dialect), and once more with MySQL's
// quoting where the text cannot be standard.
func lexSQL(text string) []sqlToken {
	text = strings.ToValidUTF8(text, "?")
	standard := sqlLexer{src: text, out: make([]sqlToken, 0, len(text)/4+1)}
	standard.run()
	if !standard.strays {
		return standard.out
	}
	other := sqlLexer{src: text, mysql: true}
	other.run()
	if other.open {
		return standard.out
	}
	return other.out
}

func (l *sqlLexer) run() {
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch {
		case c <= ' ' || c == 0x7f:
			l.pos++
		case l.comment():
		case c == '\'':
			l.value(l.str('\'', l.mysql))
		case c == '"' && l.mysql:
			l.value(l.str('"', true))
		case c == '"', c == '`':
			l.quotedName(c)
		case isDigit(c), c == '.' && isDigit(l.peek(1)):
			l.value(l.number())
		case c == '$':
			l.dollar()
		case isWordStart(c):
			l.word()
		case l.placeholder():
		default:
			l.mark()
		}
	}
}

func (l *sqlLexer) peek(n int) byte {
	if l.pos+n < len(l.src) {
		return l.src[l.pos+n]
	}
	return 0
}

func (l *sqlLexer) emit(kind tokenKind, text string) {
	l.out = append(l.out, sqlToken{kind: kind, text: text})
}

func (l *sqlLexer) value(literal string) {
	l.out = append(l.out, sqlToken{kind: tokenValue, text: "?", literal: literal})
}

// comment skips one comment at the position and reports whether there was one.
// Block comments nest, as in PostgreSQL.
func (l *sqlLexer) comment() bool {
	rest := l.src[l.pos:]
	switch {
	case strings.HasPrefix(rest, "--"), l.mysql && rest[0] == '#':
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			l.pos += end + 1
		} else {
			l.pos = len(l.src)
		}
		return true
	case strings.HasPrefix(rest, "/*"):
		l.blockComment()
		return true
	}
	return false
}

func (l *sqlLexer) blockComment() {
	depth := 0
	for l.pos < len(l.src) {
		switch rest := l.src[l.pos:]; {
		case strings.HasPrefix(rest, "/*"):
			depth++
			l.pos += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			l.pos += 2
			if depth == 0 {
				return
			}
		default:
			l.pos++
		}
	}
}

// str reads a quoted literal; a doubled quote stands for itself.
func (l *sqlLexer) str(quote byte, backslash bool) string {
	start := l.pos
	for l.pos++; l.pos < len(l.src); l.pos++ {
		switch c := l.src[l.pos]; {
		case c == '\\' && backslash:
			l.pos++
		case c == quote && l.peek(1) == quote:
			l.pos++
		case c == quote:
			l.pos++
			return l.src[start:l.pos]
		}
	}
	l.pos = len(l.src)
	l.open, l.strays = true, true
	return l.src[start:]
}

// quotedName reads "name" or `name`. A name that folds to itself loses its
// quotes; one that does not look like a name may be data and becomes a value.
func (l *sqlLexer) quotedName(quote byte) {
	l.strays = l.strays || quote == '`'
	raw := l.str(quote, false)
	name := strings.TrimSuffix(raw[1:], string(quote))
	switch {
	case !isName(name) || len(raw) < 3:
		l.value(raw)
	case isFolded(name) && !sqlReserved[name]:
		l.emit(tokenWord, name)
	default:
		l.emit(tokenQuoted, `"`+name+`"`)
	}
}

func (l *sqlLexer) number() string {
	start := l.pos
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		exponent := (c == '+' || c == '-') && l.pos > start && lower(l.src[l.pos-1]) == 'e' && isDigit(l.peek(1)) && !isHex(l.src[start:l.pos])
		if !isDigit(c) && !isWordStart(c) && c != '.' && !exponent {
			break
		}
		l.pos++
	}
	return l.src[start:l.pos]
}

// dollar reads $1, $name, or a dollar-quoted string $tag$ ... $tag$.
func (l *sqlLexer) dollar() {
	end := l.pos + 1
	for end < len(l.src) && isWordByte(l.src[end]) && l.src[end] != '$' {
		end++
	}
	if end == len(l.src) || l.src[end] != '$' || isDigit(l.peek(1)) {
		l.pos = end
		l.value("")
		return
	}
	tag := l.src[l.pos : end+1]
	body := l.src[end+1:]
	length := len(l.src) - l.pos
	if close := strings.Index(body, tag); close >= 0 {
		length = 2*len(tag) + close
	} else {
		l.open, l.strays = true, true
	}
	literal := l.src[l.pos : l.pos+length]
	l.pos += length
	l.value(literal)
}

// word reads a keyword or name, and the string that a prefix (E, B, X, N, U&)
// introduces.
func (l *sqlLexer) word() {
	start := l.pos
	for l.pos < len(l.src) && isWordByte(l.src[l.pos]) {
		l.pos++
	}
	text := fold(l.src[start:l.pos])
	if text == "u" && l.peek(0) == '&' && l.peek(1) == '\'' {
		l.pos++
		l.value(l.str('\'', false))
		return
	}
	if l.peek(0) == '\'' && (text == "e" || text == "b" || text == "x" || text == "n") {
		l.value(l.str('\'', l.mysql || text == "e"))
		return
	}
	if (text == "null" || text == "true" || text == "false") && !l.structural() {
		l.value(text)
		return
	}
	l.emit(tokenWord, text)
}

// structural reports whether NULL, TRUE or FALSE at the position belongs to the
// grammar (IS NULL, NOT NULL, SET NULL) instead of being a constant.
func (l *sqlLexer) structural() bool {
	if len(l.out) == 0 {
		return false
	}
	switch last := l.out[len(l.out)-1]; last.text {
	case "is", "not", "set", "default":
		return last.kind == tokenWord
	}
	return false
}

func (l *sqlLexer) placeholder() bool {
	length := placeholderLength(l.src[l.pos:])
	if length == 0 {
		return false
	}
	l.pos += length
	l.value("")
	return true
}

// placeholderLength measures ?, :name, @name, %s, %(name)s or {name:Type} at
// the start of rest; 0 means there is none.
func placeholderLength(rest string) (length int) {
	switch {
	case rest[0] == '?':
		length = 1
		for length < len(rest) && isDigit(rest[length]) { // SQLite's ?1
			length++
		}
	case (rest[0] == ':' || rest[0] == '@') && len(rest) > 1 && isWordByte(rest[1]):
		length = 1 + wordLength(rest[1:])
	case strings.HasPrefix(rest, "%s"), strings.HasPrefix(rest, "%d"):
		if len(rest) == 2 || !isWordByte(rest[2]) {
			length = 2
		}
	case strings.HasPrefix(rest, "%("):
		if end := strings.Index(rest, ")s"); end > 0 && isName(rest[2:end]) {
			length = end + 2
		}
	case rest[0] == '{':
		if length = strings.IndexByte(rest, '}') + 1; length == 0 {
			length = len(rest)
		}
	}
	return length
}

const operatorBytes = "+-*/<>=~!@#%^&|"

// mark reads punctuation, or an operator by PostgreSQL's rule: the longest run
// of operator characters, which may end in + or - only if it holds one of
// ~ ! @ # % ^ & |.
func (l *sqlLexer) mark() {
	c := l.src[l.pos]
	if c == '\\' {
		l.strays = true
		l.pos++
		return
	}
	end := l.pos + 1
	if c == ':' && (l.peek(1) == ':' || l.peek(1) == '=') {
		end++
	}
	if strings.IndexByte(operatorBytes, c) >= 0 {
		end = l.operatorEnd()
	}
	l.emit(tokenMark, l.src[l.pos:end])
	l.pos = end
}

func (l *sqlLexer) operatorEnd() int {
	end := l.pos
	for end < len(l.src) && strings.IndexByte(operatorBytes, l.src[end]) >= 0 {
		rest := l.src[end:]
		if end > l.pos && (strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "/*") || gluedPlaceholder(l.src[end-1], rest)) {
			break
		}
		end++
	}
	for end > l.pos+1 && (l.src[end-1] == '+' || l.src[end-1] == '-') && !strings.ContainsAny(l.src[l.pos:end], "~!@#%^&|") {
		end--
	}
	return end
}

// gluedPlaceholder tells the =@p1 and =%s of clients from the <@ and @@ of
// PostgreSQL.
func gluedPlaceholder(before byte, rest string) bool {
	return strings.IndexByte("=<>+-*/", before) >= 0 && !(before == '<' && rest[0] == '@') && placeholderLength(rest) > 0
}

func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isWordStart(c byte) bool { return c >= 0x80 || c == '_' || lower(c) >= 'a' && lower(c) <= 'z' }
func isWordByte(c byte) bool  { return isWordStart(c) || isDigit(c) || c == '$' }
func isHex(number string) bool {
	return len(number) > 1 && number[0] == '0' && lower(number[1]) == 'x'
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// fold lowers ASCII only, as PostgreSQL does with names in UTF-8.
func fold(s string) string {
	if isFolded(s) {
		return s
	}
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

func isFolded(s string) bool {
	for i := range len(s) {
		if s[i] != lower(s[i]) {
			return false
		}
	}
	return true
}

func isName(s string) bool {
	return s != "" && isWordStart(s[0]) && wordLength(s) == len(s)
}

func wordLength(s string) int {
	n := 0
	for n < len(s) && isWordByte(s[n]) {
		n++
	}
	return n
}
