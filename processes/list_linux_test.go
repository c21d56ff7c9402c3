package processes_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// A worker sends the results of many calls together; see shm.Journal. These
// tests check that a fault in one call still does not affect the other
// calls.

// countedEnv is an environment variable of workers. Its value is the path of
// a file. In this file, the function counted counts the runs of each call.
const countedEnv = "CONCERT_TEST_COUNTED"

var openCounted = sync.OnceValue(func() []byte {
	runs, err := mapFile(os.Getenv(countedEnv))
	if err != nil {
		panic(err)
	}
	return runs
})

func mapFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
}

// counted functions return n+1.
var (
	countedQuick = countedFunctions("Quick", func(n int) (int, error) {
		openCounted()[n]++
		return n + 1, nil
	})
	countedDies = countedFunctions("Dies", func(n int) (int, error) {
		openCounted()[n]++
		if n%701 == 700 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(time.Minute)
		}
		return n + 1, nil
	})
	countedFails = countedFunctions("Fails", func(n int) (int, error) {
		openCounted()[n]++
		switch n % 1000 {
		case 7:
			return 0, errCounted
		case 500:
			panic("unlucky")
		}
		return n + 1, nil
	})
	countedSlow = countedFunctions("Slow", func(n int) (int, error) {
		openCounted()[n]++
		if n*7919%1009 < 2 {
			time.Sleep(20 * time.Millisecond)
		}
		return n + 1, nil
	})
	countedWaits = countedFunctions("Waits", func(n int) (int, error) {
		if n >= 1500 && n%50 == 40 {
			for openCounted()[n-1] == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		return n + 1, nil
	})
)

// countedSet has functions that count their calls in the same way. The
// results of the field floats have the same size, the results of texts have
// different sizes, and the results of structs have no special kind in
// executor.Encoded.
type countedSet struct {
	floats  func(context.Context, int) (float64, error)
	texts   func(context.Context, string) (string, error)
	structs func(context.Context, item) (item, error)
}

type item struct {
	N    int
	Text string
}

// textOf returns a text for a number. The texts have different sizes, and
// some of them are too large for a list.
func textOf(n int) string {
	size := n * 31 % 80
	if n%997 == 5 {
		size = 2000
	}
	return strconv.Itoa(n) + strings.Repeat(".", size)
}

func itemOf(n int) item { return item{n, textOf(n)} }

func countedFunctions(name string, f func(n int) (int, error)) countedSet {
	return countedSet{
		concert.Register("processes_test.counted"+name+"Floats", func(_ context.Context, n int) (float64, error) {
			m, err := f(n)
			return float64(m), err
		}),
		concert.Register("processes_test.counted"+name+"Texts", func(_ context.Context, s string) (string, error) {
			n, err := strconv.Atoi(strings.TrimRight(s, "."))
			if err == nil {
				n, err = f(n)
			}
			return textOf(n), err
		}),
		concert.Register("processes_test.counted"+name+"Structs", func(_ context.Context, i item) (item, error) {
			n, err := f(i.N)
			return itemOf(n), err
		}),
	}
}

// countedMap runs a Map of n calls. For each outcome, it yields whether the
// value is the expected value, and the error.
type countedMap func(ctx context.Context, p *processes.Pool, n int) iter.Seq2[bool, error]

// each runs a test for each type of results, in parallel with other tests.
func (c countedSet) each(t *testing.T, test func(t *testing.T, run countedMap)) {
	t.Parallel()
	t.Run("floats", func(t *testing.T) {
		test(t, mapCounted(c.floats, func(n int) int { return n }, func(n int) float64 { return float64(n) }))
	})
	t.Run("texts", func(t *testing.T) { test(t, mapCounted(c.texts, textOf, textOf)) })
	t.Run("structs", func(t *testing.T) { test(t, mapCounted(c.structs, itemOf, itemOf)) })
}

func mapCounted[In any, Out comparable](f func(context.Context, In) (Out, error), in func(n int) In, out func(n int) Out) countedMap {
	return func(ctx context.Context, p *processes.Pool, n int) iter.Seq2[bool, error] {
		inputs := func(yield func(In) bool) {
			for i := 0; i < n && yield(in(i)); i++ {
			}
		}
		return func(yield func(bool, error) bool) {
			i := 0
			for got, err := range concert.Map(ctx, p, f, inputs) {
				if i++; !yield(got == out(i), err) {
					return
				}
			}
		}
	}
}

var errCounted = concert.RegisterError("processes_test.errCounted", errors.New("seven"))

// newCounted returns a pool whose workers can run counted functions, and a
// slice with the number of runs of each of n calls.
func newCounted(t *testing.T, workers, n int) (p *processes.Pool, runs []byte) {
	leftovers(t)
	path := filepath.Join(t.TempDir(), "runs")
	if err := os.WriteFile(path, make([]byte, n), 0o666); err != nil {
		t.Fatal(err)
	}
	runs, err := mapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(runs) })
	return newPool(t, workers, &processes.Options{Env: append(os.Environ(), countedEnv+"="+path)}), runs
}

// TestMap_KilledWithinList: if a worker dies at any time, at most the
// running call may fail. No result may be lost, and no call may run twice.
func TestMap_KilledWithinList(t *testing.T) { countedQuick.each(t, killWithinList) }

func killWithinList(t *testing.T, run countedMap) {
	const n = 30_000
	p, runs := newCounted(t, 2, n)
	var kills atomic.Int32
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			case <-time.After(time.Duration(rand.IntN(20_000)) * time.Microsecond):
			}
			pid, err := concert.Submit(t.Context(), p, pidOf, 0).Result(t.Context())
			if err == nil {
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
				kills.Add(1) // before the call fails
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}()
	failed := 0
	for kills.Load() < 8 {
		clear(runs)
		i := 0
		for right, err := range run(t.Context(), p, n) {
			died := new(processes.WorkerError)
			switch {
			case errors.As(err, &died):
				if failed++; runs[i] > 1 {
					t.Errorf("call %d, which failed, ran %d times", i, runs[i])
				}
			case err != nil || !right || runs[i] != 1:
				t.Fatalf("call %d: the value is right: %v; error %v; it ran %d times", i, right, err, runs[i])
			}
			i++
		}
		if i != n {
			t.Fatalf("%d results, want %d", i, n)
		}
	}
	close(quit)
	<-ended
	if failed > int(kills.Load()) {
		t.Errorf("%d calls failed, but only %d workers were killed", failed, kills.Load())
	}
}

// TestMap_DiesWithinList: if a call kills its worker, exactly this call fails.
func TestMap_DiesWithinList(t *testing.T) { countedDies.each(t, dieWithinList) }

func dieWithinList(t *testing.T, run countedMap) {
	const n = 10_000
	p, runs := newCounted(t, 2, n)
	i := 0
	for right, err := range run(t.Context(), p, n) {
		died := new(processes.WorkerError)
		switch {
		case runs[i] != 1:
			t.Errorf("call %d ran %d times", i, runs[i])
		case i%701 == 700 && !errors.As(err, &died):
			t.Errorf("call %d: error %v, want a WorkerError", i, err)
		case i%701 != 700 && (err != nil || !right):
			t.Errorf("call %d: the value is right: %v; error %v", i, right, err)
		}
		i++
	}
}

// TestMap_FailsWithinList: calls that fail or panic must not affect other
// calls.
func TestMap_FailsWithinList(t *testing.T) { countedFails.each(t, failWithinList) }

func failWithinList(t *testing.T, run countedMap) {
	const n = 20_000
	p, runs := newCounted(t, 2, n)
	i := 0
	for right, err := range run(t.Context(), p, n) {
		panicked := new(concert.PanicError)
		ok := err == nil && right
		switch i % 1000 {
		case 7:
			ok = errors.Is(err, errCounted)
		case 500:
			ok = errors.As(err, &panicked)
		}
		if !ok || runs[i] != 1 {
			t.Errorf("call %d: the value is right: %v; error %v; it ran %d times", i, right, err, runs[i])
		}
		i++
	}
}

// TestMap_SlowWithinList: the pool takes calls back from workers that run a
// slow call. Each call must run once.
func TestMap_SlowWithinList(t *testing.T) { countedSlow.each(t, slowWithinList) }

func slowWithinList(t *testing.T, run countedMap) {
	const n = 50_000
	p, runs := newCounted(t, 3, n)
	i := 0
	for right, err := range run(t.Context(), p, n) {
		if err != nil || !right || runs[i] != 1 {
			t.Errorf("call %d: the value is right: %v; error %v; it ran %d times", i, right, err, runs[i])
		}
		i++
	}
}

// TestMap_CanceledWithinList: the test cancels a Map at a random time. No
// call may run twice, and the workers must continue with other calls.
func TestMap_CanceledWithinList(t *testing.T) { countedQuick.each(t, cancelWithinList) }

func cancelWithinList(t *testing.T, run countedMap) {
	const n = 100_000
	p, runs := newCounted(t, 2, n)
	for round := range 20 {
		clear(runs)
		ctx, cancel := context.WithCancel(t.Context())
		last, i := 1+rand.IntN(20_000), 0
		for right, err := range run(ctx, p, n) {
			if err == nil && !right || err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("call %d: the value is right: %v; error %v", i, right, err)
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

// TestMap_ResultBeforeSlowCallWithinList: if a slow call follows quick
// calls, the program must get the results of the quick calls while the slow
// call runs.
func TestMap_ResultBeforeSlowCallWithinList(t *testing.T) {
	countedWaits.each(t, resultsBeforeSlowCall)
}

func resultsBeforeSlowCall(t *testing.T, run countedMap) {
	const n = 2000
	p, runs := newCounted(t, 1, n)
	i := 0
	for right, err := range run(t.Context(), p, n) {
		if err != nil || !right {
			t.Fatalf("call %d: the value is right: %v; error %v", i, right, err)
		}
		runs[i] = 1
		i++
	}
}
