package python

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"
)

// Encode implements concert.Codec.
func (codec) Encode(v any) ([]byte, error) {
	b, err := encodeValue(reflect.ValueOf(v))
	return b, finish(err, "argument")
}

func encodeValue(v reflect.Value) ([]byte, error) {
	e := encoder{buf: make([]byte, extendedHead, 64)}
	if err := e.encode(v); err != nil {
		return nil, err
	}
	if !e.forms {
		return e.buf[extendedHead:], nil
	}
	e.buf[0] = extended
	le.PutUint32(e.buf[1:], uint32(len(e.buf)-extendedHead))
	e.buf = slices.Grow(e.buf, e.size)
	for _, a := range e.arrays {
		e.buf = append(e.buf, a...)
	}
	return e.buf, nil
}

// encoder appends values to buf.
type encoder struct {
	buf    []byte
	forms  bool     // buf has some
	arrays [][]byte // the bytes that belong after buf,
	size   int      // and how many they are
	depth  int
	seen   map[visit]bool // where the value is so deep that it may contain itself
}

// visit is a pointer, map or slice on the way to a value.
type visit struct {
	at unsafe.Pointer
	n  int
	t  reflect.Type
}

// form begins a form that has n items after its number.
func (e *encoder) form(form, n int) {
	e.forms = true
	e.buf = appendForm(e.buf, form, n)
}

// later has bytes follow the marshal data, and appends their offset.
func (e *encoder) later(b []byte) {
	e.buf = appendInt(e.buf, int64(e.size))
	e.store(b)
}

func (e *encoder) store(b []byte) {
	e.arrays = append(e.arrays, b)
	e.size += len(b)
}

func (e *encoder) text(s string) (err error) {
	e.buf, err = appendString(e.buf, s)
	return err
}

func (e *encoder) encode(v reflect.Value) error {
	if !v.IsValid() {
		e.buf = append(e.buf, 'N')
		return nil
	}
	return encoderOf(v.Type())(e, v)
}

// deeper is called before the encoder descends into v, and shallower after.
func (e *encoder) deeper(v reflect.Value) error {
	e.depth++
	if e.depth < deepest-100 {
		return nil
	}
	if e.depth > deepest {
		return fail("it is nested deeper than %d", deepest)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		at := visit{at: v.UnsafePointer(), t: v.Type()}
		if v.Kind() == reflect.Slice {
			at.n = v.Len()
		}
		if e.seen[at] {
			return fail("the value contains itself")
		}
		if e.seen == nil {
			e.seen = make(map[visit]bool)
		}
		e.seen[at] = true
	}
	return nil
}

func (e *encoder) shallower(v reflect.Value) {
	if e.depth--; e.seen != nil {
		switch v.Kind() {
		case reflect.Pointer, reflect.Map:
			delete(e.seen, visit{at: v.UnsafePointer(), t: v.Type()})
		case reflect.Slice:
			delete(e.seen, visit{at: v.UnsafePointer(), t: v.Type(), n: v.Len()})
		}
	}
}

type encodeFunc func(e *encoder, v reflect.Value) error

var encoders sync.Map // from reflect.Type to encodeFunc

// encoderOf returns the function that encodes values of a type.
func encoderOf(t reflect.Type) encodeFunc {
	if known, ok := encoders.Load(t); ok {
		return known.(encodeFunc)
	}
	f := newEncoder(t)
	encoders.Store(t, f)
	return f
}

// inner is encoderOf for a type within another one, which may be within it.
func inner(t reflect.Type) func() encodeFunc {
	return sync.OnceValue(func() encodeFunc { return encoderOf(t) })
}

// hooked returns the encoder of a type that is not encoded by its kind, or nil.
func hooked(t reflect.Type) encodeFunc {
	pointer := func(v reflect.Value) any { return addressable(v).Addr().Interface() }
	switch infoOf(t).class {
	case bigClass:
		return func(e *encoder, v reflect.Value) (err error) {
			e.buf, err = appendBig(e.buf, pointer(v).(*big.Int))
			return err
		}
	case timeClass:
		return func(e *encoder, v reflect.Value) error { return e.encodeTime(v.Interface().(time.Time)) }
	case durationClass:
		return func(e *encoder, v reflect.Value) error { e.encodeDuration(time.Duration(v.Int())); return nil }
	case textFormClass:
		return func(e *encoder, v reflect.Value) error { return e.encodeTextForm(textForms[t], v.String()) }
	case arrayClass:
		return func(e *encoder, v reflect.Value) error { return e.encodeArray(v.Interface().(shaped)) }
	}
	switch {
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Interface:
		return nil
	case t == bigRat:
		return func(e *encoder, v reflect.Value) error {
			r := pointer(v).(*big.Rat)
			return e.encodeTextForm("Fraction", r.Num().Text(16)+"/"+r.Denom().Text(16))
		}
	case t == bigFloat:
		return func(*encoder, reflect.Value) error { return fail("%s", infoOf(t).why) }
	case implements(t, textMarshaler, "MarshalText"):
		return func(e *encoder, v reflect.Value) error { return e.encodeMarshaled(pointer(v).(encoding.TextMarshaler)) }
	case implements(t, jsonMarshaler, "MarshalJSON"):
		return func(e *encoder, v reflect.Value) error { return e.encodeJSON(pointer(v).(json.Marshaler)) }
	}
	return nil
}

// addressable is v, or a copy of it that has an address.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

func newEncoder(t reflect.Type) encodeFunc {
	if f := hooked(t); f != nil {
		return f
	}
	switch t.Kind() {
	case reflect.Bool:
		return func(e *encoder, v reflect.Value) error {
			e.buf = append(e.buf, letter(v.Bool()))
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(e *encoder, v reflect.Value) error {
			e.buf = appendInt(e.buf, v.Int())
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func(e *encoder, v reflect.Value) error {
			e.buf = appendUint(e.buf, v.Uint())
			return nil
		}
	case reflect.Float32, reflect.Float64:
		return func(e *encoder, v reflect.Value) error {
			e.buf = appendFloat(e.buf, v.Float())
			return nil
		}
	case reflect.Complex64, reflect.Complex128:
		return func(e *encoder, v reflect.Value) error {
			e.buf = appendComplex(e.buf, v.Complex())
			return nil
		}
	case reflect.String:
		return func(e *encoder, v reflect.Value) error { return e.text(v.String()) }
	case reflect.Pointer:
		return pointerEncoder(t)
	case reflect.Interface:
		return func(e *encoder, v reflect.Value) error { return e.encode(v.Elem()) }
	case reflect.Slice, reflect.Array:
		return listEncoder(t)
	case reflect.Map:
		return mapEncoder(t)
	case reflect.Struct:
		return structEncoder(t)
	}
	return func(*encoder, reflect.Value) error { return fail("a Go %s cannot be sent", t) }
}

func letter(b bool) byte {
	if b {
		return 'T'
	}
	return 'F'
}

func pointerEncoder(t reflect.Type) encodeFunc {
	elem := inner(t.Elem())
	return func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			e.buf = append(e.buf, 'N')
			return nil
		}
		if err := e.deeper(v); err != nil {
			return err
		}
		defer e.shallower(v)
		start := len(e.buf)
		if err := elem()(e, v.Elem()); err != nil {
			return err
		}
		if string(e.buf[start:]) == "N" {
			return fail("a pointer to a nil %s would arrive as a nil pointer", t.Elem())
		}
		return nil
	}
}

func listEncoder(t reflect.Type) encodeFunc {
	f := itemsEncoder(t)
	if t.Kind() == reflect.Array {
		return f
	}
	return func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			e.buf = append(e.buf, 'N')
			return nil
		}
		return f(e, v)
	}
}

// itemsEncoder is the encoder of a slice that is not nil, or an array.
func itemsEncoder(t reflect.Type) encodeFunc {
	kind := t.Elem().Kind()
	if hooked(t.Elem()) != nil {
		kind = reflect.Invalid
	}
	if kind == reflect.Uint8 {
		return func(e *encoder, v reflect.Value) (err error) {
			if e.buf, err = appendHead(e.buf, 's', v.Len()); err == nil {
				e.buf = append(e.buf, memory(v, 1)...)
			}
			return err
		}
	}
	if d := dtypeOf(kind); d != nil && d.typecode != "" {
		return func(e *encoder, v reflect.Value) error {
			e.form(formArray, 3)
			if err := e.text(d.typecode); err != nil {
				return err
			}
			e.later(littleEndian(memory(v, d.size), d.unit()))
			e.buf = appendInt(e.buf, int64(v.Len()))
			return nil
		}
	}
	if f := rowsEncoder(t); f != nil {
		return f
	}
	elem := inner(t.Elem())
	return func(e *encoder, v reflect.Value) (err error) {
		if err := e.deeper(v); err != nil {
			return err
		}
		defer e.shallower(v)
		n := v.Len()
		if e.buf, err = appendHead(e.buf, '[', n); err != nil {
			return err
		}
		switch kind { // these are frequent
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
			if err := f(e, v.Index(i)); err != nil {
				return within(err, "["+itoa(i)+"]")
			}
		}
		return nil
	}
}

// rowsEncoder is the encoder of a slice or an array whose items are rows of
// numbers, or nil. There may be many, and short ones.
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
		return func(e *encoder, v reflect.Value) (err error) {
			if e.buf, err = appendHead(e.buf, '[', v.Len()); err != nil {
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
	return func(e *encoder, v reflect.Value) (err error) {
		e.form(formRows, 3)
		if err := e.text(d.typecode); err != nil {
			return err
		}
		e.buf = appendInt(e.buf, int64(e.size))
		if e.buf, err = appendHead(e.buf, '[', v.Len()); err != nil {
			return err
		}
		if row.Kind() == reflect.Array {
			for range v.Len() {
				e.buf = appendInt(e.buf, int64(row.Len()))
			}
			e.store(littleEndian(memory(v, size*row.Len()), d.unit()))
			return nil
		}
		for i := range v.Len() {
			item := v.Index(i)
			if item.IsNil() {
				e.buf = appendInt(e.buf, -1)
				continue
			}
			e.buf = appendInt(e.buf, int64(item.Len()))
			e.store(littleEndian(memory(item, size), d.unit()))
		}
		return nil
	}
}

// memory is the memory of a slice or an array whose items have so many bytes.
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

func mapEncoder(t reflect.Type) encodeFunc {
	elem := inner(t.Elem())
	key := keyEncoder(t.Key())
	check := merging(t.Key())
	return func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			e.buf = append(e.buf, 'N')
			return nil
		}
		if err := e.deeper(v); err != nil {
			return err
		}
		defer e.shallower(v)
		var seen map[string]bool
		if check {
			seen = make(map[string]bool, v.Len())
		}
		e.buf = append(e.buf, '{')
		f := elem()
		for entries := v.MapRange(); entries.Next(); {
			start := len(e.buf)
			if err := key(e, entries.Key()); err != nil {
				return within(err, keyed(entries.Key())+" (the key)")
			}
			if check {
				same := canonical(e.buf[start:], entries.Key())
				if seen[same] {
					return within(fail("two keys of the map are the same in Python"), keyed(entries.Key())+" (the key)")
				}
				seen[same] = true
			}
			if err := f(e, entries.Value()); err != nil {
				return within(err, keyed(entries.Key()))
			}
		}
		e.buf = append(e.buf, '0')
		return nil
	}
}

// keyEncoder returns the encoder of a key of a dict, which Python must be able
// to hash: so an array is a tuple.
func keyEncoder(t reflect.Type) encodeFunc {
	if hooked(t) != nil {
		if infoOf(t).class == arrayClass || implements(t, jsonMarshaler, "MarshalJSON") && !implements(t, textMarshaler, "MarshalText") {
			return unfitKey(t)
		}
		return encoderOf(t)
	}
	switch t.Kind() {
	case reflect.Interface:
		return func(e *encoder, v reflect.Value) error {
			if v.IsNil() {
				e.buf = append(e.buf, 'N')
				return nil
			}
			return keyEncoder(v.Elem().Type())(e, v.Elem())
		}
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && hooked(t.Elem()) == nil {
			return encoderOf(t)
		}
		item := keyEncoder(t.Elem())
		return func(e *encoder, v reflect.Value) (err error) {
			e.buf, err = appendHead(e.buf, '(', v.Len())
			for i := 0; err == nil && i < v.Len(); i++ {
				err = item(e, v.Index(i))
			}
			return err
		}
	case reflect.Pointer, reflect.Struct, reflect.Chan, reflect.UnsafePointer:
		return unfitKey(t)
	}
	return encoderOf(t)
}

func unfitKey(t reflect.Type) encodeFunc {
	return func(*encoder, reflect.Value) error { return fail("a Go %s cannot be the key of a dict", t) }
}

// merging reports whether two keys of a type may be one in Python.
func merging(t reflect.Type) bool {
	switch {
	case t == durationType || t == bigInt || textForms[t] != "":
		return false
	case hooked(t) != nil || t.Kind() == reflect.Interface:
		return true
	case t.Kind() == reflect.Array:
		return merging(t.Elem())
	}
	return false
}

// canonical is the same for keys that are the same in Python: for 1, 1.0 and
// True, and for a time in two zones.
func canonical(b []byte, key reflect.Value) string {
	for key.Kind() == reflect.Interface && !key.IsNil() {
		key = key.Elem()
	}
	if t, ok := interfaceOf(key).(time.Time); ok && t.Location() != Naive {
		return "time " + t.UTC().Format(time.RFC3339Nano)
	}
	switch b[0] {
	case 'T':
		b = appendInt(nil, 1)
	case 'F':
		b = appendInt(nil, 0)
	case 'g', 'y':
		if b[0] == 'y' && math.Float64frombits(le.Uint64(b[9:])) != 0 {
			break
		}
		if f := math.Float64frombits(le.Uint64(b[1:])); f == math.Trunc(f) && !math.IsInf(f, 0) {
			n, _ := big.NewFloat(f).Int(nil)
			b, _ = appendBig(nil, n)
		} else {
			b = b[1:9]
		}
	}
	return string(b)
}

func interfaceOf(v reflect.Value) any {
	if !v.IsValid() || !v.CanInterface() {
		return nil
	}
	return v.Interface()
}

func structEncoder(t reflect.Type) encodeFunc {
	fs := fieldsOf(t)
	if len(fs.list) == 0 && t.NumField() > 0 {
		return func(*encoder, reflect.Value) error {
			return fail("a Go %s cannot be sent: it has no exported fields, and no MarshalText or MarshalJSON", t)
		}
	}
	funcs := make([]func() encodeFunc, len(fs.list))
	for i, f := range fs.list {
		funcs[i] = inner(f.t)
	}
	return func(e *encoder, v reflect.Value) error {
		if err := e.deeper(v); err != nil {
			return err
		}
		defer e.shallower(v)
		e.buf = append(e.buf, '{')
		for i, f := range fs.list {
			value, err := v.FieldByIndexErr(f.index)
			if err != nil || f.omit(value) {
				continue // err: of an embedded struct that is not there
			}
			if err := e.text(f.name); err != nil {
				return within(err, "."+f.name)
			}
			if err := funcs[i]()(e, value); err != nil {
				return within(err, "."+f.name)
			}
		}
		e.buf = append(e.buf, '0')
		return nil
	}
}

// encodeMarshaled encodes what MarshalText returns.
func (e *encoder) encodeMarshaled(v encoding.TextMarshaler) error {
	text, err := v.MarshalText()
	if err != nil {
		return &valueError{err: err}
	}
	return e.text(string(text))
}

// encodeJSON encodes what MarshalJSON returns.
func (e *encoder) encodeJSON(v json.Marshaler) error {
	text, err := v.MarshalJSON()
	if err != nil {
		return &valueError{err: err}
	}
	plain, err := fromJSON(text)
	if err != nil {
		return &valueError{err: err}
	}
	return e.encode(reflect.ValueOf(plain))
}

// fromJSON reads JSON, with integers as such. It refuses text that encoding/json
// would replace by U+FFFD: what is not UTF-8, and escapes of lone surrogates.
func fromJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("its JSON is not UTF-8")
	}
	if lone := loneSurrogate(text); lone != "" {
		return nil, fmt.Errorf("its JSON has the lone surrogate %s", lone)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("its JSON has more than one value")
	}
	return numbers(v)
}

// jsonEscape is an escape in JSON: two that are one character, or another one.
var jsonEscape = regexp.MustCompile(`\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)`)

// loneSurrogate returns an escape in JSON that is half of a character, or "".
func loneSurrogate(text []byte) string {
	if !bytes.Contains(text, []byte(`\u`)) {
		return ""
	}
	for _, escape := range jsonEscape.FindAll(text, -1) {
		if len(escape) == 6 && (escape[2] == 'd' || escape[2] == 'D') && escape[3] >= '8' {
			return string(escape)
		}
	}
	return ""
}

// numbers turns each json.Number into a number.
func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, ok := new(big.Int).SetString(v.String(), 10); ok {
			return n, nil
		}
		f, err := v.Float64()
		return f, err
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = numbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
