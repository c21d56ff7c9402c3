package python

import (
	"reflect"
	"unsafe"
)

func listEncoder(t reflect.Type) encodeFunc {
	f := itemsEncoder(t)
	if t.Kind() == reflect.Array {
		return f
	}
	return referenced(f)
}

// itemsEncoder returns the encoder of a slice that is not nil, or of an array.
func itemsEncoder(t reflect.Type) encodeFunc {
	kind := t.Elem().Kind()
	if hooked(t.Elem()) != nil {
		kind = reflect.Invalid
	}
	if kind == reflect.Uint8 {
		return func(e *encoder, v reflect.Value) error {
			if err := e.head('s', v.Len(), 1); err != nil {
				return err
			}
			e.buf = append(e.buf, memory(v, 1)...)
			return nil
		}
	}
	if d := dtypeOf(kind); d != nil && d.typecode != "" {
		return func(e *encoder, v reflect.Value) error {
			e.form(e.viewed(formArray), 3)
			if err := e.text(d.typecode); err != nil {
				return err
			}
			if err := e.array(littleEndian(memory(v, d.size), d.unit())); err != nil {
				return err
			}
			e.buf = appendInt(e.buf, int64(v.Len()))
			return nil
		}
	}
	if f := rowsEncoder(t); f != nil {
		return f
	}
	elem := inner(t.Elem())
	size := smallest(t.Elem(), make(map[reflect.Type]int))
	return func(e *encoder, v reflect.Value) error {
		if err := e.deeper(v); err != nil {
			return err
		}
		defer e.shallower(v)
		n := v.Len()
		if err := e.head('[', n, size); err != nil {
			return err
		}
		switch kind { // frequent kinds
		case reflect.Int:
			for i := range n {
				e.buf = appendInt(e.buf, v.Index(i).Int())
			}
			return nil
		case reflect.Bool:
			for i := range n {
				e.buf = append(e.buf, letter(v.Index(i).Bool()))
			}
			return nil
		case reflect.Complex64, reflect.Complex128:
			for i := range n {
				e.buf = appendComplex(e.buf, v.Index(i).Complex())
			}
			return nil
		}
		f := elem()
		for i := range n {
			err := f(e, v.Index(i))
			if err == nil {
				err = e.fits(0)
			}
			if err != nil {
				return within(err, "["+itoa(i)+"]")
			}
		}
		return nil
	}
}

// rowsEncoder returns the encoder of a type of slices or arrays of rows of
// numbers. For other types, it returns nil. The encoder is fast for many
// short rows.
func rowsEncoder(t reflect.Type) encodeFunc {
	row := t.Elem()
	if row.Kind() != reflect.Slice && row.Kind() != reflect.Array || hooked(row) != nil || hooked(row.Elem()) != nil {
		return nil
	}
	d := dtypeOf(row.Elem().Kind())
	if d == nil || d.typecode == "" && (d.kind != reflect.Uint8 || row.Kind() != reflect.Array) {
		return nil
	}
	size := int(row.Elem().Size())
	if d.kind == reflect.Uint8 {
		return func(e *encoder, v reflect.Value) error {
			if err := e.head('[', v.Len(), 5+row.Len()); err != nil {
				return err
			}
			all, n := memory(v, row.Len()), row.Len()
			for i := range v.Len() {
				e.buf, _ = appendHead(e.buf, 's', n)
				e.buf = append(e.buf, all[i*n:(i+1)*n]...)
			}
			return nil
		}
	}
	return func(e *encoder, v reflect.Value) error {
		e.form(e.viewed(formRows), 3)
		if err := e.text(d.typecode); err != nil {
			return err
		}
		e.offset()
		if err := e.head('[', v.Len(), 5); err != nil {
			return err
		}
		if row.Kind() == reflect.Array {
			for range v.Len() {
				e.buf = appendInt(e.buf, int64(row.Len()))
			}
			return e.store(littleEndian(memory(v, size*row.Len()), d.unit()))
		}
		for i := range v.Len() {
			item := v.Index(i)
			if item.IsNil() {
				e.buf = appendInt(e.buf, -1)
				continue
			}
			e.buf = appendInt(e.buf, int64(item.Len()))
			if err := e.store(littleEndian(memory(item, size), d.unit())); err != nil {
				return within(err, "["+itoa(i)+"]")
			}
		}
		return nil
	}
}

// memory returns the bytes of a slice or an array. The parameter size is the
// size of an item in bytes.
func memory(v reflect.Value, size int) []byte {
	if v.Len() == 0 {
		return nil
	}
	at := v
	if v.Kind() == reflect.Array {
		at = addressable(v).Addr()
	}
	return unsafe.Slice((*byte)(at.UnsafePointer()), v.Len()*size)
}
