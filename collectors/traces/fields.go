package traces

import "strings"

// fields holds what one resource or span said, by slot.
type fields struct {
	said   uint64 // a bit for every slot that holds something
	values [slotCount]string
	ranks  [slotCount]uint8
	params []string // query parameters, as "name=value"
}

// Compiles only while the slots find room in fields.said.
const _ = uint(64 - slotCount)

func (f *fields) reset() {
	f.said = 0
	f.params = f.params[:0]
}

// get gives what was said, or "".
func (f *fields) get(s slot) string {
	if f.said&(1<<s) == 0 {
		return ""
	}
	return f.values[s]
}

// rank is that of the name under which a slot was said.
func (f *fields) rank(s slot) uint8 {
	if f.said&(1<<s) == 0 {
		return 0
	}
	return f.ranks[s]
}

func (f *fields) put(s slot, text string) {
	f.values[s] = text
	if f.said |= 1 << s; text == "" {
		f.said &^= 1 << s
	}
}

// wants reports whether an attribute is kept, and has not been said under a
// better name already.
func (f *fields) wants(key string) (source, bool) {
	src, ok := conventions.find(key)
	if !ok {
		return source{slot: slotParameter}, strings.HasPrefix(key, "db.query.parameter.") || strings.HasPrefix(key, "db.operation.parameter.")
	}
	return src, f.said&(1<<src.slot) == 0 || f.ranks[src.slot] > src.rank
}

// take notes an attribute that is wanted.
func (f *fields) take(src source, key, text string) {
	if src.slot == slotParameter {
		f.params = append(f.params, key+"="+text)
		return
	}
	f.put(src.slot, text)
	f.ranks[src.slot] = src.rank
}

func (f *fields) set(key, text string) {
	if src, ok := f.wants(key); ok {
		f.take(src, key, text)
	}
}
