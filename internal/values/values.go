// Package values encodes Go values as bytes and decodes them exactly: Decode
// stores a value that equals the value that was passed to Encode. If a part of
// the value cannot be copied, Encode or Decode returns an error with the path
// of the part.
//
//	Encode:  value --coder of its type--> CBOR
//	Decode:  CBOR --coder of the target type--> value
//
// The value in an interface is encoded and decoded by the coder of its dynamic
// type.
//
// A coder encodes and decodes the values of one type. The codec builds it once,
// from the type alone, and keeps it.
//
// # How a type is encoded
//
// The first rule that matches is used:
//
//  1. time.Time, url.Userinfo, syscall.Errno, syscall.Signal and
//     time.Location have coders of their own. A time keeps its zone. An
//     Errno or a Signal of another system is an error, because its number
//     has another meaning here. A time.Location is an error, unless it is
//     zero. url.URL is encoded by rule 4, although it has methods.
//  2. A type with a pair of binary methods is encoded by these methods:
//     MarshalCBOR and UnmarshalCBOR, MarshalBinary and UnmarshalBinary, or
//     GobEncode and GobDecode. A pair is incomplete if the method for decoding
//     is missing, or has a value receiver and so cannot set the value. (The
//     method for decoding a map may have a value receiver.) If a type has only
//     incomplete pairs, all its values are errors.
//     The encoding of a handle may depend on the receiver: see [Handles].
//  3. Booleans, numbers, strings, arrays, slices, maps and pointers are encoded
//     by their contents. Nil and empty are different.
//  4. A struct is encoded as its exported fields; an embedded struct is one
//     field. A value with an unexported field that is not zero is an error.
//     Some types cannot be encoded completely by their contents, because of
//     unexported or excluded fields, channels or functions. If such a type has
//     a pair of text or JSON methods (MarshalText and UnmarshalText, or
//     MarshalJSON and UnmarshalJSON), these methods are used.
//  5. An interface is encoded as the name of its dynamic type and the value.
//     The decoder must know the name: see Codec.Register. An error whose type
//     has no name is encoded as its text and the sentinel errors that it
//     matches.
//  6. Channels, functions and unsafe pointers are errors. So are regular
//     expressions made by CompilePOSIX or Longest, since their text does not
//     show that they prefer the longest match.
//
// Methods that a type has only by embedding another type are ignored: they
// would omit the other fields.
//
// # What a copy does not preserve
//
//   - Shared variables: two pointers to one variable become pointers to two
//     copies. A value that contains itself is an error. A value is also an
//     error if such copies would be more than 32 MiB, and more than 90% of the
//     encoding.
//   - Fields with the tag cbor:"-" or json:"-", which arrive as zero.
//   - Spare capacity of slices, and a time's monotonic clock reading.
//   - The *Location of a time. The decoder uses its own location with the same
//     name, if the abbreviation and the offset of this location are the same at
//     that time. Otherwise, it uses a fixed zone with the same name and offset.
//   - The type of an error in an interface, if the type is not registered.
//   - Data that a type's own methods do not encode.
//
// # Format
//
// A value is one item of CBOR (RFC 8949), of definite length. A struct is a map
// from the names of its fields, taken from the cbor or json tags. A sequence of
// sixteen or more numbers is a typed array (RFC 8746, little endian). The value
// in an interface is a plain item if it is nil, bool, int, float64, string,
// []byte, []any or map[string]any; any other value is tag 27: [name, value]. A
// nil pointer is null. Any other pointer is the item to which it points; if
// this item may be null, too, it is put into an array of one element.
// Programs in other languages may send times as tag 0 or 1.
//
// # Bounds
//
// Bytes are not trusted. Decode compares a length with the number of
// remaining bytes before it allocates memory. Nesting is limited to
// [MaxDepth]. A decoded value has at most 1 MiB of memory, plus 64 bytes for
// each byte of its encoding. Decode does not count memory that a type's own
// methods allocate. A regular expression is the only exception: for it,
// Decode counts an upper bound.
//
// Some values need more memory than this bound, because most of their memory is
// zero and not encoded: unexported fields, fields that a tag excludes, maps
// with few entries. Encode counts the memory of a copy with the same code as
// Decode. If the memory exceeds the bound, Encode appends one zero byte to the
// encoding for each 64 bytes above the bound. So Decode accepts every encoding
// that Encode returns.
package values

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"sync"
	"sync/atomic"
)

// MaxDepth is the maximum number of nested levels in a value. These count as
// one level each: a pointer, a struct, an element of an array, a slice or a
// map, and the value in an interface.
const MaxDepth = 20_000

// MaxBytes is the maximum length in bytes of the encoding of a value.
const MaxBytes = 1 << 30

// Errors are the functions that encode and decode errors in interfaces.
type Errors struct {
	// Encode encodes an error whose type is not registered, and Decode
	// decodes the result of Encode. Decode must accept any bytes. The
	// parameter nested is the parameter of Codec.Encode with this name.
	Encode func(err error, nested any) []byte
	Decode func([]byte) error
	// Name returns the name of a registered sentinel error. Named returns the
	// sentinel error with a name.
	Name  func(error) (name string, ok bool)
	Named func(name string) (err error, ok bool)
}

// Handles are the functions for handles. A handle has a type with binary
// methods, and represents a value. The encoding of a handle may depend on
// the receiver: see Work.To.
type Handles struct {
	// Elem returns the type of the value. It reports false if t is not the type
	// of a handle.
	Elem func(t reflect.Type) (elem reflect.Type, ok bool)
	// Encode encodes the handle to which p points. It reports false if p is not
	// a pointer to a handle.
	Encode func(w Work, p any) (b []byte, ok bool, err error)
	// Decode decodes b into the handle to which p points. The handle may
	// refer to the memory of b. Decode reports false if p is not a pointer to
	// a handle.
	Decode func(w Work, p any, b []byte) (ok bool, err error)
}

// A Codec encodes and decodes values. It keeps the coders of all types that it
// has encoded or decoded, and the names of types that interfaces may hold. It
// is safe for concurrent use.
type Codec struct {
	errors  Errors
	handles Handles
	coders  sync.Map    // reflect.Type to *coder
	named   atomic.Bool // whether user code encodes a type that interfaces may hold

	maxBytes              int // MaxBytes, or less in tests
	sharedFrom, maxCopied int // see references.go

	mu       sync.RWMutex
	byName   map[string]reflect.Type // guarded by mu
	names    map[reflect.Type]string // guarded by mu
	seen     map[reflect.Type]bool   // guarded by mu: types that Learn has visited
	composed map[string]reflect.Type // guarded by mu: types by expression, such as []time.Time
	clashes  map[string]bool         // guarded by mu: names that two types have; such a name finds neither of the two types
}

// New returns a Codec that knows the names of the predeclared types and of some
// types of the standard library.
func New(errors Errors, handles Handles) *Codec {
	c := &Codec{
		errors: errors, handles: handles,
		maxBytes: MaxBytes, sharedFrom: sharedFrom, maxCopied: maxCopied,
		byName: make(map[string]reflect.Type), names: make(map[reflect.Type]string),
		seen: make(map[reflect.Type]bool), composed: make(map[string]reflect.Type), clashes: make(map[string]bool),
	}
	for _, t := range standardTypes {
		c.learn(t)
	}
	return c
}

// Encode appends the encoding of *p to b. If Errors.Encode calls this
// method, it must pass its own argument nested. For any other caller, nested
// must be nil.
func (c *Codec) Encode(b []byte, p reflect.Value, nested any) ([]byte, error) {
	return c.EncodeWithin(Work{}, b, p, nested)
}

// EncodeWithin does the same as Encode, but stops with an error when its
// work exceeds the bounds of w.
func (c *Codec) EncodeWithin(w Work, b []byte, p reflect.Value, nested any) ([]byte, error) {
	v := p.Elem()
	coder := c.coder(v.Type())
	e := encoders.Get().(*encoder)
	*e = c.encoder(w, b, nested)
	err := e.encode(coder, v)
	if cyclic(err) { // the cycle was found at a deep level: encode again to report the shortest path
		*e = c.encoder(w, b, nested)
		e.enclosing = make(map[visit]bool)
		if again := e.encode(coder, v); again != nil {
			err = again
		}
	}
	if err == nil {
		err = e.pad(len(b))
	}
	if err != nil {
		return b, rooted(v.Type(), err)
	}
	b = e.b
	*e = encoder{}
	encoders.Put(e)
	return b, nil
}

// encoders keeps unused encoders, because allocating an encoder costs time.
var encoders = sync.Pool{New: func() any { return new(encoder) }}

// encoder returns an encoder that appends to b.
func (c *Codec) encoder(w Work, b []byte, nested any) encoder {
	most := c.maxBytes
	if w.Small {
		most = min(most, len(b)+smallCopied)
	}
	return encoder{codec: c, b: b, most: most, nested: nested, memory: memory{limit: math.MaxInt}, meter: w.meter()}
}

// pad appends the zero bytes that the decoder requires. The encoding of the
// value begins at start.
func (e *encoder) pad(start int) error {
	n := e.memory.padding(len(e.b) - start)
	if err := e.fits(n); err != nil {
		return fmt.Errorf("%w, with the zero bytes for the %d bytes of memory that a copy needs", err, e.memory.used)
	}
	e.b = append(e.b, make([]byte, n)...)
	return nil
}

// Decode decodes the bytes into *p. Zero bytes may follow the value. If any
// other byte follows, Decode returns an error.
func (c *Codec) Decode(b []byte, p reflect.Value) error { return c.DecodeWithin(Work{}, b, p) }

// DecodeWithin does the same as Decode, but stops with an error when its
// work exceeds the bounds of w. It may store a part of the value in *p even
// if it returns an error.
func (c *Codec) DecodeWithin(w Work, b []byte, p reflect.Value) error {
	if w.Small && len(b) > SmallBytes {
		return ErrLarge
	}
	v := p.Elem()
	d := &decoder{codec: c, b: b, memory: memoryFor(len(b)), meter: w.meter()}
	err := d.decode(c.coder(v.Type()), v)
	if extra := bytes.TrimLeft(b[d.at:], "\x00"); err == nil && len(extra) > 0 {
		err = fmt.Errorf("%d extra bytes after the value", len(extra))
	}
	if err != nil {
		return rooted(v.Type(), err)
	}
	return nil
}
