package values

import (
	"fmt"
	"reflect"
)

// This file encodes data that several pointers, slices or maps of a value refer
// to. A copy of the value has a copy of the data for each of these references.
// So a small value can have a long encoding: if each of 25 levels refers twice to
// the next level, the copy has the last level 33 million times.
//
// The first sharedFrom bytes are encoded without a record of references, as it
// costs time. From then on, the encoder remembers where in the encoding the data
// of a reference is, and copies these bytes for another reference to the same
// data. If almost all of the encoding is such copies, the value is refused. The
// record is a table with room for one part in each slot: a new part may replace
// another one, whose data is then encoded again.
const (
	sharedFrom = 1 << 20
	minPart    = 512      // bytes: shorter parts are not remembered
	maxCopied  = 32 << 20 // more copied bytes are refused if they are over 90% of the encoding
)

// visit identifies a pointer, a map or a slice that is being encoded.
type visit struct {
	at  uintptr
	len int
	typ *coder
}

// part is a part of the encoding: the data that a reference refers to.
type part struct {
	of       visit
	from, to int // offsets
	memory   int // what the decoder needs for it
	height   int // how many levels are nested in it
}

// parts remembers parts of an encoding.
type parts [1 << 10]part

// slot returns the place of a part in the table.
func (p *parts) slot(v visit) *part {
	return &p[uint64(v.at)*0x9e3779b97f4a7c15>>54] // multiplicative hashing, 10 bits
}

// reference encodes a value that is a pointer, a map or a slice and not nil.
func (e *encoder) reference(c *coder, v reflect.Value) error {
	at := visit{at: v.Pointer(), typ: c}
	if v.Kind() == reflect.Slice {
		if at.len = v.Len(); at.len == 0 {
			return c.encode(e, v)
		}
	}
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
	err := c.encode(e, v)
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
		return fmt.Errorf("the value refers many times to the same data, such as this %s, and each reference becomes a copy: %d of the first %d bytes of the encoding are repetitions: "+
			"keep shared data once, and refer to it by an index or a key", typeText(v.Type()), e.copied, all)
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
