package loop

import (
	"context"

	"concert"
)

// Block calls fn, which may block, outside of the loop: other coroutines run in
// the meantime. When fn has returned and it is the coroutine's turn again,
// Block returns the error of fn. fn must not use data of the loop, nor call
// functions of this package with ctx.
//
// Block cannot end fn. If fn can end with a context, pass ctx to it. Block
// corresponds to to_thread in Python's asyncio. For CPU-bound functions,
// [Offload] is better, because an executor limits how many run concurrently.
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

// Offload runs fn(ctx, arg) on an executor, and waits for the outcome while
// other coroutines run. It is for functions that would hold the loop for long.
// The executor may be any: goroutines, processes, Python. If ctx ends, the task
// is canceled, and Offload returns the cause at once.
//
// A coroutine can await a future of any executor: Result with the coroutine's
// context lets other coroutines run, and so do all waits of package concert.
// Offload is Submit and Result.
func Offload[In, Out any](ctx context.Context, ex concert.Executor, fn func(context.Context, In) (Out, error), arg In) (Out, error) {
	if _, err := beginAwait(ctx, opOffload); err != nil {
		var zero Out
		return zero, err
	}
	return concert.Submit(ctx, ex, fn, arg).Result(ctx)
}

// blocker takes a coroutine out of the loop for something that blocks and can
// be stopped. It belongs to the coroutine.
type blocker struct {
	taskCtx *taskContext
	derived *derived // if the context is one that package context has made, else nil
}

type derived struct {
	caller caller
	detach func() bool   // of caller.foreign, while it blocks, or nil
	ended  chan struct{} // closed when stop has returned
}

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

// start leaves the loop, until end. If the context ends meanwhile, stop is
// called; if it has ended before, its cause is returned, and there is nothing
// to end.
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

// attend has stop called when the foreign context ends.
func (d *derived) listen(stop interrupter) {
	ended := make(chan struct{})
	d.ended = ended
	d.detach = context.AfterFunc(d.caller.foreign, func() {
		stop.interrupt()
		close(ended)
	})
}

// end comes back into the loop, when stop is not running any more. It returns
// the cause if the context has ended.
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

// releaser lets waits of package concert go on outside of the loop.
type releaser Task

// Release calls fn outside of the loop, if the coroutine runs, and else just
// calls it.
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
