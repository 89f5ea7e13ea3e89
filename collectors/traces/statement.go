package traces

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// statement is what is kept of a query's text.
type statement struct {
	text   string // normal form, at most maxValueBytes
	key    string
	params string // hash of its literals, "" without any
	verb   string
	table  string // where there is exactly one
}

// queryText is a text in the language of a system.
type queryText struct{ system, text string }

// sqlSystems are those of db.system.name that speak SQL. For others the text
// decides, by words with which no command of a key-value store begins.
var sqlSystems = wordSet(`postgresql mysql mariadb microsoft.sql_server oracle.db sqlite cockroachdb clickhouse aws.redshift gcp.spanner ibm.db2
	ibm.informix sap.hana other_sql h2database hsqldb derby firebird trino tidb cassandra`)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

var sqlStart = regexp.MustCompile(`(?is)^\s*(/\*.*?\*/\s*|--[^\n]*\n\s*)*(select|insert\s+into|update|delete\s+from|with|merge\s+into|replace\s+into|create|alter|drop|truncate|values|explain|begin|commit|rollback)\b`)

// statement reads the text of a query, whatever its language, and removes
// everything that may be data.
func (b *builder) statement(q queryText) statement {
	if st, ok := b.statements[q]; ok {
		return st
	}
	var st statement
	if sqlSystems[q.system] || sqlStart.MatchString(q.text) {
		st = b.sql(q.text)
	} else {
		st = b.command(q.text)
	}
	if len(b.statements) < maxTexts {
		b.statements[queryText{strings.Clone(q.system), strings.Clone(q.text)}] = st
	}
	return st
}

func (b *builder) sql(text string) statement {
	read := evidence.ReadSQL(text)
	st := statement{text: read.Text, key: read.Key, verb: strings.Clone(read.Verb)} // a view of text would keep its whole message
	if len(read.Tables) == 1 {
		st.table = strings.Clone(read.Tables[0])
	}
	if len(read.Literals) > 0 {
		st.params = b.hash(read.Literals...)
	}
	return st
}

var (
	commandWord = regexp.MustCompile(`^[A-Za-z][A-Za-z.]{0,24}$`)
	keyPrefix   = regexp.MustCompile(`^[A-Za-z][A-Za-z_.-]{0,30}:`)
)

// command reads what is not SQL: Redis and its like. It keeps the command and
// the leading word of the key ("get product:?"), which is a name by
// convention; all else may be data. A document (MongoDB, Elasticsearch) keeps
// nothing but its hash.
func (b *builder) command(text string) (st statement) {
	words := strings.Fields(text)
	st.params = b.hash(text)
	if len(words) == 0 || !commandWord.MatchString(words[0]) {
		st.text = "?"
	} else {
		st.verb = strings.Clone(strings.ToUpper(words[0]))
		st.text = strings.ToLower(words[0])
		if len(words) > 1 {
			st.text += " " + keyPrefix.FindString(words[1]) + "?"
		}
	}
	h := fnv.New64a()
	h.Write([]byte(st.text))
	st.key = fmt.Sprintf("%016x", h.Sum64())
	return st
}

var namePrefix = regexp.MustCompile(`^(query|prepare|batch query|exec|copy_from|sql) `)

// looksLikeID tells the segments of a path that name one thing among many:
// numbers, addresses, four digits or more (UUIDs, dates, hashes), long
// hexadecimal, and long tokens of letters and digits.
func looksLikeID(segment string) bool {
	digits, hex, letters := 0, 0, 0
	for i := range len(segment) {
		switch c := lower(segment[i]); {
		case c == '@':
			return true
		case c >= '0' && c <= '9':
			digits++
			hex++
		case c >= 'a' && c <= 'z':
			letters++
			if c <= 'f' {
				hex++
			}
		}
	}
	n := len(segment)
	return digits >= 4 || n > 0 && digits == n || n >= 16 && hex == n || n >= 20 && digits > 0 && digits+letters == n
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// name gives a span's name without data: some instrumentation names spans
// after the whole statement, or after the path with its ids.
func (b *builder) name(raw string) string {
	if kept, ok := b.names[raw]; ok {
		return kept
	}
	name := raw
	prefix := namePrefix.FindString(raw)
	switch statement := raw[len(prefix):]; {
	case strings.ContainsAny(statement, "='$?*(") && sqlStart.MatchString(statement):
		normal, _ := evidence.NormalizeSQL(statement)
		name = prefix + normal
	case strings.Contains(raw, "/"):
		name = pathTemplate(raw)
	}
	name = b.strings.get(name)
	if len(b.names) < maxTexts {
		b.names[strings.Clone(raw)] = name
	}
	return name
}

// pathOf cuts scheme, host, query and fragment off a URL.
func pathOf(url string) string {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		slash := strings.IndexAny(rest, "/?#")
		if slash < 0 {
			return "/"
		}
		url = rest[slash:]
	}
	return url
}

// pathTemplate replaces the segments of a path that look like ids by {id}, and
// drops query and fragment.
func pathTemplate(path string) string {
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		path = path[:end]
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if i > 0 && looksLikeID(s) {
			segments[i] = "{id}"
		}
	}
	return strings.Join(segments, "/")
}
