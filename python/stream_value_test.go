package python_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/python"
)

// badText has a method UnmarshalText that fails in the way that its argument
// names: "panic", "nil panic", "goexit", "hang" or "error". For any other
// argument, the method returns nil.
type badText struct{ did string }

// gate blocks the methods that hang.
var gate struct {
	sync.Mutex
	tests int           // guarded by the mutex: the number of tests that need the gate
	open  chan struct{} // guarded by the mutex: closed when no test needs the gate
}

// holdMethods blocks the methods that hang. They continue when this test and
// the tests that run in parallel have ended.
func holdMethods(t *testing.T) {
	gate.Lock()
	defer gate.Unlock()
	if gate.tests++; gate.tests == 1 {
		gate.open = make(chan struct{})
	}
	t.Cleanup(func() {
		gate.Lock()
		defer gate.Unlock()
		if gate.tests--; gate.tests == 0 {
			close(gate.open)
		}
	})
}

func hang() {
	gate.Lock()
	open := gate.open
	gate.Unlock()
	<-open
}

func (m *badText) UnmarshalText(text []byte) error {
	switch m.did = string(text); m.did {
	case "panic":
		panic("in UnmarshalText")
	case "nil panic":
		panic(nil)
	case "goexit":
		runtime.Goexit()
	case "hang":
		hang()
	case "error":
		return errors.New("refused by UnmarshalText")
	}
	return nil
}

type badJSON struct{ badText }

func (m *badJSON) UnmarshalText() {} // hides badText.UnmarshalText, so that UnmarshalJSON is used

func (m *badJSON) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	return m.badText.UnmarshalText([]byte(s))
}

const badValues = `
def values(how):
    yield "fine"
    yield how
    yield "fine"
def then_raises(how):
    yield how
    raise LookupError("after the value")
def last(how):
    yield how
def sizes(ns):
    for n in ns:
        yield b"x" * n
`

// TestStream_MethodMisbehaves: if a method that decodes a value of a stream
// fails in any way, the loop must end with an error that has the index of
// the value. The pool must continue.
func TestStream_MethodMisbehaves(t *testing.T) {
	t.Parallel()
	p := streamPool(t, 1, python.Options{Timeout: time.Second, Grace: time.Millisecond})
	holdMethods(t)
	for how, check := range map[string]func(error) bool{
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
		t.Run(how, func(t *testing.T) {
			n, failed := drain(t, python.StreamSource[string, badText]("values", badValues), p, how)
			if n != 1 || failed == nil || !check(failed) || !strings.Contains(failed.Error(), "value 1 of source_") {
				t.Errorf("as text: %d values, then %v", n, failed)
			}
			n, failed = drain(t, python.StreamSource[string, []badJSON]("values", strings.ReplaceAll(badValues, "yield how", "yield [how]")), p, how)
			if n != 0 || failed == nil {
				t.Errorf("a str as a slice: %d values, then %v", n, failed)
			}
			n, failed = drain(t, python.StreamSource[string, map[string]badJSON]("last", strings.ReplaceAll(badValues, "yield how", "yield {'a': how}")), p, how)
			if n != 0 || failed == nil || !check(failed) || !strings.Contains(failed.Error(), "value 0 of source_") {
				t.Errorf("as JSON in a map, last: %d values, then %v", n, failed)
			}
		})
	}
	same(t, p, 5)
}

// drain returns the number of values of a stream, and its error.
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

// TestStream_MethodHangs: if a method that decodes a value does not return,
// the loop must end when its context ends or its worker dies.
func TestStream_MethodHangs(t *testing.T) {
	t.Parallel()
	p := streamPool(t, 1, python.Options{Grace: time.Millisecond})
	holdMethods(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("the reason")
	n := 0
	for v, err := range python.StreamSource[string, badText]("values", badValues)(ctx, p, "hang") {
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
	dies := python.StreamSource[string, badText]("dies", "import os\ndef dies(how):\n    yield how\n    os._exit(3)\n")
	n, failed := drain(t, dies, p, "hang")
	if e, ok := errors.AsType[*processes.WorkerError](failed); n != 0 || !ok || e.ExitCode != 3 {
		t.Errorf("when the worker dies: %d values, then %v", n, failed)
	}
	same(t, p, 5)
}

// TestStream_MethodHangsAtEnd: if a method does not return, and the
// generator has already ended, the loop must end when its context ends.
func TestStream_MethodHangsAtEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("the reason")
	p := streamPool(t, 1, python.Options{Grace: time.Millisecond, Observer: func(e concert.Event) {
		if e.Kind == concert.TaskFinished {
			cancel(why)
		}
	}})
	holdMethods(t)
	n := 0
	for v, err := range python.StreamSource[string, badText]("last", badValues)(ctx, p, "hang") {
		if n++; !errors.Is(err, why) || !strings.Contains(err.Error(), "value 0 of source_") {
			t.Errorf("step %d: %v, %v", n, v, err)
		}
	}
	if n != 1 {
		t.Errorf("%d steps, want 1", n)
	}
}

// TestStream_LateException: the generator raises an exception while a method
// still decodes the value before the exception. The loop must still wait for
// this method, for Options.Timeout at most.
func TestStream_LateException(t *testing.T) {
	t.Parallel()
	p := streamPool(t, 1, python.Options{Timeout: time.Second, Grace: time.Millisecond})
	holdMethods(t)
	n, failed := drain(t, python.StreamSource[string, badText]("then_raises", badValues), p, "hang")
	if n != 0 || !errors.Is(failed, processes.ErrTimeout) || errors.Is(failed, python.Type("LookupError")) {
		t.Errorf("%d values, then %v", n, failed)
	}
	n, failed = drain(t, python.StreamSource[string, badText]("then_raises", badValues), p, "fine")
	if n != 1 || !errors.Is(failed, python.Type("LookupError")) {
		t.Errorf("%d values, then %v", n, failed)
	}
}

// TestStream_MaxResult: Options.MaxResult must limit each value of a stream.
func TestStream_MaxResult(t *testing.T) {
	p := streamPool(t, 1, python.Options{MaxResult: 100_000})
	sizes := python.StreamSource[[]int, []byte]("sizes", badValues)
	for _, c := range []struct {
		sizes []int
		n     int
	}{{[]int{100_000, 0, 100_000}, 3}, {[]int{100_001}, 0}, {[]int{5, 1 << 20, 5}, 1}, {[]int{5, 1<<30 + 1}, 1}} {
		t.Run(fmt.Sprint(c.sizes), func(t *testing.T) {
			n, failed := drain(t, sizes, p, c.sizes)
			if n != c.n || (n == len(c.sizes)) != (failed == nil) {
				t.Errorf("%d: %d values, then %v", c.sizes, n, failed)
			}
			if failed != nil && (!errors.Is(failed, processes.ErrTooLarge) || !strings.Contains(failed.Error(), "more than the 100000 that Options.MaxResult allows")) {
				t.Errorf("%d: the error is %v", c.sizes, failed)
			}
			same(t, p, 5)
		})
	}
}

// TestStreamSource_Values: a generator in source text must work like a
// generator in a module.
func TestStreamSource_Values(t *testing.T) {
	t.Parallel()
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

// TestStream_Label: each error of a stream must have the label of its loop:
// errors of values and errors of the generator.
func TestStream_Label(t *testing.T) {
	t.Parallel()
	p := streamPool(t, 1, python.Options{Timeout: time.Second, Grace: time.Millisecond, MaxResult: 1000})
	holdMethods(t)
	values := python.StreamSource[string, badText]("values", badValues)
	raises := python.StreamSource[string, badText]("then_raises", badValues)
	for _, how := range []string{"panic", "goexit", "hang", "error", strings.Repeat("x", 2000), "fine"} {
		t.Run(fmt.Sprintf("%.10s", how), func(t *testing.T) {
			stream := values
			if how == "fine" {
				stream = raises
			}
			for _, label := range []string{"", "cat.jpg \x1b[31m"} {
				t.Run("label "+label, func(t *testing.T) {
					ctx := t.Context()
					if label != "" {
						ctx = concert.WithLabel(ctx, label)
					}
					n := 0
					for _, err := range stream(ctx, p, how) {
						if err == nil {
							continue
						}
						n++
						in := concert.InputOf(err)
						if label == "" {
							if in != nil {
								t.Errorf("%.10s: the error of a stream without a label, %v, is of %+v", how, err, in)
							}
							continue
						}
						if in == nil || in.Label != label || in.Index != -1 || in.Name == "" {
							t.Errorf("%.10s: the error %v is of %+v", how, err, in)
						}
						if how != "fine" && (!strings.Contains(err.Error(), `(cat.jpg \x1b[31m): value 1 of source_`) || strings.Contains(err.Error(), "\x1b")) {
							t.Errorf("%.10s: the error says %q", how, err)
						}
					}
					if n != 1 {
						t.Errorf("%.10s: %d errors, want 1", how, n)
					}
				})
			}
		})
	}
}
