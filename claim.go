package concert

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// This file is for those who write executors whose workers do not share
// memory. Such an executor does not Run a task. When a worker is ready it
// Claims calls from the task at the head of its queue, sends them, and settles
// each with what comes back:
//
//	pending --Claim--> claimed --Start--> running --Settle--> finished
//
// A call that was claimed and has not started can be sent to another worker
// if the first one dies.

// A Call is one application of a registered function, ready to be sent.
// Start and Settle are called one after the other; Context at any time.
type Call struct {
	// Name is the name of the function, for Invoke in the worker.
	Name string
	// Arg is the encoded argument, for Invoke.
	Arg Encoded

	worker int // given to Start; -1 before; the executor's own
	job    remote
}

// remote is what a Call stands for: a Submit, or an item of a Map.
type remote interface {
	of() *Task
	parent() context.Context
	cancel(cause error) bool
	drop(cause error)
	start(worker int) bool
	progress(worker int, done, total int64)
	settle(worker int, result Encoded, err error)
	context() context.Context
}

// Context is the parent of the context that the function is to be given: the
// call should be cancelled when it ends, and has its deadline.
func (c *Call) Context() context.Context { return c.job.context() }

// Task returns the task of a Submit whose call it is, and nil for an item of a Map.
func (c *Call) Task() *Task { return c.job.of() }

// Cancel cancels what the call is of, as [Task.Cancel]: the task of a Submit,
// or the whole Map, which then ends with ErrClosed and the cause. It reports
// whether it had not started.
func (c *Call) Cancel(cause error) bool { return c.job.cancel(cause) }

// Parent is the context of the submitter, which many calls may have in common:
// that of Context, or its parent.
func (c *Call) Parent() context.Context { return c.job.parent() }

// Drop settles the call as never started, because of the cause with which its
// Parent ended. The executor must be certain of it.
func (c *Call) Drop(cause error) { c.job.drop(cause) }

// Start says that the worker of that number begins with the call. It reports
// false if the call was cancelled meanwhile, or has started or settled before:
// then it must not be run.
func (c *Call) Start(worker int) bool {
	if !c.job.start(worker) {
		return false
	}
	c.worker = worker
	return true
}

// Progress says how far the call, which has started, is; see [Progress].
func (c *Call) Progress(done, total int64) { c.job.progress(c.worker, done, total) }

// Settle ends the call with the result or the error that Invoke returned. A
// result that cannot be decoded is an error of this call alone. The first
// Settle of a call counts. Every call must be settled, also one that was not
// started because it could not be sent, or because Start said so.
func (c *Call) Settle(result Encoded, err error) { c.job.settle(c.worker, result, err) }

// Claim takes calls from the task: that of a Submit, or as many as there are
// of a Map's, up to most calls and about size bytes, always at least one if
// there are any. Calls whose function is not registered, or whose argument
// cannot be encoded, are settled with that error and not returned. If again
// is true the task is still pending and has, or had a moment ago, more to
// claim; if not, the executor is done with it, until it comes again.
func (t *Task) Claim(most, size int) (calls []Call, again bool) {
	if t.ctx.Parent.Err() != nil {
		t.Fail(&neverStarted{context.Cause(t.ctx.Parent)})
		return nil, false
	}
	return t.job.claim(t, most, size)
}

// Prepare returns the name under which fn is registered and arg as it travels,
// for an executor that calls functions of its own accord, such as one that
// prepares its workers. The errors are those of a Submit of the two.
func Prepare[In, Out any](fn func(context.Context, In) (Out, error), arg In) (name string, encoded Encoded, err error) {
	f, err := registry.find(valuePointer(fn), codePointer(fn))
	if err != nil {
		return "", encoded, err
	}
	encoded, _, err = encodeArg(nil, f, arg)
	return f.name, encoded, err
}

func (c *call[In, Out]) claim(t *Task, _, _ int) ([]Call, bool) {
	if !t.move(pending, copying) {
		return nil, false
	}
	fn, arg := c.fn, c.arg
	t.move(copying, claimed)
	f, err := registry.find(valuePointer(fn), t.pc)
	var e Encoded
	if err == nil {
		e, _, err = encodeArg(nil, f, arg)
	}
	if err != nil {
		if t.move(claimed, settling) {
			c.drop(t, err, nil)
		}
		return nil, false
	}
	return []Call{{Name: f.name, Arg: e, worker: -1, job: (*remoteCall[In, Out])(c)}}, false
}

// encodeArg encodes an argument of f, with a buffer as encodeTo. Marshalers
// are anybody's code: a panic in one is an error.
func encodeArg[In any](buf []byte, f *function, arg In) (e Encoded, _ []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = newPanicError(v)
		}
	}()
	e, buf, err = encodeTo(buf, arg)
	if err != nil {
		err = fmt.Errorf("concert: argument of %s: %w", f.name, err)
	}
	return e, buf, err
}

func decodeResult[Out any](result Encoded, failure error) (out Out, err error) {
	if failure != nil {
		return out, failure
	}
	defer func() {
		if v := recover(); v != nil {
			err = newPanicError(v)
		}
	}()
	if out, err = decode[Out](result); err != nil {
		err = fmt.Errorf("concert: result of the worker: %w", err)
	}
	return out, err
}

// remoteCall is the call of a Submit in the hands of a worker.
type remoteCall[In, Out any] call[In, Out]

func (r *remoteCall[In, Out]) of() *Task { return &r.future.task }

func (r *remoteCall[In, Out]) parent() context.Context { return r.future.task.ctx.Parent }

func (r *remoteCall[In, Out]) drop(cause error) {
	if t := &r.future.task; t.move(claimed, settling) {
		(*call[In, Out])(r).drop(t, &neverStarted{cause}, nil)
	}
}

func (r *remoteCall[In, Out]) cancel(cause error) bool { return r.future.task.Cancel(cause) }

func (r *remoteCall[In, Out]) context() context.Context { return r.future.task.context() }

func (r *remoteCall[In, Out]) start(worker int) bool {
	t := &r.future.task
	if !t.move(claimed, running) {
		return false
	}
	t.observeOn(worker, TaskStarted, nil)
	return true
}

func (r *remoteCall[In, Out]) progress(worker int, done, total int64) {
	t := &r.future.task
	if o, _ := t.observer(); o != nil && t.state() == running {
		o(Event{Kind: TaskProgress, Task: t.word.Load() >> idShift, Name: t.Name(), Worker: worker, Time: time.Now(), Done: done, Total: total})
	}
}

func (r *remoteCall[In, Out]) settle(worker int, result Encoded, err error) {
	t := &r.future.task
	if !t.move(running, finishing) && !t.move(claimed, finishing) {
		return
	}
	r.future.value, r.future.err = decodeResult[Out](result, err)
	(*call[In, Out])(r).end(finished, nil, worker)
}

// remoteItem is an item of a Map in the hands of a worker.
type remoteItem[In, Out any] struct {
	m      *mapping[In, Out]
	task   *Task // of the runner, for the observer
	item   *item[In, Out]
	index  int64
	number uint64 // 0 unless observed

	state atomic.Uint32 // 0 --> running --> finished, or 0 --> finished
}

// claim hands out items as calls, and parks when there are no more. How many
// the executor asks for says how far ahead of the results the inputs should be.
func (r *runner[In, Out]) claim(t *Task, most, size int) (calls []Call, again bool) {
	if !t.move(pending, running) {
		return nil, false
	}
	m := r.m
	m.reach(most)
	f, missing := registry.find(valuePointer(m.fn), m.pc)
	var items []remoteItem[In, Out] // they stay where they are: a full one is followed by another
	var buf []byte
	for bytes := 0; len(calls) < most && bytes < size && !m.stopped.Load(); {
		it, index := m.line.claim(&r.seen)
		if it == nil {
			if r.park(t) {
				return calls, false
			}
			continue
		}
		m.away.Add(1)
		if len(items) == cap(items) {
			room := max(1, min(m.line.ahead()+1, most-len(calls)))
			items = make([]remoteItem[In, Out], 0, room)
			calls = slices.Grow(calls, room)
			buf = make([]byte, 0, 8*room)
		}
		items = append(items, remoteItem[In, Out]{m: m, task: t, item: it, index: index})
		item := &items[len(items)-1]
		item.observe(TaskSubmitted, -1, nil)
		var e Encoded
		err := missing
		if err == nil {
			e, buf, err = encodeArg(buf, f, it.in)
		}
		var zero In
		it.in = zero
		if err != nil {
			item.settle(-1, Encoded{}, err)
			continue
		}
		bytes += len(e.Bytes)
		m.weigh(len(e.Bytes))
		calls = append(calls, Call{Name: f.name, Arg: e, worker: -1, job: item})
	}
	if m.stopped.Load() {
		r.leave(t, idle)
		return calls, false
	}
	t.move(running, pending)
	return calls, true
}

func (r *remoteItem[In, Out]) of() *Task { return nil }

func (r *remoteItem[In, Out]) parent() context.Context { return r.m.ctx }

func (r *remoteItem[In, Out]) drop(cause error) { r.settle(-1, Encoded{}, &neverStarted{cause}) }

func (r *remoteItem[In, Out]) cancel(cause error) bool {
	r.m.interrupt(cause)
	return r.state.Load() == 0
}

func (r *remoteItem[In, Out]) context() context.Context { return r.m.ctx }

func (r *remoteItem[In, Out]) start(worker int) bool {
	if r.m.stopped.Load() || !r.state.CompareAndSwap(0, uint32(running)) {
		return false
	}
	r.observe(TaskStarted, worker, nil)
	return true
}

func (r *remoteItem[In, Out]) progress(worker int, done, total int64) {
	if o, _ := r.task.observer(); o != nil && r.state.Load() == uint32(running) {
		o(Event{Kind: TaskProgress, Task: r.number, Name: r.task.Name(), Worker: worker, Time: time.Now(), Done: done, Total: total})
	}
}

func (r *remoteItem[In, Out]) settle(worker int, result Encoded, err error) {
	if r.state.Swap(uint32(finished)) == uint32(finished) {
		return
	}
	m := r.m
	m.weigh(len(result.Bytes))
	r.item.out, r.item.err = decodeResult[Out](result, err)
	r.observe(TaskFinished, worker, r.item.err)
	m.line.markDone(r.item, m.ordered)
	if m.away.Add(-1) == 0 || !m.ordered || m.needed.Load() == r.index {
		m.rouse()
	}
}

func (r *remoteItem[In, Out]) observe(kind EventKind, worker int, err error) {
	o, _ := r.task.observer()
	if o == nil {
		return
	}
	if r.number == 0 {
		r.number = lastNumber.Add(1)
	}
	o(Event{Kind: kind, Task: r.number, Name: r.task.Name(), Worker: worker, Time: time.Now(), Err: err})
}
