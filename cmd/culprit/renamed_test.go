package main

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/rules"
)

// What services, routes, tables and databases are called says nothing: under
// other names the same causes stand in the same order with the same scores, and
// their subjects have the other names.
func TestNamesSayNothing(t *testing.T) {
	withCauses, changed := 0, 0
	onRecorded(t, func(t *testing.T, path string) {
		plain, _ := judge(t, recordedBundle(t, path))
		b := recordedBundle(t, path)
		other := otherNames(b)
		renameIn(reflect.ValueOf(b).Elem(), other)
		b.Sort()
		renamed, _ := judge(t, b)
		was, is := told(plain, other), told(renamed, func(s string) string { return s })
		if was != is {
			t.Errorf("under other names: %s", firstDifference(was, is))
		}
		withCauses += min(1, len(plain.Causes))
		if was != told(plain, func(s string) string { return s }) {
			changed++
		}
	})
	if 2*changed < withCauses {
		t.Errorf("only in %d of %d runs has a cause another name", changed, withCauses)
	}
}

// told is what a judgement comes to, with its names replaced.
func told(j *rules.Judgement, rename func(string) string) string {
	lines := []string{string(j.Status)}
	var tell func(depth int, list []*rules.Hypothesis)
	tell = func(depth int, list []*rules.Hypothesis) {
		level := make([]string, len(list))
		for i, h := range list {
			level[i] = fmt.Sprintf("%*s%s %.6f", depth, "", h.Rule.ID, h.Score)
			if depth == 0 {
				level[i] += fmt.Sprintf(" %s saves %.6f", rename(h.Subject.String()), h.Impact.Saved())
			}
		}
		if depth > 0 {
			slices.Sort(level) // equals are told by name
		}
		lines = append(lines, level...)
		for _, h := range list {
			tell(depth+1, h.Explains)
		}
	}
	tell(0, j.Causes)
	return strings.Join(lines, "\n")
}

// word is what may be a name.
var word = regexp.MustCompile(`[a-z_]+`)

// otherNames gives for every name of the system under test another one, whose
// order has nothing to do with that of the names.
func otherNames(b *evidence.Bundle) func(string) string {
	names := map[string]string{}
	add := func(texts ...string) {
		for _, text := range texts {
			for _, w := range word.FindAllString(text, -1) {
				h := fnv.New32a()
				h.Write([]byte(w))
				names[w] = "n" + strings.Map(func(r rune) rune { return 'a' + (r*7)%26 }, fmt.Sprint(h.Sum32()))
			}
		}
	}
	for i := range b.Spans {
		s := &b.Spans[i]
		_, route, _ := strings.Cut(s.Attr(evidence.AttrHTTPRoute), "/")
		add(s.Service, route)
	}
	for i := range b.Postgres {
		for _, t := range b.Postgres[i].Tables {
			add(t.Name)
		}
	}
	return func(text string) string {
		return word.ReplaceAllStringFunc(text, func(w string) string {
			for end := len(w); end > 0; end = strings.LastIndexByte(w[:end], '_') {
				if other, known := names[w[:end]]; known {
					return other + w[end:]
				}
			}
			return w
		})
	}
}

// renameIn replaces the names in every text of a value, but for keys and for
// the terms that are culprit's own, which have types of their own.
func renameIn(v reflect.Value, rename func(string) string) {
	switch x := v.Addr().Interface().(type) {
	case *string:
		*x = rename(*x)
		return
	case *evidence.Attrs:
		var list []evidence.Attr
		for key, value := range x.All() {
			list = append(list, evidence.Attr{Key: key, Value: rename(value)})
		}
		*x = evidence.NewAttrs(list...)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				renameIn(v.Field(i), rename)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			renameIn(v.Index(i), rename)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			renameIn(v.Elem(), rename)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			renameIn(value, rename)
			v.SetMapIndex(key, value)
		}
	}
}
