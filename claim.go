package concert

import (
	"context"
	"fmt"
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

// A Batch is calls of one registered function that were claimed together,
// ready to be sent: the one of a Submit, or some of a Map. They are numbered
// from 0 up, and each goes its own way. What is said about one call must be
// said by one goroutine at a time.
type Batch struct {
	// Name is the name of the function, for Invoke in the worker.
	Name string
	// Args are the encoded arguments, one for each call, for Invoke.
	Args []Encoded
	// Relayed means that the arguments come from a [Relay]. Another process may
	// have encoded them, so their bytes are not trusted.
	Relayed bool

	job remote
}

// remote is what a Batch stands for: a Submit, or items of a Map.
type remote interface {
	of() *Task
	context() context.Context
	parent() context.Context
	cancel(cause error) bool
	index(i int) int64
	input(i int) *Input
	drop(i int, cause error)
	start(i, worker int) bool
	progress(i, worker int, done, total int64)
	settle(i, worker int, result Encoded, err error)
}

// Task returns the task of a Submit whose call it is, and nil for items of a Map.
func (b *Batch) Task() *Task { return b.job.of() }

// Context is the parent of the context that the function is to be given: a
// call should be cancelled when it ends, and has its deadline.
func (b *Batch) Context() context.Context { return b.job.context() }

// Parent is the context of the submitter, which many batches may have in
// common: that of Context, or its parent.
func (b *Batch) Parent() context.Context { return b.job.parent() }

// Cancel cancels the task of a Submit, like [Task.Cancel], or the whole Map,
// which then ends with [ErrClosed]. It reports whether the task or the Map had
// not started.
func (b *Batch) Cancel(cause error) bool { return b.job.cancel(cause) }

// Index returns which input of its Map call i is, from 0 up; 0 for the one of a Submit.
func (b *Batch) Index(i int) int64 { return b.job.index(i) }

// Input returns the index and the label of the input of call i. It returns nil
// for the call of a Submit without a label. It may call methods of the
// submitter's context.
func (b *Batch) Input(i int) *Input { return b.job.input(i) }

// Drop settles call i as never started, because of the cause with which its
// Parent ended. The executor must be certain of it.
func (b *Batch) Drop(i int, cause error) { b.job.drop(i, cause) }

// Start says that the worker of that number begins with call i. It reports
// false if the call was cancelled meanwhile, or has started or settled before:
// then it must not be run.
func (b *Batch) Start(i, worker int) bool { return b.job.start(i, worker) }

// Progress says how far call i, which has started, is; see [Progress].
func (b *Batch) Progress(i, worker int, done, total int64) { b.job.progress(i, worker, done, total) }

// Settle ends call i with the result or the error that Invoke returned, on the worker
// of that number, -1 if it never started. A result that cannot be decoded is
// an error of this call alone. The first Settle of a call counts. Every call must be
// settled, also one that was not started because it could not be sent, or because
// Start said so.
func (b *Batch) Settle(i, worker int, result Encoded, err error) {
	b.job.settle(i, worker, result, err)
}

// Claim takes calls from the task: that of a Submit, or as many as there are
// of a Map's, up to most calls and about size bytes, always at least one if
// there are any. Calls whose function is not registered, or whose argument
// cannot be encoded, are settled with that error and not returned; the batch is nil
// when no calls are left. If again is true the task is still pending and has, or had
// a moment ago, more to claim; if not, the executor is done with it, until it
// comes again.
func (t *Task) Claim(most, size int) (batch *Batch, again bool) {
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

// encodeArg encodes an argument of f. It uses the buffer like encodeTo.
func encodeArg[In any](buf []byte, f *Function, arg In) (e Encoded, _ []byte, err error) {
	defer recoverMethod("argument of ", f.name, &err)
	e, buf, err = encodeTo(buf, arg, f.codec)
	if err != nil {
		err = &valueError{"argument of ", f.name, nil, err}
	}
	return e, buf, err
}

// decodeResult decodes a worker's result. The codec is that of a declared
// function, and else nil.
func decodeResult[Out any](fn identity, codec Codec, result Encoded, failure error) (out Out, err error) {
	if failure != nil {
		return out, failure
	}
	defer func() { // the name is looked up only if it is needed
		if v := recover(); v != nil {
			err = methodPanic("result of ", fn.name(), v)
		}
	}()
	if codec == nil {
		out, err = decode[Out](result)
	} else if out, err = decode[Out](result); err != nil {
		err = codec.Decode(result, &out)
	}
	if err != nil {
		err = &valueError{"result of ", fn.name(), nil, err}
	}
	return out, err
}

// recoverMethod turns the panic of a method that encodes or decodes a value
// into an error. It calls recover, so callers must defer it directly.
func recoverMethod(what, name string, err *error) {
	if v := recover(); v != nil {
		*err = methodPanic(what, name, v)
	}
}

// methodPanic returns the error of a value with a method that panicked with v.
func methodPanic(what, name string, v any) error {
	failure := &methodError{fmt.Sprintf("a method that encodes or decodes it panicked: %v", v), NewPanicError(v)}
	return &valueError{what, name, nil, failure}
}

// methodError reports that a method of the program failed outside the task's
// function. It wraps the failure, such as a [*PanicError]. Its text does not
// say that the task panicked.
type methodError struct {
	text string
	err  error
}

// Error says which method failed, and how.
func (e *methodError) Error() string { return e.text }

// Unwrap returns the failure.
func (e *methodError) Unwrap() error { return e.err }

// valueError says that an argument or a result could not be encoded or decoded.
type valueError struct {
	what string // "argument of " or "result of "
	name string // of the function
	in   *Input // nil unless withInput has set it
	err  error
}

// Error names the function, the input of a Map, and the part of the value.
func (e *valueError) Error() string {
	of := e.name
	if e.in != nil {
		of = e.in.String()
	}
	return "concert: " + e.what + of + ": " + e.err.Error()
}

// Unwrap returns the reason.
func (e *valueError) Unwrap() error { return e.err }

func (c *call[In, Out]) function(t *Task) string {
	return registry.nameOf(valuePointer(c.fn), t.fn.code)
}

func (c *call[In, Out]) claim(t *Task, _, _ int) (*Batch, bool) {
	if !t.move(pending, copying) {
		return nil, false
	}
	if b := c.encoded; b != nil {
		c.encoded = nil
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
		b, err = c.encode(f, arg)
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
func (c *call[In, Out]) encode(f *Function, arg In) (b *single, err error) {
	b = &single{}
	if b.arg[0], _, err = encodeArg(b.small[:0], f, arg); err != nil {
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
	if !t.watch(&watcher{tell: settled}) {
		return // it has just been canceled
	}
	ctx := t.ctx.Parent
	t.group.runUserCode(&userCode{
		name: f.name, ctx: ctx, settled: settled, cancel: t.Cancel,
		run: func() func() {
			b, err := c.encode(f, arg)
			return func() {
				if err != nil {
					t.Fail(err)
					return
				}
				if !t.move(encoding, copying) {
					return // it was canceled
				}
				c.encoded = b
				t.move(copying, pending)
				t.group.queue.Again(t)
			}
		},
		fail: func(err error) {
			if ctx.Err() != nil {
				err = &neverStarted{context.Cause(ctx)}
			} else {
				err = &valueError{"argument of ", f.name, nil, err}
			}
			t.Fail(err)
		},
	})
}

// single is a Batch of one call, in one object.
type single struct {
	Batch
	arg   [1]Encoded
	small [8]byte // room for a small argument
}

// remoteCall is the call of a Submit in the hands of a worker.
type remoteCall[In, Out any] call[In, Out]

func (r *remoteCall[In, Out]) of() *Task { return &r.future.task }

func (r *remoteCall[In, Out]) context() context.Context { return r.future.task.context() }

func (r *remoteCall[In, Out]) parent() context.Context { return r.future.task.ctx.Parent }

func (r *remoteCall[In, Out]) cancel(cause error) bool { return r.future.task.Cancel(cause) }

func (r *remoteCall[In, Out]) index(int) int64 { return 0 }

func (r *remoteCall[In, Out]) input(int) *Input { return r.future.task.input() }

func (r *remoteCall[In, Out]) drop(_ int, cause error) {
	if t := &r.future.task; t.move(claimed, settling) {
		(*call[In, Out])(r).drop(t, &neverStarted{cause}, nil)
	}
}

func (r *remoteCall[In, Out]) start(_, worker int) bool {
	t := &r.future.task
	if !t.move(claimed, running) {
		return false
	}
	t.observeOn(worker, TaskStarted, nil)
	return true
}

func (r *remoteCall[In, Out]) progress(_, worker int, done, total int64) {
	t := &r.future.task
	if o, _ := t.observer(); o != nil && t.state() == running {
		e := t.event(TaskProgress, worker, nil)
		e.Done, e.Total = done, total
		o.tellApart(e)
	}
}

func (r *remoteCall[In, Out]) settle(_, worker int, result Encoded, err error) {
	r.settleBy(nil, worker, result, err)
}

// declaredCall is a remoteCall of a declared function.
type declaredCall[In, Out any] struct {
	*remoteCall[In, Out]
	codec Codec
}

func (d declaredCall[In, Out]) settle(_, worker int, result Encoded, err error) {
	d.settleBy(d.codec, worker, result, err)
}

func (r *remoteCall[In, Out]) settleBy(codec Codec, worker int, result Encoded, err error) {
	t := &r.future.task
	if err == nil && decodeRunsUserCode[Out](codec) {
		r.decodeAsync(codec, worker, result)
		return
	}
	out, err := decodeResult[Out](t.fn, codec, result, err)
	r.finish(worker, out, err)
}

// finish settles the call, unless it has settled already.
func (r *remoteCall[In, Out]) finish(worker int, out Out, err error) {
	t := &r.future.task
	if t.move(running, finishing) || t.move(claimed, finishing) {
		r.future.value, r.future.err = out, withInput(err, t.input)
		(*call[In, Out])(r).end(finished, nil, worker)
	}
}

// decodeAsync decodes the result on another goroutine.
func (r *remoteCall[In, Out]) decodeAsync(codec Codec, worker int, result Encoded) {
	t := &r.future.task
	t.move(claimed, running) // the call can no longer be withdrawn from a worker
	if t.state() != running {
		return
	}
	result.Bytes = cloned(result.Bytes) // the bytes belong to the executor
	settled := make(signal, 1)
	if !t.watch(&watcher{tell: settled}) {
		return
	}
	name := t.Name()
	t.group.runUserCode(&userCode{
		name: name, ctx: t.context(), grace: t.group.Limits.Grace, settled: settled, cancel: t.Cancel,
		run: func() func() {
			out, err := decodeResult[Out](t.fn, codec, result, nil)
			return func() { r.finish(worker, out, err) }
		},
		fail: func(err error) {
			var none Out
			r.finish(worker, none, &valueError{"result of ", name, nil, err})
		},
	})
}

// remoteItems is items of a Map in the hands of workers.
type remoteItems[In, Out any] struct {
	m     *mapping[In, Out]
	task  *Task // of the runner, for the observer
	codec Codec // nil unless the function is declared
	items []remoteItem[In, Out]
}

type remoteItem[In, Out any] struct {
	item   *item[In, Out]
	index  int64
	number uint64 // 0 unless observed
	input  *Input // nil unless observed
	state  uint8  // pending --> running --> finished, or pending --> finished
}

func (r *runner[In, Out]) function(*Task) string {
	return registry.nameOf(valuePointer(r.m.fn), r.m.id.code)
}

// claim hands out items as calls, and parks when there are no more. How many
// the executor asks for says how far ahead of the results the inputs should be.
func (r *runner[In, Out]) claim(t *Task, most, size int) (batch *Batch, again bool) {
	if !t.move(pending, running) {
		return nil, false
	}
	m := r.m
	m.reach(most)
	f, missing := registry.find(valuePointer(m.fn), m.id.code)
	if missing == nil {
		if always, depends := methodsOf[In](f.codec); always || depends {
			return r.claimAsync(t, f, always, most, size)
		}
	}
	var b *remoteItems[In, Out]
	var buf []byte
	for bytes := 0; (b == nil || len(b.items) < most) && bytes < size && !m.stopped.Load(); {
		it, index := m.line.claim(&r.seen)
		if it == nil {
			if r.park(t) {
				return batch, false
			}
			continue
		}
		m.away.Add(1)
		if b == nil {
			room := max(1, min(m.line.ahead(most)+1, most))
			b = &remoteItems[In, Out]{m: m, task: t, codec: codecOf(f), items: make([]remoteItem[In, Out], 0, room)}
			buf = make([]byte, 0, 8*room)
		}
		i := len(b.items)
		b.items = append(b.items, remoteItem[In, Out]{item: it, index: index})
		b.observe(i, TaskSubmitted, -1, nil)
		var e Encoded
		err := missing
		if err == nil {
			e, buf, err = encodeArg(buf, f, it.in)
		}
		var zero In
		it.in = zero
		if err != nil {
			b.settle(i, -1, Encoded{}, err)
			b.items = b.items[:i]
			continue
		}
		if batch == nil {
			batch = &Batch{Name: f.name, Args: make([]Encoded, 0, cap(b.items)), job: b}
		}
		batch.Args = append(batch.Args, e)
		bytes += len(e.Bytes)
		m.args.note(len(e.Bytes))
	}
	if m.stopped.Load() {
		r.leave(t, idle)
		return batch, false
	}
	t.move(running, pending)
	return batch, true
}

func (r *remoteItems[In, Out]) of() *Task { return nil }

func (r *remoteItems[In, Out]) context() context.Context { return r.m.ctx }

func (r *remoteItems[In, Out]) parent() context.Context { return r.m.ctx }

func (r *remoteItems[In, Out]) cancel(cause error) bool {
	r.m.interrupt(cause)
	return false
}

func (r *remoteItems[In, Out]) index(i int) int64 { return r.items[i].index }

func (r *remoteItems[In, Out]) input(i int) *Input { return r.m.input(r.items[i].index) }

func (r *remoteItems[In, Out]) drop(i int, cause error) {
	r.settle(i, -1, Encoded{}, &neverStarted{cause})
}

func (r *remoteItems[In, Out]) start(i, worker int) bool {
	if it := &r.items[i]; r.m.stopped.Load() || uint64(it.state) != pending {
		return false
	}
	r.items[i].state = uint8(running)
	r.observe(i, TaskStarted, worker, nil)
	return true
}

func (r *remoteItems[In, Out]) progress(i, worker int, done, total int64) {
	if o, _ := r.task.observer(); o != nil && uint64(r.items[i].state) == running {
		o.tellApart(Event{Kind: TaskProgress, Task: r.items[i].number, Name: r.task.Name(), Input: r.items[i].input, Worker: worker, Time: time.Now(), Done: done, Total: total})
	}
}

func (r *remoteItems[In, Out]) settle(i, worker int, result Encoded, err error) {
	it := &r.items[i]
	if uint64(it.state) == finished {
		return
	}
	it.state = uint8(finished)
	r.m.results.note(len(result.Bytes))
	item := it.item
	it.item = nil // the batch may live as long as its slowest call
	if err == nil && decodeRunsUserCode[Out](r.codec) {
		r.decodeAsync(i, worker, item, result)
		return
	}
	out, err := decodeResult[Out](r.task.fn, r.codec, result, err)
	r.finish(i, worker, item, out, err)
}

// finish passes the outcome of an item to the consumer.
func (r *remoteItems[In, Out]) finish(i, worker int, item *item[In, Out], out Out, err error) {
	m := r.m
	if err != nil {
		err = withInput(err, func() *Input { return r.input(i) })
	}
	item.out, item.err = out, err
	r.observe(i, TaskFinished, worker, err)
	m.line.markDone(item, r.index(i), m.ordered)
	if m.away.Add(-1) == 0 || !m.ordered || m.needed.Load() == r.items[i].index {
		m.rouse()
	}
}

func (r *remoteItems[In, Out]) observe(i int, kind EventKind, worker int, err error) {
	o, _ := r.task.observer()
	if o == nil {
		return
	}
	it := &r.items[i]
	if it.number == 0 {
		it.number, it.input = lastNumber.Add(1), r.input(i)
	}
	o.tellApart(Event{Kind: kind, Task: it.number, Name: it.input.Name, Input: it.input, Worker: worker, Time: time.Now(), Err: err})
}

func codecOf(f *Function) Codec {
	if f == nil {
		return nil
	}
	return f.codec
}
