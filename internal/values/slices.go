package values

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"unsafe"
)

// minTypedArray is the minimum number of elements of a typed array. Fewer
// numbers are encoded as a plain array, which is shorter if the numbers are
// small.
const minTypedArray = 16

// typedTags are the tags of RFC 8746 for little-endian numbers.
var typedTags = map[reflect.Kind]uint64{
	reflect.Uint16: 69, reflect.Uint32: 70, reflect.Uint64: 71, reflect.Uint: 71,
	reflect.Int8: 72, reflect.Int16: 77, reflect.Int32: 78, reflect.Int64: 79, reflect.Int: 79,
	reflect.Float32: 85, reflect.Float64: 86,
}

var bigEndian = binary.NativeEndian.Uint16([]byte{1, 0}) != 1

// memoryOf returns the memory of n numbers, the first of which is v. v must be
// addressable.
func memoryOf(v reflect.Value, n int) []byte {
	return unsafe.Slice((*byte)(v.Addr().UnsafePointer()), n*int(v.Type().Size()))
}

// elements encodes and decodes the elements of a slice or an array type.
type elements struct {
	elem  *coder
	size  int
	bytes bool   // the elements are encoded as a byte string
	tag   uint64 // the tag of a typed array, or 0
	wide  bool   // the elements are ints or uints of 32 bits, which are encoded with 64 bits
}

func (b *builder) elements(t reflect.Type) *elements {
	el := &elements{elem: b.coder(t.Elem()), size: int(t.Elem().Size())}
	if methodsOf(t.Elem()) == nil {
		kind := t.Elem().Kind()
		el.bytes = kind == reflect.Uint8
		el.tag = typedTags[kind]
		el.wide = strconv.IntSize == 32 && (kind == reflect.Int || kind == reflect.Uint)
	}
	return el
}

// encode appends the elements of a slice or an array.
func (el *elements) encode(e *encoder, v reflect.Value) error {
	n := v.Len()
	switch {
	case el.bytes:
		if n == 0 {
			return e.bytes(majorBytes, nil)
		}
		return e.bytes(majorBytes, memoryOf(v.Index(0), n))
	case el.tag != 0 && n >= minTypedArray && !el.wide:
		e.head(majorTag, el.tag)
		err := e.bytes(majorBytes, memoryOf(v.Index(0), n))
		if bigEndian && err == nil {
			swap(e.b[len(e.b)-n*el.size:], el.size)
		}
		return err
	}
	if err := e.fits(cappedProduct(n, el.elem.minLength)); err != nil {
		return err
	}
	e.head(majorArray, uint64(n))
	for i := range n {
		if err := e.encode(el.elem, v.Index(i)); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// begin reads the head of a slice or an array and returns the number of
// elements. For a byte string or a typed array, the result raw has the bytes
// of all elements.
func (el *elements) begin(d *decoder) (n int, raw []byte, err error) {
	first, size, err := d.head()
	if err != nil {
		return 0, nil, err
	}
	switch major := first >> 5; {
	case major == majorBytes && el.bytes:
		if size > uint64(d.left()) {
			return 0, nil, errEnd
		}
		d.at += int(size)
		return int(size), d.b[d.at-int(size) : d.at], nil
	case major == majorTag && size == el.tag && el.tag != 0 && !el.wide:
		raw, err := d.raw(majorBytes, "the bytes of numbers")
		if err == nil && len(raw)%el.size != 0 {
			err = fmt.Errorf("%d bytes of data are not a multiple of the number size, %d bytes", len(raw), el.size)
		}
		return len(raw) / el.size, raw, err
	case major == majorArray:
		if size > uint64(d.left()) {
			return 0, nil, errEnd
		}
		return int(size), nil, nil
	}
	return 0, nil, fmt.Errorf("an array expected, not %s", itemText(first))
}

// fill decodes the elements into v, whose length is the number of elements.
func (el *elements) fill(d *decoder, v reflect.Value, raw []byte) error {
	n := v.Len()
	if raw != nil {
		if n > 0 {
			to := memoryOf(v.Index(0), n)
			copy(to, raw)
			if bigEndian {
				swap(to, el.size)
			}
		}
		return nil
	}
	for i := range n {
		if err := d.decode(el.elem, v.Index(i)); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// swap reverses the bytes of each number.
func swap(b []byte, size int) {
	for ; len(b) >= size; b = b[size:] {
		for i := range size / 2 {
			b[i], b[size-1-i] = b[size-1-i], b[i]
		}
	}
}

func (b *builder) slice(c *coder) {
	el := b.elements(c.typ)
	c.encode = func(e *encoder, v reflect.Value) error {
		if err := e.memory.spend(v.Len(), el.size); err != nil {
			return err
		}
		return el.encode(e, v)
	}
	c.decode = func(d *decoder, v reflect.Value) error {
		n, raw, err := el.begin(d)
		if err == nil {
			err = d.memory.spend(n, el.size)
		}
		if err != nil {
			return err
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		return el.fill(d, v, raw)
	}
}

func (b *builder) array(c *coder) {
	el := b.elements(c.typ)
	c.encode = el.encode
	c.decode = func(d *decoder, v reflect.Value) error {
		n, raw, err := el.begin(d)
		if err == nil && n != v.Len() {
			err = fmt.Errorf("%d elements do not fit an array of %d", n, v.Len())
		}
		if err != nil {
			return err
		}
		return el.fill(d, v, raw)
	}
}

// sortedMap appends the entries of a map in the order of their encoded keys.
func (e *encoder) sortedMap(key, elem *coder, v reflect.Value) error {
	type entry struct {
		order    []byte
		key, val reflect.Value
	}
	var entries []entry
	for it := v.MapRange(); it.Next(); {
		k := reflect.New(key.typ).Elem() // a coder needs an addressable value
		k.SetIterKey(it)
		one := e.codec.encoder(e.meter.work, nil, e.nested)
		one.depth = e.depth
		if err := one.encode(key, k); err != nil {
			return within(keyStep(k)+" (key)", err)
		}
		entries = append(entries, entry{one.b, k, it.Value()}) // with the value, because MapIndex finds no key that is NaN
	}
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.order, b.order) })
	x := reflect.New(elem.typ).Elem()
	for _, entry := range entries {
		if err := e.encode(key, entry.key); err != nil {
			return within(keyStep(entry.key)+" (key)", err)
		}
		x.Set(entry.val)
		if err := e.encode(elem, x); err != nil {
			return within(keyStep(entry.key), err)
		}
	}
	return nil
}

// mapping builds the coder of a map type.
func (b *builder) mapping(c *coder) {
	key, elem := b.coder(c.typ.Key()), b.coder(c.typ.Elem())
	c.encode = func(e *encoder, v reflect.Value) error {
		if err := e.memory.entries(v.Len(), key.typ, elem.typ); err != nil {
			return err
		}
		e.head(majorMap, uint64(v.Len()))
		if e.meter.work.Sorted {
			return e.sortedMap(key, elem, v)
		}
		k, x := reflect.New(key.typ).Elem(), reflect.New(elem.typ).Elem()
		for it := v.MapRange(); it.Next(); {
			k.SetIterKey(it)
			if err := e.encode(key, k); err != nil {
				return within(keyStep(k)+" (key)", err)
			}
			x.SetIterValue(it)
			if err := e.encode(elem, x); err != nil {
				return within(keyStep(k), err)
			}
		}
		return nil
	}
	c.decode = func(d *decoder, v reflect.Value) error {
		n, err := d.length(majorMap, "a map")
		if err == nil {
			err = d.memory.entries(n, key.typ, elem.typ)
		}
		if err != nil {
			return err
		}
		m := reflect.MakeMapWithSize(v.Type(), n)
		k, x := reflect.New(key.typ).Elem(), reflect.New(elem.typ).Elem()
		for range n {
			k.SetZero()
			x.SetZero()
			if err := d.decode(key, k); err != nil {
				return within("[key]", err)
			}
			if err := d.decode(elem, x); err != nil {
				return within(keyStep(k), err)
			}
			if !hashable(k) {
				return within("[key]", fmt.Errorf("a key of type %s that Go cannot compare", typeText(k.Type())))
			}
			m.SetMapIndex(k, x)
		}
		if m.Len() != n {
			return fmt.Errorf("the map has %d entries, but only %d different keys", n, m.Len())
		}
		v.Set(m)
		return nil
	}
}

// hashable reports whether a value can be the key of a map.
func hashable(k reflect.Value) bool { return k.Comparable() }
