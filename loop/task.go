package loop

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"concert"
	"concert/executor"
)

// A Task is a coroutine: a function that runs in a loop, alternately with
// other coroutines. [Group.Go], [Group.Background] and [Group.After] start a
// coroutine.
//
// A program may have a million tasks, so the struct is small: fields that few
// tasks need are behind a pointer.
type Task struct {
	loop   *Loop
	group  *Group      // nil for the main coroutine
	body   body        // nil after the coroutine has started
	grant  grantChan   // nil before the start and after the end
	origin *origin     // describes the function; shared by coroutines with the same function
	ctx    taskContext // the context that is passed to the function of the coroutine

	// values supplies the values of ctx, including the releaser for waits
	// of package concert. It is nil until a value is looked up, and then
	// derived from the context of the group. See outerContext.
	values atomic.Pointer[context.Context]

	// Guarded by loop.mu:
	nextReady     *Task         // the next coroutine in the run queue
	timer         timer         // set by Sleep and Group.After
	waitCtx       *taskContext  // while parked or outside: the context that ends the wait when it ends, or nil
	waitTarget    any           // while parked: what the coroutine waits for; while outside: an interrupter; or nil
	since         time.Duration // when the wait began, to the precision of coarseNowLocked
	name          *string       // set by SetName, or nil
	op            op            // the function in which the coroutine waits
	state         state
	started       bool // whether the coroutine was granted the scheduler lock
	interrupting  bool // whether runInterrupt has not returned yet
	awaitsForeign bool // whether the end of a foreign context ends the wait
	external      bool // whether the coroutine runs on the goroutine of a caller of Portal.Run

	// err is the result of the last wait, guarded by loop.mu. When t.done is
	// set, err is the error of the function, and does not change.
	err  error
	done atomic.Bool

	// Used only by the holder of the scheduler lock:
	background             bool       // whether the group does not wait for the coroutine
	isolated               bool       // whether an error of the coroutine does not end the group
	inQueue                *waitQueue // the queue in which the coroutine waits, or nil
	prevWaiter, nextWaiter *Task      // the neighbors in inQueue
	joiners                waitQueue  // coroutines that wait for the end of this coroutine
}

// body is the function of a coroutine.
type body interface {
	call(ctx context.Context) error
}

// A finisher is a body whose finish method is called at the end of the
// coroutine, even if its call method was not called.
type finisher interface{ finish(t *Task, err error) }

// funcBody is a plain function as a body.
type funcBody func(ctx context.Context) error

func (fn funcBody) call(ctx context.Context) error { return fn(ctx) }

// init sets the fields of a new coroutine that refer to the coroutine itself.
func (t *Task) init() {
	t.ctx.task = t
	t.timer.taskCtx = &t.ctx
	t.ctx.values = (*outerContext)(t)
}

// newTask returns a coroutine for the goroutine of a caller of Run or
// Portal.Run.
func (l *Loop) newTask(ctx context.Context, fn any) *Task {
	t := &Task{loop: l, origin: &origin{function: codePointer(fn)}}
	t.init()
	ctx = executor.WithReleaser(ctx, (*releaser)(t))
	t.values.Store(&ctx)
	return t
}

// Wait waits until the coroutine has ended, and returns the error of its
// function. If ctx ends first, Wait returns the cause of ctx, and the coroutine
// continues. If the coroutine has already ended, Wait returns its error even if
// ctx has ended.
//
// If the function panics, the error is a [*concert.PanicError] whose field Task
// has the name of the coroutine. If the function calls runtime.Goexit, the
// error is [concert.ErrGoexit]. If the coroutine was canceled before it
// started, the error is the cause of the cancellation.
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
		return c.yieldAndFail(fmt.Errorf("loop: %s: coroutine %s waits for itself: %w", op, t, concert.ErrDeadlock))
	}
	return t.joiners.wait(c, op, t)
}

// Done reports whether the coroutine has ended. Any goroutine may call it.
func (t *Task) Done() bool { return t.done.Load() }

// Cancel ends the context of the coroutine: all its awaits fail from now on.
// A coroutine that has not started never runs. The group continues, unless
// the function returns an error that does not report this cancellation. Any
// goroutine may call Cancel.
func (t *Task) Cancel() { t.ctx.end(errCanceled) }

// SetName sets the name of the coroutine in reports and in [Loop.Tree]. The
// default is the name of its function. SetName returns t. Any goroutine may
// call it.
func (t *Task) SetName(format string, args ...any) *Task {
	name := fmt.Sprintf(format, args...)
	t.loop.mu.Lock()
	t.name = &name
	t.loop.mu.Unlock()
	return t
}

// Current returns the running coroutine. ctx must be a context of this
// coroutine.
func Current(ctx context.Context) *Task { return callerOf(ctx, opCurrent).task() }

// String returns the name of the coroutine.
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

// spawnedAt returns where the coroutine was started, as file:line.
func (t *Task) spawnedAt() string {
	_, place := t.origin.describe()
	return place
}

// A Future is a coroutine with a result. [Spawn] starts it.
type Future[T any] struct {
	*Task
	fn    func(context.Context) (T, error)
	value T
}

// Spawn starts a coroutine with a result in the group. An error of its function
// cancels the group, as with [Group.Go].
func Spawn[T any](g *Group, fn func(ctx context.Context) (T, error)) *Future[T] {
	if fn == nil {
		panic("loop: Spawn called with a nil function")
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
// function. If ctx ends first, Result returns the cause of ctx, and the
// coroutine continues.
func (f *Future[T]) Result(ctx context.Context) (T, error) {
	if err := f.wait(ctx, opFutureResult); err != nil {
		var zero T
		return zero, err
	}
	return f.value, f.err
}

// outerContext supplies the values and the deadline of Task.ctx. It makes the
// context with the releaser only when a key of another package is looked up.
type outerContext Task

// given returns Task.values if it exists, and otherwise the context of the
// group.
func (c *outerContext) given() context.Context {
	if values := c.values.Load(); values != nil {
		return *values
	}
	return &c.group.ctx
}

// Deadline implements [context.Context].
func (c *outerContext) Deadline() (time.Time, bool) { return c.given().Deadline() }

// Done implements [context.Context].
func (c *outerContext) Done() <-chan struct{} { return c.given().Done() }

// Err implements [context.Context].
func (c *outerContext) Err() error { return c.given().Err() }

// Value implements [context.Context].
func (c *outerContext) Value(key any) any {
	values := c.values.Load()
	if values == nil {
		ctx := executor.WithReleaser(&c.group.ctx, (*releaser)(c))
		if values = &ctx; !c.values.CompareAndSwap(nil, values) {
			values = c.values.Load()
		}
	}
	return (*values).Value(key)
}
