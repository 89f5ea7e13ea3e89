package prometheus

import (
	"math"
	"slices"
	"strconv"
	"unsafe"
)

// blockSize is the number of elements of one block of an arena: large enough
// that a reply needs few of them, small enough that the last one wastes little.
const blockSize = 32 << 10

// arena hands out slices cut from large blocks, so that ten thousand series
// cost a few hundred allocations. One slice is open at a time.
type arena[T any] struct {
	block []T // all that was cut, and the open slice at its end
	start int // of the open slice
}

func (a *arena[T]) open() { a.start = len(a.block) }

func (a *arena[T]) add(v T) {
	if len(a.block) == cap(a.block) {
		a.grow()
	}
	a.block = append(a.block, v)
}

// grow moves the open slice into a fresh block.
func (a *arena[T]) grow() {
	open := a.block[a.start:]
	next := make([]T, len(open), max(blockSize, 2*len(open)))
	copy(next, open)
	a.block, a.start = next, 0
}

// close gives the open slice; nothing can be appended to it in place.
func (a *arena[T]) close() []T { return slices.Clip(a.block[a.start:]) }

// gridRun collects the times of one series: a piece of the grid as long as
// they run along it, a copy of its own from where they leave it.
type gridRun struct {
	grid  []int64
	own   *arena[int64]
	from  int // where on the grid the series starts
	n     int // how far it has run along
	alone bool
}

func (g *gridRun) add(t int64) {
	if g.alone {
		g.own.add(t)
		return
	}
	if g.n == 0 {
		g.from, _ = slices.BinarySearch(g.grid, t)
	}
	if i := g.from + g.n; i < len(g.grid) && g.grid[i] == t {
		g.n++
		return
	}
	g.alone = true
	g.own.open()
	for _, seen := range g.grid[g.from : g.from+g.n] {
		g.own.add(seen)
	}
	g.own.add(t)
}

func (g *gridRun) close() []int64 {
	if g.alone {
		return g.own.close()
	}
	return slices.Clip(g.grid[g.from : g.from+g.n])
}

// millis turns Unix seconds into the nearest ms.
func millis(seconds float64) int64 { return int64(math.Round(seconds * 1000)) }

// fastPair reads [1795210071.702,"0.25"] at the start of b. n is the number
// of bytes taken, 0 where the shape is not exactly this.
func fastPair(b []byte) (t int64, v float64, n int) {
	if len(b) < 8 || b[0] != '[' {
		return 0, 0, 0
	}
	t, i := fastTime(b, 1)
	if i == 0 || i+2 >= len(b) || b[i] != ',' || b[i+1] != '"' {
		return 0, 0, 0
	}
	v, i = fastFloat(b, i+2)
	if i == 0 || i+1 >= len(b) || b[i] != '"' || b[i+1] != ']' {
		return 0, 0, 0
	}
	return t, v, i + 2
}

// fastTime reads seconds with at most three decimals as ms.
func fastTime(b []byte, i int) (int64, int) {
	start, t := i, int64(0)
	for ; i < len(b) && b[i]-'0' < 10 && i-start < 15; i++ {
		t = t*10 + int64(b[i]-'0')
	}
	if i == start || i == len(b) {
		return 0, 0
	}
	t *= 1000
	if b[i] != '.' {
		return t, i
	}
	i++
	for scale := int64(100); i < len(b) && b[i]-'0' < 10; i++ {
		if scale == 0 {
			return 0, 0
		}
		t += int64(b[i]-'0') * scale
		scale /= 10
	}
	return t, i
}

// fastFloat reads a number up to its closing quote. Where digits and exponent
// are small the product of two exact floats is exact (Clinger 1990); the rest
// goes to strconv. 0 where it is no number.
func fastFloat(b []byte, i int) (float64, int) {
	start, neg := i, false
	if i < len(b) && b[i] == '-' {
		neg = true
		i++
	}
	mantissa, digits, point := uint64(0), i, -1
	for ; i < len(b); i++ {
		if c := b[i] - '0'; c < 10 {
			mantissa = mantissa*10 + uint64(c)
		} else if b[i] == '.' && point < 0 {
			point = i
		} else {
			break
		}
	}
	decimals, n := 0, i-digits
	if point >= 0 {
		decimals, n = i-point-1, n-1
	}
	if i == len(b) || b[i] != '"' || n == 0 || n > 15 {
		return slowFloat(b, start)
	}
	v := float64(mantissa) / pow10[decimals]
	if neg {
		v = -v
	}
	return v, i
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

func slowFloat(b []byte, start int) (float64, int) {
	for i := start; i < len(b); i++ {
		if b[i] != '"' {
			continue
		}
		// The string does not outlive the call, but for an error nobody keeps.
		v, err := strconv.ParseFloat(unsafe.String(&b[start], i-start), 64)
		if err != nil {
			return 0, 0
		}
		return v, i
	}
	return 0, 0
}
