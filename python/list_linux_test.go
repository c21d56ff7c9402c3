package python_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/processes"
	"concert/python"
)

// These tests check that calls stay separate although the results of many calls
// are sent together; see worker/lists.py.

// TestProgress_WithinList: calls, and a thread that a call has started, report
// progress between calls whose results are sent together.
func TestProgress_WithinList(t *testing.T) {
	t.Parallel()
	const n = 30_000
	f, _, runs := counted[int, int](t, "reports", n)
	p := newPool(t, 1, &python.Options{Observer: func(concert.Event) {}})
	i := 0
	for got, err := range concert.Map(t.Context(), p, f, numbersTo(n)) {
		if err != nil || got != i+1 {
			t.Fatalf("call %d: %v, %v", i, got, err)
		}
		i++
	}
	runs[0] = 0 // ends the thread
}

// reporting starts a thread that reports progress without a pause. The
// interpreter changes between the threads after nearly every step. A call fails
// if progress has failed in the thread, or if the pool has killed the worker.
const reporting = `
import concert, sys, threading

sys.setswitchinterval(1e-6)
failures, threads = [], []

def report():
    try:
        while True:
            concert.progress(1)
    except Exception as e:
        failures.append(e)

def begin(n):
    threads.append(threading.Thread(target=report, daemon=True))
    threads[0].start()

def number(n):
    if failures:
        raise failures[0]
    if not threads:
        raise RuntimeError("another worker has replaced the first one")
    sum(range(2000))  # so that few calls are in a group
    return n + 1
`

// TestProgress_BetweenCallsOfList: a thread reports progress at any time, also
// between two calls whose results are sent together.
func TestProgress_BetweenCallsOfList(t *testing.T) {
	t.Parallel()
	const n = 20_000
	p := newPool(t, 1, &python.Options{Observer: func(concert.Event) {}})
	if _, err := call(t, p, python.Source[int, any]("begin", reporting), 0); err != nil {
		t.Fatal(err)
	}
	i := 0
	for got, err := range concert.Map(t.Context(), p, python.Source[int, int]("number", reporting), numbersTo(n)) {
		if err != nil || got != i+1 {
			t.Fatalf("call %d: %v, %v", i, got, err)
		}
		i++
	}
}

// TestMap_ResultBeforeSlowCallWithinList: the program gets the results of quick
// calls while a slow call after them runs.
func TestMap_ResultBeforeSlowCallWithinList(t *testing.T) {
	t.Parallel()
	const n = 2000
	f, path, _ := counted[int, int](t, "waits", n)
	p := newPool(t, 1, nil)
	i := 0
	for got, err := range concert.Map(t.Context(), p, f, numbersTo(n)) {
		if err != nil || got != i+1 {
			t.Fatalf("call %d: %v, %v", i, got, err)
		}
		if i%50 == 39 {
			if err := os.WriteFile(fmt.Sprint(path, ".", i), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		i++
	}
}

// TestMap_QuickLoops: small calls run in an inner loop of the worker, also if
// asyncio is imported, which the loop of worker/lists.py does not support.
func TestMap_QuickLoops(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ module, result, file, want string }{
		"numbers": {"math", "int(called)", "<concert.lists>", "1"},
		"texts":   {"math", "str(called)", "<concert.lists>", "True"},
		"bools":   {"math", "called", "<concert.lists>", "true"},
		"dicts":   {"math", "{'called': called}", "<concert.lists>", "map[called:true]"},
		"asyncio": {"asyncio", "int(called)", "<concert.quick>", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			const text = "import sys, %s\ndef run(n):\n    called = sys._getframe(1).f_code.co_filename == %q\n    return %s\n"
			f := python.Source[int, any]("run", fmt.Sprintf(text, c.module, c.file, c.result))
			quick := 0
			for got, err := range concert.Map(t.Context(), newPool(t, 1, nil), f, numbersTo(3000)) {
				if err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(got) == c.want {
					quick++
				}
			}
			if quick < 1500 {
				t.Errorf("%d of 3000 calls ran in %s", quick, c.file)
			}
		})
	}
}

// mixing returns values of several kinds, and raises exceptions. Often, the
// results of calls that follow each other have the same kind.
const mixing = `
VALUES = [
    lambda n: n, lambda n: "text %d" % n, lambda n: (1 << 63) + n, lambda n: None, lambda n: b"\xff" * (n % 7), lambda n: [n, "x"],
    lambda n: n / 2, lambda n: n % 2 == 0, lambda n: "\udce9%d" % n, lambda n: {"n": n}, lambda n: "." * 1500, lambda n: 1 // 0,
    lambda n: "\ud800%d" % n, lambda n: 1 << 70, lambda n: "." * 1000, lambda n: {1, 2}, lambda n: object(),
    lambda n: n // min(1, n % 20), lambda n: str(n // min(1, n % 20)),
]

def mixed(n):
    which = n if n % 43 < 3 else n // 43
    return VALUES[which % len(VALUES)](n)
`

// TestMap_MixedWithinList: calls have the same outcomes if their results are
// sent together and if they are sent one by one, also if the kinds of the
// results change, results are too large for the list, or the list is full.
func TestMap_MixedWithinList(t *testing.T) {
	t.Parallel()
	const n = 3000
	p := newPool(t, 1, nil)
	f := python.Source[int, any]("mixed", mixing)
	i := 0
	for got, err := range concert.Map(t.Context(), p, f, numbersTo(n)) {
		want, wantErr := call(t, p, f, i)
		if !reflect.DeepEqual(got, want) || (err == nil) != (wantErr == nil) {
			t.Fatalf("call %d: %v, %v; want %v, %v", i, got, err, want, wantErr)
		}
		i++
	}
	if i != n {
		t.Errorf("%d results, want %d", i, n)
	}
}

// TestMap_NoneAfterFullList: the result None, which does not fit into a list
// that is full, is sent by itself.
func TestMap_NoneAfterFullList(t *testing.T) {
	t.Parallel()
	// The results of 32 calls fill the list.
	const text = `
EMPTY = {"text": ""}
size = 1024 - len(__import__("marshal").dumps(EMPTY, 2))

def fill(n):
    return None if n % 33 == 32 else {"text": "x" * size}
`
	f := python.Source[int, any]("fill", text)
	i := 0
	for got, err := range concert.Map(t.Context(), newPool(t, 1, nil), f, numbersTo(10_000)) {
		if (got == nil) != (i%33 == 32) || err != nil {
			t.Fatalf("call %d: %v, %v", i, got, err)
		}
		i++
	}
}

// TestMap_FailingConversion: if the conversion of a result raises ValueError,
// the call must fail, and the conversion must run once for each result.
func TestMap_FailingConversion(t *testing.T) {
	t.Parallel()
	const text = `
import concert

class Money:
    pass

conversions = 0

@concert.converts(Money)
def convert(money):
    global conversions
    conversions += 1
    raise ValueError("no currency")

def price(n):
    return {"n": conversions, "money": Money()} if n % 100 == 99 else {"n": conversions}
`
	f := python.Source[int, map[string]int]("price", text)
	i := 0
	for got, err := range concert.Map(t.Context(), newPool(t, 1, nil), f, numbersTo(2000)) {
		if i%100 == 99 {
			if err == nil || !strings.Contains(err.Error(), "no currency") {
				t.Errorf("call %d: %v, %v, want the error of the conversion", i, got, err)
			}
		} else if got["n"] != i/100 || err != nil {
			t.Fatalf("before call %d, %d conversions have run, %v; want %d", i, got["n"], err, i/100)
		}
		i++
	}
}

// TestMap_ArgumentsOfList: arguments that are sent together arrive unchanged.
func TestMap_ArgumentsOfList(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	texts := []string{"", "a", "\u00e9", "\xff", "a\x00b", strings.Repeat("x", 1024), strings.Repeat("y", 1025)}
	t.Run("texts", func(t *testing.T) { echoAll(t, p, texts) })
	t.Run("ascii", func(t *testing.T) { echoAll(t, p, []string{"a", "", "bcd"}) })
	t.Run("long texts", func(t *testing.T) { echoAll(t, p, []string{"", strings.Repeat("x", 1019), strings.Repeat("x", 1020)}) })
	t.Run("bytes", func(t *testing.T) { echoAll(t, p, [][]byte{{}, {0}, []byte("abc"), {0xff}}) })
	t.Run("bools", func(t *testing.T) { echoAll(t, p, []bool{true, false, false}) })
	t.Run("large numbers", func(t *testing.T) { echoAll(t, p, []uint64{1, 1 << 63, math.MaxUint64}) })
	t.Run("structs", func(t *testing.T) { echoAll(t, p, []record{{1, "a"}, {-1, "\xff"}, {1 << 40, ""}}) })
	t.Run("large structs", func(t *testing.T) {
		echoAll(t, p, append([]record{{3, strings.Repeat("x", 300<<10)}}, slices.Repeat([]record{{1, "a"}, {2, strings.Repeat("x", 2000)}}, 20)...))
	})
	t.Run("nil bytes", func(t *testing.T) {
		echoAll(t, p, [][]byte{nil, {1}, bytes.Repeat([]byte{2}, 1019), bytes.Repeat([]byte{3}, 1020)})
	})
	t.Run("arrays", func(t *testing.T) { echoAll(t, p, [][]float64{{1, 2}, {}, {0.5}}) })
	t.Run("of arrays", func(t *testing.T) { echoAll(t, p, [][][]int32{{{1, 2}}, {{3}, {4}}}) })
}

// echoAll maps many copies of values to themselves.
func echoAll[T any](t *testing.T, p *processes.Pool, values []T) {
	f := python.Source[T, T]("echo", "def echo(v):\n    return v\n")
	const n = 3000
	i := 0
	for got, err := range concert.Map(t.Context(), p, f, func(yield func(T) bool) {
		for i := 0; i < n && yield(values[i/3%len(values)]); i++ {
		}
	}) {
		if want := values[i/3%len(values)]; !reflect.DeepEqual(got, want) || err != nil {
			t.Fatalf("call %d: %v, %v; want %v", i, got, err, want)
		}
		i++
	}
}

// TestMap_NumbersTooLarge: Options.MaxResult also limits numbers.
func TestMap_NumbersTooLarge(t *testing.T) {
	t.Parallel()
	const n = 100
	f, _, _ := counted[int, int](t, "integer", n)
	p := newPool(t, 1, &python.Options{MaxResult: 7})
	for got, err := range concert.Map(t.Context(), p, f, numbersTo(n)) {
		if !errors.Is(err, processes.ErrTooLarge) {
			t.Errorf("%d, %v; want %v", got, err, processes.ErrTooLarge)
		}
	}
}
