package executor

import (
	"context"
	"time"

	"concert/internal/values"
)

// This file is for authors of executors whose workers do not share memory with
// the caller. Such an executor does not run a task itself. When a worker is
// ready, the executor claims calls from the task at the head of its queue,
// sends them, and settles each call with the result or error that the worker
// returns:
//
//	pending --Claim--> claimed --Start--> running --Settle--> finished
//
// If a worker dies, a call that was claimed for it and has not started can
// be sent to another worker.

// A Batch contains calls of one registered function that were claimed together
// and are ready to be sent: the call of a Submit, or some calls of a Map. The
// calls are numbered from 0 up. Each call starts and settles independently of
// the others. For one call, at most one method may run at a time.
type Batch struct {
	// Name is the name of the function, for Invoke in the worker.
	Name string
	// Args are the encoded arguments, one for each call, for Invoke.
	Args []Encoded
	// Relayed means that the arguments come from a [Relay]. Another process may
	// have encoded them, so their bytes are not trusted.
	Relayed bool

	job    remote
	shared []any // a usedHandle for each handle in Args that is a reference; see shared.go
}

// remote implements the methods of a Batch, for the call of a Submit or for
// items of a Map. i is the number of a call in the batch.
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
	ran(worker, n int, took time.Duration)
	mapsResults() bool
	trace() string
	callTrace(i int) string
	settleMapped(i, worker int, result Encoded, release func())
}

// UsesShared reports whether arguments of the batch refer to stored values:
// see [Batch.Shared]. If it reports false, Shared yields nothing, and
// SharedClosed returns nil.
func (b *Batch) UsesShared() bool { return len(b.shared) > 0 }

// Task returns the task if the batch has the call of a Submit, and nil if the
// batch has items of a Map.
func (b *Batch) Task() *Task { return b.job.of() }

// Trace returns the text for distributed tracing of the calls, or "". The
// executor sends it with the calls, and the worker passes it to [ExtractTrace].
// All calls of a Map have the same text, so an executor may send it once for
// many calls.
func (b *Batch) Trace() string { return b.job.trace() }

// CallTrace returns the same as Trace, but for call i alone. If the call is
// an item of a Map, and the item has a span, the text is for this span. So
// an executor that sends each call in a separate message should use
// CallTrace.
func (b *Batch) CallTrace(i int) string { return b.job.callTrace(i) }

// Context returns the parent of the context with which the function is
// called. The executor should cancel the calls when Context is done. Its
// deadline is the deadline of the calls.
func (b *Batch) Context() context.Context { return b.job.context() }

// Parent returns the context of the submitter. It is the result of Context,
// or the parent of that context. Many batches may have the same Parent.
func (b *Batch) Parent() context.Context { return b.job.parent() }

// Cancel cancels the task of a Submit, like [Task.Cancel], or the whole Map,
// which then ends with [ErrClosed]. It reports whether the task or the Map had
// not started.
func (b *Batch) Cancel(cause error) bool { return b.job.cancel(cause) }

// Index returns the index, from 0 up, of the input of call i in its Map. It
// returns 0 for the call of a Submit.
func (b *Batch) Index(i int) int64 { return b.job.index(i) }

// Input returns the index and the label of the input of call i. If the call
// belongs to a Submit, and the task has no label, Input returns nil. Input may
// call methods of the submitter's context.
func (b *Batch) Input(i int) *Input { return b.job.input(i) }

// Drop settles call i with the error of a task that never started. An
// executor calls Drop when Parent has ended with the cause, but only if it
// is certain that the call has not started.
func (b *Batch) Drop(i int, cause error) { b.job.drop(i, cause) }

// Start records that the worker with this number begins call i. If it reports
// false, the executor must not run the call: the call was canceled, or has
// started or settled before.
func (b *Batch) Start(i, worker int) bool { return b.job.start(i, worker) }

// Progress reports the progress of call i, which has started; see [Progress].
func (b *Batch) Progress(i, worker int, done, total int64) { b.job.progress(i, worker, done, total) }

// Settle ends call i with the result or the error that Invoke returned, on
// the worker with that number. The worker's number is -1 if the call never
// started. If the result cannot be decoded, only this call fails. Only the
// first Settle of a call counts. The executor must settle every call, even
// if it could not send the call, or if Start reported false.
func (b *Batch) Settle(i, worker int, result Encoded, err error) {
	b.job.settle(i, worker, result, err)
}

// Ran records the time that the function needed for n calls of the batch, in
// total. The parameter worker is the same number as in Settle. An executor
// calls Ran before it settles the calls, if the worker has sent the time.
// See [Stats].
func (b *Batch) Ran(worker, n int, took time.Duration) { b.job.ran(worker, n, took) }

// SettleList settles consecutive calls of a Map. Call i is the first of
// them, and gets the first value in results. For calls that have not
// started, SettleList calls Start first. If the batch has the call of a
// Submit, SettleList does nothing and reports false.
func (b *Batch) SettleList(i, worker int, results List) bool {
	m, ok := b.job.(interface{ settleList(int, int, List) })
	if ok {
		m.settleList(i, worker, results)
	}
	return ok
}

// Claim takes calls from the task: the call of a Submit, or calls of a Map. It
// takes calls until the batch has maxCalls calls, or the arguments of these
// calls have maxSize bytes. Values below 1 count as 1. If the function of a
// call is not registered, or its argument cannot be encoded, Claim settles the
// call with that error and does not return it. The batch is nil if no calls are
// left. If again is true, the task is still pending, and may have more calls to
// claim. If again is false, the executor removes the task from its queue. Such
// a task can return to the queue by Queue.Again or Execute.
func (t *Task) Claim(maxCalls, maxSize int) (batch *Batch, again bool) {
	if t.ctx.Parent.Err() != nil {
		t.Fail(&neverStarted{context.Cause(t.ctx.Parent)})
		return nil, false
	}
	return t.job.claim(t, max(1, maxCalls), max(1, maxSize))
}

// Prepare returns the name under which fn is registered, and the encoded arg.
// It is for executors that call functions themselves, for example to prepare
// their workers. The errors are the same as for a Submit of fn and arg.
func Prepare[In, Out any](fn func(context.Context, In) (Out, error), arg In) (name string, encoded Encoded, err error) {
	f, err := registry.find(valuePointer(fn), codePointer(fn))
	if err != nil {
		return "", encoded, err
	}
	encoded, _, err = encodeArg(values.Work{}, nil, f, arg)
	return f.name, encoded, err
}
