package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/recent"
	"concert/cluster/internal/wire"
	"concert/executor"
)

const (
	minGrace      = 100 * time.Millisecond // minimum time to wait for tasks that were canceled after the grace period
	readyTime     = time.Second            // maximum time to wait for Options.Ready
	maxDeliveries = 5                      // a task with more deliveries is abandoned; the retries that its submitter permits are added
	maxRemembered = 1 << 12                // maximum size of worker.done and worker.refused
)

// errDraining is the cause with which a worker cancels its remaining tasks, if
// the worker drains and the grace period is over.
var errDraining = errors.New("cluster: the worker stops")

// ErrDead is the value of cluster.ErrDead.
var ErrDead = concert.RegisterError("cluster.ErrDead", error(executor.WorkerDeath("cluster: task abandoned, because its workers were lost")))

// Options are the options of cluster.ServeOptions, with their defaults.
type Options struct {
	Slots    int
	Grace    time.Duration
	MaxBytes int64
	Ready    func() // may be nil
	Notice   func(text string)

	// PullTime is the lifetime of the first request for tasks, and of the next
	// request after a task has arrived. If no task arrives, each further
	// request has twice the lifetime of the request before it, up to
	// MaxPullTime.
	//
	// When the worker drains, it waits until its open request ends.
	PullTime, MaxPullTime time.Duration
}

// Serve runs tasks of the capability set until ctx ends. It returns an error if
// the worker cannot register, or if the executor is closed.
func Serve(ctx context.Context, conn *jet.Conn, ex concert.Executor, set wire.CapabilitySet, opts Options) error {
	w := &worker{
		opts: opts, conn: conn, ex: ex, set: set, setName: set.Name(),
		held: map[string]*heldTask{}, tries: map[string]*heldTask{}, wake: make(chan struct{}, 1), idle: make(chan struct{}),
		retrying: map[string]*retryingTask{}, done: recent.Set[jet.Position]{Max: maxRemembered}, refused: recent.Set[string]{Max: maxRemembered}, canceled: map[string]*recent.Set[string]{},
		since: time.Now(), meanByFunction: map[string]time.Duration{}, expiry: opts.PullTime, memory: newMemory(opts.MaxBytes),
	}
	for i := range opts.Slots {
		w.free = append(w.free, opts.Slots-1-i)
	}
	conn.OnAck = func(_ *nats.Msg, note any, _ uint64) { w.acked(note.(string)) }
	conn.OnNack = w.nacked
	w.verifier.Authority = conn.Authority
	w.id = wire.NewWorkerID(conn.Owner())
	if err := w.serve(ctx); ctx.Err() == nil || errors.Is(err, concert.ErrClosed) {
		return err
	}
	return nil
}

// worker is the state of one call of Serve.
type worker struct {
	opts        Options
	id          string
	ex          concert.Executor
	conn        *jet.Conn
	set         wire.CapabilitySet
	setName     string
	since       time.Time
	life        context.Context         // context of the worker's goroutines
	ctx         context.Context         // parent of the contexts of tasks; ends before life
	stopPulling context.CancelCauseFunc // ends the requests for tasks
	verifier    wire.Verifier

	mu              sync.Mutex
	held            map[string]*heldTask           // guarded by mu: by key
	tries           map[string]*heldTask           // guarded by mu: the held tasks, and the tasks that wait for them, by try
	ready           []*heldTask                    // guarded by mu: held tasks that wait for a slot
	memory          memory                         // guarded by mu
	free            []int                          // guarded by mu: free slots
	requested       int                            // guarded by mu: number of tasks that were requested and have not arrived
	openFetches     int                            // guarded by mu: number of open requests, plus the calls of acceptLate
	expiry          time.Duration                  // guarded by mu: lifetime of the next request
	done            recent.Set[jet.Position]       // guarded by mu: messages of tasks whose outcomes are stored
	refused         recent.Set[string]             // guarded by mu: clients with a refused message, which was reported to Options.Notice
	retrying        map[string]*retryingTask       // guarded by mu: tasks that wait in the servers for another attempt, by try
	canceled        map[string]*recent.Set[string] // guarded by mu: tries of canceled tasks, by client
	meanByFunction  map[string]time.Duration       // guarded by mu: moving mean of the run time, by function
	meanTime        time.Duration                  // guarded by mu: moving mean of the run time of all tasks
	finished        int64                          // guarded by mu
	failed          int64                          // guarded by mu
	draining        bool                           // guarded by mu
	heartbeats      uint64                         // guarded by mu: number of heartbeats that were sent
	consumerCreated time.Time                      // guarded by mu: when the consumer of tasks was created, by the servers' clock
	releasing       int                            // guarded by mu: number of tasks that are not in held and not acknowledged yet, see unholdLocked
	idle            chan struct{}                  // closed when the worker drains and holds no task
	wake            chan struct{}                  // wakes pull; has a buffer of one
}

func (w *worker) serve(ctx context.Context) error {
	if err := w.conn.EnsureSetup(ctx, wire.WorkerRole, wire.AdminRole); err != nil {
		return fmt.Errorf("cluster: setting up: %w", err)
	}
	life, end := context.WithCancel(context.Background())
	defer end()
	tasks, stop := context.WithCancelCause(life)
	defer stop(nil)
	w.life, w.ctx = life, tasks
	cancellations := jet.NewCancelReader(w.conn)
	err := w.conn.Watch(ctx, life, jet.Watched{
		Stream: wire.CancelStream, Prefix: wire.CancelPrefix, Live: wire.CanceledPrefix, Read: cancellations.Read, OnEnd: cancellations.Close, MaxPause: w.conn.Times.HeartbeatPeriod,
	}, func(client string, body []byte, _ bool, _ time.Time) { w.onCancel(client, body) })
	if err != nil {
		return err
	}
	defer w.deregister()
	if err := w.conn.RetryUntilDeadline(ctx, w.register); err != nil {
		return err
	}
	var background sync.WaitGroup
	background.Go(func() { w.renewLeases(life) })
	background.Go(func() { w.sendHeartbeats(life) })
	if w.opts.Ready != nil {
		if _, err := executor.CallIsolated(readyTime, func() struct{} { w.opts.Ready(); return struct{}{} }); err != nil {
			w.opts.Notice("ServeOptions.Ready failed: " + executor.ErrorText(err))
		}
	}
	taking, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	w.stopPulling = quit
	w.pull(taking)

	// The worker drains. Requested tasks may still arrive, and run.
	w.mu.Lock()
	w.draining = true
	w.checkIdleLocked()
	w.mu.Unlock()
	soon, cancel := context.WithTimeout(life, w.conn.Times.HeartbeatPeriod)
	w.sendHeartbeat(soon)
	cancel()
	select {
	case <-w.idle:
	case <-time.After(w.opts.Grace):
		stop(errDraining)
		w.awaitIdle()
	}
	end()
	background.Wait()
	w.forgetRetrying()
	w.evictAll()
	return context.Cause(taking)
}

// forgetRetrying stops the timers of tasks that wait for another attempt. Other
// workers run the next attempt.
func (w *worker) forgetRetrying() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for try, p := range w.retrying {
		p.timer.Stop()
		delete(w.retrying, try)
	}
}

// awaitIdle waits until the worker holds no task. In two cases it returns
// early, and the unfinished tasks go to other workers when their leases end:
//
//   - The servers do not answer for longer than an election of a leader takes.
//   - Canceled tasks have not returned within the grace period.
func (w *worker) awaitIdle() {
	stuck := time.After(max(w.opts.Grace, minGrace))
	for unheard := 0; ; {
		select {
		case <-w.idle:
			return
		case <-stuck:
			if n := w.running(); n > 0 {
				w.opts.Notice(fmt.Sprintf("%d canceled tasks did not return: another worker runs them in about half a minute", n))
				return
			}
			continue
		case <-time.After(w.conn.Times.WorkerTimeout):
		}
		ctx, cancel := context.WithTimeout(w.life, jet.RequestTimeout)
		err := w.sendHeartbeat(ctx)
		cancel()
		if unheard++; err == nil {
			unheard = 0
		}
		if unheard > 1 || !w.conn.NC.IsConnected() {
			w.opts.Notice("the servers cannot be reached while this worker stops: another worker runs the unfinished tasks in about half a minute")
			return
		}
	}
}

// running returns the number of tasks in the executor.
func (w *worker) running() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opts.Slots - len(w.free)
}

// register publishes the capability set and a heartbeat of the worker, and
// creates its consumer of tasks. It creates the consumer last: if an earlier
// step fails, the consumer is still missing, and so the worker calls register
// again.
func (w *worker) register(ctx context.Context) error {
	if err := w.publishSet(ctx); err != nil {
		return err
	}
	if err := w.sendHeartbeat(ctx); err != nil {
		return err
	}
	return w.ensureConsumer(ctx)
}

// ensureConsumer creates the consumer of tasks if it is missing.
func (w *worker) ensureConsumer(ctx context.Context) error {
	made, err := w.conn.TaskConsumer(ctx, &w.set)
	if err != nil {
		return fmt.Errorf("cluster: creating the consumer of tasks: %w", err)
	}
	w.mu.Lock()
	again := !w.consumerCreated.IsZero() && !made.Equal(w.consumerCreated)
	if !made.Equal(w.consumerCreated) {
		w.consumerCreated = made
		w.conn.NextGeneration()
	}
	w.mu.Unlock()
	if again {
		w.opts.Notice("the servers had lost the consumer by which this worker gets tasks, and have created a new consumer: earlier tasks may run again")
	}
	return nil
}

// onCancel handles a cancellation of a task by a client.
func (w *worker) onCancel(client string, body []byte) {
	key, ok := wire.CanceledKey(client, body)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	tries := w.canceled[client]
	if tries == nil {
		tries = &recent.Set[string]{Max: wire.MaxCancels}
		w.canceled[client] = tries
	}
	tries.Add(key)
	switch d := w.tries[key]; {
	case d == nil:
	case d.cancel != nil:
		d.cancel(concert.ErrCanceled)
		if d.stop != nil {
			go d.stop() // the task may still wait in the executor
		}
	case d.waitsFor != nil:
		for _, o := range w.cancelWaitingLocked(key, d.waitsFor) {
			w.conn.Background.Go(func() { w.publishDropped(o) })
		}
	case w.unqueueLocked(d):
		w.conn.Background.Go(func() { w.admit(d, true) })
	}
	p := w.retrying[key]
	if p == nil {
		return
	}
	delete(w.retrying, key)
	p.timer.Stop()
	d := p.task
	if w.held[d.key] != nil {
		return
	}
	// No worker holds the task, so no other worker would report its end. This
	// worker holds the task again until the report is stored, and then
	// acknowledges it.
	w.holdLocked(d)
	w.conn.Background.Go(func() { w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(context.Canceled)}) })
}

// isCanceledLocked reports whether a task was canceled.
func (w *worker) isCanceledLocked(d *heldTask) bool {
	tries := w.canceled[d.ID.Client]
	return tries != nil && tries.Has(d.try)
}

// checkIdleLocked closes w.idle if the worker drains, holds no task, and has
// acknowledged all tasks.
func (w *worker) checkIdleLocked() {
	if w.draining && len(w.held) == 0 && w.releasing == 0 && w.openFetches == 0 {
		select {
		case <-w.idle:
		default:
			close(w.idle)
		}
	}
}
