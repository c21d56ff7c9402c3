package python

import (
	"reflect"
	"unsafe"

	"concert/processes"
)

// This file encodes data to which several pointers, slices, maps or interfaces
// of an argument refer. Python receives a copy for each of these references. So
// a small value can have a long encoding: if each of 30 structs refers twice to
// the next struct, Python receives 2^30 copies of the last one.
//
// A part is the range of the encoding that contains the data of one
// reference. For another reference to the same data, the encoder copies the
// part. It takes time to record the parts. So the encoder begins to record
// them only when the encoding has sharedFrom bytes. If almost all of the
// encoding is copies, the encoder refuses the value. Package internal/values
// encodes such data by the same rules.
const (
	sharedFrom = 1 << 20
	minPart    = 512      // minimum size of a recorded part, in bytes
	maxCopied  = 32 << 20 // a value with more copied bytes is refused if they are more than 90% of the encoding
	maxEncoded = 1 << 30  // maximum size of an argument, in bytes
)

// visit identifies the data of a pointer, a map, a slice or an interface, and
// how the data is encoded.
type visit struct {
	at    unsafe.Pointer
	n     int
	t     reflect.Type
	views bool // as in type encoder; the method reference sets it
}

func visitOf(v reflect.Value) visit {
	at := visit{at: v.UnsafePointer(), t: v.Type()}
	if v.Kind() == reflect.Slice {
		at.n = v.Len()
	}
	return at
}

// position is a position in the encoding: the lengths of buf, arrays and
// offsets, and the size of the arrays.
type position struct{ buf, arrays, size, offsets int }

func (e *encoder) position() position {
	return position{len(e.buf), len(e.arrays), e.size, len(e.offsets)}
}

func (p position) total() int { return p.buf + p.size }

// part is a range of the encoding that contains the data of one reference.
type part struct {
	of       visit
	from, to position
	height   int // number of nested levels in the part
}

// parts is a hash table of recorded parts. A new part replaces an older one in
// the same slot. At the next reference to the data of a replaced part, the
// encoder encodes the data again.
type parts [1 << 10]part

func (p *parts) slot(v visit) *part {
	return &p[uint64(uintptr(v.at))*0x9e3779b97f4a7c15>>54] // multiplicative hashing, 10 bits
}

// reference encodes v, which refers to data. The parameter at identifies the
// data.
func (e *encoder) reference(at visit, v reflect.Value, encode encodeFunc) error {
	at.views = e.views
	if e.parts != nil {
		if p := e.parts.slot(at); p.of == at {
			return e.copyPart(p, v)
		}
	}
	e.align()
	from, outer := e.position(), e.deepest
	e.deepest = e.depth
	err := encode(e, v)
	if to := e.position(); err == nil && to.total() >= e.sharedFrom && to.total()-from.total() >= minPart {
		if e.parts == nil {
			e.parts = new(parts)
		}
		*e.parts.slot(at) = part{at, from, to, e.deepest - e.depth}
	}
	e.deepest = max(e.deepest, outer)
	return err
}

// held encodes the value in an interface. Several interfaces may refer to the
// same struct or array.
func (e *encoder) held(v reflect.Value) error {
	x := v.Elem()
	if e.position().total() < e.sharedFrom || x.Kind() != reflect.Struct && x.Kind() != reflect.Array {
		return e.encode(x)
	}
	words := (*[2]unsafe.Pointer)(addressable(v).Addr().UnsafePointer()) // the type or its methods, and the data
	return e.reference(visit{at: words[1], t: x.Type()}, x, (*encoder).encode)
}

// copyPart appends a copy of a recorded part, for another reference v to the
// same data.
func (e *encoder) copyPart(p *part, v reflect.Value) error {
	n := p.to.total() - p.from.total()
	e.copied += n
	if all := e.position().total() + n; e.copied > maxCopied && all-e.copied < all/10 {
		return fail("the value refers many times to the same data, such as this %s, and each reference becomes a copy: %d of the first %d bytes of the encoding are repetitions: "+
			"keep shared data once, and refer to it by an index or a key", v.Type(), e.copied, all)
	}
	if e.depth+p.height > deepest {
		return fail("it is nested deeper than %d", deepest)
	}
	e.deepest = max(e.deepest, e.depth+p.height)
	if err := e.fits(n); err != nil {
		return err
	}
	e.align()
	start, moved := len(e.buf), e.size-p.from.size
	e.buf = append(e.buf, e.buf[p.from.buf:p.to.buf]...)
	for _, at := range e.offsets[p.from.offsets:p.to.offsets] {
		at += start - p.from.buf
		le.PutUint32(e.buf[at:], le.Uint32(e.buf[at:])+uint32(moved))
		e.offsets = append(e.offsets, at)
	}
	e.arrays = append(e.arrays, e.arrays[p.from.arrays:p.to.arrays]...)
	e.size += p.to.size - p.from.size
	return nil
}

// fits returns an error if n more bytes would make the encoding too long.
func (e *encoder) fits(n int) error {
	if n > e.most-e.position().total() {
		return fail("%w: the encoding has more than %d bytes up to here", processes.ErrTooLarge, e.most)
	}
	return nil
}
