package values

import (
	"bytes"
	"container/list"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// newCodec returns a Codec whose errors are sent as text.
func newCodec() *Codec {
	return New(Errors{
		Encode: func(err error, _ any) []byte { return []byte(err.Error()) },
		Decode: func(b []byte) error { return errors.New(string(b)) },
		Name:   func(err error) (string, bool) { return "io.EOF", err == io.EOF },
		Named:  func(name string) (error, bool) { return io.EOF, name == "io.EOF" },
	}, Handles{
		Elem:   func(reflect.Type) (reflect.Type, bool) { return nil, false },
		Encode: func(Work, any) ([]byte, bool, error) { return nil, false, nil },
		Decode: func(Work, any, []byte) (bool, error) { return false, nil },
	})
}

type (
	celsius float64
	names   []string
	money   struct{ cents int64 } // text methods
	secret  struct{ b []byte }    // binary methods
	gobbed  struct{ n int }       // gob methods
	jsoned  struct{ n int }       // JSON methods
	base    struct{ ID int }      // to embed
	Outer   struct {
		base
		Name string
	}
	wrapped struct {
		time.Time
		N int
	} // methods by embedding only
	generic[T any] struct{ V T }
	node           struct {
		Next *node
		V    int
	}
	half  struct{ A int } // one binary method
	level int             // text methods, which are not used: the contents can be encoded
)

func (m money) MarshalText() ([]byte, error)  { return fmt.Append(nil, m.cents), nil }
func (m *money) UnmarshalText(b []byte) error { _, err := fmt.Sscan(string(b), &m.cents); return err }

func (s secret) MarshalBinary() ([]byte, error)  { return s.b, nil }
func (s *secret) UnmarshalBinary(b []byte) error { s.b = append([]byte(nil), b...); return nil }
func (g gobbed) GobEncode() ([]byte, error)      { return []byte{byte(g.n)}, nil }
func (g *gobbed) GobDecode(b []byte) error       { g.n = int(b[0]); return nil }
func (j jsoned) MarshalJSON() ([]byte, error)    { return json.Marshal(j.n) }
func (j *jsoned) UnmarshalJSON(b []byte) error   { return json.Unmarshal(b, &j.n) }
func (level) MarshalText() ([]byte, error)       { return []byte("high"), nil }
func (l *level) UnmarshalText(b []byte) error    { *l = 1; return nil }

func (half) MarshalBinary() ([]byte, error) { return nil, nil }

// exact are values that must arrive unchanged.
var exact = []any{
	true, 7, -7, int8(-128), int16(-32768), int32(math.MinInt32), int64(math.MinInt64), uint(7), uint8(255), uint16(65535), uint32(math.MaxUint32),
	uint64(math.MaxUint64), uintptr(9), float32(1.5), 1e300, math.Inf(-1), math.Copysign(0, -1), complex64(1 + 2i), complex(1, -0.5), "", "text", "not \xff UTF-8",
	[]int{23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, -24, -25, -256, -257, -65536, -65537}, [2]uint64{math.MaxUint32, 1 << 32}, strings.Repeat("x", 65536), make([]string, 256),
	celsius(1.5), names{"a", ""}, names(nil), names{}, level(3), time.Second, time.March,
	[]byte{1, 0}, []byte(nil), []byte{}, [3]byte{1, 2, 3}, [0]int{}, [2]string{"a", "b"}, []bool{true, false}, []int{1, -2}, make([]int, 100), make([]uint, 16), make([]float32, 17),
	[]celsius{1, 2.5}, make([]celsius, 40), [][]float64{{1}, nil, {}}, [20]int16{19: -1}, []complex128{1i}, []*int{nil, new(1)}, []any{nil, 1, "a", []byte{1}, []any{}, map[string]any{"k": 1.5}},
	map[string]int{"a": 1}, map[string]int(nil), map[string]int{}, map[int][]string{1: nil, 2: {}}, map[[2]int]bool{{1, 2}: true}, map[money]int{{1}: 1, {2}: 2}, map[any]int{1: 1, "a": 2, int8(3): 3},
	map[float64]string{-0.5: "x"}, map[bool]int{true: 1}, map[struct{ A, B int }]string{{1, 2}: "x"}, map[time.Duration]int{time.Second: 1}, map[netip.Addr]int{netip.MustParseAddr("::1"): 1},
	struct{}{}, struct{ A *int }{}, struct{ A **int }{new((*int)(nil))}, struct{ A *[]int }{new([]int(nil))}, struct{ A *any }{new(any)}, struct{ A *map[string]int }{new(map[string]int)},
	new(new(new(1))), Outer{base{1}, "n"}, generic[celsius]{2}, generic[any]{celsius(2)}, generic[generic[*int]]{}, &node{&node{nil, 2}, 1},
	money{999}, secret{[]byte{1}}, gobbed{7}, jsoned{8}, []money{{1}, {2}}, new(money{3}), (*money)(nil), generic[*secret]{&secret{}}, map[string]money{"a": {1}},
	struct {
		A int `json:"-"`
		B int `json:"b,omitempty"`
	}{B: 0},
	big.NewInt(-1), big.NewRat(1, 3), big.NewFloat(1.5), *big.NewInt(1).Lsh(big.NewInt(1), 200), (*big.Int)(nil),
	net.IPv4(1, 2, 3, 4), net.IP{1, 2, 3, 4}, net.IP(nil), net.HardwareAddr{1, 2}, netip.MustParseAddrPort("1.2.3.4:5"), netip.MustParsePrefix("10.0.0.0/8"), netip.Addr{}, netip.MustParseAddr("fe80::1%eth0"),
	url.Values{"a": {"b"}}, must(url.Parse("https://u:p@h/p?q#f")), json.RawMessage(`{"a":1}`), json.Number("1.50"),
	time.Time{}, &time.Time{}, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(60000, 1, 1, 0, 0, 0, 0, time.UTC),
	sync.Mutex{}, struct{ M sync.Mutex }{}, atomic.Int64{}, bytes.Buffer{},
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// trip encodes and decodes the value that p points to, and returns a pointer to
// the result.
func trip(c *Codec, p reflect.Value) (reflect.Value, error) {
	b, err := c.Encode(nil, p, nil)
	if err != nil {
		return p, err
	}
	to := reflect.New(p.Type().Elem())
	return to, c.Decode(b, to)
}

// TestExact: each value must arrive unchanged: alone, by pointer, and in
// slices, arrays, maps, fields and interfaces.
func TestExact(t *testing.T) {
	c := newCodec()
	for _, v := range exact {
		x := reflect.ValueOf(v)
		c.Learn(x.Type())
		field := reflect.StructOf([]reflect.StructField{{Name: "F", Type: x.Type()}, {Name: "Last", Type: stringType}})
		slice := reflect.Append(reflect.MakeSlice(reflect.SliceOf(x.Type()), 0, 1), x, reflect.Zero(x.Type()))
		array := reflect.New(reflect.ArrayOf(2, x.Type())).Elem()
		array.Index(1).Set(x)
		m := reflect.MakeMap(reflect.MapOf(stringType, x.Type()))
		m.SetMapIndex(reflect.ValueOf("k"), x)
		p := reflect.New(x.Type())
		p.Elem().Set(x)
		st := reflect.New(field).Elem()
		st.Field(0).Set(x)
		st.Field(1).SetString("end")
		pp := reflect.New(p.Type())
		pp.Elem().Set(p)
		holder := reflect.New(anyType)
		holder.Elem().Set(x)
		held := reflect.ValueOf(&[]any{v, map[string]any{"k": v}, []any{v}})
		for name, way := range map[string]reflect.Value{"alone": p, "pointer": pp, "slice": reflectPtr(slice), "array": array.Addr(), "map": reflectPtr(m), "field": st.Addr(), "any": holder, "within any": held} {
			got, err := trip(c, way)
			if err != nil || !reflect.DeepEqual(got.Interface(), way.Interface()) {
				t.Errorf("%T %#v, %s: %v, %#v", v, v, name, err, got.Elem())
			}
		}
		if err := c.Check(x.Type()); err != nil {
			t.Errorf("Check(%T) = %v", v, err)
		}
	}
}

func reflectPtr(v reflect.Value) reflect.Value {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}

// TestExact_NaN: NaNs must keep all their bits.
func TestExact_NaN(t *testing.T) {
	type nans struct {
		F32  float32
		F64  float64
		C    complex64
		Keys map[float64]int
		Any  any
		Row  []float32
	}
	odd32, odd64 := math.Float32frombits(0x7fa00001), math.Float64frombits(0x7ff0000000000123)
	in := nans{odd32, odd64, complex(odd32, 1), map[float64]int{math.NaN(): 1, math.Float64frombits(0x7ff8000000000002): 2}, odd64, []float32{odd32}}
	got, err := trip(newCodec(), reflect.ValueOf(&in))
	if err != nil {
		t.Fatal(err)
	}
	out := got.Elem().Interface().(nans)
	if math.Float32bits(out.F32) != 0x7fa00001 || math.Float64bits(out.F64) != 0x7ff0000000000123 || math.Float32bits(real(out.C)) != math.Float32bits(real(in.C)) ||
		len(out.Keys) != 2 || math.Float64bits(out.Any.(float64)) != 0x7ff0000000000123 || math.Float32bits(out.Row[0]) != 0x7fa00001 {
		t.Errorf("got %#v", out)
	}
}

func TestExact_Times(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []time.Time{
		time.Date(2026, 7, 1, 9, 0, 0, 1, berlin), time.Date(2026, 1, 1, 9, 0, 0, 1, berlin), time.Now(), time.Now().Round(0), time.Now().UTC(),
		time.Date(2026, 1, 2, 9, 0, 0, 0, time.FixedZone("", 7200)), time.Date(2026, 1, 2, 9, 0, 0, 0, time.FixedZone("XYZ", -60)), time.Unix(0, 0),
		time.Date(2026, 1, 2, 9, 0, 0, 0, time.FixedZone("Europe/Berlin", 1)), time.Date(1, 1, 1, 0, 0, 0, 0, berlin),
	} {
		type event struct{ At any }
		got, err := trip(newCodec(), reflect.ValueOf(&event{in}))
		if err != nil {
			t.Fatal(err)
		}
		out := got.Elem().Interface().(event).At.(time.Time)
		name, offset := in.Zone()
		gotName, gotOffset := out.Zone()
		if !out.Equal(in) || name != gotName || offset != gotOffset || out.Location().String() != in.Location().String() || out.String() != in.Round(0).String() {
			t.Errorf("%v in %v became %v in %v", in, in.Location(), out, out.Location())
		}
	}
}

// TestTimes_LocationNames: if Decode reads more than maxLocations names of
// locations, the cache must not keep all of them.
func TestTimes_LocationNames(t *testing.T) {
	for i := range maxLocations + 10 {
		if location(fmt.Sprint("No/Such_", i)) != nil {
			t.Fatal("location returns a location that does not exist")
		}
	}
	if n := len(locations.byName); n > maxLocations {
		t.Errorf("the cache has %d names, at most %d are allowed", n, maxLocations)
	}
}

// TestStructs_Fields: a struct with many fields must arrive unchanged. A blank
// field must not be encoded, and Decode must accept that an optional field is
// missing.
func TestStructs_Fields(t *testing.T) {
	c := newCodec()
	var many []reflect.StructField
	for i := range 100 {
		many = append(many, reflect.StructField{Name: fmt.Sprint("F", i), Type: intType})
	}
	p := reflect.New(reflect.StructOf(many))
	for i := range 100 {
		p.Elem().Field(i).SetInt(int64(i))
	}
	if got, err := trip(c, p); err != nil || !reflect.DeepEqual(got.Interface(), p.Interface()) {
		t.Errorf("100 fields: %v", err)
	}
	type blank struct {
		_ int
		A int
	}
	twins := [2]int{7, 1}
	if b, err := c.Encode(nil, reflect.ValueOf((*blank)(unsafe.Pointer(&twins))), nil); err != nil || string(b) != "\xa1\x61A\x01" {
		t.Errorf("a blank field that is not zero: %x, %v", b, err)
	}
	c.Learn(reflect.TypeFor[optional]())
	name := ownPath + ".optional"
	b := append([]byte{0xd8, 27, 0x82, 0x78, byte(len(name))}, name...)
	var got any
	if err := c.Decode(append(b, 0xa1, 0x61, 'A', 1), reflect.ValueOf(&got)); err != nil || got != (optional{A: 1}) {
		t.Errorf("without an optional field: %v, %v", got, err)
	}
}

type optional struct {
	A int
	B int `json:",omitempty"`
}

// TestEncode_Refused: if a part of a value cannot be encoded, the error must
// contain the path to this part.
func TestEncode_Refused(t *testing.T) {
	type unregistered struct{ A int }
	full := list.New()
	full.PushBack(1)
	n := atomic.Int64{}
	n.Store(7)
	loop := map[string]any{}
	loop["self"] = []any{loop}
	ring := &node{V: 1}
	ring.Next = &node{V: 2, Next: ring}
	slice := []any{1, nil}
	slice[1] = slice
	circle := &errCircle{}
	circle.Next = circle
	deep := &node{}
	for range MaxDepth {
		deep = &node{Next: deep}
	}
	var locked struct{ M sync.Mutex }
	locked.M.Lock()
	for _, c := range []struct {
		v    any
		want string
	}{
		{full, "(*list.List).root"},
		{&n, "(*atomic.Int64).v"},
		{half{}, "has the method MarshalBinary, but no method that decodes its result: add UnmarshalBinary"},
		{bytes.NewBufferString("x"), "(*bytes.Buffer).buf"},
		{&locked, ".M."},
		{struct{ Zone *time.Location }{time.Local}, ".Zone: a time.Location cannot be copied"},
		{time.FixedZone("", 0), "a time.Location cannot be copied"},
		{struct{ A []any }{[]any{1, func() {}}}, ".A[1]: func(): functions"},
		{map[string]any{"k": make(chan int)}, `["k"]: chan int: channels`},
		{[]any{unregistered{1}}, `[0]: the type values.unregistered is in an interface and has no name`},
		{struct{ R io.Reader }{strings.NewReader("x")}, ".R: "},
		{struct{ wrapped }{wrapped{time.Now(), 1}}, ""},
		{struct {
			secret
			N int
		}{secret{[]byte{1}}, 1}, ".secret: the field is unexported and not zero"},
		{loop, `["self"][0]: the value contains itself`},
		{ring, `(*values.node).Next.Next: the value contains itself`},
		{slice, `[]interface {}[1]: the value contains itself`},
		{struct{ E error }{circle}, `the value contains itself`},
		{deep, "nested more than"},
		{map[string]any{"a": []any{map[string]any{"b": complex(1, 1), "c": struct{ m map[string]int }{map[string]int{}}}}}, ""},
	} {
		codec := newCodec()
		codec.Learn(reflect.TypeFor[node]())
		codec.Learn(reflect.TypeFor[errCircle]())
		_, err := codec.Encode(nil, reflectPtr(reflect.ValueOf(c.v)), nil)
		if c.want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 {
			t.Errorf("%T: %v; want an error with %q", c.v, err, c.want)
		}
	}
}

// TestCheck: if no value of a type can be encoded, Check must return an error
// with the path.
func TestCheck(t *testing.T) {
	type twoNames struct {
		A int `json:"x"`
		X int `cbor:"x"`
	}
	for _, c := range []struct {
		typ  reflect.Type
		want string
	}{
		{reflect.TypeFor[func() int](), "func() int: functions"},
		{reflect.TypeFor[struct {
			A map[string][]*struct{ C chan int }
		}](), ".A[...][...].C: chan int"},
		{reflect.TypeFor[map[twoNames]int](), `A and X are both named "x"`},
	} {
		if err := newCodec().Check(c.typ); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check(%v) = %v; want %q", c.typ, err, c.want)
		}
	}
}

// TestExact_PromotedMethods: if a struct has methods only because it embeds a
// time.Time, all its fields must arrive unchanged.
func TestExact_PromotedMethods(t *testing.T) {
	in := wrapped{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 7}
	got, err := trip(newCodec(), reflect.ValueOf(&in))
	if err != nil || got.Elem().Interface() != in {
		t.Errorf("%v became %v, %v", in, got.Elem(), err)
	}
}

func TestExact_ErrorsInFields(t *testing.T) {
	type failure struct {
		Op  string
		Err error
	}
	got, err := trip(newCodec(), reflect.ValueOf(&[]failure{{"a", io.EOF}, {"b", errors.New("plain")}, {"c", nil}}))
	if err != nil {
		t.Fatal(err)
	}
	out := got.Elem().Interface().([]failure)
	if out[0].Err != io.EOF || out[1].Err.Error() != "plain" || out[2].Err != nil {
		t.Errorf("got %v", out)
	}
}

// TestDecode_MemoryBudget: if the value in 1 MiB of bytes would need 1 GiB of
// memory, Decode must fail.
func TestDecode_MemoryBudget(t *testing.T) {
	type large struct {
		_ [1 << 10]byte
	}
	b := append([]byte{0x9a, 0, 0x10, 0, 0}, bytes.Repeat([]byte{0xa0}, 1<<20)...) // an array of a million empty maps
	var got []large
	if err := newCodec().Decode(b, reflect.ValueOf(&got)); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("1 MiB became %d structs of 1 KiB, error %v", len(got), err)
	}
}

// TestHoldsMethods: HoldsMethods must report user code in a value, even in
// errors that an error of the standard library wraps.
func TestHoldsMethods(t *testing.T) {
	type field struct{ E error }
	for _, c := range []struct {
		v    any
		want bool
	}{
		{field{io.EOF}, false}, {field{nil}, false}, {field{errors.New("x")}, false}, {field{fmt.Errorf("x: %w", errOwn{})}, true},
		{field{errors.Join(errOwn{})}, true}, {field{errOwn{}}, true}, {[]any{1, "a", []any{2.5}}, false}, {[]any{money{1}}, true},
		{map[string]any{"k": &money{1}}, true}, {make([]any, 100), true},
	} {
		if got := newCodec().HoldsMethods(reflectPtr(reflect.ValueOf(c.v))); got != c.want {
			t.Errorf("HoldsMethods(%#v) = %v", c.v, got)
		}
	}
}

// errCircle is an error that can contain itself.
type errCircle struct{ Next *errCircle }

func (*errCircle) Error() string { return "circle" }

type errOwn struct{}

func (errOwn) Error() string { return "own" }

// TestConcurrentTypes: if several goroutines build coders of types that contain
// each other, all values must arrive unchanged.
func TestConcurrentTypes(t *testing.T) {
	type b struct{ A any }
	type a struct {
		B  *b
		As []a
		M  map[string]*a
	}
	for range 50 {
		c := newCodec()
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				in := a{B: &b{1}, As: []a{{}}, M: map[string]*a{"k": {}}}
				if got, err := trip(c, reflect.ValueOf(&in)); err != nil || !reflect.DeepEqual(got.Elem().Interface(), in) {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		}
		group.Wait()
	}
}

func FuzzDecode(f *testing.F) {
	c := newCodec()
	type all struct {
		A any
		B []int
		C map[string]*[]string
		D time.Time
		E error
		F [3]float32
		G *big.Int
		H money
	}
	for _, v := range exact {
		b, err := c.Encode(nil, reflectPtr(reflect.ValueOf(&v).Elem()), nil)
		if err != nil {
			continue
		}
		f.Add(b)
	}
	b, err := c.Encode(nil, reflect.ValueOf(&all{A: []any{time.Now(), io.EOF, errors.New("x"), [2]int{}, map[int]string{1: "a"}}, B: make([]int, 20), C: map[string]*[]string{"a": {}}}), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, typ := range []reflect.Type{anyType, reflect.TypeFor[all](), errorType, reflect.TypeFor[map[any]any]()} {
			p := reflect.New(typ)
			if c.Decode(b, p) != nil {
				continue
			}
			again, err := c.Encode(nil, p, nil)
			if err != nil {
				t.Fatalf("%x decodes to %#v, but Encode of this value fails: %v", b, p.Elem(), err)
			}
			q := reflect.New(typ)
			if err := c.Decode(again, q); err != nil {
				t.Fatalf("%x decodes to %#v, whose encoding is %x, but Decode of this encoding fails: %v", b, p.Elem(), again, err)
			}
		}
	})
}

// TestCheckContents: CheckContents must refuse a type of structs of which
// nothing would be copied. It must also refuse the types that Check refuses,
// and no other types.
func TestCheckContents(t *testing.T) {
	type mixed struct {
		Exported int
		hidden   int
	}
	type hidden struct{ hidden int }
	c := newCodec()
	for _, x := range []struct {
		typ  reflect.Type
		want string
	}{
		{reflect.TypeOf(mixed{hidden: 1}), ""}, {reflect.TypeFor[*mixed](), ""}, {reflect.TypeFor[struct{}](), ""}, {reflect.TypeFor[int](), ""},
		{reflect.TypeFor[time.Time](), ""}, {reflect.TypeFor[*url.Userinfo](), ""}, {reflect.TypeFor[netip.Addr](), ""},
		{reflect.TypeFor[hidden](), "values.hidden: it has no exported field"}, {reflect.TypeFor[**hidden](), "values.hidden: it has no exported field"},
		{reflect.TypeFor[chan int](), "channels"},
	} {
		if err := c.CheckContents(x.typ); (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v: %v; want %q", x.typ, err, x.want)
		}
	}
}

// TestPathError_Long: if a path is long, Error must print its beginning and its
// end, and between them the number of steps that it omits.
func TestPathError_Long(t *testing.T) {
	for n, want := range map[int]string{
		3:  "[2][1][0]: x",
		17: "[16][15][14][13][12][11][10][9][8][7][6][5][4][3][2][1][0]: x",
		18: "[17][16][15][14][13][12][11][10] ...1 more... [8][7][6][5][4][3][2][1][0]: x",
		30: "[29][28][27][26][25][24][23][22] ...13 more... [8][7][6][5][4][3][2][1][0]: x",
	} {
		err := errors.New("x")
		for i := range n {
			err = within(fmt.Sprintf("[%d]", i), err)
		}
		if err.Error() != want {
			t.Errorf("%d steps: %q, want %q", n, err, want)
		}
	}
}

// TestTypeText: typeText must shorten long types, and keyStep long keys.
func TestTypeText(t *testing.T) {
	long := reflect.StructOf([]reflect.StructField{{Name: "A" + strings.Repeat("x", 200), Type: reflect.TypeFor[int]()}})
	for want, typ := range map[string]reflect.Type{"nil": nil, "[]int": reflect.TypeFor[[]int](), "struct type": long, "map type": reflect.MapOf(reflect.TypeFor[int](), long)} {
		if got := typeText(typ); got != want {
			t.Errorf("typeText(%v) = %q, want %q", typ, got, want)
		}
	}
	if got, want := keyStep(reflect.ValueOf(strings.Repeat("k", 41))), fmt.Sprintf("[%q]", strings.Repeat("k", 40)+"..."); got != want {
		t.Errorf("the step of a long key is %s, want %s", got, want)
	}
}

// TestDescribe: Describe must return these descriptions. They contain
// everything that the encoding of a type depends on, and nothing else.
func TestDescribe(t *testing.T) {
	type tree struct {
		Kids  [2]*tree
		Other struct{ Up *tree }
		Map   map[string][]tree
	}
	type named uint16
	c := newCodec()
	for want, typ := range map[string]reflect.Type{
		"{Kids [2]*^3;Other {Up *^3;};Map [string][]^3;}": reflect.TypeFor[tree](),
		"[3][2]int64":       reflect.TypeFor[[3][2]int](),
		"[uint16]interface": reflect.TypeFor[map[named]any](),
		"{b *uint64;}": reflect.TypeFor[struct {
			A *uint `json:"b"`
		}](),
		"net/netip.Addr by MarshalBinary":              reflect.TypeFor[netip.Addr](),
		"[]" + ownPath + ".celsiusText by MarshalText": reflect.TypeFor[[]celsiusText](),
	} {
		if got := c.Describe(typ); got != want {
			t.Errorf("%v: %q, want %q", typ, got, want)
		}
	}
}

// ownPath is the path of this package, in the names of its types.
var ownPath = reflect.TypeFor[celsiusText]().PkgPath()

// celsiusText has a field that only methods can encode.
type celsiusText struct{ degrees string }

func (c celsiusText) MarshalText() ([]byte, error)  { return []byte(c.degrees), nil }
func (c *celsiusText) UnmarshalText(b []byte) error { c.degrees = string(b); return nil }

// TestWork_Sorted: if Work.Sorted is set, equal maps must have equal
// encodings, and Decode must decode them to the same map.
func TestWork_Sorted(t *testing.T) {
	type deep struct {
		M map[any]map[string]int
		F map[float64]string
	}
	v := deep{M: map[any]map[string]int{}, F: map[float64]string{}}
	for i := range 40 {
		v.M[i], v.M[fmt.Sprint(i)] = map[string]int{"a": 1, "b": 2, "c": i, "d": 4}, nil
		v.F[float64(i)/3] = fmt.Sprint(i)
	}
	c := newCodec()
	first, err := c.EncodeWithin(Work{Sorted: true}, nil, reflect.ValueOf(&v), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		var got deep
		if err := c.Decode(first, reflect.ValueOf(&got)); err != nil || !reflect.DeepEqual(got, v) {
			t.Fatalf("%v, %v", got, err)
		}
		if b, err := c.EncodeWithin(Work{Sorted: true}, nil, reflect.ValueOf(&got), nil); err != nil || string(b) != string(first) {
			t.Fatalf("%x, %v; want %x", b, err, first)
		}
	}
	nan := map[float64]int{math.NaN(): 1, 1: 2}
	b, err := c.EncodeWithin(Work{Sorted: true}, nil, reflect.ValueOf(&nan), nil)
	var got map[float64]int
	if err == nil {
		err = c.Decode(b, reflect.ValueOf(&got))
	}
	if err != nil || len(got) != 2 || got[1] != 2 {
		t.Errorf("%v, %v", got, err)
	}
}
