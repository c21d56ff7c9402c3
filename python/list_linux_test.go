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

// A worker sends the results of many calls together; see worker/lists.py.
// These tests check that a call still does not affect other calls.

// TestProgress_WithinList: the results of calls are sent together. In
// between, calls report progress, and so does a thread that a call has
// started.
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
// interpreter changes between the threads after nearly every step. A call
// fails if the function progress has failed in the thread, or if the pool
// has killed the worker.
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

// TestProgress_BetweenCallsOfList: a thread reports progress at any time,
// even between two calls whose results are sent together. The worker must
// send valid frames.
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

// TestMap_ResultBeforeSlowCallWithinList: if a slow call follows quick
// calls, the program must get the results of the quick calls while the slow
// call runs.
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

// TestMap_QuickLoops: small calls must run in an inner loop of the worker.
// This must hold after an import of asyncio, too, although the loop of
// worker/lists.py does not support asyncio.
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

// mixing has a function that returns values of several kinds, or raises
// exceptions. The results of consecutive calls often have the same kind.
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

// TestMap_MixedWithinList: calls must have the same outcomes if their
// results are sent together, and if they are sent one by one. In the test,
// the kinds of the results change, some results are too large for the list,
// and the list becomes full.
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

// TestMap_NoneAfterFullList: if the list is full, the result None has no
// space in it, and must be sent separately.
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

// TestMap_ArgumentsOfList: if arguments are sent together, they must arrive
// unchanged.
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

// echoAll runs a Map that returns its inputs, for many copies of the values,
// and checks the results.
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

// TestMap_NumbersTooLarge: Options.MaxResult must also limit results that
// are numbers.
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
