package python_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/python"
)

// misdeeds is what methods that decode a value can do, by the value.
type misdeeds struct{ did string }

// gate is what methods wait for that hang.
var gate atomic.Pointer[chan struct{}]

func newGate() chan struct{} {
	c := make(chan struct{})
	gate.Store(&c)
	return c
}

func (m *misdeeds) UnmarshalText(text []byte) error {
	switch m.did = string(text); m.did {
	case "panic":
		panic("in UnmarshalText")
	case "nil panic":
		panic(nil)
	case "goexit":
		runtime.Goexit()
	case "hang":
		<-*gate.Load()
	case "error":
		return errors.New("refused by UnmarshalText")
	}
	return nil
}

type jsonMisdeeds struct{ misdeeds }

func (m *jsonMisdeeds) UnmarshalText() {} // is not that of misdeeds

func (m *jsonMisdeeds) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	return m.misdeeds.UnmarshalText([]byte(s))
}

const misdeedsSource = `
def deeds(deed):
    yield "fine"
    yield deed
    yield "fine"
def then_raises(deed):
    yield deed
    raise LookupError("after the value")
def last(deed):
    yield deed
def sizes(ns):
    for n in ns:
        yield b"x" * n
`

// TestStream_Misdeeds: methods that decode a value of a stream end its loop
// with an error that names the value, whatever they do, and the pool continues.
func TestStream_Misdeeds(t *testing.T) {
	p := streamPool(t, 1, python.Options{Timeout: time.Second, Grace: time.Millisecond})
	defer close(newGate())
	for deed, check := range map[string]func(error) bool{
		"panic": func(err error) bool {
			e, ok := errors.AsType[*concert.PanicError](err)
			return ok && e.Value == "in UnmarshalText"
		},
		"nil panic": func(err error) bool { return errors.As(err, new(*concert.PanicError)) },
		"goexit":    func(err error) bool { return errors.Is(err, concert.ErrGoexit) },
		"hang": func(err error) bool {
			return errors.Is(err, processes.ErrTimeout) && errors.Is(err, context.DeadlineExceeded)
		},
		"error": func(err error) bool { return strings.Contains(err.Error(), "refused by UnmarshalText") },
	} {
		t.Run(deed, func(t *testing.T) {
			n, failed := drain(t, python.StreamSource[string, misdeeds]("deeds", misdeedsSource), p, deed)
			if n != 1 || failed == nil || !check(failed) || !strings.Contains(failed.Error(), "value 1 of source_") {
				t.Errorf("as text: %d values, then %v", n, failed)
			}
			n, failed = drain(t, python.StreamSource[string, []jsonMisdeeds]("deeds", strings.ReplaceAll(misdeedsSource, "yield deed", "yield [deed]")), p, deed)
			if n != 0 || failed == nil {
				t.Errorf("a str as a slice: %d values, then %v", n, failed)
			}
			n, failed = drain(t, python.StreamSource[string, map[string]jsonMisdeeds]("last", strings.ReplaceAll(misdeedsSource, "yield deed", "yield {'a': deed}")), p, deed)
			if n != 0 || failed == nil || !check(failed) || !strings.Contains(failed.Error(), "value 0 of source_") {
				t.Errorf("as JSON in a map, last: %d values, then %v", n, failed)
			}
		})
	}
	same(t, p, 5)
}

// drain returns how many values a stream has before its error.
func drain[In, Out any](t *testing.T, stream func(context.Context, *processes.Pool, In) iter.Seq2[Out, error], p *processes.Pool, in In) (n int, failed error) {
	t.Helper()
	for _, err := range stream(t.Context(), p, in) {
		if failed != nil {
			t.Errorf("something comes after the error %v", failed)
		}
		if failed = err; err == nil {
			n++
		}
	}
	return n, failed
}

// TestStream_MisdeedsEnd: a method that does not return keeps no loop beyond
// the end of its context, or the death of its worker.
func TestStream_MisdeedsEnd(t *testing.T) {
	p := streamPool(t, 1, python.Options{Grace: time.Millisecond})
	defer close(newGate())
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("the reason")
	n := 0
	for v, err := range python.StreamSource[string, misdeeds]("deeds", misdeedsSource)(ctx, p, "hang") {
		if n++; n == 1 {
			if v.did != "fine" || err != nil {
				t.Errorf("value 0: %v, %v", v, err)
			}
			cancel(why)
			continue
		}
		if !errors.Is(err, why) {
			t.Errorf("when the context ends: %v, %v", v, err)
		}
	}
	if n != 2 {
		t.Errorf("%d steps when the context ends, want 2", n)
	}
	dies := python.StreamSource[string, misdeeds]("dies", "import os\ndef dies(deed):\n    yield deed\n    os._exit(3)\n")
	n, failed := drain(t, dies, p, "hang")
	if e, ok := errors.AsType[*processes.WorkerError](failed); n != 0 || !ok || e.ExitCode != 3 {
		t.Errorf("when the worker dies: %d values, then %v", n, failed)
	}
	same(t, p, 5)
}

// TestStream_MisdeedsLast: a method that does not return keeps no loop when the
// generator has ended, so that only the context is left to end it.
func TestStream_MisdeedsLast(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("the reason")
	p := streamPool(t, 1, python.Options{Grace: time.Millisecond, Observer: func(e concert.Event) {
		if e.Kind == concert.TaskFinished {
			cancel(why)
		}
	}})
	defer close(newGate())
	n := 0
	for v, err := range python.StreamSource[string, misdeeds]("last", misdeedsSource)(ctx, p, "hang") {
		if n++; !errors.Is(err, why) || !strings.Contains(err.Error(), "value 0 of source_") {
			t.Errorf("step %d: %v, %v", n, v, err)
		}
	}
	if n != 1 {
		t.Errorf("%d steps, want 1", n)
	}
}

// TestStream_LateException: an exception that comes while a method decodes the
// value before it does not end that: Options.Timeout does.
func TestStream_LateException(t *testing.T) {
	p := streamPool(t, 1, python.Options{Timeout: time.Second, Grace: time.Millisecond})
	defer close(newGate())
	n, failed := drain(t, python.StreamSource[string, misdeeds]("then_raises", misdeedsSource), p, "hang")
	if n != 0 || !errors.Is(failed, processes.ErrTimeout) || errors.Is(failed, python.Type("LookupError")) {
		t.Errorf("%d values, then %v", n, failed)
	}
	n, failed = drain(t, python.StreamSource[string, misdeeds]("then_raises", misdeedsSource), p, "fine")
	if n != 1 || !errors.Is(failed, python.Type("LookupError")) {
		t.Errorf("%d values, then %v", n, failed)
	}
}

// TestStream_MaxResult: each value counts as a result does.
func TestStream_MaxResult(t *testing.T) {
	p := streamPool(t, 1, python.Options{MaxResult: 100_000})
	sizes := python.StreamSource[[]int, []byte]("sizes", misdeedsSource)
	for _, c := range []struct {
		sizes []int
		n     int
	}{{[]int{100_000, 0, 100_000}, 3}, {[]int{100_001}, 0}, {[]int{5, 1 << 20, 5}, 1}, {[]int{5, 1<<30 + 1}, 1}} {
		n, failed := drain(t, sizes, p, c.sizes)
		if n != c.n || (n == len(c.sizes)) != (failed == nil) {
			t.Errorf("%d: %d values, then %v", c.sizes, n, failed)
		}
		if failed != nil && (!errors.Is(failed, processes.ErrTooLarge) || !strings.Contains(failed.Error(), "more than 100000, which Options.MaxResult allows")) {
			t.Errorf("%d: the error is %v", c.sizes, failed)
		}
		same(t, p, 5)
	}
}

// TestStreamSource: generators of source text work as those of modules.
func TestStreamSource(t *testing.T) {
	p := streamPool(t, 1, python.Options{})
	const text = `
        from __future__ import annotations
        import asyncio

        made = 0

        class Model:
            def __init__(self, name="m"):
                global made
                made += 1
                self.name = name

            def generate(self, n):
                for i in range(n):
                    yield "%s %d %d" % (self.name, i, made)

        async def later():
            await asyncio.sleep(0)
            yield 1

        def several(a, b):
            yield a
            yield b
`
	for range 2 {
		var got []string
		for v, err := range python.StreamSource[int, string]("Model('x').generate", text)(t.Context(), p, 2) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, v)
		}
		if want := []string{"x 0 1", "x 1 1"}; !slices.Equal(got, want) {
			t.Errorf("generate: %q, want %q", got, want)
		}
	}
	if n, err := drain(t, python.StreamSource[python.None, int]("later", text), p, python.None{}); n != 1 || err != nil {
		t.Errorf("later: %d values, %v", n, err)
	}
	if n, err := drain(t, python.StreamSource[python.Args, string]("several", text), p, python.Args{Args: []any{"a"}, Kwargs: map[string]any{"b": "c"}}); n != 2 || err != nil {
		t.Errorf("several: %d values, %v", n, err)
	}
	if _, err := drain(t, python.StreamSource[int, int]("no_such", text), p, 1); !errors.Is(err, python.Type("AttributeError")) || !strings.Contains(err.Error(), "the source defines no 'no_such'") {
		t.Errorf("no_such: %v", err)
	}
	for _, name := range []string{"", "a b"} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(v.(string), "python: StreamSource(") {
					t.Errorf("%q: panic %v", name, v)
				}
			}()
			python.StreamSource[int, int](name, text)
		}()
	}
}

// TestStream_Label: each error of a stream names the label of its loop, whether
// it is about a value or about the generator.
func TestStream_Label(t *testing.T) {
	p := streamPool(t, 1, python.Options{Timeout: time.Second, Grace: time.Millisecond, MaxResult: 1000})
	defer close(newGate())
	deeds := python.StreamSource[string, misdeeds]("deeds", misdeedsSource)
	raises := python.StreamSource[string, misdeeds]("then_raises", misdeedsSource)
	for _, deed := range []string{"panic", "goexit", "hang", "error", strings.Repeat("x", 2000), "fine"} {
		stream := deeds
		if deed == "fine" {
			stream = raises
		}
		for _, label := range []string{"", "cat.jpg \x1b[31m"} {
			ctx := t.Context()
			if label != "" {
				ctx = concert.WithLabel(ctx, label)
			}
			n := 0
			for _, err := range stream(ctx, p, deed) {
				if err == nil {
					continue
				}
				n++
				in := concert.InputOf(err)
				if label == "" {
					if in != nil {
						t.Errorf("%.10s: the error of a stream without a label, %v, is of %+v", deed, err, in)
					}
					continue
				}
				if in == nil || in.Label != label || in.Index != -1 || in.Name == "" {
					t.Errorf("%.10s: the error %v is of %+v", deed, err, in)
				}
				if deed != "fine" && (!strings.Contains(err.Error(), `(cat.jpg \x1b[31m): value 1 of source_`) || strings.Contains(err.Error(), "\x1b")) {
					t.Errorf("%.10s: the error says %q", deed, err)
				}
			}
			if n != 1 {
				t.Errorf("%.10s: %d errors, want 1", deed, n)
			}
		}
	}
}
