package goroutines_test

import (
	"context"
	"errors"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

func square(_ context.Context, n int) (int, error) { return n * n, nil }

func nap(ctx context.Context, d time.Duration) (time.Duration, error) {
	select {
	case <-time.After(d):
		return d, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func result[T any](t *testing.T, f *concert.Future[T]) T {
	t.Helper()
	got, err := f.Result(t.Context())
	if err != nil {
		t.Fatalf("Result() of %v: %v", f, err)
	}
	return got
}

func TestNew_DefaultAndNegative(t *testing.T) {
	ex := goroutines.New(0, nil)
	defer ex.Close()
	if got, want := ex.Width(), min(32, runtime.GOMAXPROCS(0)+4); got != want {
		t.Errorf("New(0).Width() = %d, want %d", got, want)
	}
	if s := ex.Stats(); s.Workers != 0 {
		t.Errorf("a new pool has %d goroutines, want none", s.Workers)
	}
	defer func() {
		if v := recover(); v == nil {
			t.Error("New(-1) did not panic")
		}
	}()
	goroutines.New(-1, nil)
}

// TestPool_IdealTime: ten thousand tasks that sleep for a second take
// exactly ten seconds on a thousand workers. The clock of the test advances
// only while all goroutines sleep.
func TestPool_IdealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1000, nil)
		defer ex.Close()
		begin := time.Now()
		for range 10 {
			n := 0
			for d, err := range concert.Map(t.Context(), ex, nap, slices.Values(slices.Repeat([]time.Duration{time.Second}, 1000))) {
				if d != time.Second || err != nil {
					t.Fatal(d, err)
				}
				n++
			}
			if n != 1000 {
				t.Fatalf("%d results", n)
			}
		}
		if got := time.Since(begin); got != 10*time.Second {
			t.Errorf("10 x 1,000 naps of 1 s on 1,000 workers took %v, want 10 s", got)
		}
		begin = time.Now()
		var futures []*concert.Future[time.Duration]
		for range 10_000 {
			futures = append(futures, concert.Submit(t.Context(), ex, nap, time.Second))
		}
		if _, err := concert.Gather(t.Context(), futures...); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(begin); got != 10*time.Second {
			t.Errorf("10,000 naps of 1 s on 1,000 workers took %v, want 10 s: %+v", got, ex.Stats())
		}
	})
}

func TestResult_Deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, nil)
		defer ex.Close()
		f := concert.Submit(t.Context(), ex, nap, time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := f.Result(ctx); !errors.Is(err, context.DeadlineExceeded) || f.State() != concert.Running {
			t.Errorf("Result() = %v, state %v; want DeadlineExceeded, running", err, f.State())
		}
	})
}

// TestShutdown_Grace: Shutdown waits for tasks until its context ends, and then
// exactly the grace period for a task that ignores its context.
func TestShutdown_Grace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(2, &goroutines.Options{Grace: 3 * time.Second})
		stubborn := func(context.Context, int) (int, error) { time.Sleep(time.Minute); return 7, nil }
		f := concert.Submit(t.Context(), ex, stubborn, 0)
		g := concert.Submit(t.Context(), ex, nap, time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		err := ex.Shutdown(ctx)
		var shut *concert.ShutdownError
		if !errors.As(err, &shut) || !errors.Is(err, context.DeadlineExceeded) || len(shut.Running) != 1 || !strings.Contains(shut.Running[0], "TestShutdown_Grace") {
			t.Errorf("Shutdown() = %v; want one task still running", err)
		}
		if got := time.Since(begin); got != 13*time.Second {
			t.Errorf("Shutdown() took %v, want 13 s", got)
		}
		if _, err := g.Result(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the task that ends with its context: %v", err)
		}
		if got, err := f.Result(t.Context()); got != 7 || err != nil {
			t.Errorf("the task that ignores its context: %d, %v; want its own result", got, err)
		}
	})
}

func TestShutdown_FromTask(t *testing.T) {
	ex := goroutines.New(1, nil)
	f := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (int, error) { return 0, ex.Shutdown(ctx) }, 0)
	if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrDeadlock) {
		t.Errorf("Shutdown() from a task of the pool = %v, want ErrDeadlock", err)
	}
	ex.Close()
}

func TestResize_GrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, nil)
		defer ex.Close()
		var futures []*concert.Future[time.Duration]
		for range 12 {
			futures = append(futures, concert.Submit(t.Context(), ex, nap, time.Second))
		}
		begin := time.Now()
		synctest.Wait()
		ex.Resize(4) // 4 tasks run in the first second
		time.Sleep(1500 * time.Millisecond)
		if s := ex.Stats(); s.Workers != 4 || s.Done != 4 || s.Queued != 4 {
			t.Errorf("after growing: %+v; want 4 workers, 4 done, 4 queued", s)
		}
		ex.Resize(2) // the 4 running tasks continue; after them, two run at a time
		if _, err := concert.Gather(t.Context(), futures...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := time.Since(begin); got != 4*time.Second {
			t.Errorf("12 naps took %v, want 4 s", got)
		}
		if s := ex.Stats(); s.Workers != 2 || s.Busy != 0 || s.Done != 12 {
			t.Errorf("after shrinking: %+v; want 2 idle workers, 12 done", s)
		}
		ex.Resize(1)
		synctest.Wait()
		if s := ex.Stats(); s.Workers != 1 {
			t.Errorf("after shrinking while idle: %+v; want 1 worker", s)
		}
		result(t, concert.Submit(t.Context(), ex, square, 2))
	})
}

func TestState_PerWorker(t *testing.T) {
	var made atomic.Int32
	type counter struct{ n int }
	ex := goroutines.New(3, &goroutines.Options{Init: func(context.Context) (any, error) {
		made.Add(1)
		return &counter{}, nil
	}})
	count := func(ctx context.Context, _ int) (int, error) {
		c, ok := goroutines.State[*counter](ctx)
		if !ok {
			return 0, errors.New("no state")
		}
		c.n++ // no lock: no other goroutine uses it, as the race detector confirms
		runtime.Gosched()
		return c.n, nil
	}
	for _, err := range concert.Map(t.Context(), ex, count, slices.Values(make([]int, 3000))) {
		if err != nil {
			t.Fatal(err)
		}
	}
	ex.Close()
	if n := made.Load(); n < 1 || n > 3 {
		t.Errorf("%d states were made for 3 workers", n)
	}
	if _, ok := goroutines.State[*counter](t.Context()); ok {
		t.Error("State() outside of a task reports true")
	}
}

// TestInit_Fails: if the initializer fails, tasks fail with the reason. The
// pool must not call the initializer again for each task.
func TestInit_Fails(t *testing.T) {
	why := errors.New("no license")
	for name, init := range map[string]func(context.Context) (any, error){
		"error":  func(context.Context) (any, error) { return nil, why },
		"panic":  func(context.Context) (any, error) { panic(why) },
		"goexit": func(context.Context) (any, error) { runtime.Goexit(); return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			ex := goroutines.New(2, &goroutines.Options{Queue: 4, Init: func(ctx context.Context) (any, error) {
				calls.Add(1)
				return init(ctx)
			}})
			for range 50 {
				_, err := concert.Submit(t.Context(), ex, square, 1).Result(t.Context())
				if err == nil || name == "error" && !errors.Is(err, why) || !strings.Contains(err.Error(), "no worker") {
					t.Fatalf("Result() = %v, want the reason", err)
				}
			}
			if n := calls.Load(); n > 2 {
				t.Errorf("Init was called %d times for 2 workers", n)
			}
			ex.Close()
		})
	}
}

func TestQueue_Unbounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, &goroutines.Options{Queue: goroutines.Unbounded})
		defer ex.Close()
		first := concert.Submit(t.Context(), ex, nap, time.Second)
		for range 100_000 {
			concert.Submit(t.Context(), ex, square, 1)
		}
		synctest.Wait()
		if s := ex.Stats(); s.Queued != 100_000 || first.State() != concert.Running {
			t.Errorf("%+v; want 100,000 queued", s)
		}
	})
}

// TestGoexit_KeepsWorkers: if a task ends its goroutine, the pool keeps its
// workers, and does not call Init again.
func TestGoexit_KeepsWorkers(t *testing.T) {
	var made atomic.Int32
	ex := goroutines.New(2, &goroutines.Options{Init: func(context.Context) (any, error) { return made.Add(1), nil }})
	defer ex.Close()
	quit := func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }
	for range 100 {
		if _, err := concert.Submit(t.Context(), ex, quit, 0).Result(t.Context()); !errors.Is(err, concert.ErrGoexit) {
			t.Fatal(err)
		}
	}
	result(t, concert.Submit(t.Context(), ex, square, 1))
	if s := ex.Stats(); s.Workers > 2 || made.Load() > 2 {
		t.Errorf("%+v and %d states after 100 Goexits, want at most 2 workers", s, made.Load())
	}
}

func TestPool_ProfileLabels(t *testing.T) {
	ex := goroutines.New(1, &goroutines.Options{Name: "thumbnails"})
	defer ex.Close()
	read := func(context.Context, int) (string, error) {
		var b strings.Builder
		err := pprof.Lookup("goroutine").WriteTo(&b, 1)
		return b.String(), err
	}
	if got := result(t, concert.Submit(t.Context(), ex, read, 0)); !strings.Contains(got, `"concert":"thumbnails"`) {
		t.Errorf("the goroutine profile does not have the pool's name:\n%s", got)
	}
}

// TestPool_StartOrder: with one worker, tasks start in the order of their
// submission. This includes tasks whose submitters had to wait for room.
func TestPool_StartOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, &goroutines.Options{Queue: 8})
		defer ex.Close()
		var mu sync.Mutex
		var order []int
		note := func(_ context.Context, i int) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, i)
			return i, nil
		}
		gate := make(chan struct{})
		concert.Submit(t.Context(), ex, func(context.Context, int) (int, error) { <-gate; return 0, nil }, 0)
		var submitters sync.WaitGroup
		for i := range 100 {
			submitters.Go(func() {
				f := concert.Submit(t.Context(), ex, note, i)
				if i%5 == 4 {
					f.Cancel() // so that the tasks behind it move forward
				}
			})
			synctest.Wait() // until it is queued, or waits for room
		}
		close(gate)
		submitters.Wait()
		ex.Close()
		if !slices.IsSorted(order) || len(order) < 80 {
			t.Errorf("%d tasks started, in the order %v", len(order), order)
		}
	})
}
