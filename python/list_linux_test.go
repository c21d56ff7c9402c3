package python_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/python"
)

// These tests check that calls stay separate although the results of many calls
// are sent together; see worker/lists.py.

// counting has functions that count in a file how often each call has run. Each
// worker writes its process id to another file.
const counting = `
import concert, mmap, os, signal, threading, time

PATH = "%s"
with open(PATH, "r+b") as f:
    runs = mmap.mmap(f.fileno(), 0)
with open(PATH + ".pids", "a") as f:
    f.write("%%d\n" %% os.getpid())

def integer(n):
    runs[n] += 1
    return n + 1

def floating(n):
    runs[n] += 1
    return n / 2

def text_of(n):
    return "\u00e9" * (n * 31 %% 40) + str(n) if n %% 997 != 5 else "." * 2000

def text(n):
    runs[n] += 1
    return text_of(n)

def record(n):
    runs[n] += 1
    return {"N": n, "Text": text_of(n)}

def dies_with_text(n):
    return text_of(dies(n) - 1)

def dies(n):
    runs[n] += 1
    if n %% 701 == 700:
        os.kill(os.getpid(), signal.SIGKILL)
    return n + 1

def sometimes_slow(n):
    runs[n] += 1
    if n * 7919 %% 1009 < 2:
        time.sleep(0.02)
    return n + 1

def report(n):
    while runs[0] == 1:
        concert.progress(n)

def reports(n):
    if n == 0:
        threading.Thread(target=report, args=(n,), daemon=True).start()
    runs[n] += 1
    if n %% 97 == 0:
        concert.progress(n)
    return n + 1

def waits(n):
    if n >= 1500 and n %% 50 == 40:
        time.sleep(0.1)
        while not os.path.exists(PATH + ".%%d" %% (n - 1)):
            time.sleep(0.001)
    return n + 1
`

// textOf does the same as the function text_of of counting.
func textOf(n int) string {
	if n%997 == 5 {
		return strings.Repeat(".", 2000)
	}
	return strings.Repeat("\u00e9", n*31%40) + strconv.Itoa(n)
}

type record struct {
	N    int
	Text string
}

// counted returns a function of counting, the path of its file, and the
// contents of this file: how often each of n calls has run.
func counted[Out any](t *testing.T, name string, n int) (f func(context.Context, int) (Out, error), path string, runs []byte) {
	path = filepath.Join(t.TempDir(), "runs")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(int64(n)); err != nil {
		t.Fatal(err)
	}
	runs, err = syscall.Mmap(int(file.Fd()), 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(runs) })
	return python.Source[int, Out](name, fmt.Sprintf(counting, path)), path, runs
}

// killWorkers kills workers that have written their process id to a file, at
// random times, until the test calls stop. It counts them in killed.
func killWorkers(path string, killed *atomic.Int32) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		dead := map[string]bool{}
		for {
			select {
			case <-quit:
				return
			case <-time.After(time.Duration(rand.IntN(40_000)) * time.Microsecond):
			}
			b, _ := os.ReadFile(path + ".pids")
			lines := strings.Fields(string(b))
			if len(lines) == 0 || dead[lines[len(lines)-1]] {
				continue
			}
			last := lines[len(lines)-1]
			dead[last] = true
			killed.Add(1) // before the call fails
			if pid, err := strconv.Atoi(last); err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// TestMap_KilledWithinList: the death of a worker at any time costs at most the
// running call. It loses no result, and no call runs twice.
func TestMap_KilledWithinList(t *testing.T) {
	t.Parallel()
	t.Run("integers", func(t *testing.T) {
		killWithin(t, "integer", func(i int) int { return i + 1 })
	})
	t.Run("floats", func(t *testing.T) {
		killWithin(t, "floating", func(i int) float64 { return float64(i) / 2 })
	})
	t.Run("texts", func(t *testing.T) { killWithin(t, "text", textOf) })
	t.Run("dicts", func(t *testing.T) {
		killWithin(t, "record", func(i int) record { return record{i, textOf(i)} })
	})
}

func killWithin[Out comparable](t *testing.T, name string, want func(int) Out) {
	const n = 100_000
	f, path, runs := counted[Out](t, name, n)
	p := newPool(t, 2, nil)
	var killed atomic.Int32
	stop := killWorkers(path, &killed)
	failed := 0
	for killed.Load() < 8 {
		clear(runs)
		i := 0
		for got, err := range concert.Map(t.Context(), p, f, numbersTo(n)) {
			died := new(processes.WorkerError)
			switch {
			case errors.As(err, &died):
				if failed++; runs[i] > 1 {
					t.Errorf("call %d, which failed, ran %d times", i, runs[i])
				}
			case err != nil || got != want(i) || runs[i] != 1:
				t.Fatalf("call %d: %v, %v; it ran %d times", i, got, err, runs[i])
			}
			i++
		}
		if i != n {
			t.Fatalf("%d results, want %d", i, n)
		}
	}
	stop()
	if failed > int(killed.Load()) {
		t.Errorf("%d calls failed, but only %d workers were killed", failed, killed.Load())
	}
}

// TestMap_DiesWithinList: if a call kills its worker, exactly this call fails.
func TestMap_DiesWithinList(t *testing.T) {
	t.Parallel()
	t.Run("integers", func(t *testing.T) { dieWithin(t, "dies", func(i int) int { return i + 1 }) })
	t.Run("texts", func(t *testing.T) { dieWithin(t, "dies_with_text", textOf) })
}

func dieWithin[Out comparable](t *testing.T, name string, want func(int) Out) {
	const n = 10_000
	f, _, runs := counted[Out](t, name, n)
	p := newPool(t, 2, nil)
	i := 0
	for got, err := range concert.Map(t.Context(), p, f, numbersTo(n)) {
		died := new(processes.WorkerError)
		switch {
		case runs[i] != 1:
			t.Errorf("call %d ran %d times", i, runs[i])
		case i%701 == 700 && !errors.As(err, &died):
			t.Errorf("call %d: %v, %v; want a WorkerError", i, got, err)
		case i%701 != 700 && (err != nil || got != want(i)):
			t.Errorf("call %d: %v, %v", i, got, err)
		}
		i++
	}
}

// TestMap_SlowWithinList: the pool takes calls back from workers whose current
// call is slow. Each call runs once.
func TestMap_SlowWithinList(t *testing.T) {
	t.Parallel()
	const n = 50_000
	f, _, runs := counted[int](t, "sometimes_slow", n)
	p := newPool(t, 3, nil)
	i := 0
	for got, err := range concert.Map(t.Context(), p, f, numbersTo(n)) {
		if err != nil || got != i+1 || runs[i] != 1 {
			t.Errorf("call %d: %v, %v; it ran %d times", i, got, err, runs[i])
		}
		i++
	}
}

// TestMap_CanceledWithinList: a Map is canceled at any time. No call runs
// twice, and the worker continues with other calls.
func TestMap_CanceledWithinList(t *testing.T) {
	t.Parallel()
	const n = 1_000_000
	f, _, runs := counted[int](t, "integer", n)
	p := newPool(t, 2, nil)
	for round := range 20 {
		clear(runs)
		ctx, cancel := context.WithCancel(t.Context())
		last, i := rand.IntN(20_000), 0
		for got, err := range concert.Map(ctx, p, f, numbersTo(n)) {
			if err == nil && got != i+1 || err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("call %d: %v, %v", i, got, err)
			}
			if i++; i == last {
				cancel()
			}
		}
		cancel()
		for i, r := range runs {
			if r > 1 {
				t.Errorf("round %d: call %d ran %d times", round, i, r)
			}
		}
	}
}

// TestProgress_WithinList: calls, and a thread that a call has started, report
// progress between calls whose results are sent together.
func TestProgress_WithinList(t *testing.T) {
	t.Parallel()
	const n = 30_000
	f, _, runs := counted[int](t, "reports", n)
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
	f, path, _ := counted[int](t, "waits", n)
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
	t.Run("bytes", func(t *testing.T) { echoAll(t, p, [][]byte{{}, {0}, []byte("abc"), {0xff}}) })
	t.Run("bools", func(t *testing.T) { echoAll(t, p, []bool{true, false, false}) })
	t.Run("large numbers", func(t *testing.T) { echoAll(t, p, []uint64{1, 1 << 63, math.MaxUint64}) })
	t.Run("structs", func(t *testing.T) { echoAll(t, p, []record{{1, "a"}, {-1, "\xff"}, {1 << 40, ""}}) })
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
	f, _, _ := counted[int](t, "integer", n)
	p := newPool(t, 1, &python.Options{MaxResult: 7})
	for got, err := range concert.Map(t.Context(), p, f, numbersTo(n)) {
		if !errors.Is(err, processes.ErrTooLarge) {
			t.Errorf("%d, %v; want %v", got, err, processes.ErrTooLarge)
		}
	}
}
