package python_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

// In these tests, the arguments and the results of many calls are sent
// together. The tests kill and stop workers, and cancel calls.

// counting has functions that count, in a file, the runs of each call. Each
// worker also writes its process id to another file.
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

def number_of(v):
    """Returns the number of a call whose argument is an int, a text, bytes or a dict."""
    if type(v) is dict:
        return v["N"]
    return v if type(v) is int else int(v.split(":" if type(v) is str else b":")[0])

def same(v):
    runs[number_of(v)] += 1
    return v

def dies_with_text(n):
    return text_of(dies(n))

def dies(v):
    n = number_of(v)
    runs[n] += 1
    if n %% 701 == 700:
        os.kill(os.getpid(), signal.SIGKILL)
    return v

def sometimes_slow(v):
    n = number_of(v)
    runs[n] += 1
    if n * 7919 %% 1009 < 2:
        time.sleep(0.02)
    return v

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

// textOf does the same as text_of in counting.
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

// These functions return the argument for the call with number n. In Python,
// number_of returns n for this argument.
func numberArg(n int) int    { return n }
func textArg(n int) string   { return fmt.Sprintf("%d:%s", n, strings.Repeat("\u00e9", n%30)) }
func bytesArg(n int) []byte  { return fmt.Appendf(nil, "%d:%s", n, strings.Repeat("\xff", n%90)) }
func recordArg(n int) record { return record{n, textOf(n)} }

// counted returns a function of the module counting, the path of its file,
// and the contents of this file: the number of runs of each of n calls.
func counted[In, Out any](t *testing.T, name string, n int) (f func(context.Context, In) (Out, error), path string, runs []byte) {
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
	return python.Source[In, Out](name, fmt.Sprintf(counting, path)), path, runs
}

// killWorkers kills workers at random times, until the test calls stop. It
// finds the workers by the process ids that they write to a file, and counts
// them in killed.
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

// TestMap_KilledWithinList: if a worker dies at any time, at most the
// running call may fail. No result may be lost, and no call may run twice.
func TestMap_KilledWithinList(t *testing.T) {
	t.Parallel()
	t.Run("integers", func(t *testing.T) {
		killWithin(t, "integer", numberArg, func(i int) int { return i + 1 })
	})
	t.Run("floats", func(t *testing.T) {
		killWithin(t, "floating", numberArg, func(i int) float64 { return float64(i) / 2 })
	})
	t.Run("texts", func(t *testing.T) { killWithin(t, "text", numberArg, textOf) })
	t.Run("dicts", func(t *testing.T) { killWithin(t, "record", numberArg, recordArg) })
	t.Run("texts to texts", func(t *testing.T) { killWithin(t, "same", textArg, textArg) })
	t.Run("bytes to bytes", func(t *testing.T) { killWithin(t, "same", bytesArg, bytesArg) })
	t.Run("dicts to dicts", func(t *testing.T) { killWithin(t, "same", recordArg, recordArg) })
}

func killWithin[In, Out any](t *testing.T, name string, in func(int) In, want func(int) Out) {
	const n = 100_000
	f, path, runs := counted[In, Out](t, name, n)
	p := newPool(t, 2, nil)
	var killed atomic.Int32
	stop := killWorkers(path, &killed)
	failed := 0
	for killed.Load() < 8 {
		clear(runs)
		i := 0
		for got, err := range concert.Map(t.Context(), p, f, valuesTo(n, in)) {
			died := new(processes.WorkerError)
			switch {
			case errors.As(err, &died):
				if failed++; runs[i] > 1 {
					t.Errorf("call %d, which failed, ran %d times", i, runs[i])
				}
			case err != nil || !reflect.DeepEqual(got, want(i)) || runs[i] != 1:
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

// valuesTo returns the values of a function for the numbers from 0 up to n-1.
func valuesTo[T any](n int, value func(int) T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := 0; i < n && yield(value(i)); i++ {
		}
	}
}

// TestMap_DiesWithinList: if a call kills its worker, exactly this call must
// fail.
func TestMap_DiesWithinList(t *testing.T) {
	t.Parallel()
	t.Run("integers", func(t *testing.T) { dieWithin(t, "dies", numberArg, numberArg) })
	t.Run("integers to texts", func(t *testing.T) { dieWithin(t, "dies_with_text", numberArg, textOf) })
	t.Run("texts", func(t *testing.T) { dieWithin(t, "dies", textArg, textArg) })
	t.Run("bytes", func(t *testing.T) { dieWithin(t, "dies", bytesArg, bytesArg) })
	t.Run("dicts", func(t *testing.T) { dieWithin(t, "dies", recordArg, recordArg) })
}

func dieWithin[In, Out any](t *testing.T, name string, in func(int) In, want func(int) Out) {
	const n = 10_000
	f, _, runs := counted[In, Out](t, name, n)
	p := newPool(t, 2, nil)
	i := 0
	for got, err := range concert.Map(t.Context(), p, f, valuesTo(n, in)) {
		died := new(processes.WorkerError)
		switch {
		case runs[i] != 1:
			t.Errorf("call %d ran %d times", i, runs[i])
		case i%701 == 700 && !errors.As(err, &died):
			t.Errorf("call %d: %v, %v; want a WorkerError", i, got, err)
		case i%701 != 700 && (err != nil || !reflect.DeepEqual(got, want(i))):
			t.Errorf("call %d: %v, %v", i, got, err)
		}
		i++
	}
}

// TestMap_SlowWithinList: the pool takes calls back from workers that run a
// slow call. Each call must run once.
func TestMap_SlowWithinList(t *testing.T) {
	t.Parallel()
	t.Run("integers", func(t *testing.T) { slowWithin(t, numberArg) })
	t.Run("texts", func(t *testing.T) { slowWithin(t, textArg) })
	t.Run("bytes", func(t *testing.T) { slowWithin(t, bytesArg) })
	t.Run("dicts", func(t *testing.T) { slowWithin(t, recordArg) })
}

func slowWithin[T any](t *testing.T, value func(int) T) {
	const n = 30_000
	f, _, runs := counted[T, T](t, "sometimes_slow", n)
	p := newPool(t, 3, nil)
	i := 0
	for got, err := range concert.Map(t.Context(), p, f, valuesTo(n, value)) {
		if err != nil || !reflect.DeepEqual(got, value(i)) || runs[i] != 1 {
			t.Errorf("call %d: %v, %v; it ran %d times", i, got, err, runs[i])
		}
		i++
	}
}

// TestMap_CanceledWithinList: the test cancels a Map at a random time. No
// call may run twice, and the worker must continue with other calls.
func TestMap_CanceledWithinList(t *testing.T) {
	t.Parallel()
	t.Run("integers", func(t *testing.T) { cancelWithin(t, numberArg) })
	t.Run("texts", func(t *testing.T) { cancelWithin(t, textArg) })
	t.Run("bytes", func(t *testing.T) { cancelWithin(t, bytesArg) })
	t.Run("dicts", func(t *testing.T) { cancelWithin(t, recordArg) })
}

func cancelWithin[T any](t *testing.T, value func(int) T) {
	const n = 1_000_000
	f, _, runs := counted[T, T](t, "same", n)
	p := newPool(t, 2, nil)
	for round := range 10 {
		clear(runs)
		ctx, cancel := context.WithCancel(t.Context())
		last, i := rand.IntN(20_000), 0
		for got, err := range concert.Map(ctx, p, f, valuesTo(n, value)) {
			if err == nil && !reflect.DeepEqual(got, value(i)) || err != nil && !errors.Is(err, context.Canceled) {
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
