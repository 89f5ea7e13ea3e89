package traces

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
)

// documentReader cuts a stream into JSON documents by their brackets, without
// parsing them. Of Jaeger's {"data": [...]}, which may hold all the traces of a
// run, every item is a document, so that one trace at a time is in memory.
type documentReader struct {
	in     *bufio.Reader
	line   int    // of what comes next
	text   []byte // the document; used again for the next
	inData bool   // inside the list of an envelope
	items  int    // of that list so far
	ends   []int  // in text, of the lists and objects right inside the document: the first of them
}

var dataList = regexp.MustCompile(`^\{\s*"data"\s*:\s*\[`)

// next returns a document, valid until the next call, and the line it begins
// on.
func (d *documentReader) next() (document []byte, line int, err error) {
	d.ends = d.ends[:0]
	c, err := d.begin()
	if err == nil && d.inData && c == ']' {
		empty := d.items == 0
		if err = d.leaveData(); empty || err != nil {
			return d.text, d.line, err
		}
		c, err = d.begin()
	}
	if line = d.line; err != nil {
		return nil, line, err
	}
	d.items++
	d.text = d.text[:0]
	cut := &cutter{object: c == '{', plain: c != '{' && c != '[', ends: d.ends[:0]}
	if err = d.read(cut); err != nil {
		d.inData = false
	}
	d.ends = cut.ends
	return d.text, line, err
}

// begin gives the first byte of the next document.
func (d *documentReader) begin() (byte, error) {
	for {
		c, err := d.in.ReadByte()
		if err != nil {
			if d.inData {
				err = d.ended(err)
			}
			return 0, err
		}
		switch {
		case c == '\n':
			d.line++
		case c == ' ', c == '\t', c == '\r', c == ',' && d.inData:
		default:
			d.in.UnreadByte() // never fails after ReadByte
			if !d.inData && d.enterData() {
				continue
			}
			return c, nil
		}
	}
}

// ended tells of an end of the stream that comes too early.
func (d *documentReader) ended(err error) error {
	d.inData = false
	if err == io.EOF {
		return errCutShort
	}
	return err
}

func (d *documentReader) enterData() bool {
	head, _ := d.in.Peek(64)
	prefix := dataList.Find(head)
	d.line += bytes.Count(prefix, newline)
	d.inData, d.items = len(prefix) > 0, 0
	d.in.Discard(len(prefix)) // what was peeked is there
	return d.inData
}

// leaveData reads the rest of the envelope, which matters where the list was
// empty: the server may say why.
func (d *documentReader) leaveData() error {
	d.inData = false
	d.text = append(d.text[:0], `{"data":[`...)
	return d.read(&cutter{depth: 2, object: true})
}

// read moves one document into d.text.
func (d *documentReader) read(cut *cutter) error {
	for {
		_, err := d.in.Peek(1)
		switch {
		case err == io.EOF && cut.plain: // a last line without its end
			return nil
		case err == io.EOF:
			return errCutShort
		case err != nil:
			return err
		}
		part, _ := d.in.Peek(d.in.Buffered())
		n, done := cut.read(part)
		d.text = append(d.text, part[:n]...)
		d.line += bytes.Count(part[:n], newline)
		d.in.Discard(n)
		switch {
		case len(d.text) > maxDocument:
			return errTooLarge
		case cut.broken:
			return errCutShort
		case done:
			return nil
		}
	}
}

var newline = []byte{'\n'}

// cutter knows where a JSON value has closed all it opened.
type cutter struct {
	object   bool // it begins with {
	plain    bool // it is no list and no object: it ends with its line
	depth    int
	inString bool
	escaped  bool
	newLine  bool // the byte before ended a line
	broken   bool // it ends early
	passed   int  // bytes taken in before this text
	ends     []int
}

// mostEnds is how many parts of a document a cutter notes the ends of.
const mostEnds = 16

// stopsOutside and stopsInside are the bytes that mean something to a cutter
// outside a string and inside one.
var stopsOutside, stopsInside = byteSet("\"{}[]\n"), byteSet("\"\\\n")

func byteSet(bytes string) (set [256]bool) {
	for i := range len(bytes) {
		set[bytes[i]] = true
	}
	return set
}

// read takes more text in. It gives how much of it belongs to the value, and
// whether the value ends there.
func (c *cutter) read(text []byte) (n int, done bool) {
	defer func() { c.passed += n }()
	if c.plain {
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			return end + 1, true
		}
		return len(text), false
	}
	for n < len(text) {
		if c.newLine && c.object && text[n] == '{' { // inside an object a bracket is indented: the next document begins
			c.broken = true
			return n, false
		}
		c.newLine = false
		n = c.pass(text, n)
		if n == len(text) {
			return n, false
		}
		c.step(text[n])
		n++
		if c.depth == 1 && len(c.ends) < mostEnds && (text[n-1] == ']' || text[n-1] == '}') && !c.inString {
			c.ends = append(c.ends, c.passed+n)
		}
		if c.broken || c.depth == 0 && !c.inString {
			return n, true
		}
	}
	return n, false
}

// pass goes on to the next byte that means something.
func (c *cutter) pass(text []byte, n int) int {
	if c.escaped {
		return n
	}
	if c.inString {
		return special(text, n)
	}
	for n < len(text) && !stopsOutside[text[n]] {
		n++
	}
	return n
}

func (c *cutter) step(b byte) {
	switch {
	case c.escaped:
		c.escaped = false
	case b == '\n':
		c.newLine = true
		c.broken = c.inString // no string holds a line break
	case c.inString:
		c.escaped = b == '\\'
		c.inString = b != '"'
	case b == '"':
		c.inString = true
	case b == '{' || b == '[':
		c.depth++
	default:
		c.depth--
	}
}
