package evidence

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"
)

// Attr is one kept attribute.
type Attr struct{ Key, Value string }

// Attrs are the attributes that are kept of one span: what analyzers read, under
// current semantic-convention names (attributes.go), each once. What many spans
// say alike is one list for all of them; what nearly every span says otherwise
// is packed into a text of its own. The zero value has none.
type Attrs struct {
	shared *[]Attr // by key
	own    string  // the number of a key in ownKeys, the length of its value as a varint, the value; and so on
}

// ownKeys are the attributes with about as many values as there are spans. As
// part of the shared list they would make every list one of a kind.
var ownKeys = [...]string{AttrParamsHash, AttrDBRows, AttrDBBatch, AttrURLPath, AttrRequestSize, AttrResponseSize}

// ownNumber is the place of a key in ownKeys, -1 for none.
func ownNumber(key string) int {
	switch key { // compiled to a search by length: it runs for every attribute of every span
	case AttrParamsHash:
		return 0
	case AttrDBRows:
		return 1
	case AttrDBBatch:
		return 2
	case AttrURLPath:
		return 3
	case AttrRequestSize:
		return 4
	case AttrResponseSize:
		return 5
	}
	return -1
}

// NewAttrs makes attributes of a list in any order; of two with one key the
// later counts, and those without a value do not.
func NewAttrs(list ...Attr) Attrs { return new(AttrPool).Add(list) }

// Get gives the value of a key, or "".
func (a Attrs) Get(key string) string {
	if a.shared != nil {
		list := *a.shared
		for i := range list {
			if list[i].Key == key {
				return list[i].Value
			}
		}
	}
	for rest := a.own; rest != ""; {
		var own Attr
		if own, rest = unpackAttr(rest); own.Key == key {
			return own.Value
		}
	}
	return ""
}

// AttrList stands for what many spans say alike. Equal ones, of spans that were
// read together, have the same address: what is learned of one holds for all.
type AttrList = *[]Attr

// Shared is the part of the attributes that is shared; nil for none.
func (a Attrs) Shared() AttrList { return a.shared }

// All gives the attributes by key.
func (a Attrs) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, at := range a.list() {
			if !yield(at.Key, at.Value) {
				return
			}
		}
	}
}

// list is a copy, by key.
func (a Attrs) list() []Attr {
	var out []Attr
	if a.shared != nil {
		out = append(out, *a.shared...)
	}
	for rest := a.own; rest != ""; {
		var own Attr
		own, rest = unpackAttr(rest)
		out = append(out, own)
	}
	slices.SortFunc(out, compareAttrs)
	return out
}

// With gives the attributes with one more, or with another value for its key.
func (a Attrs) With(key, value string) Attrs { return NewAttrs(append(a.list(), Attr{key, value})...) }

func compareAttrs(a, b Attr) int { return strings.Compare(a.Key, b.Key) }

func packAttr(to []byte, number int, value string) []byte {
	return appendText(append(to, byte(number)), value)
}

func appendText(to []byte, text string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

func unpackAttr(packed string) (own Attr, rest string) {
	own.Key = ownKeys[packed[0]]
	length, at := 0, 1
	for shift := 0; ; shift += 7 {
		c := packed[at]
		length |= int(c&0x7f) << shift
		at++
		if c < 0x80 {
			break
		}
	}
	own.Value = packed[at : at+length]
	return own, packed[at+length:]
}

// maxPooled bounds the lists, and the texts of own attributes, that an AttrPool
// shares; beyond it spans cost more and nothing else changes.
const maxPooled = 50_000

// AttrPool makes the attributes of many spans, and shares what is equal. The
// zero value is ready. It may be used by one goroutine at a time.
type AttrPool struct {
	// Clean gives the form of a value that is kept; nil keeps it as it is.
	Clean func(string) string

	lists   map[string]*[]Attr
	owns    map[string]string // as said: as kept
	strings map[string]string
	key     []byte // scratch
	own     []byte // scratch
}

// Add makes attributes of a list, which it may reorder and of which it keeps
// nothing but copies. Of two with one key the later counts, and those without a
// value do not.
func (p *AttrPool) Add(list []Attr) Attrs {
	if !slices.IsSortedFunc(list, compareAttrs) {
		slices.SortStableFunc(list, compareAttrs)
	}
	p.key, p.own = p.key[:0], p.own[:0]
	for i := range list {
		a := &list[i]
		if !counts(list, i) {
			continue
		}
		if n := ownNumber(a.Key); n >= 0 {
			p.own = packAttr(p.own, n, a.Value)
			continue
		}
		p.key = appendText(appendText(p.key, a.Key), a.Value)
	}
	return Attrs{shared: p.sharedList(list), own: p.ownText(list)}
}

// counts reports whether an item of a sorted list has a value and is the last
// with its key.
func counts(list []Attr, i int) bool {
	return list[i].Value != "" && (i+1 == len(list) || list[i+1].Key != list[i].Key)
}

func (p *AttrPool) sharedList(list []Attr) *[]Attr {
	if len(p.key) == 0 {
		return nil
	}
	if known, ok := p.lists[string(p.key)]; ok {
		return known
	}
	made := make([]Attr, 0, len(list))
	for i := range list {
		if counts(list, i) && ownNumber(list[i].Key) < 0 {
			made = append(made, Attr{p.share(list[i].Key), p.share(p.clean(list[i].Value))})
		}
	}
	made = slices.Clone(made) // no longer than it is
	if p.lists == nil {
		p.lists = map[string]*[]Attr{}
	}
	if len(p.lists) < maxPooled {
		p.lists[string(p.key)] = &made
	}
	return &made
}

func (p *AttrPool) ownText(list []Attr) string {
	if len(p.own) == 0 {
		return ""
	}
	if known, ok := p.owns[string(p.own)]; ok {
		return known
	}
	said := string(p.own)
	p.own = p.own[:0]
	for i := range list {
		if n := ownNumber(list[i].Key); n >= 0 && counts(list, i) {
			p.own = packAttr(p.own, n, p.clean(list[i].Value))
		}
	}
	kept := said
	if string(p.own) != said {
		kept = string(p.own)
	}
	if p.owns == nil {
		p.owns = map[string]string{}
	}
	if len(p.owns) < maxPooled {
		p.owns[said] = kept
	}
	return kept
}

func (p *AttrPool) clean(s string) string {
	if p.Clean == nil {
		return s
	}
	return p.Clean(s)
}

func (p *AttrPool) share(s string) string {
	if known, ok := p.strings[s]; ok {
		return known
	}
	made := strings.Clone(s)
	if p.strings == nil {
		p.strings = map[string]string{}
	}
	if len(p.strings) < maxPooled {
		p.strings[made] = made
	}
	return made
}
