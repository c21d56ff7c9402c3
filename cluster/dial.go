package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/members"
	"concert/cluster/internal/wire"
	"concert/cluster/internal/worker"
	"concert/executor"
	"concert/internal/option"
)

// Options tunes an [Executor]; nil means the zero value.
type Options struct {
	Access

	// Client is the name of the client that the tasks belong to, if the servers
	// do not require keys: at most 64 letters, digits, "-" and "_". Clients of
	// the same name share the ids of tasks. Empty means "anyone". With a key,
	// the client is the key's public half, and this field is not used.
	Client string

	// Queue is the maximum number of tasks of a function that wait in this
	// process, in addition to those that have been sent to the cluster. Zero
	// means 1024.
	Queue int

	// Grace is how long Shutdown waits for tasks that it has canceled, and how
	// long a canceled task waits for a report from the cluster before it
	// settles with [ErrLost]. Zero means 10 seconds.
	Grace time.Duration

	// Observer, if set, is called for each step of each task. The slots of
	// workers are numbered in the order in which the client learns of them.
	Observer concert.Observer

	// Notice is called with a line of text for the operator: for example, when
	// no worker offers the function of a task, and when one does again. Nil
	// logs the lines as warnings to slog.Default().
	Notice func(text string)
}

const (
	defaultQueue = 1024
	defaultGrace = 10 * time.Second
)

// These are errors of tasks, in addition to those that their functions return.
var (
	// ErrLost is wrapped by the error of a canceled task about which the
	// cluster has reported nothing for the grace period. It is also wrapped by
	// the error of a task that was sent four times, if the servers lost the
	// task or its result each time. Such a task may have run, or may still run.
	ErrLost = concert.RegisterError("cluster.ErrLost", errors.New("cluster: no report about the task"))

	// ErrDead is wrapped by the error of a task that was abandoned because its
	// workers were lost five times. The task is among the dead letters.
	ErrDead = worker.ErrDead

	// ErrTooLarge is wrapped by the error of a task whose argument or result
	// has more than 1 GiB.
	ErrTooLarge = jet.ErrTooLarge
)

// Executor is a concert.Executor whose workers are those of a cluster. Make one
// with [Dial]. Its methods are safe for concurrent use.
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
	turns        []*funcQueue                   // guarded by mu: all queues, in the order of their turns
	calls        map[string]*call               // guarded by mu: calls that were sent or are about to be sent, by TaskID.Number
	subscribers  map[*executor.Task]*subscriber // guarded by mu: the subscribers that are a Submit
	unsettled    int                            // guarded by mu: subscribers of calls that have not settled
	claiming     map[*executor.Task]bool        // guarded by mu: tasks that are being claimed, and whether they were withdrawn
	callNumbers  map[*executor.Task]string      // guarded by mu: queued tasks with ids: the numbers of the calls that they join
	encoding     map[*executor.Task]*funcQueue  // guarded by mu: tasks whose arguments are being encoded by methods of the program
	shuttingDown bool                           // guarded by mu: Shutdown has canceled the tasks
	inflight     map[string]int                 // guarded by mu: number of calls, by capability set
	retrying     map[string]int                 // guarded by mu: number of calls in inflight that wait for another attempt, by capability set
	lastCall     uint64                         // guarded by mu: number of the newest call
	queued       int                            // guarded by mu: tasks in queues
	closed       bool                           // guarded by mu
	settled      bool                           // guarded by mu: all tasks have settled, and Close may return
	allSettled   chan struct{}                  // closed when settled is set
	wake         chan struct{}                  // signals the dispatcher; has room for one
	slotNumbers  slotNumbers                    // guarded by mu

	auditMu sync.Mutex // held during an audit

	auditBefore time.Time     // guarded by mu: calls that were sent or audited before this time are due for an audit; see auditAll
	auditNow    chan struct{} // signals that auditAll was called; has room for one
	recreate    chan struct{} // signals that the consumer of results delivers nothing and must be created again; has room for one
}

// Dial connects to a cluster. The URL names one server, or several with commas
// between them ("nats://host:4222", "tls://host:4222"). An empty URL means
// nats://127.0.0.1:4222. If no server can be reached, Dial fails. If the
// connection is lost later, tasks wait until it is restored.
func Dial(ctx context.Context, url string, opts *Options) (*Executor, error) {
	e := &Executor{
		session: wire.NewToken(), allSettled: make(chan struct{}), wake: make(chan struct{}, 1), auditNow: make(chan struct{}, 1), recreate: make(chan struct{}, 1),
		queues: map[string]*funcQueue{}, calls: map[string]*call{},
		subscribers: map[*executor.Task]*subscriber{}, claiming: map[*executor.Task]bool{}, callNumbers: map[*executor.Task]string{}, encoding: map[*executor.Task]*funcQueue{}, inflight: map[string]int{}, retrying: map[string]int{},
	}
	if opts != nil {
		e.opts = *opts
	}
	option.NotNegative("cluster: Dial", "Options.Queue", e.opts.Queue)
	option.NotNegative("cluster: Dial", "Options.Grace", e.opts.Grace)
	if e.opts.Queue == 0 {
		e.opts.Queue = defaultQueue
	}
	if e.opts.Grace == 0 {
		e.opts.Grace = defaultGrace
	}
	if e.opts.Client == "" {
		e.opts.Client = wire.Anyone
	}
	if !wire.ValidToken(e.opts.Client) {
		return nil, fmt.Errorf("cluster: Options.Client is %q; want at most 64 letters, digits, - and _", e.opts.Client)
	}
	if e.opts.Notice == nil {
		e.opts.Notice = func(text string) { slog.Warn("cluster: " + text) }
	}
	conn, err := e.opts.connect(ctx, url, "concert client")
	if err != nil {
		return nil, err
	}
	e.conn, conn.OnAck, conn.OnNack = conn, e.acked, e.nacked
	if err := e.conn.CheckClientKey(); err != nil {
		e.conn.Close()
		return nil, err
	}
	e.client = e.opts.Client
	if e.conn.Public != "" {
		e.client = e.conn.Public
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.group = executor.NewWorkerGroup((*groupQueue)(e), e.opts.Observer)
	e.group.Remote = true
	e.group.Limits.Grace = e.opts.Grace
	if err := e.start(ctx); err != nil {
		e.stop()
		e.background.Wait()
		e.conn.DeleteConsumer(ctx, wire.ResultStream, e.session) // if it is there
		e.conn.Close()
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
		return fmt.Errorf("cluster: hints: %w", err)
	}
	hints.SetPendingLimits(1<<16, 1<<24)
	e.members = members.NewView(e.notify)
	if err := e.members.Watch(ctx, e.ctx, e.conn); err != nil {
		return err
	}
	e.background.Go(e.dispatch)
	e.background.Go(e.audit)
	return nil
}

// notify wakes the dispatcher.
func (e *Executor) notify() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// groupQueue is the Executor as its executor.WorkerGroup sees it.
type groupQueue Executor

// Next implements executor.Queue; it is for workers whose tasks are run.
func (*groupQueue) Next() *executor.Task { panic("cluster: no worker here") }

// Again implements executor.Queue: the argument of a task has been encoded.
func (g *groupQueue) Again(t *executor.Task) {
	e := (*Executor)(g)
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.encoding[t]
	delete(e.encoding, t)
	if e.shuttingDown || l == nil {
		go t.Cancel(nil) // callbacks must not run under the lock
		return
	}
	e.enqueueLocked(l, t)
	e.notify()
}

// Withdraw implements executor.Queue. The dispatcher:
//
//  1. adds a task to claiming,
//  2. claims its call,
//  3. removes the task from claiming and lets its subscriber join a call, under
//     one lock, or drops the call if the task was withdrawn.
//
// So as soon as its call is claimed, a task is in claiming or among the
// subscribers. A subscriber is canceled later, when Cancel has ended its
// context and the cause is known: the task may have started.
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

// Dropped implements executor.Queue: canceled tasks leave the queue.
func (g *groupQueue) Dropped() {
	e := (*Executor)(g)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.queues {
		e.removeCanceledLocked(l)
	}
	maps.DeleteFunc(e.encoding, func(t *executor.Task, _ *funcQueue) bool { return !t.Waiting() })
	maps.DeleteFunc(e.callNumbers, func(t *executor.Task, _ string) bool { return !t.Waiting() })
	e.checkSettledLocked()
}
