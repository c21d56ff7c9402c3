// Package loopback provides an executor whose workers share nothing with
// submitters: arguments and results are encoded, functions are found by name,
// and errors are sent as text with their registered parts. Submitters and
// workers are in one process. So the conformance suite can test how package
// concert works with remote executors, without other processes or a network.
//
//	Submit --> queue --> worker 1..n: Claim --bytes--> InvokeIsolated --bytes--> Settle
package loopback

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/lazy"
)

// Options tunes an Executor.
type Options struct {
	Queue    int           // maximum number of queued tasks; zero means 16
	Claim    int           // maximum number of calls that a worker claims together; zero means 4
	Timeout  time.Duration // time limit for methods that encode or decode a value; zero means no limit
	Grace    time.Duration // time that Shutdown waits after it has canceled all tasks; zero means 5 seconds
	Observer concert.Observer
}

var errTimeout = errors.New("loopback: timeout")

// Executor is a concert.Executor. Make one with New.
type Executor struct {
	opts  Options
	width int
	group *executor.WorkerGroup

	queue *executor.TaskQueue // its mutex is mu
	gone  chan struct{}       // closed when all workers have ended

	sent, received atomic.Int64 // bytes of arguments and results

	mu       sync.Mutex
	changed  sync.Cond      // wakes all workers
	claiming bool           // whether a worker is claiming calls; guarded by mu
	ready    []*call        // claimed calls that any worker may run; guarded by mu
	calls    map[*call]bool // calls that are claimed and not settled; guarded by mu
	closed   bool           // guarded by mu
	hurried  bool           // whether Shutdown has canceled all tasks; guarded by mu
	workers  int            // number of workers that have not ended; guarded by mu
}

type call struct {
	batch   *executor.Batch
	i       int             // the index of the call in its batch
	ctx     context.Context // the context with which the worker calls the function
	cancel  context.CancelCauseFunc
	expire  func() // ends ctx with context.DeadlineExceeded, like a deadline
	running bool   // guarded by mu
}

func newCall(b *executor.Batch, i int) *call {
	ending := lazy.NewEnding()
	ctx, cancel := context.WithCancelCause(ending)
	c := &call{batch: b, i: i, ctx: ctx, cancel: cancel, expire: func() { ending.End(context.DeadlineExceeded, nil) }}
	if d, ok := b.Context().Deadline(); ok {
		var stop context.CancelFunc
		c.ctx, stop = context.WithDeadline(ctx, d)
		c.cancel = func(cause error) { cancel(cause); stop() }
	}
	return c
}

// New returns an executor with n workers.
func New(n int, opts Options) *Executor {
	opts.Queue = cmp.Or(opts.Queue, 16)
	opts.Claim = cmp.Or(opts.Claim, 4)
	opts.Grace = cmp.Or(opts.Grace, 5*time.Second)
	e := &Executor{opts: opts, width: n, workers: n, calls: make(map[*call]bool), gone: make(chan struct{})}
	e.changed.L = &e.mu
	e.queue = executor.NewTaskQueue(&e.mu, opts.Queue, e.changed.Broadcast)
	e.group = executor.NewRemoteGroup((*groupQueue)(e), executor.Limits{Timeout: opts.Timeout, Expired: errTimeout, Grace: opts.Grace}, opts.Observer)
	for i := range n {
		go e.work(i)
	}
	return e
}

// Execute implements concert.Executor.
func (e *Executor) Execute(ctx context.Context, t *executor.Task) error {
	e.group.Adopt(t)
	return e.queue.Push(ctx, e.group, t)
}

// Share implements executor.Sharer. All workers use one copy of the value.
func (e *Executor) Share(_ context.Context, encode func(executor.SharedCodec) (executor.Encoded, error)) (*executor.Stored, error) {
	value, err := encode(nil)
	if err != nil {
		return nil, err
	}
	var id executor.SharedID
	rand.Read(id[:])
	executor.KeepShared(id, copied(value), nil)
	return &executor.Stored{ID: id, Group: e.group, Release: func() { executor.ForgetShared(id) }}, nil
}

// Width implements concert.Executor.
func (e *Executor) Width() int { return 2 * e.width }

// Stats implements concert.Executor.
func (e *Executor) Stats() concert.Stats {
	s := e.group.Stats()
	s.Sent, s.Received = e.sent.Load(), e.received.Load()
	e.mu.Lock()
	defer e.mu.Unlock()
	s.Workers = e.workers
	for c := range e.calls {
		if c.running {
			s.Busy++
		}
	}
	return s
}

// Watch implements concert.Executor.
func (e *Executor) Watch(o concert.Observer) (stop func()) { return e.group.Watch(o) }

// Close implements concert.Executor.
func (e *Executor) Close() error {
	e.refuse()
	<-e.gone
	return nil
}

// Shutdown implements concert.Executor.
func (e *Executor) Shutdown(ctx context.Context) error {
	e.refuse()
	return executor.Shutdown(ctx, e.gone, e.opts.Grace, e.cancelAll, e.running)
}

// cancelAll cancels all tasks, and returns the number of tasks that had not
// started.
func (e *Executor) cancelAll(cause error) (notStarted int) {
	e.mu.Lock()
	e.hurried = true
	queued := e.queue.DrainLocked()
	for c := range e.calls {
		c.cancel(concert.ErrCanceled)
	}
	e.mu.Unlock()
	for _, t := range queued {
		if t.Cancel(cause) {
			notStarted++
		}
	}
	return notStarted + e.group.CancelUserCode(cause)
}

// running returns the names of the functions of running calls.
func (e *Executor) running() (names []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.calls {
		if c.running {
			names = append(names, c.batch.Name)
		}
	}
	return append(names, e.group.UserCode()...)
}

func (e *Executor) refuse() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.queue.CloseLocked(concert.ErrClosed)
	e.changed.Broadcast()
}

// groupQueue implements executor.Queue.
type groupQueue Executor

// Again implements executor.Queue.
func (g *groupQueue) Again(t *executor.Task) {
	e := (*Executor)(g)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hurried {
		go t.Cancel(nil) // Shutdown could not cancel this task, because it was not in the queue
		return
	}
	e.queue.AgainLocked(t)
}

// Withdraw implements executor.RemoteQueue. It returns true, because a worker
// calls Start before it calls the function.
func (*groupQueue) Withdraw(*executor.Task) bool { return true }

// Dropped implements executor.Queue: canceled tasks leave the queue.
func (g *groupQueue) Dropped() {
	e := (*Executor)(g)
	e.queue.Dropped()
	e.changed.Broadcast() // wakes the workers: the last user code may have returned
}

// next waits for a call to run, and claims calls from the queue if no claimed
// call is left. It returns nil when there will be no more calls.
func (e *Executor) next() *call {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		switch {
		case len(e.ready) > 0:
			c := e.ready[0]
			e.ready = e.ready[1:]
			c.running = true
			return c
		case e.queue.LenLocked() > 0 && !e.claiming:
			if t := e.queue.NextLocked(); t != nil {
				e.claim(t)
			}
		case e.closed && !e.claiming && len(e.group.UserCode()) == 0:
			if e.workers--; e.workers == 0 {
				close(e.gone)
			}
			return nil
		default:
			e.changed.Wait()
		}
	}
}

// claim takes calls from a task. The caller holds mu. claim releases mu while
// it calls the method Claim of the task. No two workers claim concurrently, so
// calls start in the order of the queue.
func (e *Executor) claim(t *executor.Task) {
	e.claiming = true
	e.mu.Unlock()
	claimed, again := t.Claim(e.opts.Claim, 1<<20)
	e.mu.Lock()
	e.claiming = false
	if claimed != nil {
		for i := range claimed.Args {
			fresh := newCall(claimed, i)
			if e.hurried { // Shutdown could not cancel this call, because it was just being claimed
				fresh.cancel(concert.ErrCanceled)
			}
			e.calls[fresh] = true
			e.ready = append(e.ready, fresh)
		}
	}
	switch {
	case again && e.closed:
		e.mu.Unlock()
		t.Fail(concert.ErrClosed)
		e.mu.Lock()
	case again:
		e.queue.AgainLocked(t)
	}
	e.changed.Broadcast()
}

func (e *Executor) work(id int) {
	for c := e.next(); c != nil; c = e.next() {
		e.invoke(id, c)
	}
}

// invoke runs one call like a worker in another process: the argument and the
// result are encoded.
func (e *Executor) invoke(id int, c *call) {
	defer c.cancel(nil)
	// As in another process, the worker learns the deadline and the end of the
	// caller's context, but neither its cause nor its values.
	stop := context.AfterFunc(c.batch.Context(), func() {
		if c.batch.Context().Err() == context.DeadlineExceeded {
			c.expire()
		} else {
			c.cancel(concert.ErrCanceled)
		}
	})
	defer stop()
	if !c.batch.Start(c.i, id) {
		e.settle(c, -1, executor.Encoded{}, concert.ErrCanceled)
		return
	}
	type outcome struct {
		result  executor.Encoded
		failure []byte
		took    time.Duration
	}
	done := make(chan outcome, 1)
	go func() { // on another goroutine, so that a Goexit does not end the worker
		var o outcome
		began := time.Now()
		defer func() { o.took = time.Since(began); done <- o }()
		arg := copied(c.batch.Args[c.i])
		e.sent.Add(int64(len(arg.Bytes)))
		o.failure = executor.EncodeError(concert.ErrGoexit)
		result, err := executor.InvokeIsolated(executor.ExtractTrace(c.ctx, c.batch.CallTrace(c.i)), c.batch.Name, arg)
		o.result, o.failure = copied(result), nil
		if err != nil {
			o.failure = executor.EncodeError(err)
		}
	}()
	o := <-done
	e.received.Add(int64(len(o.result.Bytes) + len(o.failure)))
	c.batch.Ran(id, 1, o.took)
	if o.failure != nil {
		e.settle(c, id, executor.Encoded{}, executor.DecodeError(o.failure))
		return
	}
	e.settle(c, id, o.result, nil)
}

// copied returns a copy of a value that shares no memory with the value.
func copied(v executor.Encoded) executor.Encoded {
	return executor.Encoded{Kind: v.Kind, Bytes: slices.Clone(v.Bytes)}
}

func (e *Executor) settle(c *call, worker int, result executor.Encoded, err error) {
	e.mu.Lock()
	delete(e.calls, c)
	e.mu.Unlock()
	c.batch.Settle(c.i, worker, result, err)
}
