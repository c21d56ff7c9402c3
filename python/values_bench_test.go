package python

import (
	"reflect"
	"testing"

	"concert/executor"
)

// BenchmarkValues measures the encoding and decoding of values in this process.
func BenchmarkValues(b *testing.B) {
	type small struct {
		Name  string         `json:"name"`
		Count int            `json:"count"`
		Tags  []string       `json:"tags"`
		More  map[string]any `json:"more"`
	}
	for name, v := range map[string]any{
		"small":  small{"x", 5, []string{"a", "b"}, map[string]any{"k": 1.5}},
		"args":   Args{Args: []any{1, "x"}},
		"floats": []any{make([]float64, 1e6)},
		"ints":   make([]int, 1e5),
		"any":    []any{1, 2.5, "x", nil, []any{true}},
	} {
		b.Run(name+"/encode", func(b *testing.B) {
			for b.Loop() {
				if _, err := (codec{}).Encode(v); err != nil {
					b.Fatal(err)
				}
			}
		})
		if name == "floats" {
			continue
		}
		bytes, _ := codec{}.Encode(v)
		b.Run(name+"/decode", func(b *testing.B) {
			for b.Loop() {
				to := reflect.New(reflect.TypeOf(v))
				if err := (codec{}).Decode(executor.Encoded{Kind: 17, Bytes: bytes}, to.Interface()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
