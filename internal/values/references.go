package values

import (
	"fmt"
	"reflect"
	"unsafe"
)

// This file encodes data to which several pointers, slices, maps or
// interfaces of a value refer. The encoding contains the data once for each
// of these references. So a small value can have a long encoding. For
// example, if each of 25 levels refers twice to the next level, the encoding
// contains the last level 33 million times.
//
// A part is the encoded data of one reference. The encoder remembers the
// positions of the parts in a hash table. For another reference to the same
// data, it copies the bytes of the part. The table costs time, so the encoder
// does not use it for the first sharedFrom bytes. If almost all of the encoding
// consists of copies, the encoder refuses the value. Each slot of the table has
// one part. If a new part replaces another part, the data of the replaced part
// is encoded again at its next reference.
const (
	sharedFrom = 1 << 20
	minPart    = 512      // in bytes: the encoder does not remember shorter parts
	maxCopied  = 32 << 20 // the maximum number of copied bytes; more are allowed if at most 90% of the encoding are copied bytes
)

// visit identifies the data that a pointer, a map, a slice or an interface
// refers to.
type visit struct {
	at  uintptr
	len int
	typ *coder
}

// part is a part of the encoding: the encoded data of one reference.
type part struct {
	of       visit
	from, to int // the offsets at which the part begins and ends
	memory   int // the memory that the decoder needs for the part
	height   int // the number of levels that are nested in the part
}

// parts is a hash table of parts of the encoding. A new part replaces an older
// one in the same slot.
type parts [1 << 10]part

// slot returns the slot of the table for the part of v.
func (p *parts) slot(v visit) *part {
	return &p[uint64(v.at)*0x9e3779b97f4a7c15>>54] // multiplicative hashing, 10 bits
}

// remove removes the parts that have bytes at or after the offset. p may be
// nil.
func (p *parts) remove(offset int) {
	if p == nil {
		return
	}
	for i := range p {
		if p[i].to > offset {
			p[i] = part{}
		}
	}
}

// reference encodes a value that is a pointer, a map or a slice and not nil.
func (e *encoder) reference(c *coder, v reflect.Value) error {
	at := visit{at: v.Pointer(), typ: c}
	if v.Kind() == reflect.Slice {
		if at.len = v.Len(); at.len == 0 {
			return c.encode(e, v)
		}
	}
	return e.data(at, v, c.encode)
}

// held encodes x, the value in the interface v. If x is a struct or an
// array, other interfaces may refer to the memory of x, too.
func (e *encoder) held(v, x reflect.Value) error {
	if err := e.memory.pointed(x.Type()); err != nil {
		return err
	}
	if len(e.b) < e.codec.sharedFrom || x.Kind() != reflect.Struct && x.Kind() != reflect.Array {
		return e.content(x)
	}
	words := (*[2]unsafe.Pointer)(v.Addr().UnsafePointer()) // the two words of an interface: the type or the table of methods, and the address of the data
	return e.data(visit{at: uintptr(words[1]), typ: e.codec.coder(x.Type())}, x, (*encoder).content)
}

// content encodes x, the value in an interface. It makes a copy, because x is
// not addressable and coders need addressable values.
func (e *encoder) content(x reflect.Value) error {
	return e.encode(e.codec.coder(x.Type()), addressable(x))
}

// The method data encodes v by calling encode. The parameter at identifies
// the data to which v refers. If the encoding already contains a part for
// these data, the method copies this part instead.
func (e *encoder) data(at visit, v reflect.Value, encode func(*encoder, reflect.Value) error) error {
	if e.parts != nil {
		if p := e.parts.slot(at); p.of == at {
			return e.copyPart(p, v)
		}
	}
	if e.enclosing != nil || e.depth >= watchedDepth {
		if e.enclosing == nil {
			e.enclosing = make(map[visit]bool)
		}
		if e.enclosing[at] {
			return errCycle
		}
		e.enclosing[at] = true
		defer delete(e.enclosing, at)
	}
	from, used, deepest := len(e.b), e.memory.used, e.deepest
	e.deepest = e.depth
	err := encode(e, v)
	if err == nil && len(e.b) >= e.codec.sharedFrom && len(e.b)-from >= minPart {
		if e.parts == nil {
			e.parts = new(parts)
		}
		*e.parts.slot(at) = part{at, from, len(e.b), e.memory.used - used, e.deepest - e.depth}
	}
	e.deepest = max(e.deepest, deepest)
	return err
}

// copyPart appends a part that is already in the encoding, for another
// reference v to the same data.
func (e *encoder) copyPart(p *part, v reflect.Value) error {
	n := p.to - p.from
	e.copied += n
	if all := len(e.b) + n; e.copied > e.codec.maxCopied && all-e.copied < all/10 {
		return &copiesError{v.Type(), e.copied, all}
	}
	if e.depth+p.height > MaxDepth {
		return errDeep
	}
	e.deepest = max(e.deepest, e.depth+p.height)
	if err := e.fits(n); err != nil {
		return err
	}
	e.b = append(e.b, e.b[p.from:p.to]...)
	return e.memory.spend(1, p.memory)
}

// copiesError is the error of a value whose encoding would consist almost
// only of copies of the same data.
type copiesError struct {
	typ         reflect.Type // the type of a part that is copied
	copied, all int          // bytes
}

// Error returns a text with the number of copied bytes and with advice.
func (e *copiesError) Error() string {
	return fmt.Sprintf("the value refers many times to the same data, such as this %s, and each reference becomes a copy: %d of the first %d bytes of the encoding are repetitions: "+
		"keep shared data once, and refer to it by an index or a key", typeText(e.typ), e.copied, e.all)
}
