package goroutines_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

// TestCompensate_WorkerReturned: a worker compensates while its task waits.
// When the wait ends, the task must continue as soon as the task on the
// compensating carrier has ended, before further tasks of the queue run.
func TestCompensate_WorkerReturned(t *testing.T) {
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
			// The task of q waits for a further task of p, which needs the
			// worker of the outer task.
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

// TestCompensate_WaitersGoFirst: a task that began on a compensating carrier
// still waits, while the worker runs tasks of the queue again. When the wait
// ends, this task must continue before the next task of the queue runs.
func TestCompensate_WaitersGoFirst(t *testing.T) {
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
		step("compensates", func(ctx context.Context) {
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
		if want := []string{"awaited", "compensates", "has the worker", "waits", "behind"}; !slices.Equal(order, want) {
			t.Errorf("the tasks ran in the order %q, want %q", order, want)
		}
	})
}

// TestCompensate_Close: if a task that began on a compensating carrier still
// waits when Close is called, Close returns only after this task has ended.
func TestCompensate_Close(t *testing.T) {
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

// TestCompensate_Goexit: if a task ends the goroutine of a compensating
// carrier, another carrier runs the next task.
func TestCompensate_Goexit(t *testing.T) {
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

// TestCompensate_TaskEndsInQueue: a goroutine of a task has waited with the
// task's context, and is queued for the worker. If the task ends now, the
// goroutine must continue at once. In the queue, the carrier of the task
// takes its position.
func TestCompensate_TaskEndsInQueue(t *testing.T) {
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
			time.Sleep(time.Second) // until the other task holds the worker, and the goroutine is queued
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

// TestCompensate_WaitWithDeadline: if the wait of a task has a deadline, the
// worker of the task compensates, too.
func TestCompensate_WaitWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := goroutines.New(1, nil), goroutines.New(1, nil)
		defer a.Close()
		defer b.Close()
		begin := time.Now()
		f := concert.Submit(t.Context(), a, func(ctx context.Context, n int) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			return concert.Submit(ctx, b, func(ctx context.Context, n int) (int, error) {
				return concert.Submit(ctx, a, square, n).Result(ctx)
			}, n).Result(ctx)
		}, 3)
		if got, err := f.Result(t.Context()); got != 9 || err != nil || time.Since(begin) != 0 {
			t.Errorf("Result() = %d, %v after %v; want 9 at once", got, err, time.Since(begin))
		}
	})
}

// TestResize_WhileCompensating: one of two idle workers still has a task
// that began on a compensating carrier. Resize can shrink and grow the pool.
// It may remove this worker, or the other worker.
func TestResize_WhileCompensating(t *testing.T) {
	for _, first := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			a, b := goroutines.New(2, nil), goroutines.New(2, nil)
			defer a.Close()
			defer b.Close()
			gate := make(chan struct{})
			outside := concert.Go(t.Context(), func(context.Context) (int, error) { <-gate; return 0, nil })
			needs := make(chan *concert.Future[int], 2)
			wait := func(ctx context.Context, n int) (int, error) {
				x := <-needs
				_, err := concert.Submit(ctx, b, func(ctx context.Context, _ int) (int, error) {
					time.Sleep(5 * time.Millisecond)
					return x.Result(ctx)
				}, 0).Result(ctx)
				time.Sleep(time.Duration(n) * 20 * time.Millisecond) // so that the workers become idle one after the other
				return 0, err
			}
			both := []*concert.Future[int]{concert.Submit(t.Context(), a, wait, first), concert.Submit(t.Context(), a, wait, 1-first)}
			synctest.Wait()
			x := concert.Submit(t.Context(), a, square, 2)
			y := concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) { return outside.Result(ctx) }, 0)
			needs <- x
			needs <- x // both tasks wait for x, which is in the queue: one of the workers compensates, and then also runs y
			if _, err := concert.Gather(t.Context(), both...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			a.Resize(1)
			synctest.Wait()
			a.Resize(2)
			close(gate)
			result(t, y)
			for range 20 {
				two := []*concert.Future[time.Duration]{concert.Submit(t.Context(), a, nap, time.Second), concert.Submit(t.Context(), a, nap, time.Second)}
				if _, err := concert.Gather(t.Context(), two...); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestCompensate_GoroutineOutlivesTask: if a task has ended and one of its
// goroutines still waits with the task's context, the goroutine does not keep
// the worker.
func TestCompensate_GoroutineOutlivesTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := goroutines.New(1, nil), goroutines.New(1, nil)
		defer a.Close()
		defer b.Close()
		gateY, gateG, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
		forY := concert.Go(t.Context(), func(context.Context) (int, error) { <-gateY; return 0, nil })
		forG := concert.Go(t.Context(), func(context.Context) (int, error) { <-gateG; return 0, nil })
		var y *concert.Future[int]
		f := concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) {
			x := concert.Submit(t.Context(), a, square, 2)
			y = concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) { return forY.Result(ctx) }, 0)
			// The worker compensates in order to run x, and then also runs y.
			concert.Submit(ctx, b, func(ctx context.Context, _ int) (int, error) { return x.Result(ctx) }, 0).Result(ctx)
			time.Sleep(time.Millisecond)
			go func() {
				defer close(gone)
				forG.Result(context.WithoutCancel(ctx))
			}()
			time.Sleep(time.Millisecond)
			return 0, nil
		}, 0)
		result(t, f)
		synctest.Wait()
		close(gateG)
		<-gone
		close(gateY)
		result(t, y)
		result(t, concert.Submit(t.Context(), a, square, 3))
	})
}
