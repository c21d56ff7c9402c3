package executor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// Lock is a lock that tasks hold while they run. The waits of this package
// release it: see Options.Lock of package concert/goroutines, and
// [WithReleaser]. The lock of package concert/gil is a Lock.
type Lock interface {
	// Run acquires the lock, calls fn with a context that carries a [Releaser]
	// (see [WithReleaser]), releases the lock however fn ends, and returns what
	// fn returns. If ctx ends before Run has acquired the lock, Run may return
	// the cause of ctx. If Run returns without having called fn, the task
	// fails. If Run calls fn again, the function of the task does not run
	// again.
	Run(ctx context.Context, fn func(context.Context) error) error
}

// Releaser is the holder of a lock.
type Releaser interface {
	// Release releases the lock, calls fn, and acquires the lock again, however
	// fn ends. If the Releaser does not hold the lock, Release only calls fn.
	Release(fn func())
}

// Release implements concert.Release.
func Release(ctx context.Context, fn func()) {
	if r := ReleaserOf(ctx); r != nil {
		unlocked(r, fn)
		return
	}
	fn()
}

// underLock calls a task's function under the lock. It is not part of
// callFunction: its closure needs an allocation, which tasks without a Lock
// should not have. The type of the Lock may belong to the program. Whatever
// its Run does, underLock calls fn at most once, and does not lose the
// outcome of fn.
func underLock[In, Out any](l Lock, ctx context.Context, fn func(context.Context, In) (Out, error), in In) (out Out, err error) {
	var once struct {
		sync.Mutex // held while the function runs
		over       bool
		failure    error
	}
	err = l.Run(ctx, func(ctx context.Context) error {
		once.Lock()
		defer once.Unlock()
		if once.over {
			return errLocked
		}
		once.over = true
		out, once.failure = fn(ctx, in)
		return once.failure
	})
	once.Lock()
	defer once.Unlock()
	called := once.over
	once.over = true
	if err == nil {
		if err = once.failure; !called {
			err = errUnlocked
		}
	}
	return out, err
}

var (
	errLocked   = errors.New("concert: the method Run of the executor's Lock called the function of a task a second time, or after Run had returned")
	errUnlocked = errors.New("concert: the method Run of the executor's Lock returned no error, but did not call the function of the task")
)

// released calls wait exactly once: it calls r.Release, which releases the lock
// and calls wait. If Release returns without having called wait, released calls
// wait itself.
func released(r Releaser, wait func() error) error {
	c := &onceCall{wait: wait}
	r.Release(c.call)
	c.call()
	return c.err
}

// onceCall calls a function at most once, and keeps its result.
type onceCall struct {
	called atomic.Bool
	wait   func() error
	err    error
}

func (c *onceCall) call() {
	if c.called.CompareAndSwap(false, true) {
		c.err = c.wait()
	}
}

// unlocked does the same as released, for a function without an error.
func unlocked(r Releaser, fn func()) {
	released(r, func() error { fn(); return nil })
}
