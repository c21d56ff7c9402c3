package values

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
)

// The major types of CBOR, and other constants of RFC 8949.
const (
	majorUint  = 0
	majorInt   = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
	majorOther = 7

	itemFalse     = 0xf4
	itemTrue      = 0xf5
	itemNull      = 0xf6
	itemUndefined = 0xf7
	itemFloat16   = 0xf9
	itemFloat32   = 0xfa
	itemFloat64   = 0xfb

	tagTimeText = 0
	tagTime     = 1
	tagObject   = 27  // [type name, value]
	tagJSON     = 262 // JSON in bytes
)

// encoder is the state of one Encode.
type encoder struct {
	codec  *Codec
	b      []byte
	most   int // the maximum length of b
	depth  int
	nested any    // as given to Codec.Encode
	memory memory // the memory that the decoder will need
	meter  meter
	// enclosing has the references that contain the current value, to detect
	// cycles. It is nil until the depth is watchedDepth, because a map costs
	// time. If a value has a cycle, EncodeWithin sets enclosing and encodes the
	// value a second time, so that the cycle is detected at every depth.
	enclosing map[visit]bool
	// The next fields are for data that several references share; see
	// references.go.
	parts   *parts
	copied  int // the number of bytes that copyPart has copied
	deepest int // the deepest level so far within the data of the current reference
}

// watchedDepth is the depth from which encode looks for cycles.
const watchedDepth = 500

// encode appends the encoding of v. Coders call it for each nested value.
func (e *encoder) encode(c *coder, v reflect.Value) error {
	if e.depth == MaxDepth {
		return errDeep
	}
	if err := e.fits(c.minLength); err != nil {
		return err
	}
	if err := e.meter.spend(1); err != nil {
		return err
	}
	e.depth++
	defer func() { e.depth-- }()
	if e.depth > e.deepest {
		e.deepest = e.depth
	}
	if c.nilable && v.IsNil() {
		e.b = append(e.b, itemNull)
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if !v.IsNil() && (e.enclosing != nil || e.depth >= watchedDepth || len(e.b) >= e.codec.sharedFrom) {
			return e.reference(c, v)
		}
	}
	return c.encode(e, v)
}

// head appends the head of an item: the major type of the item and a number.
func (e *encoder) head(major byte, n uint64) {
	major <<= 5
	switch {
	case n < 24:
		e.b = append(e.b, major|byte(n))
	case n <= math.MaxUint8:
		e.b = append(e.b, major|24, byte(n))
	case n <= math.MaxUint16:
		e.b = binary.BigEndian.AppendUint16(append(e.b, major|25), uint16(n))
	case n <= math.MaxUint32:
		e.b = binary.BigEndian.AppendUint32(append(e.b, major|26), uint32(n))
	default:
		e.b = binary.BigEndian.AppendUint64(append(e.b, major|27), n)
	}
}

func (e *encoder) int(n int64) {
	if n < 0 {
		e.head(majorInt, uint64(^n))
	} else {
		e.head(majorUint, uint64(n))
	}
}

// text appends a text, but does not count the memory of the text. If the
// text becomes part of the decoded value, the caller must count its memory.
func (e *encoder) text(s string) { e.head(majorText, uint64(len(s))); e.b = append(e.b, s...) }

// bytes appends a byte string or a text: the head of the item, and then b.
func (e *encoder) bytes(major byte, b []byte) error {
	if err := e.fits(len(b)); err != nil {
		return err
	}
	e.head(major, uint64(len(b)))
	e.b = append(e.b, b...)
	return nil
}

// fits returns an error if the encoding cannot have n more bytes.
func (e *encoder) fits(n int) error {
	if n > e.most-len(e.b) {
		return e.tooLong()
	}
	return nil
}

func (e *encoder) tooLong() error {
	if e.most < e.codec.maxBytes {
		return ErrLarge
	}
	return longError(e.most)
}

// longError is the error of an encoding that is too long. Its value is the
// maximum number of bytes.
type longError int

// Error returns a text with the maximum.
func (e longError) Error() string {
	return fmt.Sprintf("the value has more than %d bytes when it is encoded", int(e))
}

// decoder is the state of one Decode.
type decoder struct {
	codec  *Codec
	b      []byte
	at     int
	depth  int
	memory memory
	meter  meter
	named  bool // whether the decoder is within an object with a type name, which only Go programs send
}

var errEnd = errors.New("the bytes end inside the value")

// decode decodes the next item into v. Coders call it for each nested value.
func (d *decoder) decode(c *coder, v reflect.Value) error {
	if d.depth++; d.depth > MaxDepth {
		return errDeep
	}
	if err := d.meter.spend(1); err != nil {
		return err
	}
	defer func() { d.depth-- }()
	if c.nilable && d.null() {
		v.SetZero()
		return nil
	}
	return c.decode(d, v)
}

// left returns the number of bytes that have not been read.
func (d *decoder) left() int { return len(d.b) - d.at }

// head reads the head of an item. It returns the first byte and the number of
// the head. For a float, the number is the bits of the float.
func (d *decoder) head() (first byte, n uint64, err error) {
	if d.left() == 0 {
		return 0, 0, errEnd
	}
	first = d.b[d.at]
	d.at++
	size := 0
	switch low := first & 31; {
	case low < 24:
		return first, uint64(low), nil
	case low > 27:
		return first, 0, fmt.Errorf("CBOR item 0x%02x: items of indefinite length are not accepted", first)
	default:
		size = 1 << (low - 24)
	}
	if d.left() < size {
		return first, 0, errEnd
	}
	for _, b := range d.b[d.at : d.at+size] {
		n = n<<8 | uint64(b)
	}
	d.at += size
	return first, n, nil
}

// peek returns the first byte of the next item, or itemUndefined if no bytes
// are left.
func (d *decoder) peek() byte {
	if d.left() == 0 {
		return itemUndefined
	}
	return d.b[d.at]
}

// null reports whether the next item is null. If it is null, the function
// null reads the item.
func (d *decoder) null() bool {
	if d.left() == 0 || d.b[d.at] != itemNull && d.b[d.at] != itemUndefined {
		return false
	}
	d.at++
	return true
}

// expect reads the head of an item and returns its number. If the item is not
// of the major type, it returns an error that says what was expected.
func (d *decoder) expect(major byte, what string) (n uint64, err error) {
	first, n, err := d.head()
	if err != nil {
		return 0, err
	}
	if first>>5 != major {
		return 0, fmt.Errorf("%s expected, not %s", what, itemText(first))
	}
	return n, nil
}

// length does the same as expect, for an item whose number is a count of
// bytes or of elements. It returns an error if this number is larger than
// the number of bytes that are left, because each element has at least one
// byte.
func (d *decoder) length(major byte, what string) (int, error) {
	n, err := d.expect(major, what)
	if err == nil && n > uint64(d.left()) {
		err = errEnd
	}
	return int(n), err
}

// raw reads bytes or text. It does not copy them.
func (d *decoder) raw(major byte, what string) ([]byte, error) {
	n, err := d.length(major, what)
	if err != nil {
		return nil, err
	}
	d.at += n
	return d.b[d.at-n : d.at], nil
}

// name reads a text. It does not count the text as memory of the decoded value,
// because the caller does not keep the text.
func (d *decoder) name(what string) (string, error) {
	b, err := d.raw(majorText, what)
	return string(b), err
}

// str reads a text that becomes part of the decoded value, and counts its
// memory.
func (d *decoder) str(what string) (string, error) {
	b, err := d.raw(majorText, what)
	if err != nil {
		return "", err
	}
	return string(b), d.memory.str(len(b))
}

// skip reads an item of any type and returns its bytes.
func (d *decoder) skip() ([]byte, error) {
	start := d.at
	for items := uint64(1); items > 0; items-- {
		first, n, err := d.head()
		if err != nil {
			return nil, err
		}
		switch first >> 5 {
		case majorBytes, majorText:
			if n > uint64(d.left()) {
				return nil, errEnd
			}
			d.at += int(n)
		case majorArray:
			if n > uint64(d.left()) {
				return nil, errEnd
			}
			items += n
		case majorMap:
			if n > uint64(d.left()) {
				return nil, errEnd
			}
			items += 2 * n
		case majorTag:
			items++
		}
	}
	return d.b[start:d.at], nil
}

// itemText returns a description of an item, for an error. The parameter
// first is the first byte of the item.
func itemText(first byte) string {
	switch first >> 5 {
	case majorUint, majorInt:
		return "an integer"
	case majorBytes:
		return "bytes"
	case majorText:
		return "text"
	case majorArray:
		return "an array"
	case majorMap:
		return "a map"
	case majorTag:
		return "a value with a tag"
	}
	switch first {
	case itemFalse, itemTrue:
		return "a boolean"
	case itemNull, itemUndefined:
		return "null"
	case itemFloat16, itemFloat32, itemFloat64:
		return "a float"
	}
	return "CBOR item 0x" + strconv.FormatUint(uint64(first), 16)
}
