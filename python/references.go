package python

import (
	"reflect"
	"unsafe"

	"concert/processes"
)

// This file encodes data that several pointers, slices, maps or interfaces of
// an argument refer to. Python receives a copy for each of these references. So
// a small value can have a long encoding: if each of 30 levels refers twice to
// the next level, Python receives 2^30 copies of the last level. Package
// internal/values has the same rule.
//
// From sharedFrom bytes on, the encoder remembers where in the encoding the
// data of a reference is, and copies these bytes for another reference to the
// same data. If almost all of the encoding is such copies, the value is
// refused.
const (
	sharedFrom = 1 << 20
	minPart    = 512      // bytes: shorter parts are not remembered
	maxCopied  = 32 << 20 // more copied bytes are refused if they are over 90% of the encoding
	maxEncoded = 1 << 30  // bytes of an argument; the pool sends no more
)

// visit identifies a pointer, a map, a slice, or the data in an interface.
type visit struct {
	at unsafe.Pointer
	n  int
	t  reflect.Type
}

func visitOf(v reflect.Value) visit {
	at := visit{at: v.UnsafePointer(), t: v.Type()}
	if v.Kind() == reflect.Slice {
		at.n = v.Len()
	}
	return at
}

// mark is a position in the encoding: in buf, in arrays and their bytes, and in
// offsets.
type mark struct{ buf, arrays, size, offsets int }

func (e *encoder) mark() mark { return mark{len(e.buf), len(e.arrays), e.size, len(e.offsets)} }

func (m mark) total() int { return m.buf + m.size }

// part is a part of the encoding: the data of one reference.
type part struct {
	of       visit
	from, to mark
	height   int // number of nested levels in the part
}

// parts remembers parts of an encoding. A part may replace another one. Then
// the replaced one is encoded again at its next reference.
type parts [1 << 10]part

func (p *parts) slot(v visit) *part {
	return &p[uint64(uintptr(v.at))*0x9e3779b97f4a7c15>>54] // multiplicative hashing, 10 bits
}

// reference encodes v, which refers to the data that at identifies.
func (e *encoder) reference(at visit, v reflect.Value, encode encodeFunc) error {
	if e.parts != nil {
		if p := e.parts.slot(at); p.of == at {
			return e.copyPart(p, v)
		}
	}
	from, outer := e.mark(), e.deepest
	e.deepest = e.depth
	err := encode(e, v)
	if to := e.mark(); err == nil && to.total() >= e.sharedFrom && to.total()-from.total() >= minPart {
		if e.parts == nil {
			e.parts = new(parts)
		}
		*e.parts.slot(at) = part{at, from, to, e.deepest - e.depth}
	}
	e.deepest = max(e.deepest, outer)
	return err
}

// held encodes the value in an interface. A struct or an array in an interface
// has memory of its own, and other interfaces may refer to it.
func (e *encoder) held(v reflect.Value) error {
	x := v.Elem()
	if e.mark().total() < e.sharedFrom || x.Kind() != reflect.Struct && x.Kind() != reflect.Array {
		return e.encode(x)
	}
	words := (*[2]unsafe.Pointer)(addressable(v).Addr().UnsafePointer()) // the type or its methods, and the data
	return e.reference(visit{at: words[1], t: x.Type()}, x, (*encoder).encode)
}

// copyPart appends a part that is already in the encoding, for another
// reference v to the same data.
func (e *encoder) copyPart(p *part, v reflect.Value) error {
	n := p.to.total() - p.from.total()
	e.copied += n
	if all := e.mark().total() + n; e.copied > maxCopied && all-e.copied < all/10 {
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
	if n > e.most-e.mark().total() {
		return fail("%w: the encoding has more than %d bytes up to here", processes.ErrTooLarge, e.most)
	}
	return nil
}
