package python

import (
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"
)

type (
	Name   struct{ Name string } // a field with the name of the type
	Point  struct{ X, Y int }
	Other  struct{ Y, Z int }
	Tagged struct {
		V int `json:"v"`
	}
	Plain   struct{ V int }
	Nothing struct{}
	Maybe   struct {
		N int `json:",omitempty"`
	}
	lower struct{ L int }
	Ring  struct{ *Ring }
	RingX struct {
		*RingX
		X int
	}
	RingA struct {
		*RingB
		A int
	}
	RingB struct {
		*RingA
		B int
	}
	Diamond struct{ *Point }
)

// TestFields_Embedded: if a struct embeds other structs, it must return
// unchanged from Python. Its dict must have the same keys as its JSON.
func TestFields_Embedded(t *testing.T) {
	for name, v := range map[string]any{
		"a field named as its type": struct {
			Name
			Age int
		}{Name{"x"}, 5},
		"a pointer to that": struct {
			*Name
			Age int
		}{&Name{"x"}, 5},
		"python.Args": struct {
			Args
			Extra int
		}{Args{Args: []any{"a"}, Kwargs: map[string]any{"k": "v"}}, 5},
		"hidden in Go, not in JSON": struct {
			Tagged
			V int
		}{Tagged{1}, 2},
		"hidden in Go by a field with a tag": struct {
			Plain
			V int `json:"other"`
		}{Plain{1}, 2},
		"two with tags of their own": struct {
			Plain
			Tagged
		}{Plain{1}, Tagged{2}},
		"a tag wins": struct {
			V1 int `json:"N"`
			N  int `json:"M"`
		}{1, 2},
		"with a name": struct {
			Point `json:"p"`
			X     int
		}{Point{1, 2}, 3},
		"not exported": struct {
			lower
			X int
		}{lower{1}, 2},
		"not exported, with a name": struct {
			lower `json:"l"`
			L     int
		}{lower{1}, 2},
		"a big.Int": struct {
			big.Int
			X int
		}{*big.NewInt(7), 2},
		"nil pointers": struct {
			*Point
			*Nothing
			X int
		}{nil, nil, 2},
		"embeds itself":       RingX{nil, 1},
		"embeds itself later": RingA{&RingB{nil, 2}, 1},
		"twice at two depths": struct {
			Point
			Diamond
		}{Point: Point{1, 2}},
		"a name that is none for encoding/json": quotedName(),
	} {
		t.Run(name, func(t *testing.T) {
			b, err := encodeValue(reflect.ValueOf(v))
			if err != nil {
				t.Fatal(err)
			}
			back := reflect.New(reflect.TypeOf(v)).Elem()
			if err := decodeAll(b, back); err != nil || !reflect.DeepEqual(back.Interface(), v) {
				t.Errorf("returned as %+v, %v; want %+v", back, err, v)
			}
			if name == "a big.Int" {
				return // encoding/json encodes the whole struct by the method of big.Int
			}
			var dict, want map[string]any
			if err := decodeAll(b, reflect.ValueOf(&dict).Elem()); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(v)
			if err == nil {
				err = json.Unmarshal(text, &want)
			}
			if err != nil {
				t.Fatal(err)
			}
			for key := range want {
				if _, ok := dict[key]; !ok || len(dict) != len(want) {
					t.Errorf("as a dict %v; encoding/json has %v", dict, want)
				}
			}
		})
	}
}

// sameTag returns a struct whose fields have the tag json:"x". If the struct
// were in source text, the command go vet would refuse it.
func sameTag(fields ...string) any {
	var list []reflect.StructField
	for _, name := range fields {
		list = append(list, reflect.StructField{Name: name, Type: reflect.TypeFor[int](), Tag: `json:"x"`})
	}
	return reflect.New(reflect.StructOf(list)).Elem().Interface()
}

// TestFields_Refused: if a value in a struct would be lost, the encoder must
// return an error with the path of the struct. If every value of the type
// would lose data, the decoder must return an error, too.
func TestFields_Refused(t *testing.T) {
	both := "has two fields with the name "
	lost := "would arrive as nil"
	for name, c := range map[string]struct {
		v          any
		want, path string
	}{
		"one tag twice":         {sameTag("A", "B"), both + `"x", A and B`, ""},
		"a tag of three fields": {sameTag("A", "B", "C"), both + `"x", A and`, ""},
		"a field of two embedded structs": {struct {
			Point
			Other
		}{}, both + `"Y", Point.Y and Other.Y`, ""},
		"within a list": {[]any{struct {
			Point
			Other
		}{}}, both, "[0]"},
		"a pointer to a struct of nothing": {struct {
			*Nothing
			X int
		}{&Nothing{}, 1}, lost, ".Nothing"},
		"a pointer to omitted fields": {struct {
			*Maybe
			X int
		}{&Maybe{}, 1}, lost, ".Maybe"},
		"a pointer to a struct of the same": {RingX{&RingX{nil, 2}, 1}, lost, ".RingX"},
		"a circle of pointers":              {RingA{&RingB{&RingA{nil, 3}, 2}, 1}, lost, ".RingB.RingA"},
		"nothing but itself":                {Ring{&Ring{}}, "no exported fields", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := codec{}.Encode(c.v)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "argument"+c.path+":") {
				t.Errorf("error = %v, want %q at argument%s", err, c.want, c.path)
			}
			if c.want != lost && c.path == "" {
				err := decodeAll([]byte("{0"), reflect.New(reflect.TypeOf(c.v)).Elem())
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("as a result: error = %v, want %q", err, c.want)
				}
			}
		})
	}
}

// quotedName returns a struct with an unusual tag. In source text, the tools
// vet and staticcheck would refuse this tag.
func quotedName() any {
	t := reflect.StructOf([]reflect.StructField{{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"a\"b"`}})
	v := reflect.New(t).Elem()
	v.Field(0).SetInt(1)
	return v.Interface()
}
