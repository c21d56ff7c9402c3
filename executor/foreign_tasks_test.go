package executor_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/executor"
	"concert/goroutines"
)

// badContext is a context of the program's own type. After a call of misbehave,
// the methods Err, Done, Value and Deadline panic, end their goroutine, or hang
// until release is called.
type badContext struct {
	context.Context
	how  *atomic.Value // string
	gate chan struct{}
}

func newBadContext(ctx context.Context) badContext {
	return badContext{ctx, new(atomic.Value), make(chan struct{})}
}

func (c badContext) misbehave(how string) { c.how.Store(how) }

func (c badContext) release() { close(c.gate) }

func (c badContext) call() {
	switch c.how.Load() {
	case "panics":
		panic("a method of the context")
	case "exits":
		runtime.Goexit()
	case "hangs":
		<-c.gate
	}
}

// Err, Done, Value and Deadline misbehave.
func (c badContext) Err() error                  { c.call(); return c.Context.Err() }
func (c badContext) Done() <-chan struct{}       { c.call(); return c.Context.Done() }
func (c badContext) Value(key any) any           { c.call(); return c.Context.Value(key) }
func (c badContext) Deadline() (time.Time, bool) { c.call(); return c.Context.Deadline() }

// endedContext returns a context that has ended.
func endedContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// misbehavior calls test for each way to misbehave, in a bubble of synctest.
func misbehavior(t *testing.T, test func(t *testing.T, how string)) {
	for _, how := range []string{"panics", "exits", "hangs"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, how) })
		})
	}
}

// TestForeignContext_InWait: a task waits with a context whose methods
// misbehave during the wait. Other tasks, waits and executors must continue.
func TestForeignContext_InWait(t *testing.T) {
	misbehavior(t, func(t *testing.T, how string) {
		ex, other, unrelated := goroutines.New(1, nil), goroutines.New(1, nil), goroutines.New(1, nil)
		gate := make(chan struct{})
		one := func(context.Context, int) (int, error) { <-gate; return 1, nil }
		contexts := make(chan badContext, 1)
		waiting := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (int, error) {
			f := concert.Submit(ctx, other, one, 0)
			bad := newBadContext(ctx)
			contexts <- bad
			return f.Result(bad)
		}, 0)
		synctest.Wait() // the task waits
		bad := <-contexts
		bad.misbehave(how)
		second := concert.Go(t.Context(), func(ctx context.Context) (int, error) { return waiting.Result(ctx) })
		synctest.Wait() // the search for deadlocks has reached the first wait
		nested := func(ctx context.Context, _ int) (int, error) {
			return concert.Go(ctx, func(context.Context) (int, error) { return 2, nil }).Result(ctx)
		}
		if got, err := concert.Submit(t.Context(), unrelated, nested, 0).Result(t.Context()); got != 2 || err != nil {
			t.Errorf("an unrelated task: %d, %v", got, err)
		}
		unrelated.Close()
		bad.release()
		close(gate)
		<-second.Done()
		ex.Close()
		other.Close()
	})
}

// TestForeignContext_AtEnd: the methods of a task's context misbehave when the
// task ends. The task must still have its result, and Close must return. This
// holds whether or not the function has called Done.
func TestForeignContext_AtEnd(t *testing.T) {
	misbehavior(t, func(t *testing.T, how string) {
		ex := goroutines.New(1, nil)
		for _, opens := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			bad := newBadContext(ctx)
			fn := func(ctx context.Context, _ int) (int, error) {
				if opens {
					ctx.Done()
				}
				bad.misbehave(how)
				return 1, nil
			}
			nesting := func(ctx context.Context, _ int) (int, error) {
				return concert.Submit(bad, ex, fn, 0).Result(ctx)
			}
			if got, err := concert.Submit(t.Context(), ex, nesting, 0).Result(t.Context()); got != 1 || err != nil {
				t.Errorf("Done called %v: %d, %v; want 1", opens, got, err)
			}
			cancel()
		}
		ex.Close()
	})
}

// TestForeignContext_OwnDone: a context closes its own Done channel, and the
// methods of the context misbehave from then on. The task must be canceled.
func TestForeignContext_OwnDone(t *testing.T) {
	misbehavior(t, func(t *testing.T, how string) {
		ex := goroutines.New(1, nil)
		bad := newBadContext(t.Context())
		done := make(chan struct{})
		f := concert.Submit(ownDone{bad, done}, ex, func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, 0)
		synctest.Wait()
		bad.misbehave(how)
		close(done)
		if _, err := f.Result(t.Context()); err != context.Canceled {
			t.Errorf("Result() = %v, want Canceled", err)
		}
		bad.release()
		ex.Close()
	})
}

// TestForeignContext_Queued: neither Cancel of a queued task nor Shutdown may
// wait for methods of the tasks' contexts.
func TestForeignContext_Queued(t *testing.T) {
	misbehavior(t, func(t *testing.T, how string) {
		const grace = time.Second
		ex := goroutines.New(1, &goroutines.Options{Grace: grace, Observer: func(concert.Event) {}})
		gate := make(chan struct{})
		concert.Submit(t.Context(), ex, func(context.Context, int) (int, error) { <-gate; return 1, nil }, 0)
		synctest.Wait() // the task runs
		bad := newBadContext(t.Context())
		var futures []*concert.Future[int]
		for range 100 {
			futures = append(futures, concert.Submit(bad, ex, square, 3))
		}
		bad.misbehave(how)
		begin := time.Now()
		for _, f := range futures[:50] {
			f.Cancel()
		}
		ex.Shutdown(endedContext())
		if took := time.Since(begin); took > grace {
			t.Errorf("50 Cancels and Shutdown took %v, want the grace period at most", took)
		}
		for _, f := range futures {
			if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
				t.Errorf("a queued task: %v, want ErrCanceled", err)
			}
		}
		bad.release()
		close(gate)
		ex.Close()
	})
}

// TestForeignContext_FullQueue: a method of the context panics, or ends the
// goroutine, while Submit waits for room in the queue. The task must never run.
func TestForeignContext_FullQueue(t *testing.T) {
	misbehavior(t, func(t *testing.T, how string) {
		if how == "hangs" {
			return // Submit hangs with its context
		}
		bad := newBadContext(t.Context())
		submitted := 0
		ex := goroutines.New(1, &goroutines.Options{Queue: 1, Observer: func(e concert.Event) {
			if e.Kind != concert.TaskSubmitted {
				return
			}
			if submitted++; submitted == 3 { // Submit has called the methods that it needs before it waits
				bad.misbehave(how)
			}
		}})
		gate := make(chan struct{})
		concert.Submit(t.Context(), ex, func(context.Context, int) (int, error) { <-gate; return 1, nil }, 0)
		synctest.Wait()
		concert.Submit(t.Context(), ex, square, 3)
		runs := false
		go func() {
			defer func() { recover() }()
			concert.Submit(bad, ex, func(context.Context, int) (int, error) { runs = true; return 0, nil }, 0)
		}()
		synctest.Wait()
		close(gate)
		synctest.Wait()
		ex.Close()
		if runs {
			t.Error("the task has run, although its Submit has not returned")
		}
	})
}

// TestForeignContext_Cancel: when Cancel has returned, the context of a running
// task has ended. This also holds if the submitter's context is of the
// program's own type, or is derived from very many contexts.
func TestForeignContext_Cancel(t *testing.T) {
	long := t.Context()
	type key int
	for n := range 2000 {
		long = context.WithValue(long, key(n), n)
	}
	ex := goroutines.New(1, nil)
	defer ex.Close()
	for name, ctx := range map[string]context.Context{"own": newBadContext(t.Context()), "long": long, "own Done": ownDone{newBadContext(t.Context()), make(chan struct{})}} {
		t.Run(name, func(t *testing.T) {
			started, canceled := make(chan struct{}), make(chan struct{})
			f := concert.Submit(ctx, ex, func(ctx context.Context, _ int) (error, error) {
				close(started)
				<-canceled
				return ctx.Err(), nil
			}, 0)
			<-started
			f.Cancel()
			close(canceled)
			if got, err := f.Result(t.Context()); got != context.Canceled {
				t.Errorf("Err() of the canceled task = %v, %v; want Canceled", got, err)
			}
		})
	}
}

// ownDone is a badContext that has its own Done channel.
type ownDone struct {
	badContext
	done chan struct{}
}

func (c ownDone) Done() <-chan struct{} { return c.done }

// embedsNothing is a context whose methods panic, because it embeds no context.
type embedsNothing struct{ context.Context }

// TestForeignContext_FromBeginning: if a method of a context misbehaves in
// Submit, Go or Map, the task fails, and other tasks run.
func TestForeignContext_FromBeginning(t *testing.T) {
	misbehavior(t, func(t *testing.T, how string) {
		if how == "hangs" {
			return // Submit hangs with its context
		}
		ex := goroutines.New(1, nil)
		bad := newBadContext(t.Context())
		bad.misbehave(how)
		for _, ctx := range []context.Context{embedsNothing{}, bad} {
			if _, err := concert.Submit(ctx, ex, square, 3).Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
				t.Errorf("Submit with a %T: %v, want ErrCanceled", ctx, err)
			}
			if _, err := concert.Go(ctx, func(context.Context) (int, error) { return 1, nil }).Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
				t.Errorf("Go with a %T: %v, want ErrCanceled", ctx, err)
			}
		}
		if got, err := concert.Submit(t.Context(), ex, square, 3).Result(t.Context()); got != 9 || err != nil {
			t.Errorf("the next task: %d, %v", got, err)
		}
		ex.Close()
	})
}

// TestForeignContext_MapDeadlock: a Map must find a deadlock even if its
// context has a type of the program, and embeds the context of the task.
func TestForeignContext_MapDeadlock(t *testing.T) {
	p, q := goroutines.New(1, nil), goroutines.New(1, nil)
	defer p.Close()
	defer q.Close()
	for name, derive := range map[string]func(context.Context) context.Context{
		"own type":            func(ctx context.Context) context.Context { return &ownContext{ctx} },
		"derived from a type": func(ctx context.Context) context.Context { return concert.WithLabel(&ownContext{ctx}, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			var outer *concert.Future[int]
			stored := make(chan struct{})
			outer = concert.Submit(t.Context(), p, func(ctx context.Context, _ int) (int, error) {
				<-stored
				item := func(ctx context.Context, _ int) (int, error) { return outer.Result(ctx) }
				for _, err := range concert.Map(derive(ctx), q, item, slices.Values([]int{1})) {
					return 0, err
				}
				return 0, nil
			}, 0)
			close(stored)
			if _, err := outer.Result(t.Context()); !errors.Is(err, concert.ErrDeadlock) {
				t.Errorf("Result() = %v, want ErrDeadlock", err)
			}
		})
	}
}

// TestForeignContext_ErrAfterDone: as soon as the Done channel of a context is
// closed, Err of its replacement returns an error. This also holds if many
// contexts share the Done channel.
func TestForeignContext_ErrAfterDone(t *testing.T) {
	inner, cancel := context.WithCancel(t.Context())
	var all []context.Context
	for range 10_000 {
		ctx, stop := executor.Isolate(&ownContext{inner})
		defer stop()
		all = append(all, ctx)
	}
	go cancel()
	<-inner.Done()
	for i, ctx := range all {
		if ctx.Err() == nil {
			t.Fatalf("Err() of replacement %d is nil after the end", i)
		}
	}
}

// timeoutError is an error that wraps DeadlineExceeded.
type timeoutError struct{}

func (timeoutError) Error() string { return "too late" }
func (timeoutError) Unwrap() error { return context.DeadlineExceeded }

// lateContext has its own Done channel, and ends with a timeoutError.
type lateContext struct {
	context.Context
	done chan struct{}
}

func (c lateContext) Done() <-chan struct{} { return c.done }

func (c lateContext) Err() error {
	select {
	case <-c.done:
		return timeoutError{}
	default:
		return nil
	}
}

// TestForeignContext_WrappedDeadline: if Err of a context returns an error that
// wraps DeadlineExceeded, Err of its replacement returns DeadlineExceeded.
func TestForeignContext_WrappedDeadline(t *testing.T) {
	own := lateContext{t.Context(), make(chan struct{})}
	ctx, stop := executor.Isolate(own)
	defer stop()
	close(own.done)
	if err := ctx.Err(); err != context.DeadlineExceeded {
		t.Errorf("Err() = %v, want DeadlineExceeded", err)
	}
}

// panicking is an Executor whose Execute and Width panic.
type panicking struct{ concert.Executor }

func (panicking) Execute(context.Context, *executor.Task) error { panic("in Execute") }

func (panicking) Width() int { panic("in Width") }

// TestForeignContext_ExecuteFails: if methods of an executor panic, no
// goroutine is left that waits for the end of the context.
func TestForeignContext_ExecuteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		own := lateContext{t.Context(), make(chan struct{})}
		for name, call := range map[string]func(){
			"Submit": func() { concert.Submit(own, panicking{}, square, 3) },
			"Map": func() {
				for range concert.Map(own, panicking{}, square, slices.Values([]int{1})) {
				}
			},
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s does not panic", name)
					}
				}()
				call()
			}()
		}
	})
}
