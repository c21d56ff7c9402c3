package executor

import (
	"context"
	"time"

	"concert/internal/values"
)

// This file implements Task.Claim for the task of a Submit, and the batch that
// contains its call.

func (c *call[In, Out]) function(t *Task) string {
	return registry.nameOf(valuePointer(c.fn), t.fn.code)
}

func (c *call[In, Out]) claim(t *Task, _, _ int) (*Batch, bool) {
	if !t.move(pending, copying) {
		return nil, false
	}
	if x := c.extra; x != nil && x.encoded != nil {
		b := x.encoded
		x.encoded = nil
		t.move(copying, claimed)
		return &b.Batch, false
	}
	fn, arg := c.fn, c.arg
	f, err := registry.find(valuePointer(fn), t.fn.code)
	if err == nil && encodeRunsUserCode(f.codec, arg) {
		t.move(copying, encoding)
		c.encodeAsync(f, arg)
		return nil, false
	}
	t.move(copying, claimed)
	var b *single
	if err == nil {
		b, err = c.encode(small, f, arg)
	}
	if isLarge(err) {
		if t.move(claimed, encoding) {
			c.encodeAsync(f, arg)
		}
		return nil, false
	}
	if err != nil {
		if t.move(claimed, settling) {
			c.drop(t, err, nil)
		}
		return nil, false
	}
	return &b.Batch, false
}

// encode encodes the argument and returns the call as a batch.
func (c *call[In, Out]) encode(w values.Work, f *Function, arg In) (b *single, err error) {
	b = &single{}
	w.To, w.Used = c.future.task.group, &b.shared
	if b.arg[0], _, err = encodeArg(w, b.small[:0], f, arg); err != nil {
		return nil, err
	}
	b.Name, b.Args, b.job = f.name, b.arg[:], (*remoteCall[In, Out])(c)
	if f.codec != nil {
		b.job = declaredCall[In, Out]{(*remoteCall[In, Out])(c), f.codec}
	}
	return b, nil
}

// encodeAsync encodes the argument on another goroutine, which then returns the
// task to the executor's queue.
func (c *call[In, Out]) encodeAsync(f *Function, arg In) {
	t := &c.future.task
	settled := make(signal, 1)
	if !t.watch(&watcher{to: settled}) {
		return // the task has just been canceled
	}
	ctx := t.ctx.Parent
	t.group.runUserCode(&userCode{
		name: f.name, ctx: ctx, settled: settled, cancel: t.Cancel,
		run: func(w values.Work) func() {
			b, err := c.encode(w, f, arg)
			return func() {
				if err != nil {
					t.Fail(err)
					return
				}
				if !t.move(encoding, copying) {
					return // the task was canceled during the encoding
				}
				if c.extra == nil {
					c.extra = new(extra)
				}
				c.extra.encoded = b
				t.move(copying, pending)
				t.group.queue.Again(t)
			}
		},
		fail: func(err error) { t.Fail(argumentFailure(ctx, f, err)) },
	})
}

// single is a Batch with one call. It includes the memory for the argument, so
// the batch needs one allocation.
type single struct {
	Batch
	arg   [1]Encoded
	small [8]byte // contains the encoded argument if it is a scalar
}

// remoteCall is the call of a Submit after Task.Claim has claimed it for a
// worker. It implements remote.
type remoteCall[In, Out any] call[In, Out]

func (r *remoteCall[In, Out]) of() *Task { return &r.future.task }

func (r *remoteCall[In, Out]) context() context.Context { return r.future.task.context() }

func (r *remoteCall[In, Out]) parent() context.Context { return r.future.task.ctx.Parent }

func (r *remoteCall[In, Out]) trace() string {
	if r.extra == nil {
		return ""
	}
	return r.extra.trace
}

func (r *remoteCall[In, Out]) callTrace(int) string { return r.trace() }

func (r *remoteCall[In, Out]) cancel(cause error) bool { return r.future.task.Cancel(cause) }

func (r *remoteCall[In, Out]) index(int) int64 { return 0 }

func (r *remoteCall[In, Out]) input(int) *Input { return r.future.task.input() }

func (r *remoteCall[In, Out]) ran(worker, n int, took time.Duration) {
	r.future.task.group.stats.ran(worker, int64(took)/int64(n), int64(n))
}

func (r *remoteCall[In, Out]) drop(_ int, cause error) {
	if t := &r.future.task; t.move(claimed, settling) {
		(*call[In, Out])(r).drop(t, &neverStarted{cause}, nil)
	}
}

func (r *remoteCall[In, Out]) start(_, worker int) bool {
	t := &r.future.task
	if !t.begin(worker) {
		return false
	}
	t.observeOn(worker, TaskStarted, nil)
	return true
}

func (r *remoteCall[In, Out]) progress(_, worker int, done, total int64) {
	t := &r.future.task
	if list, _ := t.observers(); list != nil && t.state() == running && t.numbered(TaskProgress) {
		e := t.event(TaskProgress, worker, nil)
		e.Done, e.Total = done, total
		list.callIsolated(e)
	}
}

func (r *remoteCall[In, Out]) settle(_, worker int, result Encoded, err error) {
	r.settleBy(nil, worker, result, err)
}

// declaredCall is a remoteCall of a declared function: its codec decodes the
// result.
type declaredCall[In, Out any] struct {
	*remoteCall[In, Out]
	codec Codec
}

func (d declaredCall[In, Out]) settle(_, worker int, result Encoded, err error) {
	d.settleBy(d.codec, worker, result, err)
}

func (d declaredCall[In, Out]) settleMapped(_, worker int, result Encoded, release func()) {
	d.settleMappedBy(d.codec, worker, result, release)
}

func (r *remoteCall[In, Out]) settleBy(codec Codec, worker int, result Encoded, err error) {
	t := &r.future.task
	if err == nil && resultRunsUserCode[Out](codec, result) {
		r.decodeAsync(codec, worker, result)
		return
	}
	out, err := decodeResult[Out](small, t.fn, codec, result, err)
	if isLarge(err) {
		r.decodeAsync(codec, worker, result)
		return
	}
	if err != nil {
		err = toCause(t.context(), t.ctx.Parent, err)
	}
	r.finish(worker, out, err)
}

func (r *remoteCall[In, Out]) mapsResults() bool { return isMappedResult[Out]() }

func (r *remoteCall[In, Out]) settleMapped(_, worker int, result Encoded, release func()) {
	r.settleMappedBy(nil, worker, result, release)
}

func (r *remoteCall[In, Out]) settleMappedBy(codec Codec, worker int, result Encoded, release func()) {
	out, err := decodeMapped[Out](r.future.task.fn, codec, result, release)
	if !r.finish(worker, out, err) {
		releaseMapped(out)
	}
}

// finish settles the call. It reports false if the call has settled already.
func (r *remoteCall[In, Out]) finish(worker int, out Out, err error) bool {
	t := &r.future.task
	if !t.finish(worker) {
		return false
	}
	r.future.value = out
	if err != nil {
		r.future.err = t.failure(err)
	}
	(*call[In, Out])(r).end(finished, nil, worker)
	return true
}

// decodeAsync decodes the result on another goroutine.
func (r *remoteCall[In, Out]) decodeAsync(codec Codec, worker int, result Encoded) {
	t := &r.future.task
	t.begin(worker) // the call can no longer be withdrawn from a worker
	if t.state() != running {
		return
	}
	result.Bytes = cloned(result.Bytes) // the bytes belong to the executor
	settled := make(signal, 1)
	if !t.watch(&watcher{to: settled}) {
		return
	}
	name := t.Name()
	t.group.runUserCode(&userCode{
		name: name, ctx: t.context(), grace: t.group.limits.Grace, settled: settled, cancel: t.Cancel,
		run: func(w values.Work) func() {
			out, err := decodeResult[Out](w, t.fn, codec, result, nil)
			return func() { r.finish(worker, out, err) }
		},
		fail: func(err error) {
			var none Out
			r.finish(worker, none, &valueError{"result of ", name, nil, err})
		},
	})
}
