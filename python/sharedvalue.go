package python

import (
	"reflect"

	"concert/executor"
)

// This file is the codec's part of concert.Share.
//
//	Share    --EncodeShared-->     the value, in memory that all workers map
//	argument --EncodeReferences--> a form with the ID of the value, or the value
//
// A worker decodes the value for each call: see worker/shared.py. Python
// does not copy arrays in mapped memory, but receives read-only views of
// them. So these arrays are aligned. An argument may contain the value of a
// handle instead of a reference, for example because another executor stores
// the value. Python then receives views of a copy, because the type of an
// argument must depend only on its Go type.

// alignment is the alignment of arrays in mapped memory, in bytes. It suffices
// for all instructions of processors, and is the alignment that numpy gives its
// own arrays.
const alignment = 64

var padding [alignment]byte

// bytesCode is the typecode of a []byte that is a shared value.
const bytesCode = "B"

// EncodeShared implements [executor.SharedCodec].
func (codec) EncodeShared(v any) ([]byte, error) {
	e := encoder{sharedFrom: sharedFrom, most: maxEncoded, aligns: true, views: true}
	b, err := e.encodeAll(reflect.ValueOf(v))
	return b, finish(err, "shared value")
}

// EncodeReferences implements [executor.SharedCodec].
func (codec) EncodeReferences(v any, reference func(handle any) (executor.SharedID, bool)) ([]byte, error) {
	e := encoder{sharedFrom: sharedFrom, most: maxEncoded, refer: reference}
	b, err := e.encodeAll(reflect.ValueOf(v))
	return b, finish(err, "argument")
}

// encodeHandle encodes a handle, as a reference to the value or as the value
// itself.
func encodeHandle(e *encoder, v reflect.Value) error {
	if e.refer != nil {
		if id, ok := e.refer(v.Interface()); ok {
			e.form(formShared, 1)
			if err := e.head('s', len(id), 1); err != nil {
				return err
			}
			e.buf = append(e.buf, id[:]...)
			return nil
		}
	}
	value, _, err := executor.SharedValue(v.Interface())
	if err != nil {
		return fail("%w", err)
	}
	outer := e.views
	e.views = true
	defer func() { e.views = outer }()
	return e.encodeSharedValue(reflect.ValueOf(value))
}

// encodeSharedValue encodes the value of a handle.
func (e *encoder) encodeSharedValue(v reflect.Value) error {
	if v.Kind() != reflect.Slice || v.IsNil() || v.Type().Elem().Kind() != reflect.Uint8 || hooked(v.Type()) != nil || hooked(v.Type().Elem()) != nil {
		return e.encode(v)
	}
	e.form(formView, 3)
	if err := e.text(bytesCode); err != nil {
		return err
	}
	if err := e.array(memory(v, 1)); err != nil {
		return err
	}
	e.buf = appendInt(e.buf, int64(v.Len()))
	return nil
}

// viewed returns the form for an array. In a shared value, this is the form
// of a view, and otherwise the given form.
func (e *encoder) viewed(form int) int {
	switch {
	case !e.views:
		return form
	case form == formArray:
		return formView
	case form == formNumpy:
		return formNumpyView
	}
	return formRowsView
}

// align makes the next array in mapped memory begin at a multiple of
// alignment. The size of the encoding before the arrays is such a multiple,
// too.
func (e *encoder) align() {
	if n := -e.size & (alignment - 1); e.aligns && n > 0 {
		e.arrays = append(e.arrays, padding[:n])
		e.size += n
	}
}
