package executor

import (
	"context"
	"sync"
	"time"

	"concert/internal/values"
)

// A Call is a call whose argument is already encoded.
type Call struct {
	// Name is the name under which the function is registered: in this process
	// for a local executor, and in the worker for a remote one.
	Name string
	// Arg is the encoded argument, as in [Batch]. Its bytes must not change
	// until the future has settled.
	Arg Encoded
	// Shared are the stored values to which the argument refers. The caller
	// gets them from [RelayShared] with the same executor, and releases them
	// when the future has settled.
	Shared []*Stored
	// Input has the index of the call in the Map of the submitter, and the
	// label of the call. It is nil if the call has no index and no label. The
	// executor uses it in events, errors and logs, like the Input of a task
	// that was submitted here.
	Input *Input
	// Trace is the text for distributed tracing that came with the call: see
	// [ExtractTrace]. A local executor calls the function with the context
	// that ExtractTrace returns. A remote executor sends the text to its
	// worker. Relay ignores a text that ExtractTrace would ignore.
	Trace string
	// Started is called when the function is about to begin. Progress is called
	// with the progress that the function reports by [Progress]. Both may be
	// nil, and should return soon. If tasks share memory with their submitter,
	// Started and Progress run on the goroutine of the task. Otherwise they run
	// on another goroutine, in order, and a slow Progress misses some steps. In
	// this second case, their failures do not change the outcome of the call:
	// panics and calls of runtime.Goexit are ignored. After the function has
	// ended, the call waits at most a second for Started and Progress.
	Started  func()
	Progress func(done, total int64)
}

// Relay submits an encoded call to an executor. It is for code that passes
// calls from one executor to another: for example, a worker of a cluster runs
// the calls that it receives in processes of its own. The result is for
// [Batch.Settle].
//
// Relay blocks as [Submit] does. It panics if ctx or ex is nil.
func Relay(ctx context.Context, ex Executor, c Call) *Future[Encoded] {
	if ctx == nil || ex == nil {
		panic(nilArgument("Relay", ctx, ex, ""))
	}
	if c.Trace != "" {
		ctx = ExtractTrace(ctx, c.Trace)
	}
	r := &relay{is: c}
	r.init(ctx, r.invoke, c.Arg)
	t := &r.future.task
	t.job = r
	if err := execute(ctx, ex, t); err != nil {
		t.refuse(refusal(ctx, err))
	}
	return &r.future
}

// relay is the job of a Relay: a call whose argument and result are encoded.
type relay struct {
	call[Encoded, Encoded]
	is    Call
	calls callbacks // calls Started and Progress, if the executor is remote
}

// invoke is the task's function on a local executor.
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
	return InvokeIsolated(ctx, r.is.Name, arg)
}

func (r *relay) function(*Task) string { return r.is.Name }

func (r *relay) claim(t *Task, _, _ int) (*Batch, bool) {
	if !t.move(pending, copying) {
		return nil, false
	}
	arg, all := r.arg, r.is.Shared
	t.move(copying, claimed)
	b := &Batch{Name: r.is.Name, Relayed: true, job: (*relayed)(r)}
	for _, stored := range all {
		if stored.Group == t.group {
			b.shared = append(b.shared, usedHandle{nil, stored})
			continue
		}
		var err error
		if arg, err = replaceReferences(arg, all); err != nil {
			if t.move(claimed, settling) {
				r.drop(t, &valueError{"argument of ", r.is.Name, nil, err}, nil)
			}
			return nil, false
		}
		break
	}
	b.Args = []Encoded{arg}
	return b, false
}

// relayed is a relay after Task.Claim has claimed it for a remote worker. It
// implements remote.
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
func (r *relayed) ran(worker, n int, took time.Duration) {
	r.remote().ran(worker, n, took)
}
func (r *relayed) drop(i int, cause error) { r.remote().drop(i, cause) }

// trace returns the text for distributed tracing of the call. If this
// process has made no text for the call, trace returns the text that came
// with the call, unless that text is invalid.
func (r *relayed) trace() string {
	if trace := r.remote().trace(); trace != "" || !validTrace(r.is.Trace) {
		return trace
	}
	return r.is.Trace
}

func (r *relayed) callTrace(int) string { return r.trace() }

func (r *relayed) start(i, worker int) bool {
	if !r.remote().start(i, worker) {
		return false
	}
	if r.is.Started != nil {
		r.calls.add(r.is.Started, false)
	}
	return true
}

func (r *relayed) progress(i, worker int, done, total int64) {
	r.remote().progress(i, worker, done, total)
	if r.is.Progress != nil {
		r.calls.add(func() { r.is.Progress(done, total) }, true)
	}
}

// settle copies the bytes of the result, because the executor may reuse them.
func (r *relayed) settle(_, worker int, result Encoded, err error) {
	if err == nil {
		result = Encoded{result.Kind, cloned(result.Bytes)}
	}
	r.settleCopied(worker, result, err)
}

// settleCopied settles the call when Started and Progress have returned, or
// after callbackTime.
func (r *relayed) settleCopied(worker int, result Encoded, err error) {
	idle := r.calls.idle()
	if idle == nil {
		r.finish(worker, result, err)
		return
	}
	t := r.of()
	t.begin(worker) // the call can no longer be withdrawn from a worker
	t.group.runUserCode(&userCode{
		name: r.is.Name, ctx: t.context(), grace: callbackTime, cancel: t.Cancel,
		run: func(values.Work) func() {
			select {
			case <-idle:
			case <-time.After(callbackTime):
			}
			return func() { r.finish(worker, result, err) }
		},
		fail: func(error) { r.finish(worker, result, err) },
	})
}

// mapsResults returns false: the caller of Relay passes on the bytes.
func (r *relayed) mapsResults() bool { return false }

// settleMapped settles the call with a copy of the result, which the caller of
// Relay passes on.
func (r *relayed) settleMapped(_, worker int, result Encoded, release func()) {
	result.Bytes = cloned(result.Bytes)
	release() // before the caller of Relay gets the result
	r.settleCopied(worker, result, nil)
}

func (r *relayed) finish(worker int, result Encoded, err error) {
	if !r.of().finish(worker) {
		return
	}
	if err == nil {
		r.future.value = result
	}
	r.future.err = err
	r.end(finished, nil, worker)
}

// callbackTime is the maximum time for which relayed.settle waits until the
// functions of the Call have returned.
const callbackTime = time.Second

// callbacks calls functions of the program sequentially, on a goroutine that
// ends when no function is due. A function that does not return keeps the
// goroutine, and the functions after it are not called.
type callbacks struct {
	mu      sync.Mutex
	due     []func()      // guarded by mu
	merges  bool          // guarded by mu: whether merge was true for the last function of due
	running chan struct{} // guarded by mu: closed when the goroutine ends; nil if it does not run
}

// mostDue is the minimum number of due functions at which callbacks.add may
// replace the last one.
const mostDue = 64

// add calls fn after the functions that were added before. There is one
// exception: if mostDue functions are due, and merge is true for fn and for
// the last one that was added, fn replaces this last one.
func (c *callbacks) add(fn func(), merge bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.due); n >= mostDue && merge && c.merges {
		c.due[n-1] = fn
		return
	}
	c.due, c.merges = append(c.due, fn), merge
	if c.running == nil {
		c.running = make(chan struct{})
		go c.run()
	}
}

// run calls functions until none is due. If a function ends the goroutine, run
// continues on a new one.
func (c *callbacks) run() {
	ended := false
	defer func() {
		recover() // failures are ignored
		if !ended {
			go c.run()
		}
	}()
	for {
		c.mu.Lock()
		if len(c.due) == 0 {
			close(c.running)
			c.running, ended = nil, true
			c.mu.Unlock()
			return
		}
		fn := c.due[0]
		c.due = c.due[1:]
		c.mu.Unlock()
		fn()
	}
}

// idle returns a channel that is closed when all functions have returned. It
// returns nil if they already have.
func (c *callbacks) idle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}
