package executor_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"concert"
	"concert/executor"
	"concert/goroutines"
)

// lockFunc is an executor.Lock.
type lockFunc func(ctx context.Context, fn func(context.Context) error) error

func (l lockFunc) Run(ctx context.Context, fn func(context.Context) error) error { return l(ctx, fn) }

// TestLock_Misbehaves: whatever a Lock of the program does, the function of a
// task is called at most once, and its error is not lost. If the function was
// not called, the task fails.
func TestLock_Misbehaves(t *testing.T) {
	errTask, errLock := errors.New("of the task"), errors.New("of the lock")
	later := make(chan func(), 100)
	for _, c := range []struct {
		name  string
		run   lockFunc
		calls int32 // calls of each task's function
		want  func(error) bool
	}{
		{"does not call", func(context.Context, func(context.Context) error) error { return nil }, 0,
			func(err error) bool { return err != nil && !errors.Is(err, errTask) }},
		{"fails", func(context.Context, func(context.Context) error) error { return errLock }, 0,
			func(err error) bool { return errors.Is(err, errLock) }},
		{"loses the error", func(ctx context.Context, fn func(context.Context) error) error { fn(ctx); return nil }, 1,
			func(err error) bool { return errors.Is(err, errTask) }},
		{"calls twice", func(ctx context.Context, fn func(context.Context) error) error { fn(ctx); fn(ctx); return nil }, 1,
			func(err error) bool { return errors.Is(err, errTask) }},
		{"calls later", func(ctx context.Context, fn func(context.Context) error) error {
			later <- func() { fn(ctx) }
			return nil
		}, 0, func(err error) bool { return err != nil && !errors.Is(err, errTask) }},
		{"does not wait", func(ctx context.Context, fn func(context.Context) error) error {
			begun := make(chan struct{})
			go fn(begins{ctx, begun})
			<-begun
			return nil
		}, 1, func(err error) bool { return errors.Is(err, errTask) }},
		{"panics", func(context.Context, func(context.Context) error) error { panic(errLock) }, 0,
			func(err error) bool { return errors.Is(err, errLock) }},
		{"exits", func(context.Context, func(context.Context) error) error { runtime.Goexit(); return nil }, 0,
			func(err error) bool { return errors.Is(err, concert.ErrGoexit) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ex := goroutines.New(1, &goroutines.Options{Lock: c.run})
			defer ex.Close()
			var calls atomic.Int32
			fn := func(ctx context.Context, n int) (int, error) {
				calls.Add(1)
				if b, ok := ctx.(begins); ok {
					close(b.begun)
				}
				return n, errTask
			}
			_, err := concert.Submit(t.Context(), ex, fn, 1).Result(t.Context())
			if !c.want(err) {
				t.Errorf("Result() = %v", err)
			}
			n := 0
			for _, err := range concert.Map(t.Context(), ex, fn, slices.Values([]int{1, 2})) {
				if n++; !c.want(err) {
					t.Errorf("result of a Map: %v", err)
				}
			}
			for len(later) > 0 {
				(<-later)()
			}
			if n != 2 || calls.Load() != 3*c.calls {
				t.Errorf("%d results of 2, and %d calls of 3 tasks, want %d", n, calls.Load(), 3*c.calls)
			}
		})
	}
}

// begins is a context with a channel, which the function closes when it begins.
type begins struct {
	context.Context
	begun chan struct{}
}

// idleReleaser is a Releaser that does nothing.
type idleReleaser struct{}

func (idleReleaser) Release(func()) {}

// TestReleaser_DoesNotCall: if a Releaser does not call the function that it is
// given, waits must still wait, and concert.Release must call the function
// itself.
func TestReleaser_DoesNotCall(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	ctx := executor.WithReleaser(t.Context(), idleReleaser{})
	begun, release := make(chan struct{}), make(chan struct{})
	f := concert.Submit(t.Context(), ex, func(context.Context, int) (int, error) { close(begun); <-release; return 7, nil }, 0)
	<-begun
	go close(release)
	if n, err := f.Result(ctx); n != 7 || err != nil {
		t.Errorf("Result() = %d, %v; want 7", n, err)
	}
	n := 0
	for got, err := range concert.Map(ctx, ex, square, slices.Values([]int{0, 1, 2})) {
		if got != n*n || err != nil {
			t.Errorf("result %d of a Map = %d, %v", n, got, err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d results of 3", n)
	}
	called := false
	if concert.Release(ctx, func() { called = true }); !called {
		t.Errorf("Release did not call its function")
	}
}
