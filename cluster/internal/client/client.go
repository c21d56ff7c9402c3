package client

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/members"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// Options are the options of cluster.Options, with their defaults.
type Options struct {
	Client   string // not used if the connection has a key
	Queue    int
	Grace    time.Duration
	Observer concert.Observer // may be nil
	Notice   func(text string)
}

// ErrLost is the value of cluster.ErrLost.
var ErrLost = concert.RegisterError("cluster.ErrLost", error(executor.WorkerDeath("cluster: no report about the task")))

// Executor implements cluster.Executor.
type Executor struct {
	opts       Options
	conn       *jet.Conn
	client     string
	session    string
	group      *executor.WorkerGroup
	members    *members.View
	stop       context.CancelFunc // cancels ctx
	ctx        context.Context    // ends when the goroutines of the executor must end
	background jet.Group
	once       sync.Once // of disconnect

	keptMu       sync.Mutex
	consumesKept bool // guarded by keptMu: there is a consumer of results of tasks with ids

	mu           sync.Mutex
	queues       map[string]*funcQueue          // guarded by mu: by the name of the function
	rotation     []*funcQueue                   // guarded by mu: all queues; the dispatcher claims from the first queue that has tasks and free slots
	calls        map[string]*call               // guarded by mu: calls that were sent or are about to be sent, by TaskID.Number
	subscribers  map[*executor.Task]*subscriber // guarded by mu: the subscribers of Submits
	unsettled    int                            // guarded by mu: subscribers of calls that have not settled
	claiming     map[*executor.Task]bool        // guarded by mu: tasks that are being claimed, and whether they were withdrawn
	callNumbers  map[*executor.Task]string      // guarded by mu: for each queued task with an id: TaskID.Number of the call that it joins
	encoding     map[*executor.Task]*funcQueue  // guarded by mu: tasks whose arguments are being encoded by methods of the program
	shuttingDown bool                           // guarded by mu: Shutdown has canceled the tasks
	inflight     map[string]int                 // guarded by mu: number of calls, by capability set
	retrying     map[string]int                 // guarded by mu: number of calls in inflight that wait for another attempt, by capability set
	lastCall     uint64                         // guarded by mu: number of the newest call
	closed       bool                           // guarded by mu
	settled      bool                           // guarded by mu: all tasks have settled, and Close may return
	allSettled   chan struct{}                  // closed when settled is set
	wake         chan struct{}                  // wakes the dispatcher; has a buffer of one
	slotNumbers  slotNumbers                    // guarded by mu

	shared map[executor.SharedID]*sharedValue // guarded by mu: the values of concert.Share; nil after the executor has ended

	auditMu sync.Mutex // held during an audit

	auditBefore time.Time     // guarded by mu: calls that were sent or audited before this time are due for an audit; see auditAll
	auditNow    chan struct{} // signals that auditAll was called; has a buffer of one
	recreate    chan struct{} // signals that the consumer of results delivers nothing and must be created again; has a buffer of one
}

// New starts a client on a connection. The client closes the connection when it
// ends. If New returns an error, the caller must close the connection.
func New(ctx context.Context, conn *jet.Conn, opts Options) (*Executor, error) {
	if err := conn.CheckClientKey(); err != nil {
		return nil, err
	}
	e := &Executor{
		opts: opts, conn: conn, client: opts.Client,
		session: wire.NewToken(), allSettled: make(chan struct{}), wake: make(chan struct{}, 1), auditNow: make(chan struct{}, 1), recreate: make(chan struct{}, 1),
		queues: map[string]*funcQueue{}, calls: map[string]*call{},
		subscribers: map[*executor.Task]*subscriber{}, claiming: map[*executor.Task]bool{}, callNumbers: map[*executor.Task]string{}, encoding: map[*executor.Task]*funcQueue{}, inflight: map[string]int{}, retrying: map[string]int{},
		shared: map[executor.SharedID]*sharedValue{},
	}
	conn.OnAck, conn.OnNack = e.acked, e.nacked
	if e.conn.Public != "" {
		e.client = e.conn.Public
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.group = executor.NewRemoteGroup((*groupQueue)(e), executor.Limits{Grace: e.opts.Grace}, e.opts.Observer)
	if err := e.start(ctx); err != nil {
		e.stop()
		e.background.Wait()
		e.conn.DeleteConsumer(ctx, wire.ResultStream, e.session) // if the consumer exists
		return nil, err
	}
	return e, nil
}

// start creates the session, and starts the goroutines of the executor.
func (e *Executor) start(ctx context.Context) error {
	if err := e.conn.EnsureSetup(ctx, wire.ClientRole, wire.AdminRole); err != nil {
		return fmt.Errorf("cluster: setting up: %w", err)
	}
	if err := e.consumeResults(ctx, wire.ResultStream); err != nil {
		return err
	}
	hints, err := e.conn.NC.Subscribe(wire.HintSubject(e.client, e.session, "*"), func(m *nats.Msg) {
		e.onHint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], m.Data)
	})
	if err != nil {
		return fmt.Errorf("cluster: subscribing to hints: %w", err)
	}
	hints.SetPendingLimits(1<<16, 1<<24)
	e.members = members.NewView(e.conn.Times, e.notify)
	if err := e.members.Watch(ctx, e.ctx, e.conn); err != nil {
		return err
	}
	e.background.Go(e.dispatch)
	e.background.Go(e.audit)
	return nil
}

// Stats implements concert.Executor.
func (e *Executor) Stats() concert.Stats {
	s := e.group.Stats()
	s.Workers, s.Busy = e.members.Count()
	conn := e.conn.NC.Stats()
	s.Sent, s.Received = int64(conn.OutBytes), int64(conn.InBytes)
	return s
}

// Watch implements concert.Executor.
func (e *Executor) Watch(o concert.Observer) (stop func()) { return e.group.Watch(o) }

// groupQueue is the Executor as the queue of its executor.WorkerGroup.
type groupQueue Executor

// Again implements executor.Queue. The group calls it when user code has
// encoded the argument of a task.
func (g *groupQueue) Again(t *executor.Task) {
	e := (*Executor)(g)
	e.mu.Lock()
	defer e.mu.Unlock()
	q := e.encoding[t]
	delete(e.encoding, t)
	if e.shuttingDown || q == nil {
		go t.Cancel(nil) // callbacks must not run under the lock
		return
	}
	q.tasks.AgainLocked(t)
}

// Withdraw implements executor.RemoteQueue. The dispatcher sends a task in
// these steps:
//
//  1. It adds the task to e.claiming.
//  2. It claims the call of the task.
//  3. Under one lock, the dispatcher removes the task from claiming, and lets
//     the subscriber of the task join a call. If Withdraw has found the task in
//     claiming, the dispatcher drops the call instead.
//
// So a task with a claimed call is always in e.claiming or in e.subscribers,
// and Withdraw finds it. If the task is in e.subscribers, it may have started,
// and Withdraw reports false. Then Withdraw arranges that the subscriber is
// canceled when the context of the task ends, because this context has the
// cause of the cancellation.
func (g *groupQueue) Withdraw(t *executor.Task) bool {
	e := (*Executor)(g)
	e.mu.Lock()
	if _, claiming := e.claiming[t]; claiming {
		e.claiming[t] = true
		e.mu.Unlock()
		return true
	}
	s := e.subscribers[t]
	e.mu.Unlock()
	if s != nil {
		s.reportedRunning.Store(true)
		context.AfterFunc(s.batch.Context(), func() { e.cancelSubscriber(s) })
	}
	return false
}

// Dropped implements executor.Queue. It removes canceled tasks from the queues.
func (g *groupQueue) Dropped() {
	e := (*Executor)(g)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, q := range e.queues {
		q.tasks.DroppedLocked()
	}
	maps.DeleteFunc(e.encoding, func(t *executor.Task, _ *funcQueue) bool { return !t.Waiting() })
	maps.DeleteFunc(e.callNumbers, func(t *executor.Task, _ string) bool { return !t.Waiting() })
	e.checkSettledLocked()
}
