package values

import (
	"fmt"
	"reflect"
	"testing"
)

// BenchmarkCodec encodes and decodes values of several forms.
func BenchmarkCodec(b *testing.B) {
	type point struct {
		X, Y float64
		Name string
		Tags []string
	}
	type branch struct {
		Left, Right *branch
		Key         int
		Text        string
	}
	var grow func(depth int) *branch
	grow = func(depth int) *branch {
		if depth == 0 {
			return nil
		}
		return &branch{grow(depth - 1), grow(depth - 1), depth, "a text of some length"}
	}
	table := make(map[string]any)
	for i := range 100 {
		table[fmt.Sprint("key ", i)] = []any{i, "text", map[string]any{"a": 1.5}}
	}
	for name, in := range map[string]any{
		"Struct":    &point{1, 2, "somewhere", []string{"a", "b"}},
		"Numbers":   &struct{ V []float64 }{make([]float64, 1e6)},
		"Texts":     &[]string{9999: "x"},
		"Structs":   new([10000]struct{ A, B int }),
		"Map":       &map[string]int{"a": 1, "b": 2, "c": 3},
		"Any":       &table,
		"Tree":      grow(10),
		"LargeTree": grow(18),
	} {
		c, p := newCodec(), reflect.ValueOf(in)
		encoded, err := c.Encode(nil, p, nil)
		if err != nil {
			b.Fatal(name, err)
		}
		b.Run("Encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(encoded)))
			for b.Loop() {
				c.Encode(nil, p, nil)
			}
		})
		b.Run("Decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(encoded)))
			for b.Loop() {
				if err := c.Decode(encoded, reflect.New(p.Type().Elem())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
