package goroutines_test

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

// TestLent_Returned: a task whose worker was lent while it waited gets the
// worker as soon as the task that has it ends, before further tasks of the
// queue.
func TestLent_Returned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q := goroutines.New(1, nil), goroutines.New(1, nil)
		defer p.Close()
		defer q.Close()
		gate := make(chan struct{})
		var order []string // guarded by the only worker of p
		step := func(name string, wait <-chan struct{}) *concert.Future[int] {
			return concert.Submit(t.Context(), p, func(context.Context, int) (int, error) {
				if wait != nil {
					<-wait
				}
				order = append(order, name)
				return 0, nil
			}, 0)
		}
		var behind []*concert.Future[int]
		waits := concert.Submit(t.Context(), p, func(ctx context.Context, _ int) (int, error) {
			awaited := step("awaited", nil)
			behind = append(behind, step("has the worker", gate), step("behind", nil))
			// A task of q waits for one of p, which needs the worker of this
			// task.
			concert.Submit(ctx, q, func(ctx context.Context, _ int) (int, error) { return awaited.Result(ctx) }, 0).Result(ctx)
			order = append(order, "waits")
			return 0, nil
		}, 0)
		synctest.Wait()
		close(gate)
		result(t, waits)
		for _, f := range behind {
			result(t, f)
		}
		if want := []string{"awaited", "has the worker", "waits", "behind"}; !slices.Equal(order, want) {
			t.Errorf("the tasks ran in the order %q, want %q", order, want)
		}
	})
}

// TestLent_Yields: a worker that runs tasks of the queue again, while a task
// that began while it was lent still waits, goes to that task between two
// others.
func TestLent_Yields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q := goroutines.New(1, nil), goroutines.New(2, nil)
		defer p.Close()
		defer q.Close()
		gate, end := make(chan struct{}), make(chan struct{})
		var order []string // guarded by the only worker of p
		step := func(name string, do func(ctx context.Context)) *concert.Future[int] {
			return concert.Submit(t.Context(), p, func(ctx context.Context, _ int) (int, error) {
				do(ctx)
				order = append(order, name)
				return 0, nil
			}, 0)
		}
		nothing := func(context.Context) {}
		var others []*concert.Future[int]
		step("lends the worker", func(ctx context.Context) {
			awaited := step("awaited", nothing)
			others = append(others,
				step("waits", func(ctx context.Context) {
					concert.Submit(ctx, q, func(context.Context, int) (int, error) { <-end; return 0, nil }, 0).Result(ctx)
				}),
				step("has the worker", func(context.Context) { <-gate }),
				step("behind", nothing))
			concert.Submit(ctx, q, func(ctx context.Context, _ int) (int, error) { return awaited.Result(ctx) }, 0).Result(ctx)
		})
		synctest.Wait()
		close(end)
		synctest.Wait()
		close(gate)
		for _, f := range others {
			result(t, f)
		}
		if want := []string{"awaited", "lends the worker", "has the worker", "waits", "behind"}; !slices.Equal(order, want) {
			t.Errorf("the tasks ran in the order %q, want %q", order, want)
		}
	})
}

// TestNested_LeftBehind: a task that ran on top of another one has left a
// goroutine in a wait with its context. The task below has the worker all the
// same, and no third task runs on it.
func TestNested_LeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q := goroutines.New(1, nil), goroutines.New(1, nil)
		defer p.Close()
		defer q.Close()
		var busy atomic.Bool
		third, gone := make(chan *concert.Future[bool], 1), make(chan struct{})
		awaitsThird := concert.Submit(t.Context(), q, func(ctx context.Context, _ int) (bool, error) { return (<-third).Result(ctx) }, 0)
		result(t, concert.Submit(t.Context(), p, func(ctx context.Context, _ int) (int, error) {
			onTop := concert.Submit(ctx, p, func(ctx context.Context, _ int) (int, error) {
				go func() {
					defer close(gone)
					concert.Wait(context.WithoutCancel(ctx), concert.AllCompleted, awaitsThird)
				}()
				time.Sleep(time.Millisecond) // until the goroutine waits
				return 0, nil
			}, 0)
			onTop.Result(ctx)
			busy.Store(true)
			defer busy.Store(false)
			third <- concert.Submit(t.Context(), p, func(context.Context, int) (bool, error) { return busy.Load(), nil }, 0)
			time.Sleep(time.Second)
			return 0, nil
		}, 0))
		if result(t, awaitsThird) {
			t.Error("a third task ran on the only worker next to another one")
		}
		<-gone
	})
}

// TestLent_Close: Close returns when a task has ended that began while the
// worker was lent, and still waited when Close was called.
func TestLent_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q := goroutines.New(1, nil), goroutines.New(2, nil)
		defer q.Close()
		end := make(chan struct{})
		var waits *concert.Future[int]
		result(t, concert.Submit(t.Context(), p, func(ctx context.Context, _ int) (int, error) {
			awaited := concert.Submit(t.Context(), p, square, 2)
			waits = concert.Submit(t.Context(), p, func(ctx context.Context, _ int) (int, error) {
				return concert.Submit(ctx, q, func(context.Context, int) (int, error) { <-end; return 1, nil }, 0).Result(ctx)
			}, 0)
			return concert.Submit(ctx, q, func(ctx context.Context, _ int) (int, error) { return awaited.Result(ctx) }, 0).Result(ctx)
		}, 0))
		closed := make(chan error, 1)
		go func() { closed <- p.Close() }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("Close returned %v while a task waits", err)
		default:
		}
		close(end)
		if err := <-closed; err != nil {
			t.Errorf("Close() = %v", err)
		}
		result(t, waits)
	})
}

// TestLent_Goexit: if a task ends the goroutine to which a worker was lent, the
// worker is lent again for the next task.
func TestLent_Goexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q := goroutines.New(1, nil), goroutines.New(1, nil)
		defer p.Close()
		defer q.Close()
		result(t, concert.Submit(t.Context(), p, func(ctx context.Context, _ int) (int, error) {
			concert.Submit(t.Context(), p, func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }, 0)
			next := concert.Submit(t.Context(), p, square, 2)
			return concert.Submit(ctx, q, func(ctx context.Context, _ int) (int, error) { return next.Result(ctx) }, 0).Result(ctx)
		}, 0))
	})
}

// TestLent_InLine: a task ends whose goroutine is in line for the worker, after
// a wait with the task's context. The goroutine continues at once, and the
// task's worker keeps its place in the line.
func TestLent_InLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q := goroutines.New(1, nil), goroutines.New(1, nil)
		defer p.Close()
		defer q.Close()
		gate, gone := make(chan struct{}), make(chan struct{})
		var has *concert.Future[int]
		f := concert.Submit(t.Context(), p, func(ctx context.Context, _ int) (int, error) {
			awaited := concert.Submit(t.Context(), p, square, 2)
			has = concert.Submit(t.Context(), p, func(context.Context, int) (int, error) { <-gate; return 0, nil }, 0)
			go func() {
				defer close(gone)
				ctx := context.WithoutCancel(ctx)
				concert.Submit(ctx, q, func(ctx context.Context, _ int) (int, error) { return awaited.Result(ctx) }, 0).Result(ctx)
			}()
			time.Sleep(time.Second) // until the other task has the worker, and the goroutine is in line
			return 0, nil
		}, 0)
		result(t, f)
		synctest.Wait()
		select {
		case <-gone:
		default:
			t.Error("the goroutine waits for a worker that its task does not need any longer")
		}
		close(gate)
		result(t, has)
		result(t, concert.Submit(t.Context(), p, square, 3))
	})
}
