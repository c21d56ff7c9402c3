package concert

import "context"

// This file is for those who write executors whose workers do not share
// memory. Such an executor does not Run a task. When a worker is ready it
// Claims calls from the task at the head of its queue, sends them, and settles
// each with what comes back:
//
//	pending --Claim--> claimed --Start--> running --Settle--> finished
//
// A call that was claimed and has not started can be sent to another worker
// if the first one dies.

// A Batch is calls of one registered function that were claimed together and
// are ready to be sent: the call of a Submit, or some calls of a Map. They are
// numbered from 0 up, and each starts and settles by itself. The methods about
// one call must not be called concurrently.
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
// false if the call was canceled, or has started or settled before: then it
// must not be run.
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

// Claim takes calls from the task: the call of a Submit, or calls of a Map, up
// to most calls and about size bytes, but at least one if there are any. Calls whose function is not registered, or whose argument
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
