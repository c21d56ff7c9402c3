package executor

import (
	"context"
	"reflect"
)

// Submit implements concert.Submit.
func Submit[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), arg In) *Future[Out] {
	if ctx == nil || ex == nil || fn == nil {
		panic(nilArgument("Submit", ctx, ex, "function"))
	}
	c := newCall(ctx, fn, arg)
	if err := execute(ctx, ex, &c.future.task); err != nil {
		c.future.task.Fail(refusal(ctx, err))
	}
	return &c.future
}

// execute calls Execute. If Execute panics or ends the goroutine, the task may
// never settle. So execute then ends the replacement of a foreign context.
func execute(ctx context.Context, ex Executor, t *Task) error {
	f, ok := t.ctx.Parent.(*foreignContext)
	if !ok {
		return ex.Execute(ctx, t)
	}
	returned := false
	defer func() {
		if !returned {
			f.stop()
		}
	}()
	err := ex.Execute(ctx, t)
	returned = true
	return err
}

// nilArgument returns the text of the panic of a function that was called with
// a nil argument. The parameter rest names the other arguments.
func nilArgument(function string, ctx context.Context, ex Executor, rest string) string {
	what := rest
	switch {
	case ctx == nil:
		what = "context"
	case ex == nil:
		what = "executor"
	}
	return "concert: " + function + " with a nil " + what
}

// refusal returns the error of a task that an executor has refused with err.
func refusal(ctx context.Context, err error) error {
	if ctx.Err() != nil && isCause(err, context.Cause(ctx)) {
		return &neverStarted{err}
	}
	return err
}

// isCause reports whether err is the cause. If the two errors cannot be
// compared, it reports whether they have the same type.
func isCause(err, cause error) bool {
	return sameError(err, cause) || reflect.TypeOf(err) == reflect.TypeOf(cause) && !reflect.ValueOf(err).Comparable()
}

// Go implements concert.Go.
func Go[Out any](ctx context.Context, fn func(context.Context) (Out, error)) *Future[Out] {
	if ctx == nil || fn == nil {
		panic("concert: Go with a nil context or function")
	}
	c := newCall(ctx, func(ctx context.Context, _ struct{}) (Out, error) { return fn(ctx) }, struct{}{})
	t := &c.future.task
	t.fn = identityOf(fn)
	t.group = alone
	go newWorker(alone, 0).run(t)
	return &c.future
}

// alone is the group of all tasks of Go. Each task of Go has a worker of its
// own. The group has no queue. With this group, the search for deadlocks
// includes the waits of these tasks.
var alone = NewWorkerGroup(noQueue{}, nil)

type noQueue struct{}

// Next returns nil: there are no queued tasks.
func (noQueue) Next() *Task { return nil }

// Again does nothing.
func (noQueue) Again(*Task) {}

// Dropped does nothing.
func (noQueue) Dropped() {}

// call is a function applied to an argument: the job of a Submit.
type call[In, Out any] struct {
	future Future[Out]
	fn     func(context.Context, In) (Out, error) // nil after the call has settled
	arg    In                                     // zero after the call has settled
	// encoded is the call in the form that is sent to a worker, if user code
	// encoded the argument. It is written and read only while the task is in
	// state copying.
	encoded *single
}

func newCall[In, Out any](ctx context.Context, fn func(context.Context, In) (Out, error), arg In) *call[In, Out] {
	c := &call[In, Out]{}
	c.init(ctx, fn, arg)
	return c
}

func (c *call[In, Out]) init(ctx context.Context, fn func(context.Context, In) (Out, error), arg In) {
	c.fn, c.arg = fn, arg
	t := &c.future.task
	t.ctx.Parent = replaceForeign(ctx)
	t.job = c
	t.fn = identityOf(fn)
}

func (c *call[In, Out]) run(t *Task) bool {
	returned := false
	defer func() {
		if !returned {
			err := ErrGoexit
			if v := recover(); v != nil {
				err = NewPanicError(v)
			}
			c.future.err = t.failure(err)
		}
		c.end(finished, t.carrier.Load(), -1)
	}()
	t.observe(TaskStarted, nil)
	c.future.value, c.future.err = locked(t.lock(), t.context(), c.fn, c.arg)
	returned = true
	return false
}

func (c *call[In, Out]) interrupt(t *Task, cause error) { t.ctx.Cancel(cause) }

func (c *call[In, Out]) drop(t *Task, err error, s *carrier) {
	c.future.err = t.failure(err)
	c.end(canceledState, s, -1)
}

// end settles the task. The caller has written the outcome. s is the carrier
// whose goroutine calls end, or nil. The parameter remote is the number of the
// remote worker that ran the task, or -1.
func (c *call[In, Out]) end(to uint64, s *carrier, remote int) {
	t := &c.future.task
	if f, ok := t.ctx.Parent.(*foreignContext); ok {
		defer f.stop()
	}
	defer t.ctx.End() // runs also if a callback ends the goroutine
	defer c.settle(to, s)
	if s != nil {
		t.observe(TaskFinished, c.future.err)
	} else {
		t.observeOn(remote, TaskFinished, c.future.err)
	}
}

// settle is the last step of the method end. It also runs if an observer ends
// the goroutine.
func (c *call[In, Out]) settle(to uint64, s *carrier) {
	c.fn = nil
	var zero In
	c.arg = zero
	if s != nil && to == finished {
		s.worker.done.Add(1)
	}
	c.future.task.settle(to, s)
}
