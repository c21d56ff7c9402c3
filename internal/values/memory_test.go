package values

import (
	"errors"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// random creates random types and values. The same seed gives the same types
// and values.
type random struct{ *rand.Rand }

// leaves are the types of which random types are composed.
var leaves = []reflect.Type{
	boolType, intType, floatType, stringType, bytesType, anyType, errorType, timeType, bigIntType, reflect.TypeFor[int8](), reflect.TypeFor[uint16](), reflect.TypeFor[float32](),
	reflect.TypeFor[complex64](), reflect.TypeFor[money](), reflect.TypeFor[secret](), reflect.TypeFor[jsoned](), reflect.TypeFor[celsius](), reflect.TypeFor[*node](), reflect.TypeFor[Outer](),
}

// keys are types of the keys of random maps.
var keys = []reflect.Type{
	intType, stringType, anyType, reflect.TypeFor[celsius](), reflect.TypeFor[money](), reflect.TypeFor[jsoned](), reflect.TypeFor[[40]int](),
	reflect.TypeFor[struct {
		A     string
		cache [4]int
	}](),
}

func (r random) typ(depth int) reflect.Type {
	if depth == 0 {
		return leaves[r.IntN(len(leaves))]
	}
	elem := r.typ(depth - 1 - r.IntN(depth))
	switch r.IntN(7) {
	case 0:
		return reflect.PointerTo(elem)
	case 1, 2:
		return reflect.SliceOf(elem)
	case 3:
		return reflect.ArrayOf(r.IntN(20), elem)
	case 4:
		return reflect.MapOf(keys[r.IntN(len(keys))], elem)
	}
	fields := []reflect.StructField{{Name: "A", Type: elem}, {Name: "B", Type: r.typ(depth - 1)}}
	if r.IntN(2) == 0 {
		fields = append(fields, reflect.StructField{Name: "cache", PkgPath: ownPath, Type: reflect.TypeFor[[64]int]()})
	}
	if r.IntN(2) == 0 {
		fields = append(fields, reflect.StructField{Name: "Skipped", Tag: `cbor:"-"`, Type: reflect.TypeFor[[100]string]()})
	}
	return reflect.StructOf(fields)
}

// fill sets v to a random value.
func (r random) fill(v reflect.Value, depth int) {
	switch v.Type() {
	case timeType:
		t := time.Unix(r.Int64N(1<<40), r.Int64N(1e9)).UTC()
		if r.IntN(2) == 0 {
			t = t.In(time.FixedZone("a zone", 60*r.IntN(100)))
		}
		v.Set(reflect.ValueOf(t))
		return
	case bigIntType:
		v.Set(reflect.ValueOf(big.NewInt(r.Int64())))
		return
	case errorType:
		v.Set(reflect.ValueOf([]error{io.EOF, errors.New("an error")}[r.IntN(2)]))
		return
	case anyType:
		if x := reflect.New(r.typ(r.IntN(min(depth+1, 3)))).Elem(); r.IntN(5) > 0 && x.Kind() != reflect.Interface {
			if _, err := newCodec().nameOf(x.Type()); err == nil {
				r.fill(x, depth-1)
				v.Set(x)
			}
		}
		return
	case reflect.TypeFor[money]():
		v.Set(reflect.ValueOf(money{r.Int64()}))
		return
	case reflect.TypeFor[secret]():
		v.Set(reflect.ValueOf(secret{make([]byte, 1+r.IntN(9))}))
		return
	case reflect.TypeFor[jsoned]():
		v.Set(reflect.ValueOf(jsoned{r.IntN(9)}))
		return
	}
	n := r.IntN(4)
	if r.IntN(8) == 0 {
		n = r.IntN(40)
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8:
		v.SetInt(r.Int64() >> 56)
	case reflect.Uint8, reflect.Uint16:
		v.SetUint(r.Uint64N(256))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(r.IntN(1000)))
	case reflect.Complex64:
		v.SetComplex(complex(float64(n), 1))
	case reflect.String:
		v.SetString(strings.Repeat("x", n*n))
	case reflect.Pointer:
		if depth > 0 && r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			r.fill(v.Elem(), depth-1)
		}
	case reflect.Slice:
		if n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
		}
		for i := range v.Len() {
			r.fill(v.Index(i), depth-1)
		}
	case reflect.Array:
		for i := range v.Len() {
			r.fill(v.Index(i), depth-1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			k, x := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			if r.fill(k, 0); k.Kind() == reflect.Interface {
				k.Set(reflect.ValueOf(r.Int()))
			}
			if r.fill(x, depth-1); k.Comparable() {
				v.SetMapIndex(k, x)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Anonymous {
				v.Field(i).Field(0).SetInt(int64(n))
			} else if f.IsExported() && f.Tag == "" {
				r.fill(v.Field(i), depth-1)
			}
		}
	}
}

// sameMemory encodes and decodes *p. It fails the test unless the value
// arrives unchanged, and the decoder counts the same memory as the encoder.
func sameMemory(t *testing.T, c *Codec, p reflect.Value) {
	t.Helper()
	coder := c.coder(p.Type().Elem())
	e := c.encoder(Work{}, nil, nil)
	if err := e.encode(coder, p.Elem()); err != nil {
		t.Fatalf("%v: %v", p.Type(), err)
	}
	got := reflect.New(p.Type().Elem())
	d := &decoder{codec: c, b: e.b, memory: memory{limit: math.MaxInt}}
	if err := d.decode(coder, got.Elem()); err != nil {
		t.Fatalf("%v: %v", p.Type(), err)
	}
	if e.memory != d.memory {
		t.Errorf("%v: the encoder counts %d bytes, the decoder %d: %#v", p.Type(), e.memory.used, d.memory.used, p.Elem())
	}
	if !reflect.DeepEqual(got.Interface(), p.Interface()) {
		t.Errorf("%#v became %#v", p.Elem(), got.Elem())
	}
	if got, err := trip(c, p); err != nil || !reflect.DeepEqual(got.Interface(), p.Interface()) {
		t.Errorf("%#v became %#v, %v", p.Elem(), got.Elem(), err)
	}
}

func randomValue(seed uint64) reflect.Value {
	r := random{rand.New(rand.NewPCG(seed, 0))}
	p := reflect.New(r.typ(r.IntN(4)))
	r.fill(p.Elem(), 4)
	return p
}

// TestMemory_Random: random values of random types must arrive unchanged.
// Decode must not refuse the encoding of a value that Encode has accepted.
func TestMemory_Random(t *testing.T) {
	c := newCodec()
	for seed := range uint64(3000) {
		if sameMemory(t, c, randomValue(seed)); t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

func FuzzMemory(f *testing.F) {
	c := newCodec()
	f.Fuzz(func(t *testing.T, seed uint64) { sameMemory(t, c, randomValue(seed)) })
}

// TestMemory_Exact: the values of TestExact must arrive unchanged, and Encode
// and Decode must count the same memory for each of them.
func TestMemory_Exact(t *testing.T) {
	c := newCodec()
	for _, v := range exact {
		c.Learn(reflect.TypeOf(v))
		sameMemory(t, c, reflectPtr(reflect.ValueOf(v)))
		sameMemory(t, c, reflect.ValueOf(&[]any{v, map[string]any{"": v}}))
	}
}

// In values of these types, most of the memory is not encoded.
type (
	cached struct {
		N     int
		cache [64]int
	}
	skipping struct {
		N    int
		Rows [32]string `json:"-"`
	}
	huge struct {
		N     int
		cache [1 << 17]int
	}
)

// TestMemory_MostlyZero: a value must arrive unchanged even if it needs much
// more memory than its encoding.
func TestMemory_MostlyZero(t *testing.T) {
	pointers, entries, nested := make([]*cached, 10_000), make(map[int]cached), make([]map[string]int, 20_000)
	for i := range pointers {
		pointers[i], entries[i] = &cached{N: i}, cached{i, [64]int{}}
	}
	for i := range nested {
		nested[i] = map[string]int{"": i}
	}
	c := newCodec()
	c.Learn(reflect.TypeFor[[]cached]())
	for name, v := range map[string]any{
		"slice": make([]cached, 10_000), "skipped field": make([]skipping, 10_000), "array": [10_000]cached{}, "pointer to an array": &[10_000]cached{{N: 1}}, "slice of arrays": make([][100]cached, 100),
		"empty": make([][0]int, 1<<20), "pointers": pointers, "map": entries, "small maps": nested, "any": any(make([]cached, 10_000)), "pointer": &huge{1, [1 << 17]int{}}, "huge": make([]huge, 5), "no fields": make([]struct{ _ [64]int }, 10_000),
		"texts": make([]string, 1<<17), "nil slices": make([][]int, 1<<17),
	} {
		t.Run(name, func(t *testing.T) { sameMemory(t, c, reflectPtr(reflect.ValueOf(v))) })
	}
}

// TestMemory_Padding: Decode must fail if an encoding has less padding than
// Encode has appended, or if bytes after the value are not zero. Decode must
// accept more padding.
func TestMemory_Padding(t *testing.T) {
	c, in := newCodec(), make([]cached, 10_000)
	b, err := c.Encode([]byte("prefix"), reflect.ValueOf(&in), nil)
	if err != nil {
		t.Fatal(err)
	}
	b = b[len("prefix"):]
	for _, x := range []struct {
		what string
		b    []byte
		want string
	}{
		{"as encoded", b, ""},
		{"more padding", append(b[:len(b):len(b)], 0, 0), ""},
		{"less padding", b[:len(b)-1], "bytes of memory"},
		{"other bytes", append(b[:len(b):len(b)], 0, 1), "1 extra bytes"},
	} {
		var got []cached
		err := c.Decode(x.b, reflect.ValueOf(&got))
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: %v; want %q", x.what, err, x.want)
		}
	}
	small, err := c.Encode(nil, reflect.ValueOf(&[]int{1, 2}), nil)
	if err != nil || len(small) != 3 {
		t.Errorf("a slice of 2 has %d bytes, %v", len(small), err)
	}
	c.maxBytes = len(b) - 1
	if _, err := c.Encode(nil, reflect.ValueOf(&in), nil); err == nil || !strings.Contains(err.Error(), "bytes of memory that a copy needs") {
		t.Errorf("one byte too many: %v", err)
	}
}

// TestMemory_Rules: for each kind of value, the encoder must count exactly this
// memory.
func TestMemory_Rules(t *testing.T) {
	type two struct{ A, B int }
	for _, x := range []struct {
		v    any
		want int
	}{
		{1, 0}, {"text", 4}, {[]byte{1, 2}, 2}, {[]string{"a", "bc"}, 2*16 + 3}, {[2]string{"a"}, 1}, {&two{}, 16}, {[]*two{nil, {}}, 2*8 + 16}, {[]any{nil, 1, "abc", two{}}, 4*16 + 8 + (16 + 3) + 16},
		{map[int8]bool(nil), 0}, {map[int8]bool{}, 48}, {map[int8]bool{1: true}, 48 + 8*(1+1+1)}, {map[string]two{"abc": {}}, 48 + 8*(1+16+16) + 3}, {map[int8][129]bool{1: {}, 2: {}}, 48 + 8*(1+1+8) + 2*129},
		{secret{make([]byte, 5)}, 5}, {money{123}, 3}, {jsoned{12}, 2}, {[]error{io.EOF, errors.New("abc")}, 2*16 + 2*3},
		{time.Unix(0, 0).UTC(), 0}, {time.Unix(0, 0).In(time.FixedZone("ABC", 1)), 160 + 6}, {[]any{time.Unix(0, 0).UTC()}, 16 + 24},
	} {
		c := newCodec()
		c.Learn(reflect.TypeFor[two]())
		e := c.encoder(Work{}, nil, nil)
		if err := e.encode(c.coder(reflect.TypeOf(x.v)), reflectPtr(reflect.ValueOf(x.v)).Elem()); err != nil || e.memory.used != x.want {
			t.Errorf("%T %v: %d bytes, %v; want %d", x.v, x.v, e.memory.used, err, x.want)
		}
	}
}

// TestMemory_Counted: a decoded value must not need more than 1.5 times the
// memory that the decoder counts for it.
func TestMemory_Counted(t *testing.T) {
	for name, v := range map[string]any{
		"maps": map[string]int{"a": 1}, "large keys": map[[40]int]int{{}: 1}, "large elements": map[string]cached{"a": {}}, "entries": func() any {
			m := make(map[int]int)
			for i := range 900 {
				m[i] = i
			}
			return m
		}(), "zones": time.Unix(0, 0).In(time.FixedZone("XYZ", 60)), "pointers": &cached{}, "slices": make([]int16, 100), "texts": strings.Repeat("x", 100),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCodec()
			one, err := c.Encode(nil, reflectPtr(reflect.ValueOf(v)), nil)
			if err != nil {
				t.Fatal(err)
			}
			const n = 1000
			typ, counted := reflect.TypeOf(v), 0
			all := reflect.MakeSlice(reflect.SliceOf(typ), n, n)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range n {
				d := &decoder{codec: c, b: one, memory: memory{limit: math.MaxInt}}
				if err := d.decode(c.coder(typ), all.Index(i)); err != nil {
					t.Fatal(err)
				}
				counted = d.memory.used
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(all)
			if has := int(after.HeapAlloc-before.HeapAlloc) / n; has > counted*3/2 {
				t.Errorf("a value has %d bytes of memory, and the decoder counts %d", has, counted)
			}
		})
	}
}
