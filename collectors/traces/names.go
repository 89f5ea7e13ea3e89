package traces

// nameTable finds the source for an attribute's name. It is asked for every
// attribute of every span, so it is a perfect hash: one look, one comparison.
type nameTable struct {
	all    []namedSource
	factor uint32
	places [1 << nameBits]int16 // into all, plus one
}

const nameBits = 12

type namedSource struct {
	name string
	source
}

// arrange looks for a factor that gives every name a place of its own.
func (t *nameTable) arrange() {
	for t.factor = 1; !t.placed(); t.factor += 2 {
		if t.factor > 1<<16 {
			panic("two names of conventions agree in all that nameTable.place looks at: let it look at more")
		}
	}
}

func (t *nameTable) placed() bool {
	clear(t.places[:])
	for i := range t.all {
		at := &t.places[t.place(t.all[i].name)]
		if *at != 0 {
			return false
		}
		*at = int16(i + 1)
	}
	return true
}

// place mixes the length with bytes from the end, where names that begin alike
// differ, from the middle, and the first.
func (t *nameTable) place(name string) uint32 {
	n := len(name)
	if n < 4 {
		return 0
	}
	h := uint32(name[n-1]) | uint32(name[n-3])<<8 | uint32(name[n/2])<<16 | uint32(name[0])<<24
	return (h ^ uint32(n)*0x9e3779b1) * t.factor >> (32 - nameBits)
}

func (t *nameTable) find(name string) (source, bool) {
	at := t.places[t.place(name)]
	if at == 0 || t.all[at-1].name != name {
		return source{}, false
	}
	return t.all[at-1].source, true
}
