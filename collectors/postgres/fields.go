package postgres

import (
	"fmt"
	"strings"
)

// columns of a view as the catalogue has them on this server: names moved
// between versions, and an extension keeps its old ones through an upgrade.
type columns map[string]bool

// field maps one number of a view to the evidence. Several fields may add to
// the same place.
type field[T any] struct {
	names []string // over versions; the first that exists is read, 0 where none does
	scale float64  // to the evidence's unit
	level bool     // a state at the later snapshot, not a counter
	into  func(*T) *float64
}

const (
	one  = 1.0
	msec = 0.001 // the views count time in ms
)

func count[T any](into func(*T) *float64, names ...string) field[T] {
	return field[T]{names: names, scale: one, into: into}
}

func timer[T any](into func(*T) *float64, names ...string) field[T] {
	return field[T]{names: names, scale: msec, into: into}
}

func level[T any](into func(*T) *float64, names ...string) field[T] {
	return field[T]{names: names, scale: one, level: true, into: into}
}

// array is the SQL of a float8[] with the fields of a view, in their order.
// Names are ours and so safe to write into SQL.
func array[T any](fields []field[T], has columns) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = "0"
		for _, name := range f.names {
			if has[name] {
				parts[i] = fmt.Sprintf("coalesce(v.%s,0)", name)
				break
			}
		}
	}
	return "array[" + strings.Join(parts, ",") + "]::float8[]"
}

// values in the order of a list of fields.
type values []float64

// difference of two readings, added to out. before is nil where there was
// none; then the counters count from their own start. A counter that went back
// means that the entry is a new one: the answer is true and the counters count
// from there (checking one counter alone is not enough, an entry can come back
// larger in one and smaller in another).
func difference[T any](fields []field[T], before, after values, out *T) (recreated bool) {
	if before != nil && wentBack(fields, before, after) {
		before, recreated = nil, true
	}
	for i, f := range fields {
		d := after[i]
		if before != nil && !f.level {
			d -= before[i]
		}
		*f.into(out) += d * f.scale
	}
	return recreated
}

func wentBack[T any](fields []field[T], before, after values) bool {
	for i, f := range fields {
		if !f.level && after[i] < before[i] {
			return true
		}
	}
	return false
}
