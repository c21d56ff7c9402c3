// Package loopback is an executor whose workers share nothing with those who
// submit: every argument and result passes as bytes, every function by its
// name, every error as text and what is registered. It does so within the
// process, so that the half of package concert that serves remote executors
// can be held to the conformance suite without a process or a network.
//
//	Submit --> queue --> worker 1..n: Claim --bytes--> InvokeIsolated --bytes--> Settle
package loopback

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/lazy"
)

// Options tunes an Executor.
type Options struct {
	Queue    int           // tasks that may wait; zero means 16
	Claim    int           // calls that a worker claims at once; zero means 4
	Timeout  time.Duration // of methods that encode or decode a value; zero means none
	Grace    time.Duration // after Shutdown has canceled; zero means 5 seconds
	Observer concert.Observer
}

var errTimeout = errors.New("loopback: timeout")

// Executor is a concert.Executor. Make one with New.
type Executor struct {
	opts  Options
	width int
	group *executor.WorkerGroup

	mu       sync.Mutex
	changed  sync.Cond        // tells everybody to look again
	queue    []*executor.Task // guarded by mu
	claiming bool             // guarded by mu: a worker claims
	ready    []*call          // guarded by mu: claimed, for any worker
	calls    map[*call]bool   // guarded by mu: claimed and not settled
	closed   bool             // guarded by mu
	hurried  bool             // guarded by mu: Shutdown has canceled what there was
	workers  int              // guarded by mu: not ended
	waiters  []*waiter        // guarded by mu: submitters that wait for room, oldest first
	gone     chan struct{}    // closed when all workers have ended
}

type call struct {
	batch   *executor.Batch
	i       int             // its number there
	ctx     context.Context // the worker's, for the function
	cancel  context.CancelCauseFunc
	expire  func() // ends ctx as its deadline does
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
	if opts.Queue == 0 {
		opts.Queue = 16
	}
	if opts.Claim == 0 {
		opts.Claim = 4
	}
	if opts.Grace == 0 {
		opts.Grace = 5 * time.Second
	}
	e := &Executor{opts: opts, width: n, workers: n, calls: make(map[*call]bool), gone: make(chan struct{})}
	e.changed.L = &e.mu
	e.group = executor.NewWorkerGroup((*groupQueue)(e), opts.Observer)
	e.group.Remote = true
	e.group.Limits = executor.Limits{Timeout: opts.Timeout, Expired: errTimeout, Grace: opts.Grace}
	for i := range n {
		go e.work(i)
	}
	return e
}

// waiter is a submitter that waits for room.
type waiter struct {
	task *executor.Task
	in   chan struct{} // closed when the task is in the queue, or refused
	err  error         // written before
}

// Execute implements concert.Executor. Submitters are let in in the order in
// which they came, so that tasks which come again and again, as those of Maps
// do, cannot take the room of one that waits.
func (e *Executor) Execute(ctx context.Context, t *executor.Task) error {
	e.group.Adopt(t)
	e.mu.Lock()
	if e.closed {
		defer e.mu.Unlock()
		return concert.ErrClosed
	}
	if len(e.waiters) == 0 && len(e.queue) < e.opts.Queue {
		e.queue = append(e.queue, t)
		e.changed.Signal()
		e.mu.Unlock()
		return nil
	}
	w := &waiter{task: t, in: make(chan struct{})}
	e.waiters = append(e.waiters, w)
	e.mu.Unlock()
	if err := e.group.WaitRoom(ctx, w.in); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		if i := slices.Index(e.waiters, w); i >= 0 {
			e.waiters = slices.Delete(e.waiters, i, i+1)
			return err
		}
	}
	<-w.in
	return w.err
}

// Width implements concert.Executor.
func (e *Executor) Width() int { return 2 * e.width }

// Close implements concert.Executor.
func (e *Executor) Close() error {
	e.refuse()
	<-e.gone
	return nil
}

// Shutdown implements concert.Executor.
func (e *Executor) Shutdown(ctx context.Context) error {
	e.refuse()
	select {
	case <-e.gone:
		return nil
	default:
	}
	select {
	case <-e.gone:
		return nil
	case <-ctx.Done():
	}
	failure := &concert.ShutdownError{Cause: context.Cause(ctx)}
	e.mu.Lock()
	e.hurried = true
	queue := e.queue
	e.queue = nil
	for c := range e.calls {
		c.cancel(concert.ErrCanceled)
	}
	e.mu.Unlock()
	for _, t := range queue {
		if t.Cancel(failure.Cause) {
			failure.Canceled++
		}
	}
	failure.Canceled += e.group.CancelUserCode(failure.Cause)
	select {
	case <-e.gone:
	case <-time.After(e.opts.Grace):
		e.mu.Lock()
		defer e.mu.Unlock()
		for c := range e.calls {
			if c.running {
				failure.Running = append(failure.Running, c.batch.Name)
			}
		}
		failure.Running = append(failure.Running, e.group.UserCode()...)
	}
	return failure
}

func (e *Executor) refuse() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.changed.Broadcast()
	for _, w := range e.waiters {
		w.err = concert.ErrClosed
		close(w.in)
	}
	e.waiters = nil
}

// makeRoom lets in submitters while there is room. The caller holds mu.
func (e *Executor) makeRoom() {
	for len(e.waiters) > 0 && len(e.queue) < e.opts.Queue {
		e.letIn()
	}
}

// letIn lets in the submitter that has waited longest, if there is one,
// whatever the bound of the queue. The caller holds mu.
func (e *Executor) letIn() {
	if len(e.waiters) == 0 {
		return
	}
	w := e.waiters[0]
	e.waiters = e.waiters[1:]
	e.queue = append(e.queue, w.task)
	close(w.in)
	e.changed.Signal()
}

// groupQueue is the Executor as its executor.WorkerGroup sees it.
type groupQueue Executor

// Next implements executor.Queue; it is for workers whose tasks are run.
func (*groupQueue) Next() *executor.Task { panic("loopback: no worker here") }

// Again implements executor.Queue.
func (g *groupQueue) Again(t *executor.Task) {
	e := (*Executor)(g)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hurried {
		go t.Cancel(nil) // it was not there to be canceled
		return
	}
	e.queue = append(e.queue, t)
	e.changed.Broadcast()
}

// Withdraw implements executor.Queue: Start comes before the function.
func (*groupQueue) Withdraw(*executor.Task) bool { return true }

// Dropped implements executor.Queue: canceled tasks leave the queue.
func (g *groupQueue) Dropped() {
	e := (*Executor)(g)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = slices.DeleteFunc(e.queue, func(t *executor.Task) bool { return !t.Waiting() })
	e.makeRoom()
	e.changed.Broadcast() // the last method of the program may have returned
}

// next waits for a call to run, claiming more from the queue when none is at
// hand, and returns nil when there will be none.
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
		case len(e.queue) > 0 && !e.claiming:
			t := e.queue[0]
			e.queue = e.queue[1:]
			e.makeRoom()
			e.claim(t)
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

// claim takes calls from a task. The caller holds mu, which claim releases in
// the meantime; one worker claims at a time, so that calls start in the order
// of the queue.
func (e *Executor) claim(t *executor.Task) {
	e.claiming = true
	e.mu.Unlock()
	claimed, again := t.Claim(e.opts.Claim, 1<<20)
	e.mu.Lock()
	e.claiming = false
	if claimed != nil {
		for i := range claimed.Args {
			fresh := newCall(claimed, i)
			if e.hurried { // it was not there to be canceled
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
		// It may not be refused for want of room, but stands behind one that
		// waits, or a few Maps could keep the queue full.
		e.letIn()
		e.queue = append(e.queue, t)
	}
	e.changed.Broadcast()
}

func (e *Executor) work(id int) {
	for c := e.next(); c != nil; c = e.next() {
		e.invoke(id, c)
	}
}

// invoke runs one call as another process would: from bytes to bytes.
func (e *Executor) invoke(id int, c *call) {
	defer c.cancel(nil)
	// Of the caller's context only its deadline and its end reach the worker,
	// neither the cause nor the values.
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
	}
	done := make(chan outcome, 1)
	go func() { // the "worker process": a Goexit ends it, and not the worker
		var o outcome
		defer func() { done <- o }()
		arg := copied(c.batch.Args[c.i])
		o.failure = executor.EncodeError(concert.ErrGoexit)
		result, err := executor.InvokeIsolated(c.ctx, c.batch.Name, arg)
		o.result, o.failure = copied(result), nil
		if err != nil {
			o.failure = executor.EncodeError(err)
		}
	}()
	o := <-done
	if o.failure != nil {
		e.settle(c, id, executor.Encoded{}, executor.DecodeError(o.failure))
		return
	}
	e.settle(c, id, o.result, nil)
}

// copied is a value that shares no memory with the original.
func copied(v executor.Encoded) executor.Encoded {
	return executor.Encoded{Kind: v.Kind, Bytes: slices.Clone(v.Bytes)}
}

func (e *Executor) settle(c *call, worker int, result executor.Encoded, err error) {
	e.mu.Lock()
	delete(e.calls, c)
	e.mu.Unlock()
	c.batch.Settle(c.i, worker, result, err)
}
