package python

import (
	"encoding"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"concert"
)

// codec is the concert.Codec of Python functions.
type codec struct{}

// Decode implements concert.Codec.
func (codec) Decode(result concert.Encoded, v any) error {
	to := reflect.ValueOf(v).Elem()
	if !result.Foreign() {
		plain, err := result.Plain()
		if err != nil {
			return err
		}
		// By the rules for plain data, as if it had come as such.
		var e encoder
		if err := e.encode(reflect.ValueOf(plain)); err != nil {
			return err
		}
		return decodeAll(e.buf, to)
	}
	return decodeAll(result.Bytes, to)
}

func decodeAll(b []byte, to reflect.Value) error {
	d := decoder{rest: b}
	if err := d.decode(to); err != nil {
		return err
	}
	if len(d.rest) > 0 {
		return d.bad("%d bytes too many", len(d.rest))
	}
	return nil
}

// decoder reads values from bytes that may come from anywhere: nothing is allocated
// that is larger than what is there, by more than a constant factor.
type decoder struct {
	rest []byte
	path []string // where in the value it is, for errors
}

func (d *decoder) bad(format string, args ...any) error {
	return fmt.Errorf("python: not what marshal writes: "+format, args...)
}

// mismatch is the error of a Python value that a Go type cannot hold.
func (d *decoder) mismatch(what string, to reflect.Value) error {
	where := ""
	if len(d.path) > 0 {
		where = strings.Join(d.path, "") + ": "
	}
	return fmt.Errorf("python: %s%s does not fit into a Go %s", where, what, to.Type())
}

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.rest) {
		return nil, d.bad("%d bytes wanted, %d there", n, len(d.rest))
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b, nil
}

func (d *decoder) uint32() (uint32, error) {
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return le.Uint32(b), nil
}

// sized takes bytes with their length before them.
func (d *decoder) sized() ([]byte, error) {
	n, err := d.uint32()
	if err != nil {
		return nil, err
	}
	return d.take(int(int32(n)))
}

func (d *decoder) in(place string, to reflect.Value) error {
	d.path = append(d.path, place)
	defer func() { d.path = d.path[:len(d.path)-1] }()
	return d.decode(to)
}

// decode reads one value into to, which can be set.
func (d *decoder) decode(to reflect.Value) error {
	if len(d.path) > deepest {
		return d.bad("it is nested deeper than %d", deepest)
	}
	kind, err := d.take(1)
	if err != nil {
		return err
	}
	return d.decodeKind(kind[0], to)
}

func (d *decoder) decodeKind(kind byte, to reflect.Value) error {
	if kind == 'N' {
		switch to.Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
			to.SetZero()
			return nil
		}
		if to.Type() == reflect.TypeFor[None]() {
			return nil
		}
		return d.mismatch("None", to)
	}
	if to.Kind() == reflect.Pointer {
		if to.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
		}
		return d.decodeKind(kind, to.Elem())
	}
	if to.Kind() == reflect.Interface {
		if to.NumMethod() > 0 {
			return d.mismatch("a value", to)
		}
		v, err := d.natural(kind)
		if err == nil && v.IsValid() {
			to.Set(v)
		}
		return err
	}
	switch kind {
	case 'T', 'F':
		if to.Kind() != reflect.Bool {
			return d.mismatch("a bool", to)
		}
		to.SetBool(kind == 'T')
		return nil
	case 'i', 'l':
		return d.decodeInt(kind, to)
	case 'g':
		bits, err := d.take(8)
		if err != nil {
			return err
		}
		f := math.Float64frombits(le.Uint64(bits))
		switch to.Kind() {
		case reflect.Float64:
		case reflect.Float32:
			if f != f || math.IsInf(f, 0) || float64(float32(f)) == f {
				break
			}
			return d.mismatch(fmt.Sprint("the float ", f), to)
		default:
			return d.mismatch(fmt.Sprint("the float ", f), to)
		}
		to.SetFloat(f)
		return nil
	case 'y':
		bits, err := d.take(16)
		if err != nil {
			return err
		}
		if to.Kind() != reflect.Complex128 {
			return d.mismatch("a complex", to)
		}
		to.SetComplex(complex(math.Float64frombits(le.Uint64(bits)), math.Float64frombits(le.Uint64(bits[8:]))))
		return nil
	case 's':
		return d.decodeBytes(to)
	case 'u':
		return d.decodeString(to)
	case '(', '[', '<', '>':
		return d.decodeList(kind, to)
	case '{':
		return d.decodeDict(to)
	}
	return d.bad("type %q", kind)
}

// natural reads a value for an any.
func (d *decoder) natural(kind byte) (reflect.Value, error) {
	into := func(t reflect.Type) (reflect.Value, error) {
		v := reflect.New(t).Elem()
		err := d.decodeKind(kind, v)
		return v, err
	}
	switch kind {
	case 'T', 'F':
		return into(reflect.TypeFor[bool]())
	case 'i', 'l':
		n, err := d.integer(kind)
		if err == nil && n.IsInt64() {
			return reflect.ValueOf(n.Int64()), nil
		}
		return reflect.ValueOf(n), err
	case 'g':
		return into(reflect.TypeFor[float64]())
	case 'y':
		return into(reflect.TypeFor[complex128]())
	case 's':
		return into(reflect.TypeFor[[]byte]())
	case 'u':
		return into(reflect.TypeFor[string]())
	case '(', '[', '<', '>':
		return into(reflect.TypeFor[[]any]())
	case '{':
		return d.naturalDict()
	}
	return reflect.Value{}, d.bad("type %q", kind)
}

// naturalDict reads a dict as a map[string]any if all keys are text, and else as a
// map[any]any.
func (d *decoder) naturalDict() (reflect.Value, error) {
	all := map[any]any{}
	text := true
	for {
		var k, v any
		done, err := d.entry(reflect.ValueOf(&k).Elem(), func() error { return d.in("[]", reflect.ValueOf(&v).Elem()) })
		if err != nil {
			return reflect.Value{}, err
		}
		if done {
			break
		}
		if !reflect.ValueOf(&k).Elem().Comparable() {
			return reflect.Value{}, d.mismatch(fmt.Sprintf("a key of type %T", k), reflect.ValueOf(all))
		}
		_, is := k.(string)
		text = text && is
		all[k] = v
	}
	if !text {
		return reflect.ValueOf(all), nil
	}
	named := make(map[string]any, len(all))
	for k, v := range all {
		named[k.(string)] = v
	}
	return reflect.ValueOf(named), nil
}

// entry reads a key of a dict into k and has the value read, or reports that the
// dict is done.
func (d *decoder) entry(k reflect.Value, value func() error) (done bool, err error) {
	kind, err := d.take(1)
	if err != nil {
		return false, err
	}
	if kind[0] == '0' {
		return true, nil
	}
	d.path = append(d.path, "key of a dict")
	err = d.decodeKind(kind[0], k)
	d.path = d.path[:len(d.path)-1]
	if err != nil {
		return false, err
	}
	return false, value()
}

// integer reads an int.
func (d *decoder) integer(kind byte) (*big.Int, error) {
	word, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if kind == 'i' {
		return big.NewInt(int64(int32(word))), nil
	}
	count := int64(int32(word))
	digits, err := d.take(int(2 * max(count, -count)))
	if err != nil {
		return nil, err
	}
	// Bytes out of digits of 15 bits, the least first.
	bytes := make([]byte, 0, len(digits))
	bits, have := uint32(0), 0
	for ; len(digits) > 0; digits = digits[2:] {
		digit := uint32(le.Uint16(digits))
		if digit > 0x7fff {
			return nil, d.bad("a digit of %d", digit)
		}
		bits |= digit << have
		for have += 15; have >= 8; have -= 8 {
			bytes = append(bytes, byte(bits))
			bits >>= 8
		}
	}
	bytes = append(bytes, byte(bits))
	slices.Reverse(bytes)
	n := new(big.Int).SetBytes(bytes)
	if count < 0 {
		n.Neg(n)
	}
	return n, nil
}

func (d *decoder) decodeInt(kind byte, to reflect.Value) error {
	n, err := d.integer(kind)
	if err != nil {
		return err
	}
	what := func() string {
		if n.BitLen() > 256 {
			return fmt.Sprintf("an int of %d bits", n.BitLen())
		}
		return "the int " + n.String()
	}
	switch {
	case to.CanInt():
		if n.IsInt64() && !to.OverflowInt(n.Int64()) {
			to.SetInt(n.Int64())
			return nil
		}
	case to.CanUint():
		if n.IsUint64() && !to.OverflowUint(n.Uint64()) {
			to.SetUint(n.Uint64())
			return nil
		}
	case to.CanFloat():
		f, exact := new(big.Float).SetInt(n).Float64()
		if exact == big.Exact && (to.Kind() == reflect.Float64 || float64(float32(f)) == f) {
			to.SetFloat(f)
			return nil
		}
	case to.Type() == bigInt:
		to.Addr().Interface().(*big.Int).Set(n)
		return nil
	}
	return d.mismatch(what(), to)
}

func (d *decoder) decodeBytes(to reflect.Value) error {
	b, err := d.sized()
	if err != nil {
		return err
	}
	switch {
	case to.Kind() == reflect.Slice && to.Type().Elem().Kind() == reflect.Uint8:
		to.SetBytes(append([]byte{}, b...))
		return nil
	case to.Kind() == reflect.Array && to.Type().Elem().Kind() == reflect.Uint8 && to.Len() == len(b):
		reflect.Copy(to, reflect.ValueOf(b))
		return nil
	}
	return d.mismatch(fmt.Sprintf("bytes, %d of them,", len(b)), to)
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

func (d *decoder) decodeString(to reflect.Value) error {
	b, err := d.sized()
	if err != nil {
		return err
	}
	if to.CanAddr() && to.Addr().Type().Implements(textUnmarshaler) {
		if err := to.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(append([]byte{}, b...)); err != nil {
			return fmt.Errorf("%w: %w", d.mismatch("a str", to), err)
		}
		return nil
	}
	if to.Kind() != reflect.String {
		return d.mismatch("a str", to)
	}
	to.SetString(string(b))
	return nil
}

func (d *decoder) decodeList(kind byte, to reflect.Value) error {
	word, err := d.uint32()
	if err != nil {
		return err
	}
	n := int(int32(word))
	if n < 0 || n > len(d.rest) { // each item is a byte at least
		return d.bad("%d items in %d bytes", n, len(d.rest))
	}
	what := map[byte]string{'(': "a tuple", '[': "a list", '<': "a set", '>': "a frozenset"}[kind]
	switch to.Kind() {
	case reflect.Slice:
		// What an item takes in Go may be much more than a byte: so it grows.
		list := reflect.MakeSlice(to.Type(), 0, min(n, 64))
		for range n {
			item := reflect.New(to.Type().Elem()).Elem()
			if err := d.in("[]", item); err != nil {
				return err
			}
			list = reflect.Append(list, item)
		}
		to.Set(list)
		return nil
	case reflect.Array:
		if to.Len() != n {
			return d.mismatch(fmt.Sprintf("%s of %d", what, n), to)
		}
		for i := range n {
			if err := d.in("[]", to.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		fs := fieldsOf(to.Type())
		if kind != '(' || len(fs.list) != n {
			return d.mismatch(fmt.Sprintf("%s of %d", what, n), to)
		}
		for _, f := range fs.list {
			if err := d.in("."+f.name, at(to, f.index)); err != nil {
				return err
			}
		}
		return nil
	}
	return d.mismatch(what, to)
}

func (d *decoder) decodeDict(to reflect.Value) error {
	switch to.Kind() {
	case reflect.Map:
		m := reflect.MakeMap(to.Type())
		for {
			k, v := reflect.New(to.Type().Key()).Elem(), reflect.New(to.Type().Elem()).Elem()
			done, err := d.entry(k, func() error { return d.in("[]", v) })
			if err != nil {
				return err
			}
			if done {
				to.Set(m)
				return nil
			}
			if !k.Comparable() {
				return d.mismatch("a key", to)
			}
			m.SetMapIndex(k, v)
		}
	case reflect.Struct:
		fs := fieldsOf(to.Type())
		for {
			var key any
			done, err := d.entry(reflect.ValueOf(&key).Elem(), func() error {
				name, _ := key.(string)
				if f, ok := fs.find(name); ok {
					return d.in("."+name, at(to, f.index))
				}
				var ignored any
				return d.decode(reflect.ValueOf(&ignored).Elem())
			})
			if done || err != nil {
				return err
			}
		}
	}
	return d.mismatch("a dict", to)
}

// at returns a field, and makes the embedded structs on the way that are not there.
func at(v reflect.Value, index []int) reflect.Value {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v
}
