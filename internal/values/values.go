// Package values turns Go values into bytes and back, exactly: what Decode
// returns equals what Encode was given, or one of the two returns an error
// that names the path of the part that cannot travel.
//
//	Encode:  value --coder of its type--> CBOR      Decode:  CBOR --coder of the target type--> value
//	                    |                                          |
//	                    +--- of the dynamic type, in interfaces ---+
//
// A coder encodes and decodes the values of one type. It is built once, from
// the type alone, and kept.
//
// # How a type travels
//
// The first rule that fits decides:
//
//  1. time.Time has a coder of its own, which keeps the zone.
//  2. A type with a pair of binary methods (MarshalCBOR, MarshalBinary or
//     GobEncode, and the method that reverses it) travels as they say.
//  3. Booleans, numbers, strings, and arrays, slices, maps and pointers of what
//     travels do so by their contents. Nil and empty stay apart.
//  4. A struct travels as its exported fields, an embedded struct as one field.
//     Unexported fields must be zero in the value: then they are zero on the
//     other side as well. If a struct has any, and a pair of text or JSON
//     methods (MarshalText, MarshalJSON and their reverses), it travels as
//     these say.
//  5. An interface travels as the name of its dynamic type and the value. The
//     other side must know the name: see Codec.Register. An error whose type
//     it does not know travels as its text and what it is to errors.Is.
//  6. Channels, functions and unsafe pointers do not travel.
//
// Methods that a type has only because it embeds another do not count: they
// would leave out the other fields.
//
// # What is lost
//
//   - Two pointers to one variable become pointers to two copies. A value that
//     contains itself is refused.
//   - Fields with the tag cbor:"-" or json:"-" arrive as zero.
//   - Spare capacity of slices, and a time's monotonic clock reading.
//   - A time's *Location arrives as one with the same name, if the other side
//     has a zone of that name which agrees with it at that moment, and else as
//     a fixed zone with the same name, abbreviation and offset.
//   - In an interface, an error of a type that is not registered.
//   - What a type's own methods leave out.
//
// # Format
//
// One item of CBOR (RFC 8949), of definite length. A struct is a map from the
// names of its fields, which are those of its cbor or json tags. Sixteen
// numbers or more in a row are a typed array (RFC 8746, little endian). What
// an interface holds is plain if it is nil, bool, int, float64, string,
// []byte, []any or map[string]any; everything else is tag 27: [name, value]. A
// pointer to something that may be nil itself is an array of one. Other
// languages may send times as tag 0 or 1.
//
// # Bounds
//
// Bytes are not trusted. A length is compared with the bytes that are left
// before anything is allocated, nesting ends at [MaxDepth], and what one
// Decode allocates is at most a fixed multiple of the bytes it is given.
package values

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
)

// MaxDepth is how deep values may be nested: each pointer, struct, element of
// an array, slice or map, and content of an interface counts as one.
const MaxDepth = 20_000

// Errors says how errors travel that an interface holds and whose type is not
// registered.
type Errors struct {
	// Encode returns an error as bytes. Decode is its reverse, and must accept
	// any bytes.
	Encode func(error) []byte
	Decode func([]byte) error
	// Name returns the name of an error that exists on both sides, and Named
	// the error of a name.
	Name  func(error) (name string, ok bool)
	Named func(name string) (err error, ok bool)
}

// A Codec encodes and decodes values. It keeps the coders of the types that it
// has seen and the names of those that interfaces may hold. It is safe for
// concurrent use.
type Codec struct {
	errors Errors
	coders sync.Map    // reflect.Type to *coder
	named  atomic.Bool // a named type has methods that are not the standard library's

	mu       sync.RWMutex
	byName   map[string]reflect.Type // guarded by mu
	names    map[reflect.Type]string // guarded by mu
	seen     map[reflect.Type]bool   // guarded by mu: walked by Learn
	composed map[string]reflect.Type // guarded by mu: made of known ones, by expression
	clashes  map[string]bool         // guarded by mu: names of several types
}

// New returns a Codec that knows the predeclared types and some of the
// standard library's.
func New(errors Errors) *Codec {
	c := &Codec{
		errors: errors,
		byName: make(map[string]reflect.Type), names: make(map[reflect.Type]string),
		seen: make(map[reflect.Type]bool), composed: make(map[string]reflect.Type), clashes: make(map[string]bool),
	}
	for _, t := range standardTypes {
		c.learn(t)
	}
	return c
}

// Encode appends the value that p points to to b. The type is p's.
func (c *Codec) Encode(b []byte, p reflect.Value) ([]byte, error) {
	v := p.Elem()
	e := &encoder{codec: c, b: b}
	err := e.encode(c.coder(v.Type()), v)
	if cyclic(err) { // found deep down: once more, for the shortest path
		e = &encoder{codec: c, b: b, around: make(map[visit]bool)}
		if again := e.encode(c.coder(v.Type()), v); again != nil {
			err = again
		}
	}
	if err != nil {
		return b, rooted(v.Type(), err)
	}
	return e.b, nil
}

// Decode stores the value that the bytes are, all of them, in what p points
// to.
func (c *Codec) Decode(b []byte, p reflect.Value) error {
	v := p.Elem()
	d := &decoder{codec: c, b: b, budget: freeBytes + costOfByte*len(b)}
	err := d.decode(c.coder(v.Type()), v)
	if err == nil && d.at < len(b) {
		err = fmt.Errorf("%d bytes too many", len(b)-d.at)
	}
	if err != nil {
		return rooted(v.Type(), err)
	}
	return nil
}
