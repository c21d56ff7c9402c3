package python

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"concert/executor"
)

type promoted struct{ Deep int16 }

type flatSample struct {
	A     int
	B     int8 `json:"b"`
	C     int16
	D     int32
	E     int64
	F     uint
	G     uint8
	H     uint16
	I     uint32
	J     uint64
	K     float32
	L     float64 `json:"a long name"`
	M     bool
	N     string
	O     []byte
	named string
	promoted
	P degrees
}

type degrees float64

// reflected returns the fields of a struct, but without flat functions.
func reflected(t reflect.Type) *fields {
	fs := *fieldsOf(t)
	fs.flat = nil
	return &fs
}

// randomSample returns a struct with small and large values in its fields.
func randomSample() flatSample {
	ints := []int64{0, 1, -1, 127, -128, 1 << 15, -(1 << 31), 1<<31 - 1, 1 << 31, 1<<45 + 7, -(1 << 45), 1<<62 + 3, math.MaxInt64, math.MinInt64 + 1, math.MinInt64}
	floats := []float64{0, math.Copysign(0, -1), 0.5, -1e300, math.Inf(1), math.MaxFloat32}
	texts := []string{"", "a", "\u00e9", "\xff", "a\xed\xb3\xa9", "\xe2\x82", strings.Repeat("x", 300)}
	n := func() int64 { return ints[rand.IntN(len(ints))] }
	f := func() float64 { return floats[rand.IntN(len(floats))] }
	text := func() string { return texts[rand.IntN(len(texts))] }
	s := flatSample{
		int(n()), int8(n()), int16(n()), int32(n()), n(), uint(n()), uint8(n()), uint16(n()), uint32(n()), uint64(n()),
		float32(f()), f(), rand.IntN(2) == 0, text(), []byte(text()), "", promoted{int16(n())}, degrees(f()),
	}
	if rand.IntN(4) == 0 {
		s.O = nil
	}
	return s
}

// TestFlat_SameEncoding: the flat functions must encode a struct in the same
// way as reflection. If the encoding is decoded, the result must be the same
// struct.
func TestFlat_SameEncoding(t *testing.T) {
	typ := reflect.TypeFor[flatSample]()
	flat := codec{}.Flat(typ)
	if flat == nil {
		t.Fatal("the struct is not flat")
	}
	for range 2000 {
		s := randomSample()
		slow := encoder{sharedFrom: sharedFrom, most: maxEncoded}
		if err := fieldsEncoder(typ, reflected(typ))(&slow, reflect.ValueOf(s)); err != nil {
			t.Fatal(err)
		}
		b, ok := flat.Append([]byte("before"), &s)
		if !ok || string(b) != "before"+string(slow.buf) {
			t.Fatalf("%+v is encoded as %q, %v; want %q", s, b, ok, slow.buf)
		}
		whole, err := codec{}.Encode(s)
		if err != nil || !bytes.Equal(whole, slow.buf) {
			t.Fatalf("%+v is encoded by Encode as %q, %v; want %q", s, whole, err, slow.buf)
		}
		if err := (codec{}).Decode(executor.Encoded{Kind: foreignKind, Bytes: whole}, new(flatSample)); err != nil {
			t.Fatal(err)
		}
		got, want := new(flatSample), new(flatSample)
		ok = flat.Decode(whole, got)
		if err := decodeByReflection(whole, want); err != nil || ok && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is decoded to %+v, and by reflection to %+v, %v", whole, got, want, err)
		}
		if !reflect.DeepEqual(*want, s) {
			t.Fatalf("%q is decoded to %+v, want %+v", whole, *want, s)
		}
		plain := s.J <= math.MaxInt64 && s.F <= math.MaxInt64 && s.A != math.MinInt64 && s.E != math.MinInt64 && strings.ToValidUTF8(s.N, "") == s.N
		if ok != plain {
			t.Errorf("Decode(%q) = %v, want %v", whole, ok, plain)
		}
	}
}

// foreignKind is the kind of an executor.Encoded that a codec has encoded.
const foreignKind = 17

// decodeByReflection decodes a dict without flat functions.
func decodeByReflection(b []byte, to any) error {
	d := decoder{rest: b[1:]}
	v := reflect.ValueOf(to).Elem()
	if err := d.decodeFields(reflected(v.Type()), v); err != nil {
		return err
	}
	if len(d.rest) > 0 {
		return d.bad("%d bytes follow the value", len(d.rest))
	}
	return nil
}

// TestFlat_NotFlat: a type must not be flat if its encoding needs reflection
// or methods.
func TestFlat_NotFlat(t *testing.T) {
	type pair struct{ A, B int }
	for _, v := range []any{
		1, 0.5, []byte{}, []int{}, map[string]int{}, &pair{}, struct{}{}, struct{ a int }{},
		struct {
			A int `json:",omitempty"`
		}{},
		struct {
			A int `json:",omitzero"`
		}{},
		struct{ A []int }{}, struct{ A any }{}, struct{ A *int }{}, struct{ A pair }{}, struct{ *pair }{}, struct{ A Path }{}, struct{ A Decimal }{},
		Date(""), Array[float64]{}, struct{ A complex128 }{},
	} {
		if (codec{}).Flat(reflect.TypeOf(v)) != nil {
			t.Errorf("%T is flat", v)
		}
	}
	for _, v := range []any{"", pair{}, struct {
		pair
		C string
	}{}} {
		if (codec{}).Flat(reflect.TypeOf(v)) == nil {
			t.Errorf("%T is not flat", v)
		}
	}
}

// dictOf returns a dict of marshal data. Its parts are encoded keys and values.
func dictOf(parts ...string) []byte { return []byte("{" + strings.Join(parts, "") + "0") }

func textOf(s string) string { b, _ := appendString(nil, s); return string(b) }
func intOf(n int64) string   { return string(appendInt(nil, n)) }

// TestFlat_Dicts: for dicts that a worker usually does not send, the flat
// decoder must have the same outcome as reflection.
func TestFlat_Dicts(t *testing.T) {
	type pair struct {
		A int32
		B string
	}
	for _, b := range [][]byte{
		dictOf(), dictOf(textOf("A"), intOf(1)), dictOf(textOf("B"), textOf("x"), textOf("A"), intOf(1)), dictOf(textOf("b"), textOf("x"), textOf("a"), intOf(1)),
		dictOf(textOf("A"), intOf(1), textOf("A"), intOf(2)), dictOf(textOf("A"), intOf(1), textOf("a"), intOf(2)), dictOf(textOf("A"), intOf(1), textOf("C"), intOf(2)),
		dictOf(textOf("A"), "g\x00\x00\x00\x00\x00\x00\xe0?"), dictOf(textOf("A"), "T"), dictOf(textOf("A"), "N"), dictOf(textOf("A"), textOf("1")), dictOf(textOf("A"), intOf(1<<31)),
		dictOf(textOf("A"), "l\x01\x00\x00\x00\x07\x00"), dictOf(textOf("A"), "l\x01\x00\x00\x00\x07\x80"), dictOf(textOf("A"), "l\x01\x00\x00\x00\x07"), dictOf(textOf("A"), "l\x00\x00\x00\x80"),
		dictOf(textOf("B"), intOf(1)), dictOf(textOf("B"), "s\x01\x00\x00\x00x"), dictOf(textOf("B"), textOf("\xff")), dictOf(textOf("B"), "u\x02\x00\x00\x00x"), dictOf(textOf("B"), "u\xff\xff\xff\xff"),
		dictOf(intOf(1), intOf(1)), dictOf("u\x01\x00\x00\x00\xff", intOf(1)), []byte("{"), []byte("{u"), append(dictOf(), 'N'), append(dictOf(textOf("A"), intOf(1)), '0'),
	} {
		checkFlat[pair](t, b)
	}
}

// checkFlat compares outcomes with that of reflection: Decode must always
// have the same outcome. The flat decoder may refuse a dict, but if it
// decodes the dict, its outcome must be the same, too.
func checkFlat[T any](t *testing.T, b []byte) {
	t.Helper()
	var got, want, whole T
	wantErr := decodeByReflection(b, &want)
	text := func(v T) string { return fmt.Sprintf("%#v", v) } // NaN is not equal to itself
	if ok := (codec{}).Flat(reflect.TypeFor[T]()).Decode(b, &got); ok && (wantErr != nil || text(got) != text(want)) {
		t.Errorf("%q is decoded to %+v; want %+v, %v", b, got, want, wantErr)
	}
	err := codec{}.Decode(executor.Encoded{Kind: foreignKind, Bytes: b}, &whole)
	if (err == nil) != (wantErr == nil) || err == nil && text(whole) != text(want) {
		t.Errorf("%q is decoded by Decode to %+v, %v; want %+v, %v", b, whole, err, want, wantErr)
	}
}

// FuzzFlat: for any bytes, the flat decoder must have the same outcome as
// reflection.
func FuzzFlat(f *testing.F) {
	for range 20 {
		b, err := codec{}.Encode(randomSample())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || b[0] != '{' {
			return
		}
		checkFlat[flatSample](t, b)
	})
}
