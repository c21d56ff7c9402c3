package loop

import (
	"context"

	"concert"
	"concert/executor"
)

// Block calls fn, which may block, outside of the loop: other coroutines run
// until fn returns. After that, the coroutine joins the run queue. When it
// runs again, Block returns the error of fn. fn must not use data of the
// loop, nor call functions of this package with ctx.
//
// Block cannot interrupt fn. If fn accepts a context, pass ctx to it. Block
// corresponds to to_thread in Python's asyncio. For CPU-bound functions,
// [Offload] is better, because an executor limits the number of functions
// that run concurrently.
func Block(ctx context.Context, fn func() error) error {
	c, err := beginAwait(ctx, opBlock)
	if err != nil {
		return err
	}
	t := c.task()
	t.leaveLoop(opBlock, nil, nil)
	defer t.reenterLoop()
	return fn()
}

// Offload runs fn(ctx, arg) on an executor, and waits for the outcome. Other
// coroutines run in the meantime. It is for CPU-bound functions, which would
// hold the loop for too long. The executor may be of any kind: goroutines,
// processes, Python. If ctx ends, the task is canceled, and Offload returns
// the cause at once.
//
// Offload calls Submit, and then Result of the future. A coroutine can await
// any future in this way. While a wait of package concert with the context
// of a coroutine blocks, other coroutines run.
func Offload[In, Out any](ctx context.Context, ex concert.Executor, fn func(context.Context, In) (Out, error), arg In) (Out, error) {
	if _, err := beginAwait(ctx, opOffload); err != nil {
		var zero Out
		return zero, err
	}
	return concert.Submit(ctx, ex, fn, arg).Result(ctx)
}

// blocker makes blocking calls of a coroutine outside of the loop, and
// interrupts such a call when the context ends. Only its coroutine uses it.
type blocker struct {
	taskCtx *taskContext
	derived *derived // nil if the context is taskCtx itself
}

// derived is for a caller with a context that another package has derived
// from taskCtx.
type derived struct {
	caller caller
	detach func() bool   // stops listening to caller.foreign; nil outside of a blocking call
	ended  chan struct{} // closed when stop.interrupt has returned
}

// blockerOf returns a blocker for blocking calls of the coroutine with the
// context of c.
func blockerOf(c caller) blocker {
	b := blocker{taskCtx: c.taskCtx}
	if c.foreign != nil || c.shielded {
		b.derived = &derived{caller: c}
	}
	return b
}

func (b *blocker) caller() caller {
	if b.derived != nil {
		return b.derived.caller
	}
	return caller{taskCtx: b.taskCtx}
}

// start leaves the loop. After that, the caller makes a blocking call, and
// then calls b.end. If the context ends before b.end is called,
// stop.interrupt is called. If the context has already ended, start returns
// the cause, and the coroutine has not left the loop.
func (b *blocker) start(op op, stop interrupter) error {
	t := b.taskCtx.task
	t.checkCurrent(op)
	c := b.caller()
	if err := c.checkAwait(); err != nil {
		return err
	}
	if c.foreign != nil {
		b.derived.listen(stop)
	}
	t.leaveLoop(op, c.waitContext(), stop)
	return nil
}

// listen arranges that stop.interrupt is called when the foreign context ends.
func (d *derived) listen(stop interrupter) {
	ended := make(chan struct{})
	d.ended = ended
	ctx, end := executor.Isolate(d.caller.foreign)
	d.detach = afterIsolated(ctx, end, func() {
		stop.interrupt()
		close(ended)
	})
}

// end reenters the loop. If an interrupt is running, end first waits until the
// interrupt has returned. If the context has ended, end returns the cause.
func (b *blocker) end() error {
	if d := b.derived; d != nil && d.detach != nil {
		if !d.detach() {
			<-d.ended
		}
		d.detach, d.ended = nil, nil
	}
	b.taskCtx.task.reenterLoop()
	return b.caller().ended()
}

// releaser releases the loop around the waits of package concert.
type releaser Task

// Release calls fn. If the coroutine is running, Release calls fn outside of
// the loop.
func (r *releaser) Release(fn func()) {
	t := (*Task)(r)
	if t.loop.current.Load() != t {
		fn()
		return
	}
	t.leaveLoop(opBlock, nil, nil)
	defer t.reenterLoop()
	fn()
}
