package python

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"concert/processes"
)

// TestArgument_EqualKeys: if two keys of a map are equal in Python, the call
// must fail. Any other map must arrive with all its entries.
func TestArgument_EqualKeys(t *testing.T) {
	t.Parallel()
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 1000, time.UTC)
	nested := []any{1, map[string]any{"a": map[[2]any]int{{1, "x"}: 1, {true, "x"}: 2}}}
	type field struct{ M map[any]int }
	same := []any{
		map[any]int{1: 1, 1.0: 2}, map[any]int{1: 1, true: 2}, map[any]int{0: 1, false: 2}, map[any]int{complex(1, 0): 1, 1: 2}, map[any]int{"a": 1, label("a"): 2}, map[any]int{int8(1): 1, 1: 2},
		map[Decimal]int{"1.0": 1, "1.00": 2}, map[Decimal]int{"0": 1, "-0": 2, "0E+3": 3}, map[any]int{Decimal("1"): 1, 1: 2}, map[any]int{Decimal("0.5"): 1, 0.5: 2},
		map[time.Duration]int{1: 1, 2: 2}, map[any]int{time.Duration(1): 1, time.Duration(2): 2}, map[time.Time]int{t0: 1, t0.Add(1): 2}, map[any]int{t0: 1, t0.In(time.FixedZone("x", 3600)): 2},
		map[time.Time]int{t0: 1, t0.In(time.FixedZone("x", 60)): 2}, map[TimeOfDay]int{"12:00:00+00:00": 1, "13:00:00+01:00": 2}, map[[1]any]int{{1}: 1, {1.0}: 2, {true}: 3}, map[[2]any]int{{1, 2}: 1, {1.0, 2}: 2},
		map[[1]Decimal]int{{"1"}: 1, {"1.0"}: 2}, map[[1][1]any]int{{{1}}: 1, {{1.0}}: 2}, nested, []field{{map[any]int{1: 1, 1.0: 2}}}, map[string]map[any]int{"k": {2: 1, 2.0: 2}}, Args{Kwargs: map[string]any{"m": map[any]int{2: 1, 2.0: 2}}},
	}
	nan := math.NaN()
	different := []any{
		map[any]int{1: 1, 1.5: 2, "1": 3, nil: 4, [1]byte{1}: 5, false: 6, 2i: 7}, map[Decimal]int{"1": 1, "1.01": 2}, map[time.Duration]int{1000: 1, 2000: 2}, map[time.Time]int{t0: 1, t0.Add(time.Microsecond): 2},
		map[float64]int{nan: 1, math.NaN(): 2}, map[any]int{nan: 1, math.NaN(): 2}, map[[2]any]int{{1, 2}: 1, {2, 1}: 2, {"1", 2}: 3}, map[any]int{}, map[Decimal]int{}, map[any]int{"a": 1, [1]byte{'a'}: 2}, map[any]int{Date("2024-01-01"): 1, t0: 2},
		map[any]any{1.5: map[any]any{2.5: map[[1]any]any{{1}: []any{map[Decimal]int{"1": 1}}}}},
	}
	eachInterpreter(t, func(t *testing.T, p *processes.Pool, _ bool) {
		for _, v := range same {
			var n any
			err := relay(t, p, "builtins:len", v, reflect.ValueOf(&n))
			if err == nil || !strings.Contains(err.Error(), "two keys of the map are the same in Python") || !strings.Contains(err.Error(), "argument") {
				t.Errorf("%T %v: %v, %v", v, v, n, err)
			}
		}
		for _, v := range different {
			var n int
			if err := relay(t, p, "builtins:len", v, reflect.ValueOf(&n)); err != nil || n != reflect.ValueOf(v).Len() {
				t.Errorf("%T %v: %d entries, %v", v, v, n, err)
			}
		}
		for v, path := range map[any]string{&nested: "the argument[1]['a']: ", &[]field{{map[any]int{1: 1, 1.0: 2}}}: "the argument[0]['M']: "} {
			var n any
			if err := relay(t, p, "builtins:len", v, reflect.ValueOf(&n)); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%v: %v; want %q", v, err, path)
			}
		}
	})
}
