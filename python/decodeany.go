package python

import (
	"reflect"
)

// natural reads a value for a variable of type any. The value has the Go type
// that corresponds to its Python type.
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
	return reflect.Value{}, d.bad("unknown type %q", kind)
}

// naturalDict reads a dict as a map[string]any if all keys are text, and
// otherwise as a map[any]any.
func (d *decoder) naturalDict() (reflect.Value, error) {
	named := map[string]any{}
	var all map[any]any // used as soon as a key is not text
	err := d.entries(reflect.TypeFor[any](), func(key reflect.Value) error {
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
