package values

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestForeign: Decode must accept what programs in other languages send, and
// must refuse wrong fields and numbers.
func TestForeign(t *testing.T) {
	var got struct {
		F    float64
		T    time.Time
		Opt  string `json:"opt,omitempty"`
		Any  any
		List []int32
		P    *[]int
	}
	b := []byte{0xa5, 0x61, 'F', 0x03, 0x61, 'T', 0xc0, 0x74}
	b = append(b, "2026-01-02T03:04:05Z"...)
	b = append(b, 0x63, 'A', 'n', 'y', 0x82, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf9, 0x3e, 0x00)
	b = append(b, 0x64, 'L', 'i', 's', 't', 0x82, 1, 0x20, 0x61, 'P', 0x82, 1, 2)
	if err := newCodec().Decode(b, reflect.ValueOf(&got)); err != nil {
		t.Fatal(err)
	}
	if got.F != 3 || !got.T.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || fmt.Sprint(got.Any) != "[18446744073709551615 1.5]" || got.List[1] != -1 || len(*got.P) != 2 {
		t.Errorf("got %+v", got)
	}
	for what, b := range map[string][]byte{
		`no field "Z"`:  {0xa1, 0x61, 'Z', 0},
		"comes twice":   {0xa2, 0x61, 'F', 1, 0x61, 'F', 1},
		"without round": {0xa1, 0x61, 'F', 0x1b, 0, 0x20, 0, 0, 0, 0, 0, 1},
		"bytes end":     {0xa1},
		"indefinite":    {0xbf},
		"not text":      {0xa1, 0x64, 'L', 'i', 's', 't', 0x61, 'x'},
	} {
		if err := newCodec().Decode(b, reflect.ValueOf(&got)); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(what, "not ")) {
			t.Errorf("%x: %v; want %q", b, err, what)
		}
	}
}

// TestForeign_NamedType: if a value is sent with the name of its type, and a
// field is missing, Decode must fail. Only Go programs send this name. So if
// a field is missing, the two programs have different types with the same
// name.
func TestForeign_NamedType(t *testing.T) {
	c := newCodec()
	c.Learn(reflect.TypeFor[node]())
	name := ownPath + ".node"
	b := append([]byte{0xd8, 27, 0x82, 0x78, byte(len(name))}, name...)
	var got any
	if err := c.Decode(append(b, 0xa1, 0x61, 'V', 1), reflect.ValueOf(&got)); err == nil || !strings.Contains(err.Error(), `.(values.node): the field "Next" is missing`) {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestForeign_NamedInside: Decode must accept a value that lacks a field, even
// if the value before it was sent with the name of its type.
func TestForeign_NamedInside(t *testing.T) {
	c := newCodec()
	c.Learn(reflect.TypeFor[node]())
	var got struct {
		A any
		B node
	}
	b, err := c.Encode(nil, reflect.ValueOf(&struct{ A any }{node{V: 1}}), nil)
	if err != nil {
		t.Fatal(err)
	}
	b[0] = 0xa2
	if err := c.Decode(append(b, 0x61, 'B', 0xa1, 0x61, 'V', 2), reflect.ValueOf(&got)); err != nil || got.A != (node{V: 1}) || got.B.V != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// rawItem is encoded as its bytes.
type rawItem []byte

func (r rawItem) MarshalCBOR() ([]byte, error)  { return r, nil }
func (r *rawItem) UnmarshalCBOR(b []byte) error { *r = b; return nil }

// TestForeign_Items: if MarshalCBOR returns anything but exactly one complete
// item of CBOR, Encode must fail.
func TestForeign_Items(t *testing.T) {
	for _, x := range []struct {
		item string
		ok   bool
	}{
		{"\x01", true}, {"\xf6", true}, {"\xa1\x01\x02", true}, {"\x82\x01\x80", true}, {"\xc1\x01", true}, {"\x42ab", true}, {"\x62ab", true}, {"\xa2\x01\x81\x02\x03\xa0", true}, {"\xfb12345678", true},
		{"", false}, {"\x01\x02", false}, {"\xa1\x01", false}, {"\xa1\x01\x02\x03", false}, {"\x82\x01", false}, {"\xc1", false}, {"\x42a", false}, {"\x62a", false}, {"\x9f\xff", false}, {"\x1c1234567890123456", false},
		{"\xbb\x80\x00\x00\x00\x00\x00\x00\x00", false}, {"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", false}, {"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", false}, {"\xfb1234567", false},
	} {
		in := []rawItem{rawItem(x.item), rawItem("\x07")}
		got, err := trip(newCodec(), reflect.ValueOf(&in))
		if (err == nil) != x.ok || err == nil && !reflect.DeepEqual(got.Elem().Interface(), in) {
			t.Errorf("%q: %v, %v", x.item, got.Elem(), err)
		}
	}
}

// TestDecode_Depth: if the nesting of the bytes is deeper than MaxDepth, Decode
// must fail.
func TestDecode_Depth(t *testing.T) {
	var got any
	if err := newCodec().Decode(append(bytes.Repeat([]byte{0x81}, MaxDepth), 0x80), reflect.ValueOf(&got)); err == nil || !strings.Contains(err.Error(), "nested more than") {
		t.Errorf("%d arrays within each other: %.100v", MaxDepth, err)
	}
}

// TestForeign_Bytes: Decode must accept these items, although Encode does not
// produce them. If err is set, Decode must fail with that error.
func TestForeign_Bytes(t *testing.T) {
	type inAny struct{ v any } // the target is an any
	type two struct{ A, B int }
	type one struct{ A int }
	nan := func(v any) bool { f := reflect.ValueOf(v).Float(); return f != f }
	for _, x := range []struct {
		bytes string
		want  any // the type of want is the type of the target
		err   string
	}{
		{"187f", int8(127), ""}, {"1880", int8(0), "128 does not fit int8"}, {"387f", int8(-128), ""}, {"3880", int8(0), " -129 does not fit int8"}, {"f5", 0, "an integer expected, not a boolean"},
		{"1b7fffffffffffffff", int64(math.MaxInt64), ""}, {"1b8000000000000000", int64(0), "9223372036854775808 does not fit int64"}, {"3b7fffffffffffffff", int64(math.MinInt64), ""}, {"3b8000000000000000", int64(0), "-9223372036854775809 does not fit int64"}, {"3bffffffffffffffff", int64(0), "-18446744073709551616 does not fit int64"},
		{"190100", uint8(0), "256 does not fit uint8"}, {"18ff", uint8(255), ""}, {"20", uint(0), " -1 does not fit uint"}, {"60", uint(0), "an integer expected, not text"},
		{"fb3fb999999999999a", float32(0), " 0.1 cannot be a float32 without rounding"}, {"fb3ff8000000000000", float32(1.5), ""}, {"fa3fc00000", 1.5, ""}, {"03", float32(3), ""}, {"1a01000001", float32(0), " 16777217 cannot be a float32 without rounding"},
		{"f93e00", 1.5, ""}, {"f90001", math.Ldexp(1, -24), ""}, {"f903ff", math.Ldexp(1023, -24), ""}, {"f90400", math.Ldexp(1, -14), ""}, {"f97c00", math.Inf(1), ""}, {"f9fc00", math.Inf(-1), ""}, {"f9c000", -2.0, ""}, {"f9c000", float32(-2), ""},
		{"20", -1.0, ""}, {"3863", -100.0, ""}, {"3b001fffffffffffff", -float64(1 << 53), ""}, {"3b0020000000000000", 0.0, " -9007199254740993 cannot be a float64 without rounding"}, {"3b1000000000000000", 0.0, " -1152921504606846977 cannot be"}, {"3bfffffffffffffffe", 0.0, " -18446744073709551615 cannot be"},
		{"3bffffffffffffffff", -math.Ldexp(1, 64), ""}, {"3bffffffffffffffff", -float32(math.MaxUint64), ""}, {"3a01000000", float32(0), " -16777217 cannot be a float32"},
		{"1b0020000000000001", 0.0, " 9007199254740993 cannot be"}, {"1bffffffffffffffff", 0.0, " 18446744073709551615 cannot be"}, {"f6", 0.0, "a number expected, not null"}, {"f4", false, ""},
		{"820102", 1 + 2i, ""}, {"83010203", 0i, "an array of 2 numbers, not 3"}, {"820102", complex64(1 + 2i), ""}, {"01", false, "a boolean expected, not an integer"},
		{"820102", [2]int{1, 2}, ""}, {"83010203", [2]int{}, "3 elements do not fit an array of 2"}, {"8101", [2]int{}, "1 elements do not fit an array of 2"}, {"43010203", [2]byte{}, "3 elements do not fit"}, {"820102", []byte{1, 2}, ""}, {"820102", [2]byte{1, 2}, ""},
		{"d84d4401000200", []int16{1, 2}, ""}, {"d84d43010203", []int16{}, "3 bytes of data are not a multiple of the number size, 2 bytes"}, {"d84d4401000200", []int32{}, "an array expected, not a value with a tag"}, {"d84d4401000200", inAny{[]int16{1, 2}}, ""},
		{"5bffffffffffffffff", []byte{}, "the bytes end"}, {"9bffffffffffffffff", []int{}, "the bytes end"}, {"9bffffffffffffffff", [2]int{}, "the bytes end"}, {"bbffffffffffffffff", map[int]int{}, "the bytes end"}, {"7bffffffffffffffff", "", "the bytes end"}, {"9a00100000", []struct{}{}, "the bytes end"},
		{"a201010202", map[int]int{1: 1, 2: 2}, ""}, {"a201010102", map[int]int{}, "the map has 2 entries, but only 1 different keys"}, {"a18001", map[any]int{}, "a key of type interface {} that Go cannot compare"}, {"f7", map[int]int(nil), ""}, {"f7", []int(nil), ""}, {"f7", (*int)(nil), ""},
		{"a26161a16141016162a1614202", map[string]two{"a": {A: 1}, "b": {B: 2}}, ""}, {"a2a161410101a161420202", map[two]int{{A: 1}: 1, {B: 2}: 2}, ""},
		{"a2614201614102", two{2, 1}, ""}, {"a161420a", two{0, 10}, ""}, {"a2614101614102", two{}, `"A" comes twice`}, {"a2614101614302", one{}, `no field "C"`}, {"a2614101614102", one{}, `"A" comes twice`}, {"a10101", one{}, "the name of a field expected"},
		{"8101", []*int{new(1)}, ""}, {"8101", new([]int{}), "an array expected"}, {"820102", new([]int{1, 2}), ""}, {"818101", new([]int{1}), ""}, {"c11a00000001", time.Unix(1, 0).UTC(), ""}, {"c1fb3ff8000000000000", time.Unix(1, 5e8).UTC(), ""}, {"c1f97c00", time.Time{}, "out of range"}, {"c10a", inAny{time.Unix(10, 0).UTC()}, ""},
		{"c074" + hexOf("2026-01-02T03:04:05Z"), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ""}, {"c07819" + hexOf("2026-01-02T03:04:05+00:00"), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ""}, {"c063" + hexOf("now"), time.Time{}, "a time: parsing time"},
		{"c20a", time.Time{}, "a time expected, not tag 2"}, {"0a", time.Time{}, "a time expected, not an integer"}, {"d81b8369" + hexOf("time.Time") + "0a1a3b9ac9ff", time.Unix(10, 999_999_999).UTC(), ""}, {"d81b8369" + hexOf("time.Time") + "0a1a3b9aca00", time.Time{}, "invalid time"},
		{"d81b8469" + hexOf("time.Time") + "0a0000", time.Time{}, "text expected"}, {"d81b8669" + hexOf("time.Time") + "0a0061586158" + "1a40000001", time.Time{}, "invalid time"}, {"d81b8669" + hexOf("time.Time") + "0a0061586158" + "3a40000000", time.Time{}, "invalid time"}, {"d81b8669" + hexOf("time.Tame") + "0a0061586158" + "00", time.Time{}, `not "time.Tame"`},
		{"d81b8669" + hexOf("time.Time") + "0a0065" + hexOf("Local") + "63" + hexOf("XYZ") + "1903e7", time.Unix(10, 0).In(time.FixedZone("XYZ", 999)), ""}, {"d81b8669" + hexOf("time.Time") + "0a006063" + hexOf("XYZ") + "1903e7", time.Unix(10, 0).In(time.FixedZone("XYZ", 999)), ""},
		{"d81b8669" + hexOf("time.Time") + "0a006d" + hexOf("Europe/Berlin") + "63" + hexOf("XYZ") + "1903e7", time.Unix(10, 0).In(time.FixedZone("Europe/Berlin", 999)), ""}, {"d81b8669" + hexOf("time.Time") + "0a006d" + hexOf("Europe/Berlin") + "63" + hexOf("CET") + "1903e7", time.Unix(10, 0).In(time.FixedZone("Europe/Berlin", 999)), ""},
		{"d81b8368" + hexOf("anything") + "0a00", inAny{0}, "a name and a value expected, not 3 values"}, {"d81b8160", inAny{0}, "not 1 values"}, {"c20a", inAny{0}, "unknown CBOR tag 2"}, {"d81b82" + "63" + hexOf("int") + "0a", inAny{10}, ""}, {"d81b8268" + hexOf("sentinel") + "61" + hexOf("x"), inAny{0}, `no error is registered under the name "x"`},
		{"d9010644" + hexOf("1234"), jsoned{1234}, ""}, {"d9010544" + hexOf("1234"), jsoned{}, "embedded JSON expected, not tag 261"}, {"44" + hexOf("1234"), jsoned{}, "embedded JSON expected, not bytes"}, {"1c" + strings.Repeat("00", 16), 0, "indefinite length"}, {"ff", 0, "indefinite length"},
	} {
		b, err := hex.DecodeString(x.bytes)
		if err != nil {
			t.Fatal(x.bytes, err)
		}
		p := reflect.New(reflect.TypeOf(x.want))
		if in, ok := x.want.(inAny); ok {
			p, x.want = reflect.New(anyType), in.v
		}
		err = newCodec().Decode(b, p)
		got := p.Elem().Interface()
		switch {
		case x.err != "" && (err == nil || !strings.Contains(err.Error(), x.err)):
			t.Errorf("%s as %T: %v, %v; want an error with %q", x.bytes, x.want, got, err, x.err)
		case x.err == "" && (err != nil || !reflect.DeepEqual(got, x.want)):
			t.Errorf("%s as %T: %v, %v; want %v", x.bytes, x.want, got, err, x.want)
		}
	}
	for _, target := range []any{new(float64), new(float32)} {
		for _, b := range []string{"\xf9\x7e\x00", "\xfa\x7f\xc0\x00\x00", "\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00"} {
			if err := newCodec().Decode([]byte(b), reflect.ValueOf(target)); err != nil || !nan(reflect.ValueOf(target).Elem().Interface()) {
				t.Errorf("%x: %v, %v; want NaN", b, reflect.ValueOf(target).Elem(), err)
			}
		}
	}
	var negative float64
	if err := newCodec().Decode([]byte{0xf9, 0x80, 0}, reflect.ValueOf(&negative)); err != nil || !math.Signbit(negative) || negative != 0 {
		t.Errorf("-0 became %v, %v", negative, err)
	}
}

func hexOf(s string) string { return hex.EncodeToString([]byte(s)) }
