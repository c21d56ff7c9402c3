package values

import (
	"fmt"
	"reflect"
	"slices"
)

// field is a field of a struct that is encoded.
type field struct {
	index    int
	name     string
	optional bool // the encoding of the struct may omit the field
}

// fields are the fields of a struct type.
type fields struct {
	encoded    []field
	unexported []int // the indexes of unexported fields, whose values must be zero
}

// fieldsOf returns the fields of a struct type.
func fieldsOf(t reflect.Type) (*fields, error) {
	fs := &fields{}
	names := make(map[string]string)
	for i := range t.NumField() {
		f := t.Field(i)
		name, optional, skip := encodedName(f)
		switch {
		case skip:
		case f.Name == "_":
		case f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct && methodsOf(f.Type) == nil:
			// The exported fields of an embedded struct can be set, even if
			// the name of its type is not exported.
			if other, taken := names[name]; taken {
				return nil, fmt.Errorf("the fields %s and %s are both named %q: give one of them another tag", other, f.Name, name)
			}
			names[name] = f.Name
			fs.encoded = append(fs.encoded, field{i, name, optional})
		default:
			fs.unexported = append(fs.unexported, i)
		}
	}
	return fs, nil
}

// structure builds the coder of a struct type. The encoding is a map from the
// names of the fields to their values.
func (b *builder) structure(c *coder) {
	t := c.typ
	fs, err := fieldsOf(t)
	if err != nil {
		c.encode = func(*encoder, reflect.Value) error { return err }
		c.decode = func(*decoder, reflect.Value) error { return err }
		return
	}
	// Do not check fields of size 0: they are always zero, and checking an
	// array such as [1<<40]struct{} would take very long.
	unexported := slices.DeleteFunc(fs.unexported, func(i int) bool { return t.Field(i).Type.Size() == 0 })
	coders := make([]*coder, len(fs.encoded))
	index := make(map[string]int, len(fs.encoded))
	for i, f := range fs.encoded {
		coders[i] = b.coder(t.Field(f.index).Type)
		index[f.name] = i
	}
	c.encode = func(e *encoder, v reflect.Value) error {
		for _, i := range unexported {
			if !v.Field(i).IsZero() {
				return within("."+t.Field(i).Name, fmt.Errorf("the field is unexported and not zero: "+
					"export it, leave it out by the tag cbor:\"-\", or give %s the methods MarshalBinary and UnmarshalBinary", typeText(t)))
			}
		}
		e.head(majorMap, uint64(len(fs.encoded)))
		for i, f := range fs.encoded {
			e.text(f.name)
			if err := e.encode(coders[i], v.Field(f.index)); err != nil {
				return within("."+t.Field(f.index).Name, err)
			}
		}
		return nil
	}
	c.decode = func(d *decoder, v reflect.Value) error {
		n, err := d.length(majorMap, "a map of fields")
		if err != nil {
			return err
		}
		var found [64]bool
		seen := found[:]
		if len(fs.encoded) > len(seen) {
			seen = make([]bool, len(fs.encoded))
		}
		count := 0
		for next := range n {
			name, err := d.raw(majorText, "the name of a field")
			if err != nil {
				return err
			}
			i := next // begin at the next field, because most encodings have the fields in order
			if i >= len(fs.encoded) || fs.encoded[i].name != string(name) {
				var ok bool
				if i, ok = index[string(name)]; !ok {
					return fmt.Errorf("there is no field %q", shortened(name))
				}
			}
			if seen[i] {
				return fmt.Errorf("the field %q comes twice", shortened(name))
			}
			seen[i] = true
			count++
			f := v.Field(fs.encoded[i].index)
			if err := d.decode(coders[i], f); err != nil {
				return within("."+t.Field(fs.encoded[i].index).Name, err)
			}
		}
		if count == len(fs.encoded) || !d.named {
			return nil // programs in other languages may omit fields
		}
		for i, f := range fs.encoded {
			if !seen[i] && !f.optional {
				return fmt.Errorf("the field %q is missing", f.name)
			}
		}
		return nil
	}
}

// shortened returns at most 40 bytes of a name, for an error.
func shortened(name []byte) string {
	if len(name) > 40 {
		return string(name[:40]) + "..."
	}
	return string(name)
}
