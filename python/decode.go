package python

import (
	"fmt"
	"math"
	"reflect"

	"concert/executor"
)

// codec is the executor.Codec of Python functions.
type codec struct{}

// Decode implements executor.Codec.
func (codec) Decode(result executor.Encoded, v any) error {
	if slice, set, ok := executor.MappedTarget(v); ok {
		err := codec{}.Decode(result, slice)
		set()
		return err
	}
	to := reflect.ValueOf(v).Elem()
	if result.Foreign() {
		return finish(decodeAll(result.Bytes, to), "result")
	}
	plain, err := result.Plain()
	if err != nil {
		return err
	}
	return finish(decodePlain(reflect.ValueOf(plain), to), "result")
}

// decodePlain stores a result that is not marshal data: a bool, a number, a
// text, bytes, or a slice of numbers. decodePlain follows the same rules as for
// marshal data.
func decodePlain(plain, to reflect.Value) error {
	if plain.Kind() == reflect.Slice && plain.Type().Elem().Kind() != reflect.Uint8 {
		d := dtypeOf(plain.Type().Elem().Kind())
		a := buffer{dtype: *d, shape: []int{plain.Len()}, b: memory(plain, d.size)}
		return a.decode(to)
	}
	b, err := encodeValue(plain)
	if err != nil {
		return err
	}
	return decodeAll(b, to)
}

func decodeAll(b []byte, to reflect.Value) error {
	d := decoder{rest: b}
	if err := d.decode(to); err != nil {
		return err
	}
	if len(d.rest) > 0 {
		return d.bad("%d bytes follow the value", len(d.rest))
	}
	return nil
}

// decoder decodes bytes from a worker. The bytes may be invalid. So the
// decoder limits the memory that it allocates: to the number of bytes times
// a constant.
type decoder struct {
	rest  []byte
	depth int
	json  bool // the value is converted to JSON, so each text must be UTF-8
}

func (d *decoder) bad(format string, args ...any) error {
	return fail("the worker sent invalid marshal data: "+format, args...)
}

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.rest) {
		return nil, d.bad("%d bytes are needed, but only %d remain", n, len(d.rest))
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b, nil
}

func (d *decoder) byte() (byte, error) {
	b, err := d.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (d *decoder) uint32() (uint32, error) {
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return le.Uint32(b), nil
}

func (d *decoder) float() (float64, error) {
	b, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(le.Uint64(b)), nil
}

// sized reads a length, and then a number of bytes equal to this length.
func (d *decoder) sized() ([]byte, error) {
	n, err := d.uint32()
	if err != nil {
		return nil, err
	}
	return d.take(int(int32(n)))
}

// count reads the number of items of a list.
func (d *decoder) count() (int, error) {
	word, err := d.uint32()
	if err != nil {
		return 0, err
	}
	n := int(int32(word))
	if n < 0 || n > len(d.rest) { // because each item has at least one byte
		return 0, d.bad("%d items do not fit into the remaining %d bytes", n, len(d.rest))
	}
	return n, nil
}

// decode reads one value into a Go variable.
func (d *decoder) decode(to reflect.Value) error {
	kind, err := d.byte()
	if err != nil {
		return err
	}
	return d.decodeKind(kind, to)
}

func (d *decoder) decodeKind(kind byte, to reflect.Value) error {
	info := infoOf(to.Type())
	if kind == 'N' && info.class != jsonClass {
		switch to.Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
			to.SetZero()
			return nil
		}
		if to.Type() == reflect.TypeFor[None]() {
			return nil
		}
		return mismatch(aNone, "None", to)
	}
	switch info.class {
	case refusedClass:
		return fail("%s", info.why)
	case jsonClass:
		return d.decodeJSON(kind, to)
	}
	switch to.Kind() {
	case reflect.Pointer:
		if to.IsNil() && !d.atForm(kind) {
			to.Set(reflect.New(to.Type().Elem()))
		}
		if !to.IsNil() {
			return d.decodeKind(kind, to.Elem())
		}
	case reflect.Interface:
		if to.NumMethod() > 0 {
			return fail("a Go %s cannot be received, because this interface has methods: use any, or a type that is not an interface", to.Type())
		}
		v, err := d.natural(kind)
		if err == nil && v.IsValid() {
			to.Set(v)
		}
		return err
	}
	switch kind {
	case 'T', 'F':
		return setBool(to, kind == 'T')
	case 'i', 'l':
		return d.decodeInt(kind, to)
	case 'g':
		f, err := d.float()
		if err != nil {
			return err
		}
		return setFloat(to, f)
	case 'y':
		re, err := d.float()
		if err != nil {
			return err
		}
		im, err := d.float()
		if err != nil {
			return err
		}
		return setComplex(to, complex(re, im))
	case 's':
		return d.decodeBytes(to)
	case 'u':
		return d.decodeString(to)
	case '(', '[', '<', '>':
		return d.decodeList(kind, to)
	case '{':
		return d.decodeDict(to)
	}
	return d.bad("unknown type %q", kind)
}

func (d *decoder) decodeBytes(to reflect.Value) error {
	b, err := d.sized()
	if err != nil {
		return err
	}
	if to.Kind() == reflect.Slice || to.Kind() == reflect.Array {
		a := buffer{dtype: *dtypeOf(reflect.Uint8), shape: []int{len(b)}, b: b, bytes: true}
		return a.decode(to)
	}
	return mismatch(aBytes, fmt.Sprintf("a bytes object of length %d", len(b)), to)
}
