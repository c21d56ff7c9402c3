package python

import (
	"container/list"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/pythontest"
	"concert/processes"
)

// interpreters returns the options of workers for tests of values: a worker
// that has imported nothing, a worker that has imported all modules with
// types of values, the same two workers with NumPy, and Python 3.8 and 3.13.
// It omits programs that are not installed.
func interpreters(t *testing.T) map[string]*Options {
	t.Helper()
	pythontest.Need(t)
	all := []string{"array", "dataclasses", "datetime", "decimal", "enum", "fractions", "pathlib", "uuid"}
	with := map[string]*Options{"fresh": {}, "loaded": {Import: all}}
	for name, program := range installed() {
		with[name] = &Options{Interpreter: program}
		if name == "numpy" {
			with["numpy loaded"] = &Options{Interpreter: program, Import: append([]string{"numpy", "numpy.ma"}, all...)}
		}
	}
	for _, o := range with {
		o.Path = []string{"testdata"}
	}
	return with
}

// installed returns those of three programs that are installed: a Python
// with NumPy, Python 3.8, and Python 3.13. It starts each program once to
// find this out.
var installed = sync.OnceValue(func() map[string]string {
	programs := map[string]string{}
	for _, program := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(program, "-c", "import numpy").Run() == nil {
			programs["numpy"] = program
			break
		}
	}
	home, _ := os.UserHomeDir()
	for _, version := range []string{"3.8", "3.13"} {
		candidates, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", version+"*", "bin", "python3"))
		for _, program := range append(candidates, "python"+version) {
			if exec.Command(program, "-c", "").Run() == nil {
				programs[version] = program
				break
			}
		}
	}
	return programs
})

func eachInterpreter(t *testing.T, test func(t *testing.T, p *processes.Pool, numpy bool)) {
	for name, o := range interpreters(t) {
		t.Run(name, func(t *testing.T) {
			p, err := New(1, o)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			test(t, p, strings.Contains(name, "numpy"))
		})
	}
}

// relay calls a Python function with an argument of any type, and stores the
// result in *out.
func relay(t *testing.T, p *processes.Pool, where string, arg any, out reflect.Value) error {
	t.Helper()
	b, err := codec{}.Encode(arg)
	if err != nil {
		return err
	}
	declare[any, any](where)
	result, err := executor.Relay(t.Context(), p, executor.Call{Name: nameOf("1", where), Arg: executor.Encoded{Kind: 17, Bytes: b}}).Result(t.Context())
	if err != nil {
		return err
	}
	return codec{}.Decode(result, out.Interface())
}

type (
	celsius   float64
	flags     uint8
	label     string
	numbers64 []float64
	inner64   struct {
		Values []float64
		Grid   [][]float32
		At     time.Time
	}
	outer64 struct {
		inner64
		Name  string   `json:"name"`
		Inner *inner64 `json:"inner,omitempty"`
	}
	stamped struct { // the promoted method MarshalText of time.Time would lose the field Name
		time.Time
		Name string
	}
	level int
	sent  struct{ X int }
	both  struct{ x, y int }
	loop  struct{ Next *loop }
)

func (l level) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "level %d", int(l)), nil }
func (l *level) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(string(b), "level %d", (*int)(l))
	return err
}
func (s sent) MarshalJSON() ([]byte, error) { return []byte(`{"other": 1}`), nil }
func (b both) MarshalJSON() ([]byte, error) { return json.Marshal([]int{b.x, b.y}) }
func (b *both) UnmarshalJSON(text []byte) error {
	var xy [2]int
	err := json.Unmarshal(text, &xy)
	b.x, b.y = xy[0], xy[1]
	return err
}

// kinds returns values. In any container, each of them must return unchanged
// from Python.
func kinds() []any {
	zone := time.FixedZone("CET", 3600)
	odd := time.FixedZone("", -(3600 + 62))
	huge, _ := new(big.Int).SetString("-123456789012345678901234567890", 10)
	return []any{
		true, false, -5, int8(-128), int16(math.MinInt16), int32(math.MaxInt32), int64(math.MinInt64), int64(1) << 40,
		uint(7), uint8(255), uint16(65535), uint32(math.MaxUint32), uint64(math.MaxUint64), uintptr(9),
		float32(0.25), 0.1, math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, complex64(1 - 2i), 0.1 + 2i,
		"", "h\u00e9llo \x00 \u2603 \U0001d11e", label("named"), celsius(36.6), flags(3), level(4),
		[]byte("a\xff\x00"), [3]byte{1, 2, 3}, []flags{1, 2}, []int8{-1}, []int16{-1, 1}, []int32{5}, []int64{math.MinInt64}, []uint16{9},
		[]uint32{math.MaxUint32}, []uint64{math.MaxUint64}, []float32{1.5}, []float64{0.1, math.Inf(1)}, []celsius{1, 2}, numbers64{1},
		[2]float64{1, 2}, [2][3]int16{{1, 2, 3}, {4, 5, 6}}, []int{1, 1 << 50, -1}, []uint{1}, []bool{true, false}, []complex128{1i}, []complex64{2i},
		"caf\xe9", label("\xed\xb3\xa9"), map[string]string{"\xff": "\xff", "\uFFFD": "\xc3"}, [1]string{"\xe2\x82"}, Path("caf\xe9"), struct{ X label }{"\x80\u00e9"},
		[]string{"a", ""}, []any{int64(1), "x", nil, 2.5, []float64{1}, []any{}}, [][]float64{{1, 2}, {}, {3}}, [][]byte{{1}, {}}, [][3]uint8{{1, 2, 3}}, [][]float64{nil, {1}, {}, nil}, [2][]int16{{1}, {2, 3}}, [][2]celsius{{1, 2}, {3, 4}}, [][]celsius{{1}}, [][0]int32{{}, {}},
		map[string]any{"a": int64(1), "b": []int32{1}, "c": map[string]any{}, "t": time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)},
		map[int]string{-1: "x"}, map[bool]int{true: 1, false: 0}, map[float64]int{0.5: 1}, map[uint64]int{math.MaxUint64: 1}, map[[2]int]string{{1, 2}: "tuple"},
		map[[2]byte]int{{1, 2}: 3}, map[level]int{1: 2}, map[Date]int{"2024-01-31": 1}, map[time.Duration]int{time.Microsecond: 2}, map[any]any{int64(1): "a", "b": int64(2), true: 1.5, 1.5: nil}[nil],
		map[any]int{int64(2): 1, "b": 2, 1.5: 3}, map[netip.Addr]int{netip.MustParseAddr("::1"): 1},
		struct{}{}, struct{ X int }{5}, outer64{inner64: inner64{Values: []float64{1}, At: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}, Name: "n", Inner: &inner64{Grid: [][]float32{{1}}}},
		stamped{time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), "n"}, both{1, 2}, json.RawMessage(`{"a":[1,2.5,"x",null]}`), json.Number("12"),
		time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC), time.Date(2024, 2, 29, 1, 2, 3, 456789123, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, zone),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, odd), time.Date(2024, 1, 1, 0, 0, 0, 1000, Naive),
		time.Duration(0), time.Hour, -time.Nanosecond, time.Duration(math.MinInt64), time.Duration(math.MaxInt64),
		*big.NewInt(1 << 62), *huge, *big.NewRat(-1, 3), Date("0001-01-01"), TimeOfDay("23:59:59"), TimeOfDay("01:02:03.000400+05:30"), Decimal("-1.20"), Decimal("1E+30"), Decimal("-0"), Decimal("0E+3"), Decimal("0.000001"), Decimal("1.50E-7"), Decimal("sNaN123"), Decimal("-Infinity"), Decimal("9E+999999999999999999"), Date("9999-12-31"),
		TimeOfDay("00:00:00+00:00"), TimeOfDay("01:02:03-23:59:59"), *new(big.Rat).SetFrac(new(big.Int).Lsh(big.NewInt(-1), 100_000), big.NewInt(3)), *big.NewRat(-255, 254),
		Decimal("NaN"), UUID("00112233-4455-6677-8899-aabbccddeeff"), Path("/usr/lib"), Path("caf\u00e9"), netip.MustParseAddr("192.0.2.1"),
	}
}

// arrays returns values that an interpreter can receive only if it has
// NumPy.
func arrays() []any {
	return []any{
		Array[bool]{[]int{2}, []bool{true, false}}, Array[int8]{[]int{1, 2}, []int8{-1, 1}}, Array[int16]{[]int{1}, []int16{-1}}, Array[int32]{[]int{2, 1}, []int32{-1, 1}},
		Array[int64]{[]int{1, 1, 1}, []int64{math.MinInt64}}, Array[uint8]{[]int{2, 3}, []uint8{1, 2, 3, 4, 5, 6}}, Array[uint16]{[]int{0, 3}, []uint16{}},
		Array[uint32]{[]int{1}, []uint32{9}}, Array[uint64]{[]int{}, []uint64{math.MaxUint64}}, Array[float32]{[]int{2, 2}, []float32{1, 2, 3, 4}},
		Array[float64]{[]int{3}, []float64{1, 2, 3}}, Array[complex64]{[]int{1}, []complex64{1i}}, Array[complex128]{[]int{2, 1}, []complex128{1i, 2}},
	}
}

// holders returns v itself and containers that hold v, by their descriptions.
func holders(v reflect.Value) map[string]reflect.Value {
	t := v.Type()
	pointer := reflect.New(t)
	pointer.Elem().Set(v)
	slice := reflect.MakeSlice(reflect.SliceOf(t), 2, 2)
	slice.Index(1).Set(v)
	slice.Index(0).Set(v)
	array := reflect.New(reflect.ArrayOf(1, t)).Elem()
	array.Index(0).Set(v)
	entry := reflect.MakeMap(reflect.MapOf(reflect.TypeFor[string](), t))
	entry.SetMapIndex(reflect.ValueOf("key"), v)
	field := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "First", Type: reflect.TypeFor[int]()}, {Name: "Second", Type: t, Tag: `json:"second"`}})).Elem()
	field.Field(1).Set(v)
	return map[string]reflect.Value{"itself": v, "a pointer": pointer, "a slice": slice, "an array": array, "a map": entry, "a struct": field}
}

// TestRoundTrip_Go: a Go value in any container must return unchanged. This
// must not depend on the modules that the worker has imported.
func TestRoundTrip_Go(t *testing.T) {
	t.Parallel()
	eachInterpreter(t, func(t *testing.T, p *processes.Pool, numpy bool) {
		all, n := kinds(), 0
		if numpy {
			all = append(all, arrays()...)
		}
		for _, v := range all {
			if v == nil {
				continue
			}
			for how, held := range holders(reflect.ValueOf(v)) {
				n++
				back := reflect.New(held.Type())
				if err := relay(t, p, "tasks:echo", held.Interface(), back); err != nil {
					t.Errorf("%T %v in %s: %v", v, v, how, err)
				} else if !reflect.DeepEqual(back.Elem().Interface(), held.Interface()) {
					t.Errorf("%T %#v in %s returned as %#v", v, v, how, back.Elem().Interface())
				}
			}
		}
		if n < 200 {
			t.Errorf("only %d values", n)
		}
		if numpy {
			return
		}
		var back Array[int8]
		if err := relay(t, p, "tasks:echo", []any{Array[int8]{}}, reflect.ValueOf(&back)); err == nil || !strings.Contains(err.Error(), "numpy") {
			t.Errorf("an Array without numpy: %v", err)
		}
	})
}

// TestArgument_Refused: if Python cannot represent a value, the encoder must
// return an error, and the error must have the path of the value.
func TestArgument_Refused(t *testing.T) {
	circle := &loop{}
	circle.Next = circle
	deep := any("x")
	for range 1100 {
		deep = []any{deep}
	}
	type pointerKey map[*int]int
	for _, c := range []struct {
		v    any
		want string
	}{
		{func() {}, "a Go func()"}, {make(chan int), "chan int"}, {list.New(), "list.List"}, {sync.Mutex{}, "sync.Mutex"}, {fmt.Errorf("x"), "no exported fields"},
		{big.NewFloat(0.1), "big.Float"}, {*big.NewFloat(0.1), "big.Float"}, {level(1), ""},
		{json.RawMessage("\"\xff\""), "not UTF-8"}, {json.RawMessage(`["\\ud800"]`), ""}, {json.RawMessage(`["\ud800"]`), `lone surrogate \ud800`}, {json.RawMessage(`{"\uDFFF": 1}`), `lone surrogate \uDFFF`},
		{json.RawMessage(`"\udc00\ud800"`), "lone surrogate"}, {json.RawMessage(`"\ud83d\ude00 \u00e9 \ufffd"`), ""}, {json.RawMessage(`1 2`), "not one value"},
		{circle, "contains itself"}, {deep, "nested deeper than 1000"}, {map[any]int{"a": 1, label("a"): 2}, "the same in Python"}, {map[any]int{1: 1, int8(1): 2}, "the same in Python"},
		{map[any]int{big.NewInt(1).String(): 1, 2: 2}, ""},
		{map[struct{ X int }]int{{1}: 1}, "cannot be the key"}, {pointerKey{new(int): 1}, "cannot be the key"}, {map[both]int{{1, 2}: 1}, "cannot be the key"},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "years 1 to 9999"}, {time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), "years 1 to 9999"},
		{time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("X", 86400)), "offset of a day"},
		{Date("2024-02-30"), "2024-02-30"}, {Date("x"), `"x" is no date`}, {TimeOfDay("24:00:00"), "is no time"}, {TimeOfDay("12:00"), "is no time"}, {Decimal("1,5"), "is no Decimal"},
		{Decimal("01.0"), "is no Decimal as Python writes it"}, {Decimal("1E5"), "is no Decimal"}, {Decimal("0.0000001"), "is no Decimal"}, {Decimal("NaN0"), "is no Decimal"}, {Decimal("+1"), "is no Decimal"}, {Decimal(""), "is no Decimal"},
		{TimeOfDay("12:00:00-00:00"), "is no time"}, {TimeOfDay("12:00:00+01:00:00"), "is no time"}, {TimeOfDay("12:00:00.000000"), "is no time"}, {TimeOfDay("12:00:00.5"), "is no time"}, {Date("0000-01-01"), "is no date"}, {Date("10000-01-01"), "is no date"},
		{UUID("00112233-4455-6677-8899-AABBCCDDEEFF"), "is no UUID"},
		{UUID("x"), "is no UUID"}, {Path("a\x00"), "is no Path"}, {Array[int8]{[]int{2}, []int8{1}}, "shape [2] cannot have 1"}, {Array[int8]{[]int{-1}, nil}, "shape [-1]"},
		{new([]int), "a pointer to a nil []int"}, {new(map[string]int), "a pointer to a nil map"}, {new(*int), "a pointer to a nil *int"}, {[]*any{new(any)}, "a pointer to a nil interface"},
		{Array[bool]{[]int{1 << 40, 1 << 40}, nil}, "cannot have 0"},
	} {
		t.Run(fmt.Sprintf("%T", c.v), func(t *testing.T) {
			for how, held := range holders(reflect.ValueOf(c.v)) {
				_, err := codec{}.Encode(held.Interface())
				if c.want == "" {
					if err != nil {
						t.Errorf("%T in %s: %v", c.v, how, err)
					}
					continue
				}
				path := map[string]string{"itself": "argument", "a pointer": "argument", "a slice": "argument[0]", "an array": "argument[0]", "a map": `argument["key"]`, "a struct": "argument.second"}[how]
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "python: "+path) {
					t.Errorf("%T in %s: %v; want an error that begins with %q and has %q", c.v, how, err, path, c.want)
				}
			}
		})
	}
	var s sent
	var m struct{ M sync.Mutex }
	b, _ := codec{}.Encode(map[string]any{"other": 1, "M": map[string]any{"state": 1}})
	for _, to := range []any{&s, &m} {
		if err := decodeAll(b, reflect.ValueOf(to).Elem()); err == nil || !strings.Contains(err.Error(), "cannot be received") {
			t.Errorf("into a %T: %v", to, err)
		}
	}
}

func submit[In, Out any](t *testing.T, p *processes.Pool, f func(context.Context, In) (Out, error), in In) (Out, error) {
	t.Helper()
	return concert.Submit(t.Context(), p, f, in).Result(t.Context())
}
