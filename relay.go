package concert

import "context"

// A Call is one that is encoded already.
type Call struct {
	// Name is the name under which the function is registered: here, where tasks share memory with their submitter, and
	// elsewhere in the worker.
	Name string
	// Arg is the argument, as a [Batch] holds it. Its bytes have to stay as they are until the future has settled.
	Arg Encoded
	// Input is which input of a Map the call is at its submitter, and its
	// label; nil if there is neither. It is in the events, errors and logs of
	// the executor, as that of a task that was submitted here.
	Input *Input
	// Started is called when the function is about to begin, Progress with what it says with the function of that name. Both may
	// be nil, and should return soon.
	Started  func()
	Progress func(done, total int64)
}

// Relay hands a call to an executor, for those who carry calls from one executor to another: a worker of a cluster
// runs what it is sent in processes of its own, say. The result is for the Settle of a Batch.
//
// Relay blocks as [Submit] does. It panics if ctx or ex is nil.
func Relay(ctx context.Context, ex Executor, c Call) *Future[Encoded] {
	if ctx == nil || ex == nil {
		panic("concert: Relay with a nil context or executor")
	}
	r := &relay{is: c}
	r.init(ctx, r.invoke, c.Arg)
	t := &r.future.task
	t.job = r
	if err := ex.Execute(ctx, t); err != nil {
		t.Fail(refusal(ctx, err))
	}
	return &r.future
}

// relay is the job of a Relay: a call whose argument and result are bytes.
type relay struct {
	call[Encoded, Encoded]
	is Call
}

// invoke is the function where tasks share memory.
func (r *relay) invoke(ctx context.Context, arg Encoded) (Encoded, error) {
	if r.is.Started != nil {
		r.is.Started()
	}
	if r.is.Progress != nil {
		ctx = WithProgress(ctx, func(done, total int64) {
			r.future.task.progress(done, total)
			r.is.Progress(done, total)
		})
	}
	return Invoke(ctx, r.is.Name, arg)
}

func (r *relay) function(*Task) string { return r.is.Name }

func (r *relay) claim(t *Task, _, _ int) (*Batch, bool) {
	if !t.move(pending, copying) {
		return nil, false
	}
	arg := r.arg
	t.move(copying, claimed)
	return &Batch{Name: r.is.Name, Args: []Encoded{arg}, Relayed: true, job: (*relayed)(r)}, false
}

// relayed is a relay in the hands of a worker.
type relayed relay

func (r *relayed) remote() *remoteCall[Encoded, Encoded] {
	return (*remoteCall[Encoded, Encoded])(&r.call)
}

func (r *relayed) of() *Task                { return r.remote().of() }
func (r *relayed) context() context.Context { return r.remote().context() }
func (r *relayed) parent() context.Context  { return r.remote().parent() }
func (r *relayed) cancel(cause error) bool  { return r.remote().cancel(cause) }
func (r *relayed) index(int) int64          { return 0 }
func (r *relayed) input(i int) *Input       { return r.remote().input(i) }
func (r *relayed) drop(i int, cause error)  { r.remote().drop(i, cause) }

func (r *relayed) start(i, worker int) bool {
	if !r.remote().start(i, worker) {
		return false
	}
	if r.is.Started != nil {
		guarded(r.is.Started) // this goroutine serves all tasks of a worker
	}
	return true
}

func (r *relayed) progress(i, worker int, done, total int64) {
	r.remote().progress(i, worker, done, total)
	if r.is.Progress != nil {
		guarded(func() { r.is.Progress(done, total) })
	}
}

// settle keeps a copy of the bytes, which are the executor's.
func (r *relayed) settle(_, worker int, result Encoded, err error) {
	t := r.of()
	if !t.move(running, finishing) && !t.move(claimed, finishing) {
		return
	}
	if err == nil {
		r.future.value = Encoded{result.Kind, cloned(result.Bytes)}
	}
	r.future.err = err
	r.end(finished, nil, worker)
}
