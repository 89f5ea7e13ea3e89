package loadtest

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

const hidden = "<redacted>"

// secretName matches names of arguments and variables whose values are not kept.
var secretName = regexp.MustCompile(`(?i)(pass|pwd|secret|token|key|auth|cred|cookie|session|dsn|bearer|header)`)

// redact joins the arguments into one line without the values of those that
// look like secrets: NAME=VALUE and --NAME VALUE by name, headers always, and
// the user and query of every address.
func redact(args []string) string {
	out := make([]string, len(args))
	hideNext := false
	for i, a := range args {
		name, value, assigned := strings.Cut(a, "=")
		switch {
		case hideNext:
			out[i], hideNext = hidden, false
		case assigned && secretName.MatchString(name):
			out[i] = name + "=" + hidden
		case assigned:
			out[i] = name + "=" + redactURL(value)
		case filepath.IsAbs(a):
			out[i] = filepath.Base(a) // folders tell of people and machines, not of the load
		default:
			out[i] = redactURL(a)
			hideNext = a == "-H" || a == "-u" || (strings.HasPrefix(a, "-") && secretName.MatchString(a))
		}
	}
	return strings.Join(out, " ")
}

// redactURL takes user, password and query out of an address.
func redactURL(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil {
		return hidden
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
