package loadtest

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/culprit-rca/culprit/collectors/evidence"
)

// A line of InfluxDB's protocol is "measurement,tag=value,... field=value,...
// time". A backslash keeps a comma, an equals sign or a space from its meaning
// outside of quotes; in quotes, where only fields may be, it keeps a quote.

func parseInflux(in io.Reader, from int64) (evidence.LoadRun, error) {
	s := newStream(from)
	return s.run(eachLine(in, func(line []byte) error {
		if line[0] == '#' {
			return nil
		}
		p, err := influxPoint(string(line))
		if err == nil {
			s.take(p)
		}
		return err
	}))
}

var errNotInflux = errors.New("no line of InfluxDB's protocol")

func influxPoint(line string) (point, error) {
	parts := splitOutside(line, ' ')
	if len(parts) < 2 || len(parts) > 3 {
		return point{}, errNotInflux
	}
	head := splitOutside(parts[0], ',')
	tags := pairs(head[1:])
	fields := pairs(splitOutside(parts[1], ','))
	value, err := strconv.ParseFloat(strings.TrimRight(fields["value"], "iu"), 64)
	if err != nil {
		return point{}, errors.New("the line has no number as its field value")
	}
	p := point{metric: unescaped(head[0]), value: value, tag: func(name string) string {
		if v, ok := tags[name]; ok {
			return v
		}
		return fields[name] // k6 can be told to write any tag as a field
	}}
	if len(parts) == 3 {
		p.at, err = unixMilli(parts[2])
	} else {
		err = errors.New("the line has no time")
	}
	return p, err
}

// splitOutside cuts at a separator that is neither escaped nor quoted.
func splitOutside(text string, separator byte) (parts []string) {
	quoted, from := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			if i > from {
				parts = append(parts, text[from:i])
			}
			from = i + 1
		}
	}
	return append(parts, text[min(from, len(text)):])
}

func pairs(parts []string) map[string]string {
	out := map[string]string{}
	for _, p := range parts {
		kv := splitOutside(p, '=')
		if len(kv) < 2 {
			continue
		}
		out[unescaped(kv[0])] = unescaped(strings.Trim(strings.TrimPrefix(p, kv[0]+"="), `"`))
	}
	return out
}

func unescaped(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && strings.IndexByte(`,= "\`, text[i+1]) >= 0 {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// isInflux tells the protocol by its first line.
func isInflux(line string) bool {
	_, err := influxPoint(strings.TrimSpace(line))
	return err == nil
}
