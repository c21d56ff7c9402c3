package loop

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"concert"
)

// A Task is a coroutine: a function that runs in a loop, in turn with others.
// [Group.Go], [Group.Background] and [Group.After] make it.
//
// There may be a million, so it is packed: what is told rarely is behind a
// pointer.
type Task struct {
	loop   *Loop
	group  *Group      // whose it is; nil for that of Run
	body   body        // nil once it has begun
	grant  grantChan   // its goroutine, from when it begins until it has ended
	origin *origin     // for its name; others may have the same
	ctx    taskContext // the context of its function

	// What its context's values are from, with what lets go of the loop; nil
	// until it is needed, and then made from the group's. See carrier.
	values atomic.Pointer[context.Context]

	// Guarded by loop.mu:
	nextReady     *Task         // in the ready line
	timer         timer         // of Sleep and After
	waitCtx       *taskContext  // while parked or outside: whose end wakes or stops it
	waitTarget    any           // while parked: what for; while outside: the interrupter that stops it; or nil
	since         time.Duration // when its wait began, roughly
	name          *string       // that SetName gave, or nil
	op            op            // what it is parked in
	state         state
	started       bool // it has run, or is about to
	interrupting  bool // stop is being called
	awaitsForeign bool // its wait may be ended by a context of package context
	external      bool // it is on a goroutine that has come in by a portal

	// What the last wait is to return, guarded by loop.mu. Once done, the error
	// of its function.
	err  error
	done atomic.Bool

	// Belong to the one who has the baton:
	background             bool       // does not keep its group from ending
	isolated               bool       // its error is nobody's but those who wait for it
	inQueue                *waitQueue // it waits in
	prevWaiter, nextWaiter *Task      // in that
	joiners                waitQueue  // who wait for its end
}

// body is what a coroutine runs.
type body interface {
	call(ctx context.Context) error
}

// finisher is a body that has something to do at its end, also if it was never
// called.
type finisher interface{ finish(t *Task, err error) }

type funcBody func(ctx context.Context) error

func (fn funcBody) call(ctx context.Context) error { return fn(ctx) }

// begin ties the parts of a new coroutine together.
func (t *Task) init() {
	t.ctx.task = t
	t.timer.taskCtx = &t.ctx
	t.ctx.values = (*outerContext)(t)
}

// newTask returns a coroutine for a goroutine that comes from outside.
func (l *Loop) newTask(ctx context.Context, fn any) *Task {
	t := &Task{loop: l, origin: &origin{function: codePointer(fn)}}
	t.init()
	ctx = concert.WithReleaser(ctx, (*releaser)(t))
	t.values.Store(&ctx)
	return t
}

// Wait waits until the coroutine has ended, and returns the error of its
// function. If ctx ends first, it returns the cause of ctx, and the coroutine
// continues. If the coroutine has ended already, Wait returns its error even if
// ctx has ended.
//
// A panic in the function is a [*concert.PanicError] with the name of the
// coroutine in Task, and a runtime.Goexit is
// [concert.ErrGoexit]. If the coroutine was canceled before it began, the error
// is the cause of that.
func (t *Task) Wait(ctx context.Context) error {
	if err := t.wait(ctx, opTaskWait); err != nil {
		return err
	}
	return t.err
}

func (t *Task) wait(ctx context.Context, op op) error {
	if t.Done() {
		callerOf(ctx, op)
		return nil
	}
	c, err := beginAwait(ctx, op)
	if t.Done() || err != nil {
		return err
	}
	if c.task() == t {
		return c.yieldAndFail(fmt.Errorf("loop: %s of coroutine %s by itself: %w", op, t, concert.ErrDeadlock))
	}
	return t.joiners.wait(c, op, t)
}

// Done reports whether the coroutine has ended. Any goroutine may call it.
func (t *Task) Done() bool { return t.done.Load() }

// Cancel ends the coroutine's context: all its awaits fail from now on. A
// coroutine that has not begun never begins. The group continues, unless the
// function returns another error. Any goroutine may call Cancel.
func (t *Task) Cancel() { t.ctx.end(errCanceled) }

// SetName sets the name of the coroutine in reports and in [Loop.Tree]. The
// default is the name of its function. Any goroutine may call it.
func (t *Task) SetName(format string, args ...any) *Task {
	name := fmt.Sprintf(format, args...)
	t.loop.mu.Lock()
	t.name = &name
	t.loop.mu.Unlock()
	return t
}

// Current returns the running coroutine, to which ctx must belong.
func Current(ctx context.Context) *Task { return callerOf(ctx, opCurrent).task() }

// String returns the coroutine's name.
func (t *Task) String() string {
	t.loop.mu.Lock()
	defer t.loop.mu.Unlock()
	return t.nameLocked()
}

func (t *Task) nameLocked() string {
	if t.name != nil {
		return *t.name
	}
	name, _ := t.origin.describe()
	return name
}

// place is where it was started.
func (t *Task) spawnedAt() string {
	_, place := t.origin.describe()
	return place
}

// A Future is a coroutine with a result. It is made by [Spawn].
type Future[T any] struct {
	*Task
	fn    func(context.Context) (T, error)
	value T
}

// Spawn starts a coroutine with a result in the group. As with [Group.Go], an
// error of its function cancels the group.
func Spawn[T any](g *Group, fn func(ctx context.Context) (T, error)) *Future[T] {
	if fn == nil {
		panic("loop: Spawn with a nil function")
	}
	f := &Future[T]{fn: fn}
	f.Task = g.spawn(f, codePointer(fn), 4)
	return f
}

func (f *Future[T]) call(ctx context.Context) (err error) {
	fn := f.fn
	f.fn = nil
	f.value, err = fn(ctx)
	return err
}

// Result waits until the coroutine has ended, and returns the result of its
// function. If ctx ends first, it returns the cause of ctx, and the coroutine
// continues.
func (f *Future[T]) Result(ctx context.Context) (T, error) {
	if err := f.wait(ctx, opFutureResult); err != nil {
		var zero T
		return zero, err
	}
	return f.value, f.err
}

// carrier is what a coroutine's own context stands on: the values of the
// context that it was given, and what has waits of package concert let go of
// the loop, which is made when a key is looked up that is not this package's.
type outerContext Task

// outer is the context that the coroutine was given.
func (c *outerContext) given() context.Context {
	if values := c.values.Load(); values != nil {
		return *values
	}
	return &c.group.ctx
}

// Deadline is that of a [context.Context].
func (c *outerContext) Deadline() (time.Time, bool) { return c.given().Deadline() }

// Done is that of a [context.Context].
func (c *outerContext) Done() <-chan struct{} { return c.given().Done() }

// Err is that of a [context.Context].
func (c *outerContext) Err() error { return c.given().Err() }

// Value is that of a [context.Context].
func (c *outerContext) Value(key any) any {
	values := c.values.Load()
	if values == nil {
		ctx := concert.WithReleaser(&c.group.ctx, (*releaser)(c))
		if values = &ctx; !c.values.CompareAndSwap(nil, values) {
			values = c.values.Load()
		}
	}
	return (*values).Value(key)
}
