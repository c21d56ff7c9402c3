package goroutines_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

// TestNested_GoroutineWaits: if a goroutine of a task waits while a nested task
// runs on the worker, the worker runs no third task.
func TestNested_GoroutineWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, nil)
		defer ex.Close()
		gate := make(chan struct{})
		third := make(chan *concert.Future[int], 1)
		waited := make(chan struct{})
		f := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (int, error) {
			nested := concert.Submit(ctx, ex, func(context.Context, int) (int, error) {
				<-gate
				return 1, nil
			}, 0)
			queued := concert.Submit(ctx, ex, square, 2)
			third <- queued
			go func() {
				time.Sleep(time.Millisecond)                    // until the nested task runs
				concert.Wait(ctx, concert.AllCompleted, queued) // not Result, which would run the task
				close(waited)
			}()
			return nested.Result(ctx)
		}, 0)
		queued := <-third
		time.Sleep(time.Second)
		if state := queued.State(); state != concert.Pending {
			t.Errorf("the third task is %v while another one runs on the only worker", state)
		}
		close(gate)
		if got, err := f.Result(t.Context()); got != 1 || err != nil {
			t.Errorf("Result() = %d, %v", got, err)
		}
		<-waited
	})
}

// TestNested_GoroutineOutlivesTask: a nested task has ended, and a goroutine
// that it started still waits with the context of the nested task. The outer
// task must continue on the worker, and no third task may run at the same time.
func TestNested_GoroutineOutlivesTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q := goroutines.New(1, nil), goroutines.New(1, nil)
		defer p.Close()
		defer q.Close()
		var busy atomic.Bool
		third, gone := make(chan *concert.Future[bool], 1), make(chan struct{})
		awaitsThird := concert.Submit(t.Context(), q, func(ctx context.Context, _ int) (bool, error) { return (<-third).Result(ctx) }, 0)
		result(t, concert.Submit(t.Context(), p, func(ctx context.Context, _ int) (int, error) {
			nested := concert.Submit(ctx, p, func(ctx context.Context, _ int) (int, error) {
				go func() {
					defer close(gone)
					concert.Wait(context.WithoutCancel(ctx), concert.AllCompleted, awaitsThird)
				}()
				time.Sleep(time.Millisecond) // until the goroutine waits
				return 0, nil
			}, 0)
			nested.Result(ctx)
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

// TestNested_SubmitterAwaited: a task fills the queue of its own pool with
// tasks that wait for it. All tasks end. The submitted tasks do not run
// nested in the first task, because that would close a circle.
func TestNested_SubmitterAwaited(t *testing.T) {
	watch(t)
	ex := goroutines.New(1, &goroutines.Options{Queue: 1})
	defer ex.Close()
	self := make(chan *concert.Future[int], 1)
	f := concert.Submit(t.Context(), ex, func(ctx context.Context, n int) (int, error) {
		me := <-self
		ctx = context.WithoutCancel(ctx) // the submitted tasks outlive this task
		for range 10 {
			concert.Submit(ctx, ex, func(ctx context.Context, _ int) (int, error) { return me.Result(ctx) }, 0).
				OnDone(ctx, func(ctx context.Context, f *concert.Future[int]) {
					if got, err := f.Result(ctx); got != n || err != nil {
						t.Errorf("a task that waited for its submitter got %d, %v", got, err)
					}
				})
		}
		return n, nil
	}, 7)
	self <- f
	if got, err := f.Result(t.Context()); got != 7 || err != nil {
		t.Errorf("Result() = %d, %v; want 7", got, err)
	}
}

// TestNested_WaitDeadline: a wait ends at its deadline. The worker does not run
// the awaited task nested, because that task could block the worker for longer.
func TestNested_WaitDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, nil)
		defer ex.Close()
		slow := concert.Go(t.Context(), func(context.Context) (int, error) { time.Sleep(time.Hour); return 0, nil })
		f := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (time.Duration, error) {
			a := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (int, error) { return slow.Result(ctx) }, 0)
			begin := time.Now()
			hurry, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := a.Result(hurry)
			return time.Since(begin), err
		}, 0)
		if took, err := f.Result(t.Context()); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("a wait of 1 s took %v, %v", took, err)
		}
	})
}
