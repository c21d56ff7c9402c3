package python

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"concert"
)

// codec is the concert.Codec of Python functions.
type codec struct{}

// Decode implements concert.Codec.
func (codec) Decode(result concert.Encoded, v any) error {
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

// decodePlain stores what needs no codec by the same rules as what needs one.
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
		return d.bad("%d bytes too many", len(d.rest))
	}
	return nil
}

// decoder reads values from bytes that may come from anywhere: nothing is
// allocated that is larger than what is there, by more than a constant factor.
type decoder struct {
	rest  []byte
	depth int
	json  bool // the value is for JSON, which has no text but UTF-8
}

func (d *decoder) bad(format string, args ...any) error {
	return fail("the worker sent what marshal does not write: "+format, args...)
}

// mismatch is the error of a Python value that a Go type cannot hold.
func mismatch(what string, to reflect.Value) error {
	return fail("%s does not fit into a Go %s", what, to.Type())
}

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.rest) {
		return nil, d.bad("%d bytes wanted, %d there", n, len(d.rest))
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

// sized takes bytes with their length before them.
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
	if n < 0 || n > len(d.rest) { // each item is a byte at least
		return 0, d.bad("%d items in %d bytes", n, len(d.rest))
	}
	return n, nil
}

// decode reads one value into to, which can be set.
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
		return mismatch("None", to)
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
			return mismatch("a value", to)
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
	case 'i':
		word, err := d.uint32()
		return reflect.ValueOf(int64(int32(word))), err
	case 'l':
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
		if d.atForm(kind) {
			var v any
			err := d.decodeForm(reflect.ValueOf(&v).Elem())
			return reflect.ValueOf(&v).Elem().Elem(), err
		}
		return into(reflect.TypeFor[[]any]())
	case '{':
		return d.naturalDict()
	}
	return reflect.Value{}, d.bad("type %q", kind)
}

// naturalDict reads a dict as a map[string]any if all keys are text, and else
// as a map[any]any.
func (d *decoder) naturalDict() (reflect.Value, error) {
	named := map[string]any{}
	var all map[any]any // once a key is no text
	err := d.entries(reflect.TypeFor[any](), keyed, func(key reflect.Value) error {
		k := key.Interface()
		var v any
		if err := d.decode(reflect.ValueOf(&v).Elem()); err != nil {
			return err
		}
		s, text := k.(string)
		if all == nil && text {
			named[s] = v
			return nil
		}
		if all == nil {
			all = make(map[any]any)
			for k, v := range named {
				all[k] = v
			}
		}
		all[k] = v
		return nil
	})
	if all != nil {
		return reflect.ValueOf(all), err
	}
	return reflect.ValueOf(named), err
}

// entries reads the entries of a dict: a key of a type, for whose value value
// is called. name names the value in errors.
func (d *decoder) entries(keys reflect.Type, name func(key reflect.Value) string, value func(key reflect.Value) error) error {
	if d.depth++; d.depth > deepest {
		return fail("it is nested deeper than %d", deepest)
	}
	defer func() { d.depth-- }()
	for {
		kind, err := d.byte()
		if err != nil {
			return err
		}
		if kind == '0' {
			return nil
		}
		k := reflect.New(keys).Elem()
		if err := d.decodeKind(kind, k); err != nil {
			return within(err, "[a key]")
		}
		if !k.Comparable() {
			return within(fail("a Go map cannot have a %T as a key", k.Interface()), "[a key]")
		}
		if err := value(k); err != nil {
			return within(err, name(k))
		}
	}
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
	if kind == 'i' {
		word, err := d.uint32()
		if err != nil {
			return err
		}
		return setInt(to, int64(int32(word)))
	}
	n, err := d.integer(kind)
	if err != nil {
		return err
	}
	switch {
	case n.IsInt64():
		return setInt(to, n.Int64())
	case n.IsUint64():
		return setUint(to, n.Uint64())
	}
	return setBig(to, n)
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
	return mismatch(fmt.Sprintf("a bytes object of length %d", len(b)), to)
}

func (d *decoder) decodeString(to reflect.Value) error {
	b, err := d.sized()
	if err != nil {
		return err
	}
	text, ok := unescape(b)
	if !ok {
		return fail("a str with surrogates that os.fsdecode does not make, %s, cannot be a Go string: return bytes", quotePython(b))
	}
	if d.json && !utf8.ValidString(text) {
		return fail("a str with surrogates, %s, cannot be JSON", quotePython(b))
	}
	if c := infoOf(to.Type()).class; c == textClass || c == timeClass {
		return unmarshalText(to, []byte(text))
	}
	if to.Kind() != reflect.String || infoOf(to.Type()).class != byKind {
		return mismatch("a str", to)
	}
	to.SetString(text)
	return nil
}

func shorten(b []byte) []byte {
	if len(b) > 60 {
		return append(slices.Clone(b[:60]), "..."...)
	}
	return b
}

// unmarshalText gives text to a value that has UnmarshalText, which may change b.
func unmarshalText(to reflect.Value, b []byte) error {
	if err := to.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(b); err != nil {
		return fail("the str %q does not fit into a Go %s: %w", shorten(b), to.Type(), err)
	}
	return nil
}

// decodeJSON gives a value to one that has UnmarshalJSON.
func (d *decoder) decodeJSON(kind byte, to reflect.Value) error {
	var v any
	defer func(before bool) { d.json = before }(d.json)
	d.json = true
	if err := d.decodeKind(kind, reflect.ValueOf(&v).Elem()); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err == nil {
		err = to.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(text)
	}
	if err != nil {
		return fail("a value does not fit into a Go %s: %w", to.Type(), err)
	}
	return nil
}

var listNames = map[byte]string{'(': "a tuple", '[': "a list", '<': "a set", '>': "a frozenset"}

func (d *decoder) decodeList(kind byte, to reflect.Value) error {
	if d.atForm(kind) {
		return d.decodeForm(to)
	}
	n, err := d.count()
	if err != nil {
		return err
	}
	if d.depth++; d.depth > deepest {
		return fail("it is nested deeper than %d", deepest)
	}
	defer func() { d.depth-- }()
	what := func() string { return fmt.Sprintf("%s of %d", listNames[kind], n) }
	if infoOf(to.Type()).class != byKind {
		return mismatch(what(), to)
	}
	switch to.Kind() {
	case reflect.Slice:
		return d.decodeSlice(n, to)
	case reflect.Array:
		if to.Len() != n {
			return mismatch(what(), to)
		}
		for i := range n {
			if err := d.decode(to.Index(i)); err != nil {
				return within(err, "["+itoa(i)+"]")
			}
		}
		return nil
	case reflect.Struct:
		fs := fieldsOf(to.Type())
		if kind != '(' || len(fs.list) != n {
			return mismatch(what(), to)
		}
		for _, f := range fs.list {
			field, err := at(to, f.index)
			if err == nil {
				err = d.decode(field)
			}
			if err != nil {
				return within(err, "."+f.name)
			}
		}
		return nil
	}
	return mismatch(what(), to)
}

// decodeSlice reads n items. What an item takes in Go may be much more than a
// byte, so the slice grows.
func (d *decoder) decodeSlice(n int, to reflect.Value) error {
	elem := to.Type().Elem()
	most := max(64, 16*len(d.rest)/max(1, int(elem.Size())))
	list := reflect.MakeSlice(to.Type(), min(n, most), min(n, most))
	kind := reflect.Invalid
	if infoOf(elem).class == byKind {
		kind = elem.Kind()
	}
	for i := range n {
		if i == list.Len() {
			list.Grow(1)
			list.SetLen(min(n, list.Cap()))
		}
		item := list.Index(i)
		switch { // the first two are frequent
		case kind == reflect.Float64 && len(d.rest) >= 9 && d.rest[0] == 'g':
			item.SetFloat(math.Float64frombits(le.Uint64(d.rest[1:])))
			d.rest = d.rest[9:]
		case (kind == reflect.Int || kind == reflect.Int64) && len(d.rest) >= 5 && d.rest[0] == 'i':
			item.SetInt(int64(int32(le.Uint32(d.rest[1:]))))
			d.rest = d.rest[5:]
		default:
			if err := d.decode(item); err != nil {
				return within(err, "["+itoa(i)+"]")
			}
		}
	}
	to.Set(list)
	return nil
}

func (d *decoder) decodeDict(to reflect.Value) error {
	if infoOf(to.Type()).class != byKind {
		return mismatch("a dict", to)
	}
	switch to.Kind() {
	case reflect.Map:
		m, n := reflect.MakeMap(to.Type()), 0
		err := d.entries(to.Type().Key(), keyed, func(k reflect.Value) error {
			v := reflect.New(to.Type().Elem()).Elem()
			if err := d.decode(v); err != nil {
				return err
			}
			m.SetMapIndex(k, v)
			if n++; m.Len() != n {
				return fail("two keys of the dict are the same as a Go %s", k.Type())
			}
			return nil
		})
		if err == nil {
			to.Set(m)
		}
		return err
	case reflect.Struct:
		fs := fieldsOf(to.Type())
		named := func(key reflect.Value) string { return "." + fmt.Sprint(key) }
		var filled bits
		return d.entries(reflect.TypeFor[any](), named, func(key reflect.Value) error {
			name, _ := key.Interface().(string)
			i, ok := fs.find(name)
			if !ok {
				var ignored any
				return d.decode(reflect.ValueOf(&ignored).Elem())
			}
			if filled.set(i) {
				return fail("another key of the dict is for the same field of a Go %s", to.Type())
			}
			field, err := at(to, fs.list[i].index)
			if err != nil {
				return err
			}
			return d.decode(field)
		})
	}
	return mismatch("a dict", to)
}

// at returns a field, and makes the embedded structs on the way that are not there.
func at(v reflect.Value, index []int) (reflect.Value, error) {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return v, fail("the embedded pointer to %s cannot be set: its type is not exported", v.Type().Elem())
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, nil
}

// settled has pointers and an any on the way to a single value dealt with: it
// returns what is left to set, or sets natural.
func settled(to reflect.Value, natural any) (reflect.Value, bool) {
	for to.Kind() == reflect.Pointer {
		if to.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
		}
		to = to.Elem()
	}
	if to.Kind() == reflect.Interface && to.NumMethod() == 0 {
		to.Set(reflect.ValueOf(natural))
		return to, true
	}
	return to, false
}

func setBool(to reflect.Value, b bool) error {
	to, done := settled(to, b)
	if done {
		return nil
	}
	if to.Kind() != reflect.Bool || infoOf(to.Type()).class == durationClass {
		return mismatch("a bool", to)
	}
	to.SetBool(b)
	return nil
}

func setInt(to reflect.Value, n int64) error {
	to, done := settled(to, n)
	if done {
		return nil
	}
	switch {
	case infoOf(to.Type()).class == durationClass:
		return mismatch(fmt.Sprint("the int ", n), to)
	case to.CanInt():
		if !to.OverflowInt(n) {
			to.SetInt(n)
			return nil
		}
	case to.CanUint():
		if n >= 0 && !to.OverflowUint(uint64(n)) {
			to.SetUint(uint64(n))
			return nil
		}
	default:
		return setBig(to, big.NewInt(n))
	}
	return mismatch(fmt.Sprint("the int ", n), to)
}

func setUint(to reflect.Value, n uint64) error {
	if n <= math.MaxInt64 {
		return setInt(to, int64(n))
	}
	if to.CanUint() && !to.OverflowUint(n) {
		to.SetUint(n)
		return nil
	}
	return setBig(to, new(big.Int).SetUint64(n))
}

func setBig(to reflect.Value, n *big.Int) error {
	to, done := settled(to, n)
	if done {
		return nil
	}
	switch {
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
	if n.BitLen() > 256 {
		return mismatch(fmt.Sprintf("an int of %d bits", n.BitLen()), to)
	}
	return mismatch("the int "+n.String(), to)
}

func setFloat(to reflect.Value, f float64) error {
	to, done := settled(to, f)
	if done {
		return nil
	}
	if !to.CanFloat() || to.Kind() == reflect.Float32 && !narrow(f) {
		return mismatch(fmt.Sprint("the float ", f), to)
	}
	to.SetFloat(f)
	return nil
}

// narrow reports whether a float32 holds f exactly.
func narrow(f float64) bool { return f != f || float64(float32(f)) == f }

func setComplex(to reflect.Value, c complex128) error {
	to, done := settled(to, c)
	if done {
		return nil
	}
	if !to.CanComplex() || to.Kind() == reflect.Complex64 && !(narrow(real(c)) && narrow(imag(c))) {
		return mismatch(fmt.Sprint("the complex ", c), to)
	}
	to.SetComplex(c)
	return nil
}

func setTime(to reflect.Value, t time.Time) error {
	to, done := settled(to, t)
	if done {
		return nil
	}
	switch infoOf(to.Type()).class {
	case timeClass:
		to.Set(reflect.ValueOf(t))
		return nil
	case textClass:
		return unmarshalText(to, t.AppendFormat(nil, time.RFC3339Nano))
	}
	return mismatch("a datetime", to)
}

func setDuration(to reflect.Value, d time.Duration) error {
	to, done := settled(to, d)
	if done {
		return nil
	}
	if infoOf(to.Type()).class != durationClass {
		return mismatch("a timedelta", to)
	}
	to.SetInt(int64(d))
	return nil
}
