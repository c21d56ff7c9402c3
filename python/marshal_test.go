package python

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
)

// TestMarshal_SameAsPython: the codec must write the same bytes as
// marshal.dumps(v, 2) in Python.
func TestMarshal_SameAsPython(t *testing.T) {
	for want, v := range map[string]any{
		"N":                 nil,
		"T":                 true,
		"i\xff\xff\xff\xff": -1,
		"i\xff\xff\xff\x7f": math.MaxInt32,
		"l\x03\x00\x00\x00\x00\x00\x00\x00\x02\x00": int64(1) << 31,
		"l\xfd\xff\xff\xff\x01\x00\x00\x00\x02\x00": -(int64(1)<<31 + 1),
		"g\x00\x00\x00\x00\x00\x00\xe0?":            0.5,
		"u\x02\x00\x00\x00\xc3\xa9":                 "\u00e9",
		"s\x01\x00\x00\x00\x00":                     []byte{0},
		"[\x01\x00\x00\x00i\x05\x00\x00\x00":        []int{5},
		"{u\x01\x00\x00\x00aT0":                     map[string]bool{"a": true},
	} {
		got, err := codec{}.Encode(v)
		if string(got) != want || err != nil {
			t.Errorf("Encode(%v) = %q, %v; want %q", v, got, err, want)
		}
	}
}

// TestBigInt_RoundTrip: an integer of any size must be the same after it was
// encoded and decoded. A big.Int and an equal uint64 must have the same
// encoding.
func TestBigInt_RoundTrip(t *testing.T) {
	for bits := range 200 {
		for _, add := range []int64{-1, 0, 1} {
			for _, sign := range []int64{-1, 1} {
				n := new(big.Int).Lsh(big.NewInt(1), uint(bits))
				n.Add(n, big.NewInt(add)).Mul(n, big.NewInt(sign))
				b, err := codec{}.Encode(n)
				if err != nil {
					t.Fatal(err)
				}
				var got big.Int
				if err := decodeAll(b, reflect.ValueOf(&got).Elem()); err != nil || got.Cmp(n) != 0 {
					t.Errorf("%v returned as %v, %v", n, &got, err)
				}
				if n.IsUint64() {
					if again, err := (codec{}).Encode(n.Uint64()); !bytes.Equal(again, b) || err != nil {
						t.Errorf("as uint64 %v is %q, and %q as big.Int", n, again, b)
					}
				}
			}
		}
	}
}

type embedded struct {
	Name string
	Deep int `json:"deep"`
}

// TestFields_Names: fields must have the same names as in encoding/json. If
// a key differs from the name of a field only in case, its value must be
// stored in this field. Two keys for the same field must be an error.
func TestFields_Names(t *testing.T) {
	type all struct {
		embedded
		Name   string
		Other  int `json:"other,omitempty"`
		Hidden int `json:"-"`
		own    int
	}
	v := all{embedded{"inner", 5}, "outer", 0, 7, 8}
	b, err := codec{}.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := decodeAll(b, reflect.ValueOf(&m).Elem()); err != nil || !reflect.DeepEqual(m, map[string]any{"Name": "outer", "deep": int64(5)}) {
		t.Errorf("as a dict: %v, %v", m, err)
	}
	var back all
	if err := decodeAll(b, reflect.ValueOf(&back).Elem()); err != nil || back.Name != "outer" || back.Deep != 5 || back.embedded.Name != "" {
		t.Errorf("back: %+v, %v", back, err)
	}
	b, _ = codec{}.Encode(map[string]any{"NAME": "x", "Name": "y"})
	if err := decodeAll(b, reflect.ValueOf(&back).Elem()); err == nil || !strings.Contains(err.Error(), "another key of the dict is for the same field") {
		t.Errorf("two keys for a field: %+v, %v", back, err)
	}
	var list []reflect.StructField
	wide := make(map[string]any)
	for i := range 70 {
		list = append(list, reflect.StructField{Name: fmt.Sprint("F", i), Type: reflect.TypeFor[int]()})
		wide[fmt.Sprint("f", i)] = i
	}
	to := reflect.New(reflect.StructOf(list)).Elem()
	b, _ = codec{}.Encode(wide)
	if err := decodeAll(b, to); err != nil || to.Field(69).Int() != 69 {
		t.Errorf("a struct with many fields: %v, %v", to, err)
	}
	wide["F69"] = 1
	b, _ = codec{}.Encode(wide)
	if err := decodeAll(b, to); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("two keys for one of many fields: %v", err)
	}
	b, _ = codec{}.Encode(map[string]any{"NAME": "x", "unknown": []any{1}})
	if err := decodeAll(b, reflect.ValueOf(&back).Elem()); err != nil || back.Name != "x" {
		t.Errorf("in other case: %+v, %v", back, err)
	}
}

// FuzzDecode: for any bytes, the decoder must return a value or an error,
// and must not panic. If the value can be encoded and decoded again, the
// result must be the same value.
func FuzzDecode(f *testing.F) {
	for _, v := range []any{nil, true, 5, 1 << 40, 0.5, "text", []byte("x"), []any{1, "a", nil}, map[string]any{"a": []int{1}}, map[int]int{1: 2}} {
		b, err := codec{}.Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("(\x02\x00\x00\x00NT"))
	f.Add([]byte("[\xff\xff\xff\x7f"))
	f.Add([]byte("l\x00\x00\x00\x80"))
	f.Add([]byte(strings.Repeat("[\x01\x00\x00\x00", 2000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v any
		if decodeAll(b, reflect.ValueOf(&v).Elem()) == nil {
			again, err := codec{}.Encode(v)
			if err != nil {
				return // this value can only be received, for example because it is a map with a *big.Int as a key
			}
			var w any
			if err := decodeAll(again, reflect.ValueOf(&w).Elem()); err != nil || !reflect.DeepEqual(v, w) && !bytes.ContainsAny(again, "gy") {
				t.Errorf("%q is %#v, and then %#v, %v", b, v, w, err)
			}
		}
		type target struct {
			Name string
			X    *int
			L    []float32
			M    map[int]string
			A    [2]any
			B    big.Int
		}
		var s target
		decodeAll(b, reflect.ValueOf(&s).Elem())
		var l []target
		decodeAll(b, reflect.ValueOf(&l).Elem())
	})
}
