package values

import (
	"errors"
	"reflect"
	"sync/atomic"
)

// Work bounds the work of one Encode or Decode. The zero value sets no bound.
type Work struct {
	// If Small is true, the work ends with ErrLarge as soon as the value
	// proves to be large. The caller can then encode or decode the value on a
	// separate goroutine.
	Small bool
	// Over may be nil. When it becomes true, the work ends soon with ErrOver.
	Over *atomic.Bool
	// If Sorted is true, the entries of maps are encoded in a fixed order. So
	// equal values have equal encodings, except for values that are encoded by
	// their own methods.
	Sorted bool
	// To, Used, Depth and Stored are for handles. To is the receiver of the
	// encoding, or nil if it is unknown. If the encoding of a handle is valid
	// only for the receiver, Handles.Encode appends the handle to Used. Used
	// may be nil. Depth is the number of handles that contain the value.
	// Stored is true while a stored value is decoded, which contains no such
	// handles.
	To     any
	Used   *[]any
	Depth  int
	Stored bool
}

var (
	// ErrLarge is the error of work that is bounded by Work.Small.
	ErrLarge = errors.New("the value is large")
	// ErrOver is the error of work that Work.Over has ended.
	ErrOver = errors.New("encoding or decoding the value was stopped, because its call is over")
)

// A value is small if its encoding has at most SmallBytes bytes and
// smallParts parts. A part is, for example, a struct, or an element of a
// slice, an array or a map. Encode copies the bytes of numbers and texts
// quickly. So for Encode, a value is still small if its encoding has at most
// smallCopied bytes.
const (
	SmallBytes  = 64 << 10
	smallCopied = 256 << 10
	smallParts  = 16 << 10
)

// partsPerLook is the number of parts that are encoded or decoded between
// two checks of Work.Over.
const partsPerLook = 1024

// meter counts the parts of a value until the next check of the bounds.
type meter struct {
	work Work
	left int
}

func (w Work) meter() meter {
	m := meter{work: w, left: partsPerLook}
	if w.Small {
		m.left = smallParts
	}
	return m
}

// spend counts n parts.
func (m *meter) spend(n int) error {
	if m.left -= n; m.left < 0 {
		return m.look()
	}
	return nil
}

func (m *meter) look() error {
	switch {
	case m.work.Small:
		return ErrLarge
	case m.work.Over != nil && m.work.Over.Load():
		return ErrOver
	}
	m.left = partsPerLook
	return nil
}

// bounded reports whether the error was caused by a bound of the work, and not
// by the value.
func bounded(err error) bool {
	return err != nil && (errors.Is(err, ErrLarge) || errors.Is(err, ErrOver))
}

// Large reports whether v has many parts or bytes. It is for values whose
// encoder does not support Work. It stops as soon as v has proved to be
// large. The function reference reports whether a part of v is encoded as a
// reference. Such a part counts as one part, because its encoding is short.
// Large calls reference only for structs with one field.
func Large(v reflect.Value, reference func(part any) bool) bool {
	s := size{parts: smallParts, bytes: smallCopied, reference: reference}
	return !s.take(v)
}

// size has the numbers of parts and bytes that a value may still have before
// it is large.
type size struct {
	parts, bytes int
	reference    func(part any) bool
}

// take subtracts the parts and the bytes of v from s. It reports false if
// this makes one of the two numbers negative.
func (s *size) take(v reflect.Value) bool {
	if s.parts--; s.parts < 0 {
		return false
	}
	switch v.Kind() {
	case reflect.String:
		s.bytes -= v.Len()
	case reflect.Interface, reflect.Pointer:
		return v.IsNil() || s.take(v.Elem())
	case reflect.Slice, reflect.Array:
		switch v.Type().Elem().Kind() {
		case reflect.String, reflect.Interface, reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
			for i := range v.Len() {
				if !s.take(v.Index(i)) {
					return false
				}
			}
		default:
			s.bytes -= v.Len() * int(v.Type().Elem().Size())
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if !s.take(it.Key()) || !s.take(it.Value()) {
				return false
			}
		}
	case reflect.Struct:
		if v.NumField() == 1 && v.CanInterface() && s.reference(v.Interface()) {
			return true
		}
		for i := range v.NumField() {
			if !s.take(v.Field(i)) {
				return false
			}
		}
	}
	return s.bytes >= 0
}
