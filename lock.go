package concert

import "context"

// Lock is held by tasks while they run, and not while they wait through this package: see
// Options.Lock of package concert/goroutines. The lock of package concert/gil is one.
type Lock interface {
	// Run waits for the lock, calls fn with a context that carries a [Releaser] (see
	// [WithReleaser]), and returns what fn does, without the lock, however fn ends. If ctx
	// ends before it has the lock, it may return the cause instead.
	Run(ctx context.Context, fn func(context.Context) error) error
}

// Releaser is what holds a lock.
type Releaser interface {
	// Release calls fn without the lock, if it holds it, and has it again when it returns,
	// however fn ends. If it does not hold the lock it just calls fn.
	Release(fn func())
}

// WithReleaser returns a context with a Releaser: the waits of this package that are
// given it, or one derived from it, go on without the lock. Those are Result, Wait,
// AsCompleted, Gather, Map, Retry between attempts, and Submit into a full queue. Tasks that are submitted with it
// are no part of what holds the lock, and do not release it.
func WithReleaser(ctx context.Context, r Releaser) context.Context {
	return &releasing{ctx, r, ctx.Value(workerKey{})}
}

// ReleaserOf returns the Releaser that a context carries for the code that it belongs to:
// nil if there is none, or it is that of a task which has submitted this one.
func ReleaserOf(ctx context.Context) Releaser {
	if c, ok := ctx.Value(releaserKey{}).(*releasing); ok && c.owner == ctx.Value(workerKey{}) {
		return c.releaser
	}
	return nil
}

// Release calls fn without the lock that ctx carries, of whatever kind it is, and has it again when it returns; if it
// carries none, or does not hold it, it just calls fn. With it a function that waits lets others go on meanwhile, on an event
// loop as under an interpreter lock, and need not know where it runs. fn should not touch what the lock guards.
func Release(ctx context.Context, fn func()) {
	if r := ReleaserOf(ctx); r != nil {
		r.Release(fn)
		return
	}
	fn()
}

type releaserKey struct{}

// releasing is a context with a Releaser, and with what runs there: a task, a callback, or nil.
type releasing struct {
	context.Context
	releaser Releaser
	owner    any
}

// Value finds the releaser, and what is around it.
func (c *releasing) Value(key any) any {
	if key == (releaserKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// locked calls a task's function under the lock of its group.
func locked[In, Out any](l Lock, ctx context.Context, fn func(context.Context, In) (Out, error), in In) (out Out, err error) {
	if l == nil {
		return fn(ctx, in)
	}
	return underLock(l, ctx, fn, in)
}

// underLock is apart from locked, as what it captures is allocated.
func underLock[In, Out any](l Lock, ctx context.Context, fn func(context.Context, In) (Out, error), in In) (out Out, err error) {
	err = l.Run(ctx, func(ctx context.Context) (err error) {
		out, err = fn(ctx, in)
		return err
	})
	return out, err
}

// lock is that of the group which runs the task.
func (t *Task) lock() Lock {
	if t.group == nil {
		return nil
	}
	return t.group.Lock
}

// released waits without the lock of a Releaser.
func released(r Releaser, wait func() error) (err error) {
	r.Release(func() { err = wait() })
	return err
}
