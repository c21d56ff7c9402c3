package python

import (
	"reflect"
	"sync"
	"unicode/utf8"
	"unsafe"

	"concert/executor"
)

// This file encodes and decodes values of flat types without reflection:
// texts, and structs whose fields are bools, numbers, texts and bytes. The
// bytes are the same as those of the encoder. A flat function reports false
// if a value is large, or if the function does not know the encoding. Then
// the encoder or the decoder handles the value.

const (
	// maxFlat is the maximum size of the encoding of a flat value. Larger
	// values are encoded on another goroutine.
	maxFlat = 256 << 10
	// maxFlatText is the maximum size of a text that is the whole argument.
	// A larger text would not fit into a list of arguments.
	maxFlatText = 1<<10 - 5
)

// Flat implements an optional interface of executor.Codec: it returns the
// functions for values of a flat type, and nil for other types.
func (codec) Flat(t reflect.Type) *executor.Flat {
	if known, ok := flats.Load(t); ok {
		return known.(*executor.Flat)
	}
	known, _ := flats.LoadOrStore(t, newFlat(t))
	return known.(*executor.Flat)
}

var flats sync.Map // from reflect.Type to *executor.Flat

func newFlat(t reflect.Type) *executor.Flat {
	switch {
	case t == reflect.TypeFor[string]():
		return &executor.Flat{Append: appendFlatText, Decode: notFlat}
	case t.Kind() != reflect.Struct || hooked(t) != nil || infoOf(t).class != byKind:
		return nil
	}
	s := fieldsOf(t).flat
	if s == nil {
		return nil
	}
	return &executor.Flat{
		Append: func(b []byte, p any) ([]byte, bool) {
			at := pointerOf(p)
			if n, _ := s.size(at); n > maxFlat {
				return b, false
			}
			return s.append(b, at), true
		},
		Decode: func(b []byte, p any) bool {
			if len(b) == 0 || b[0] != '{' {
				return false
			}
			rest, ok := s.decode(b[1:], pointerOf(p))
			return ok && len(rest) == 0
		},
	}
}

// pointerOf returns the pointer that p contains.
func pointerOf(p any) unsafe.Pointer { return reflect.ValueOf(p).UnsafePointer() }

// notFlat is the Decode of texts. It decodes nothing, because a text as a
// result has a special kind, and is not marshal data.
func notFlat([]byte, any) bool { return false }

// appendFlatText encodes a text as marshal data. It does not use the kind
// for texts, because a worker decodes many texts faster from marshal data.
func appendFlatText(b []byte, p any) ([]byte, bool) {
	s := *p.(*string)
	if len(s) > maxFlatText || !utf8.ValidString(s) {
		return b, false
	}
	b = le.AppendUint32(append(b, 'u'), uint32(len(s)))
	return append(b, s...), true
}

// flatStruct describes a struct whose fields are bools, numbers, texts and
// bytes.
type flatStruct struct {
	fields []flatField
	byName map[string]int // indexes of fields, as in type fields
	head   int            // upper bound for the size of the encoding, without the contents of texts and bytes
}

type flatField struct {
	key    string       // the encoding of the name
	offset uintptr      // in the struct
	kind   reflect.Kind // Slice stands for bytes
}

// newFlatStruct returns the description of a struct with these fields, or nil
// if the struct is not flat.
func newFlatStruct(t reflect.Type, fs *fields) *flatStruct {
	if fs.why != "" || len(fs.list) == 0 || len(fs.list) > 64 || len(fs.pointers) > 0 {
		return nil
	}
	s := &flatStruct{byName: fs.byName, head: 2}
	for i := range fs.list {
		f := &fs.list[i]
		if f.omitEmpty || f.omitZero || !isFlat(f.t) || !utf8.ValidString(f.name) {
			return nil
		}
		key, err := appendString(nil, f.name)
		if err != nil {
			return nil
		}
		s.fields = append(s.fields, flatField{key: string(key), offset: offsetOf(t, f.index), kind: f.t.Kind()})
		s.head += len(key) + 1 + 4 + 2*5 // of all numbers, an int of 64 bits has the longest encoding
	}
	return s
}

// isFlat reports whether a field of type t is encoded as a bool, a number, a
// text or bytes, and whether only the kind of the type determines this.
func isFlat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 || hooked(t.Elem()) != nil || infoOf(t.Elem()).class != byKind {
			return false
		}
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
	default:
		return false
	}
	return hooked(t) == nil && infoOf(t).class == byKind
}

// offsetOf returns the offset in t of the field with this index path. The
// path must not lead through a pointer to an embedded struct.
func offsetOf(t reflect.Type, index []int) (offset uintptr) {
	for _, i := range index {
		f := t.Field(i)
		offset, t = offset+f.Offset, f.Type
	}
	return offset
}

// size returns two sizes for the struct at v: an upper bound for its
// encoding, which is valid if all texts are UTF-8, and the size of the
// longest bytes in the struct.
func (s *flatStruct) size(v unsafe.Pointer) (n, longest int) {
	n = s.head
	for i := range s.fields {
		switch f := &s.fields[i]; f.kind {
		case reflect.String:
			n += len(*(*string)(unsafe.Add(v, f.offset)))
		case reflect.Slice:
			size := len(*(*[]byte)(unsafe.Add(v, f.offset)))
			n, longest = n+size, max(longest, size)
		}
	}
	return n, longest
}

// append appends the encoding of the struct at v. The texts and bytes of the
// struct must not be large.
func (s *flatStruct) append(b []byte, v unsafe.Pointer) []byte {
	b = append(b, '{')
	for i := range s.fields {
		f := &s.fields[i]
		b = append(b, f.key...)
		at := unsafe.Add(v, f.offset)
		switch f.kind {
		case reflect.Bool:
			b = append(b, letter(*(*bool)(at)))
		case reflect.String:
			text := *(*string)(at)
			if !utf8.ValidString(text) {
				b, _ = appendString(b, text)
				continue
			}
			b = le.AppendUint32(append(b, 'u'), uint32(len(text)))
			b = append(b, text...)
		case reflect.Slice:
			bytes := *(*[]byte)(at)
			if bytes == nil {
				b = append(b, 'N')
				continue
			}
			b = le.AppendUint32(append(b, 's'), uint32(len(bytes)))
			b = append(b, bytes...)
		case reflect.Float64:
			b = appendFloat(b, *(*float64)(at))
		case reflect.Float32:
			b = appendFloat(b, float64(*(*float32)(at)))
		case reflect.Int:
			b = appendInt(b, int64(*(*int)(at)))
		case reflect.Int64:
			b = appendInt(b, *(*int64)(at))
		case reflect.Int32:
			b = appendInt(b, int64(*(*int32)(at)))
		case reflect.Int16:
			b = appendInt(b, int64(*(*int16)(at)))
		case reflect.Int8:
			b = appendInt(b, int64(*(*int8)(at)))
		case reflect.Uint:
			b = appendUint(b, uint64(*(*uint)(at)))
		case reflect.Uint64:
			b = appendUint(b, *(*uint64)(at))
		case reflect.Uint32:
			b = appendUint(b, uint64(*(*uint32)(at)))
		case reflect.Uint16:
			b = appendUint(b, uint64(*(*uint16)(at)))
		case reflect.Uint8:
			b = appendUint(b, uint64(*(*uint8)(at)))
		case reflect.Uintptr:
			b = appendUint(b, uint64(*(*uintptr)(at)))
		}
	}
	return append(b, '0')
}
