package report

import (
	"fmt"
	"math"
	"net/url"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Longest texts, in runes: beyond these a reader is not served and a page
// can be flooded. A field says which one it is by its tag, clean:"...".
const (
	maxName     = 240  // clean:"name": services, operations, ids
	maxSentence = 2000 // no tag
	maxBlock    = 8000 // clean:"block": queries, which keep their lines
)

// cleaned is a deep copy of a value in which every string is inert and every
// number finite. It is the one place where untrusted text is neutralised:
// formats escape for their dialect and nothing else. Cleaning twice changes
// nothing.
func cleaned[T any](v T) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	copyClean(out, reflect.ValueOf(v), "")
	return out.Interface().(T)
}

func copyClean(dst, src reflect.Value, tag string) {
	switch src.Kind() {
	case reflect.String:
		dst.SetString(cleanString(src.String(), tag))
	case reflect.Float64:
		if f := src.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			dst.SetFloat(f)
		}
	case reflect.Pointer:
		if !src.IsNil() {
			dst.Set(reflect.New(src.Type().Elem()))
			copyClean(dst.Elem(), src.Elem(), tag)
		}
	case reflect.Slice:
		copySlice(dst, src, tag)
	case reflect.Struct:
		copyStruct(dst, src, tag)
	default:
		dst.Set(src)
	}
}

// copySlice drops what a tag refuses: a link that is none, an id that is none.
func copySlice(dst, src reflect.Value, tag string) {
	if src.IsNil() {
		return
	}
	out := reflect.MakeSlice(src.Type(), 0, src.Len())
	for i := range src.Len() {
		e := reflect.New(src.Type().Elem()).Elem()
		copyClean(e, src.Index(i), tag)
		if (tag == "url" || tag == "hex") && e.Kind() == reflect.String && e.Len() == 0 {
			continue
		}
		out = reflect.Append(out, e)
	}
	dst.Set(out)
}

func copyStruct(dst, src reflect.Value, tag string) {
	if src.Type() == reflect.TypeFor[time.Time]() {
		dst.Set(src)
		return
	}
	for i := range src.NumField() {
		t := tag
		if own, ok := src.Type().Field(i).Tag.Lookup("clean"); ok {
			t = own
		}
		copyClean(dst.Field(i), src.Field(i), t)
	}
}

func cleanString(s, tag string) string {
	switch tag {
	case "url":
		return cleanURL(s)
	case "hex":
		return cleanHex(s)
	case "block":
		return cleanText(s, maxBlock, true)
	case "name":
		return cleanText(s, maxName, false)
	}
	return cleanText(s, maxSentence, false)
}

// cleanText makes control characters, direction overrides, invisible
// characters and invalid UTF-8 visible as escapes, and cuts what is too long.
// Line breaks and tabs survive in a block and are spaces elsewhere.
func cleanText(s string, limit int, block bool) string {
	var out []rune
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	for i := 0; i < len(s) && len(out) <= limit; {
		r, size := utf8.DecodeRuneInString(s[i:])
		out = append(out, []rune(visible(r, s[i:i+size], block))...)
		i += size
	}
	if len(out) > limit {
		out = append(out[:limit-1], '…')
	}
	return strings.TrimSpace(string(out))
}

func visible(r rune, raw string, block bool) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Sprintf(`\x%02x`, raw[0])
	case r == '\n' || r == '\t':
		if block {
			return raw
		}
		return " "
	case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r), hiddenLetter(r):
		if r > 0xffff {
			return fmt.Sprintf(`\U%08x`, r)
		}
		return fmt.Sprintf(`\u%04x`, r)
	}
	return raw
}

// hiddenLetter tells letters and marks that fonts draw as nothing: fillers of
// Hangul and Khmer, variation selectors, the Mongolian ones, and the unassigned
// ends of plane 14 that are ignored by default.
func hiddenLetter(r rune) bool {
	switch {
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0:
		return true
	case r >= 0x180b && r <= 0x180f, r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return false
}

// cleanURL keeps http and https addresses that carry no user, and "" else.
func cleanURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || len(s) > maxBlock {
		return ""
	}
	return u.String()
}

// cleanHex keeps ids of up to 32 hex digits, and "" else.
func cleanHex(s string) string {
	if len(s) == 0 || len(s) > 32 || strings.Trim(s, "0123456789abcdef") != "" {
		return ""
	}
	return s
}
