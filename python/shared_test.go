package python

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"concert/internal/sharedtest"
	"concert/processes"
)

// TestShared_Refused: if a value refers far too often to the same data, the
// encoder must refuse the value early: it could never finish all the copies.
func TestShared_Refused(t *testing.T) {
	t.Parallel()
	for name, v := range sharedtest.Refused() {
		t.Run(name, func(t *testing.T) {
			b, err := codec{}.Encode(v)
			if err == nil || !strings.Contains(err.Error(), "refers many times to the same data") || !strings.Contains(err.Error(), "keep shared data once") || b != nil {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			if path := map[string]string{"pointers": ".Left", "array": ".Kids[0]", "slices": ".Kids[0]", "list": "[0]", "rows": "[3", "end": ".L.Left"}[name]; err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("%v; want the path %s", err, path)
			}
		})
	}
}

// TestShared_Exact: the encoder copies repeated parts of an encoding. The
// result must have the same bytes as if it encoded each part again.
func TestShared_Exact(t *testing.T) {
	all := sharedtest.Levels(12)
	delete(all, "map") // Go maps have no order, so two encodings of these values may differ
	delete(all, "object")
	mixed := []any{
		[]float64{1, 2}, [][]int16{{1}, nil, {}, {2, 3}}, [2][3]float32{{1}}, Array[complex64]{[]int{2, 1}, []complex64{1i, 2}}, time.Unix(1, 1).UTC(), time.Hour, []byte("bytes"), "text",
		map[string]any{"a": []uint64{math.MaxUint64}}, []*inner64{{Values: []float64{1}}, nil}, Decimal("1.0"), strings.Repeat("x", minPart), []any{}, []int8{},
	}
	all["mixed"] = []any{mixed, &mixed, 1, mixed[:len(mixed)-1], &mixed, []any{mixed, "x", mixed}, map[string]any{"m": mixed}}
	all["large"] = []any{mixed, make([]float64, 1<<10), mixed, [][]any{mixed}}
	deep := any(mixed)
	for range 900 {
		deep = []any{deep}
	}
	all["deep"] = []any{deep, deep}
	for name, v := range all {
		t.Run(name, func(t *testing.T) {
			plain, err := encodeFrom(reflect.ValueOf(v), math.MaxInt, maxEncoded)
			if err != nil {
				t.Fatal(err)
			}
			for _, from := range []int{0, 1000, 10_000} {
				shared, err := encodeFrom(reflect.ValueOf(v), from, maxEncoded)
				if err != nil || !bytes.Equal(shared, plain) {
					t.Errorf("from %d bytes on: %d bytes, %v; want %d bytes", from, len(shared), err, len(plain))
				}
				c := checker{rest: shared, most: math.MaxInt}
				if err := c.argument(); err != nil {
					t.Errorf("from %d bytes on: %v", from, err)
				}
			}
		})
	}
}

// TestShared_Deep: if a copy of a part would be nested too deeply, the
// encoder must refuse the value, in the same way as without copies.
func TestShared_Deep(t *testing.T) {
	deep := any(strings.Repeat("x", minPart))
	for range 600 {
		deep = []any{deep}
	}
	v := deep
	for range 500 {
		v = []any{v}
	}
	for _, shared := range []int{0, math.MaxInt} {
		if b, err := encodeFrom(reflect.ValueOf([]any{deep, v}), shared, maxEncoded); err == nil || !strings.Contains(err.Error(), "nested deeper than 1000") {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
}

// TestArgument_TooLarge: if an argument exceeds the limit of the pool, the
// encoder must refuse it before it allocates memory for the whole encoding.
func TestArgument_TooLarge(t *testing.T) {
	numbers := make([]float64, 10<<20)
	rows := make([][]float64, 20)
	for i := range rows {
		rows[i] = numbers
	}
	check := func(t *testing.T, b []byte, err error) {
		t.Helper()
		if !errors.Is(err, processes.ErrTooLarge) || b != nil || !strings.Contains(err.Error(), "has more than") {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
	type (
		many     [1 << 20]struct{}
		manyMany [1 << 20]many
		embedded struct {
			A, B many
			Left int `json:",omitempty"`
		}
		in struct {
			*inner64
			embedded
		}
	)
	for name, v := range map[string]any{
		"rows": rows, "empty": make([]struct{}, math.MaxInt32), "ints": make([]int, 1<<28), "array": manyMany{}, "slice of arrays": make([]many, 1<<20), "numbers": make([][1 << 20][0]uint8, 1<<10),
		"field": struct{ A []manyMany }{make([]manyMany, 1)}, "in an interface": []any{1, manyMany{}}, "embedded": []any{new([1 << 10]in)}, "in a map": map[string]*manyMany{"a": {}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := codec{}.Encode(v)
			check(t, b, err)
		})
	}
	const most = 1 << 10
	long := strings.Repeat("x", most)
	ten := make([]time.Time, 50)
	for name, v := range map[string]any{
		"text": long, "text in a field": struct{ S string }{long}, "key": map[string]int{long: 1}, "bytes": []byte(long), "[]float64": make([]float64, 200), "Array": Array[int8]{Data: make([]int8, most)},
		"texts": []string{long[:500], long[:500], long[:500]}, "structs": make([]struct{ A, B, C int }, 100), "times": ten, "arrays": [300][2]uint8{}, "values": map[int][]time.Time{1: ten[:20], 2: ten[:20]}, "pointers": []*[]string{{long[:500]}, {long[:500]}, {long[:500]}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := encodeFrom(reflect.ValueOf(v), 0, most)
			check(t, b, err)
		})
	}
}
