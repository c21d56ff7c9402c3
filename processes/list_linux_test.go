package processes_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// These tests check that calls stay separate although the results of many calls
// are sent together; see shm.Journal.

// countedEnv is an environment variable of workers: the path of a file in which
// the function counted counts how often each call has run.
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
	countedQuick = concert.Register("processes_test.counted", func(_ context.Context, n int) (int, error) {
		openCounted()[n]++
		return n + 1, nil
	})
	countedDies = concert.Register("processes_test.countedDies", func(_ context.Context, n int) (int, error) {
		openCounted()[n]++
		if n%701 == 700 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(time.Minute)
		}
		return n + 1, nil
	})
	countedFails = concert.Register("processes_test.countedFails", func(_ context.Context, n int) (float64, error) {
		openCounted()[n]++
		switch n % 1000 {
		case 7:
			return 0, errCounted
		case 500:
			panic("unlucky")
		}
		return float64(n) + 1, nil
	})
	countedSlow = concert.Register("processes_test.countedSlow", func(_ context.Context, n int) (int, error) {
		openCounted()[n]++
		if n*7919%1009 < 2 {
			time.Sleep(20 * time.Millisecond)
		}
		return n + 1, nil
	})
	countedWaits = concert.Register("processes_test.countedWaits", func(_ context.Context, n int) (int, error) {
		if n >= 1500 && n%50 == 40 {
			for openCounted()[n-1] == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		return n + 1, nil
	})
)

var errCounted = concert.RegisterError("processes_test.errCounted", errors.New("seven"))

// newCounted returns a pool whose workers can run counted functions, and a
// slice with the number of runs of each of n calls.
func newCounted(t *testing.T, workers, n int) (p *processes.Pool, runs []byte) {
	path := filepath.Join(t.TempDir(), "runs")
	if err := os.WriteFile(path, make([]byte, n), 0o666); err != nil {
		t.Fatal(err)
	}
	runs, err := mapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(runs) })
	t.Setenv(countedEnv, path)
	return newPool(t, workers, nil), runs
}

// TestMap_KilledWithinList: the death of a worker at any time costs at most the
// running call. It loses no result, and no call runs twice.
func TestMap_KilledWithinList(t *testing.T) {
	const n = 100_000
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
		for got, err := range concert.Map(t.Context(), p, countedQuick, numbers(n)) {
			died := new(processes.WorkerError)
			switch {
			case errors.As(err, &died):
				if failed++; runs[i] > 1 {
					t.Errorf("call %d, which failed, ran %d times", i, runs[i])
				}
			case err != nil || got != i+1 || runs[i] != 1:
				t.Fatalf("call %d: %v, %v; it ran %d times", i, got, err, runs[i])
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
func TestMap_DiesWithinList(t *testing.T) {
	const n = 10_000
	p, runs := newCounted(t, 2, n)
	i := 0
	for got, err := range concert.Map(t.Context(), p, countedDies, numbers(n)) {
		died := new(processes.WorkerError)
		switch {
		case runs[i] != 1:
			t.Errorf("call %d ran %d times", i, runs[i])
		case i%701 == 700 && !errors.As(err, &died):
			t.Errorf("call %d: %v, %v; want a WorkerError", i, got, err)
		case i%701 != 700 && (err != nil || got != i+1):
			t.Errorf("call %d: %v, %v", i, got, err)
		}
		i++
	}
}

// TestMap_FailsWithinList: calls that fail or panic do not affect others.
func TestMap_FailsWithinList(t *testing.T) {
	const n = 20_000
	p, runs := newCounted(t, 2, n)
	i := 0
	for got, err := range concert.Map(t.Context(), p, countedFails, numbers(n)) {
		panicked := new(concert.PanicError)
		ok := err == nil && got == float64(i)+1
		switch i % 1000 {
		case 7:
			ok = errors.Is(err, errCounted)
		case 500:
			ok = errors.As(err, &panicked)
		}
		if !ok || runs[i] != 1 {
			t.Errorf("call %d: %v, %v; it ran %d times", i, got, err, runs[i])
		}
		i++
	}
}

// TestMap_SlowWithinList: the pool takes calls back from workers whose current
// call is slow. Each call runs once.
func TestMap_SlowWithinList(t *testing.T) {
	const n = 50_000
	p, runs := newCounted(t, 3, n)
	i := 0
	for got, err := range concert.Map(t.Context(), p, countedSlow, numbers(n)) {
		if err != nil || got != i+1 || runs[i] != 1 {
			t.Errorf("call %d: %v, %v; it ran %d times", i, got, err, runs[i])
		}
		i++
	}
}

// TestMap_CanceledWithinList: a Map is canceled at any time. No call runs
// twice, and the workers continue with other calls.
func TestMap_CanceledWithinList(t *testing.T) {
	const n = 100_000
	p, runs := newCounted(t, 2, n)
	for round := range 20 {
		clear(runs)
		ctx, cancel := context.WithCancel(t.Context())
		last, i := 1+rand.IntN(20_000), 0
		for got, err := range concert.Map(ctx, p, countedQuick, numbers(n)) {
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

// TestMap_ResultBeforeSlowCallWithinList: the program gets the results of quick
// calls while a slow call after them runs.
func TestMap_ResultBeforeSlowCallWithinList(t *testing.T) {
	const n = 2000
	p, runs := newCounted(t, 1, n)
	i := 0
	for got, err := range concert.Map(t.Context(), p, countedWaits, numbers(n)) {
		if err != nil || got != i+1 {
			t.Fatalf("call %d: %v, %v", i, got, err)
		}
		runs[i] = 1
		i++
	}
}
