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
		c.future.task.refuse(refusal(ctx, err))
	}
	return &c.future
}

// execute calls Execute. If Execute panics or ends the goroutine, the task
// may never settle, so nothing would end the replacement of a foreign
// context. In this case, execute ends the replacement.
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

// nilArgument returns the text of the panic of a function that was called
// with a nil argument. The parameter rest has the names of the other
// arguments.
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
var alone = func() *WorkerGroup {
	g := NewWorkerGroup(noQueue{}, nil)
	g.stats = nil
	return g
}()

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
	// extra is nil for most calls. It is set before another goroutine can
	// access the task, or while the task is in state copying.
	extra *extra
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
	s := t.carrier.Load()
	weight, began := int64(0), int64(0)
	defer func() {
		if !returned {
			err := ErrGoexit
			if v := recover(); v != nil {
				err = NewPanicError(v)
			}
			c.future.err = t.failure(err)
		}
		if began != 0 {
			s.worker.group.stats.ran(s.worker.id, uptime()-began, weight)
		}
		c.end(finished, s, -1)
	}()
	t.observe(TaskStarted, nil)
	if weight = s.sample(); weight > 0 {
		began = uptime()
	}
	ctx := t.context()
	if tracing.Load() != nil {
		ctx = within(ctx, t.status.Load()>>idShift)
	}
	c.future.value, c.future.err = callFunction(t, ctx, c.fn, c.arg)
	returned = true
	return false
}

func (c *call[In, Out]) interrupt(t *Task, cause error) { t.ctx.Cancel(cause) }

func (c *call[In, Out]) drop(t *Task, err error, s *carrier) {
	c.future.err = t.failure(err)
	c.end(canceledState, s, -1)
}

// end settles the task. The caller has written the outcome. s is the carrier
// whose goroutine calls end, or nil. remote is the number of the remote worker
// that ran the task, or -1.
func (c *call[In, Out]) end(to uint64, s *carrier, remote int) {
	t := &c.future.task
	if f, ok := t.ctx.Parent.(*foreignContext); ok {
		defer f.stop()
	}
	defer t.ctx.End() // runs even if a callback ends the goroutine
	defer c.settle(to, s, remote)
	if s != nil {
		t.observe(TaskFinished, c.future.err)
	} else {
		t.observeOn(remote, TaskFinished, c.future.err)
	}
}

// settle is the last step of call.end. It also runs if an observer ends the
// goroutine.
func (c *call[In, Out]) settle(to uint64, s *carrier, remote int) {
	c.fn = nil
	var zero In
	c.arg = zero
	t := &c.future.task
	local := s != nil && to == finished
	if !local || c.future.err != nil {
		t.countSettled(local, remote, c.future.err)
	}
	if local {
		s.worker.tasks.Add(1)
	}
	t.settle(to, s)
}

// Future is the future of a task: the task and its outcome. A concert.Future
// has the same content. [Relay] returns a Future.
type Future[T any] struct {
	task Task

	// The owner of the task writes value and err before the task is finished or
	// canceled. Other goroutines read value and err only after they have loaded
	// one of these states.
	value T
	err   error
}

// Task returns the task.
func (f *Future[T]) Task() *Task { return &f.task }

// Result blocks until the task has settled, and returns its outcome. See
// concert.Future.
func (f *Future[T]) Result(ctx context.Context) (T, error) {
	if err := f.task.Wait(ctx); err != nil {
		var zero T
		return zero, err
	}
	return f.value, f.err
}

// Done returns a channel that is closed when the task has settled.
func (f *Future[T]) Done() <-chan struct{} {
	done := make(closer)
	if !f.task.watch(&watcher{to: done}) {
		close(done)
		return done
	}
	forever := context.Background()
	if f.task.queuedEnd(forever) != nil {
		stop := expireLater(forever, []*Task{&f.task})
		if !f.task.watch(&watcher{to: stopper(stop)}) {
			stop()
		}
	}
	return done
}

// State is the state of a task, as its future reports it.
type State uint8

// The states of a future. Pending leads to Running or Canceled, Running to
// Finished.
const (
	Pending  State = iota // the task waits for a worker
	Running               // a worker has started the task
	Finished              // the function of the task returned, panicked or ended its goroutine
	Canceled              // the task was canceled before it started
)

// State returns the state of the task at this moment.
func (f *Future[T]) State() State {
	switch f.task.state() {
	case running, finishing:
		return Running
	case finished:
		return Finished
	case canceledState:
		return Canceled
	}
	return Pending
}

// String returns the state as a word, in lower case.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Running:
		return "running"
	case Finished:
		return "finished"
	case Canceled:
		return "canceled"
	}
	return "unknown state"
}

// Cancel cancels the task, and never blocks. It reports whether the task never
// starts.
func (f *Future[T]) Cancel() bool {
	return f.task.Cancel(nil) || f.task.state() == canceledState
}

// OnDone calls fn once, when the task has settled: on the goroutine of the
// worker that ran the task, or on a separate goroutine. If the task has
// settled already, OnDone calls fn at once. fn receives a context with the
// values of ctx. See concert.Future.
func (f *Future[T]) OnDone(ctx context.Context, fn func(ctx context.Context, f *Future[T])) {
	if ctx == nil || fn == nil {
		panic("concert: OnDone with a nil context or function")
	}
	w := &watcher{to: &callback{ctx, func(ctx context.Context) { fn(ctx, f) }}}
	if !f.task.watch(w) {
		here, self := carrierOf(ctx)
		f.task.runCallbacks(w, here, self)
	}
}

// Input returns the label of the task, or nil. See concert.Future.
func (f *Future[T]) Input() *Input { return f.task.input() }

// String returns the name of the function and the state.
func (f *Future[T]) String() string { return f.task.Name() + " (" + f.State().String() + ")" }
