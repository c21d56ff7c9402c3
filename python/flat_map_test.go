package python_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/python"
)

type reading struct {
	Number int
	Text   string
	Float  float64
	Bytes  []byte
	Flag   bool
	Large  uint64 `json:"large"`
}

// results are expressions in Python. A task evaluates each expression, and
// its result is decoded into a reading or a string.
var results = []string{
	`{}`, `{"Number": 1}`, `{"Number": -2**63, "large": 2**64 - 1}`, `{"Number": 2**63 - 1, "large": 2**63}`, `{"Number": 2**63}`, `{"large": -1}`, `{"large": 2**64}`,
	`{"Number": True}`, `{"Number": 1.0}`, `{"Flag": 1}`, `{"Flag": True}`, `{"Flag": None}`, `{"Float": 3}`, `{"Float": 2**53 + 1}`, `{"Float": 10**400}`, `{"Float": False}`,
	`{"Float": -0.0}`, `{"Float": float("nan")}`, `{"Float": float("-inf")}`, `{"Text": ""}`, `{"Text": "\0"}`, `{"Text": "caf\udce9"}`, `{"Text": "\ud800"}`, `{"Text": "\udcc3\udca9"}`,
	`{"Text": "\U0001f600"}`, `{"Text": b"x"}`, `{"Text": None}`, `{"Text": 1}`, `{"Text": ["x"]}`, `{"Bytes": None}`, `{"Bytes": b""}`, `{"Bytes": b"\xff\0"}`, `{"Bytes": bytearray(b"x")}`,
	`{"Bytes": "x"}`, `{"Bytes": [1, 2]}`, `{"Number": 1, "other": {"a": [1]}}`, `{"Number": 1, "other": object()}`, `{"Number": 1, "number": 2}`, `{"number": 1}`, `{"NUMBER": 1}`, `{1: 2}`,
	`{None: 1, "Number": 2}`, `{(1, 2): 3}`, `{"Text": "a", "Number": 1}`, `{"Text": "a", "Number": "b"}`, `{"Number": 7, "Float": 1 << 70, "Text": 2}`, `{"large": 1, "Flag": True, "Bytes": b"b", "Float": 0.5, "Text": "t", "Number": 2}`,
	`Dict(Number=1)`, `{"Number": Int(5)}`, `{"Text": Str("s")}`, `{Str("Number"): 3}`, `{"Float": Float(2.5)}`, `{"Flag": Int(1)}`, `{"Text": "x" * 2000}`, `{"Text": "x" * 1000}`,
	`{"a%d" % i: i for i in range(20)}`, `None`, `[]`, `(1, "a", 0.5, b"", True, 2)`, `Str("s")`, `"s"`, `""`, `"\0"`, `"caf\udce9"`, `"\ud800"`, `"x" * 2000`, `b"x"`, `1`, `{"Number": cycle}`, `failing()`,
}

const evaluates = `
class Dict(dict): pass
class Int(int): pass
class Str(str): pass
class Float(float): pass

cycle = []
cycle.append(cycle)

def failing():
    raise ValueError("failed")

def evaluate(text):
    return eval(text)

def same(x):
    return x

def shown(x):
    return ascii(x) if isinstance(x, str) else ascii(list(x.items()))
`

// TestMap_LikeSubmit: the result of a call must be the same for Map and for
// Submit. It must not depend on the other calls in the same frame.
func TestMap_LikeSubmit(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	t.Run("dict", func(t *testing.T) {
		likeSubmit(t, p, python.Source[string, reading]("evaluate", evaluates), results)
	})
	t.Run("str", func(t *testing.T) {
		likeSubmit(t, p, python.Source[string, string]("evaluate", evaluates), results)
	})
	texts := []string{"", "a", "\x00", "\xff", "caf\xe9", "\xed\xa0\x80", "\xed\xb3\xa9", "\u00e9", "\U0001f600", "\ufffd", "\ufeffa", strings.Repeat("x", 1018), strings.Repeat("x", 1019), strings.Repeat("x", 1020), strings.Repeat("\xff", 400), strings.Repeat("\u00e9", 40_000)}
	var readings []reading
	for _, text := range texts {
		for _, n := range []int{0, -1, math.MaxInt32, math.MinInt32 - 1, math.MaxInt64, math.MinInt64} {
			for _, f := range []float64{math.Copysign(0, -1), math.NaN(), math.Inf(1), math.SmallestNonzeroFloat64} {
				readings = append(readings, reading{n, text, f, []byte(text), n > 0, uint64(n)})
			}
		}
	}
	readings = append(readings, reading{}, reading{Bytes: []byte{}}, reading{Text: strings.Repeat("x", 300<<10)})
	t.Run("struct to and fro", func(t *testing.T) {
		likeSubmit(t, p, python.Source[reading, reading]("same", evaluates), readings)
	})
	t.Run("struct", func(t *testing.T) {
		likeSubmit(t, p, python.Source[reading, string]("shown", evaluates), readings)
	})
	t.Run("string to and fro", func(t *testing.T) {
		likeSubmit(t, p, python.Source[string, string]("same", evaluates), texts)
	})
	t.Run("string", func(t *testing.T) {
		likeSubmit(t, p, python.Source[string, string]("shown", evaluates), texts)
	})
}

// likeSubmit calls f by Submit and by Map: each input many times in a row, and
// all inputs in turn.
func likeSubmit[In, Out any](t *testing.T, ex concert.Executor, f func(context.Context, In) (Out, error), inputs []In) {
	text := func(out Out, err error) string {
		if err != nil {
			_, reason, _ := strings.Cut(err.Error(), ": python: ") // in the error of a Map, the input comes before this text
			return fmt.Sprintf("%#v %s", out, reason)
		}
		return fmt.Sprintf("%#v", out)
	}
	type outcome struct {
		out  Out
		err  error
		text string
	}
	var all []In
	var want []*outcome
	for _, in := range inputs {
		out, err := concert.Submit(t.Context(), ex, f, in).Result(t.Context())
		var none Out
		if got := text(out, err); err != nil && text(none, err) != got {
			t.Errorf("Submit(%.80q) = %.300s, want the zero value with the error", fmt.Sprint(in), got)
		}
		o := &outcome{out, err, text(out, err)}
		for range 20 {
			all, want = append(all, in), append(want, o)
		}
	}
	for range 3 {
		for i, in := range inputs {
			all, want = append(all, in), append(want, want[20*i])
		}
	}
	i := 0
	for out, err := range concert.Map(t.Context(), ex, f, slices.Values(all)) {
		// It takes long to write the text of a large result. So the test
		// compares texts only if the results are not identical.
		if err != nil || want[i].err != nil || !identical(reflect.ValueOf(out), reflect.ValueOf(want[i].out)) {
			if got := text(out, err); got != want[i].text {
				t.Errorf("call %d of Map, with %.80q: %.300s\nSubmit: %.300s", i, fmt.Sprint(all[i]), got, want[i].text)
			}
		}
		i++
	}
	if i != len(all) {
		t.Errorf("%d results of %d", i, len(all))
	}
}

// identical reports whether two results are the same. Unlike
// reflect.DeepEqual, it distinguishes zero from negative zero.
func identical(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			if !identical(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Float64:
		return math.Float64bits(a.Float()) == math.Float64bits(b.Float())
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
