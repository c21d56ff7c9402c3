package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/recent"
	"concert/cluster/internal/wire"
	"concert/executor"
	"concert/internal/option"
)

// ServeOptions tunes a worker; nil means the zero value.
type ServeOptions struct {
	Access

	// Functions are the names of the functions that the worker offers. Nil
	// means all functions that are registered in this program. A function that
	// is only declared, see [executor.Declare], must be named, because only the
	// caller knows whether the executor has it. For functions in Python, use
	// [concert/python.Names].
	Functions []string

	// Places is how many tasks run concurrently, 65,536 at most. Zero means the
	// Width of the executor.
	Places int

	// Grace is how long running tasks may continue when the worker stops. Then
	// they are canceled, and go to another worker. Serve waits for canceled
	// tasks for the same time again. Zero means 30 seconds.
	Grace time.Duration

	// MaxBytes bounds the encoded arguments and results that the worker holds.
	// A quarter of it is for messages, and the rest is for large values, which
	// are stored in parts outside the messages. The decoded values in the
	// functions come on top. A task with a large argument waits until there is
	// room for it, and tasks that need less memory overtake it. The worker
	// accepts an argument that is larger than this room when it holds no other
	// large argument. Zero means 128 MiB, and less than 16 MiB means 16 MiB.
	// Negative means no limit.
	MaxBytes int64

	// Ready is called, on its own goroutine, when the worker is registered.
	// Serve waits for it for a second at most, and then takes tasks. It may be
	// nil.
	Ready func()

	// Notice is called with each message for the operator of the worker: a line
	// of text. Nil logs the messages as warnings to slog.Default().
	Notice func(text string)
}

const (
	serveGrace  = 30 * time.Second
	leastGrace  = 100 * time.Millisecond // for canceled tasks
	readyTime   = time.Second            // that Serve waits for ServeOptions.Ready
	placesLimit = 1 << 16
	deliveries  = 5               // of a task before it is abandoned
	idlePull    = 4 * time.Second // lifetime of a request when there have been no tasks for a while
	mostFetches = 4               // concurrent requests for tasks
	settled     = 1 << 12         // tasks that a worker remembers having run
)

// pullTime is the lifetime of a worker's first request for tasks. A worker that
// drains waits until its last request is over.
var pullTime = 100 * time.Millisecond // shorter in tests that start many workers

// errDraining is the cause with which tasks end that a worker which is to end
// cannot wait for.
var errDraining = errors.New("cluster: the worker is to end")

// Serve runs tasks of a cluster on an executor of this program: on goroutines,
// for example, or on processes, where a crash costs only the task that crashed.
// It offers all functions that are registered in this program, see
// [concert.Register], or those of ServeOptions.Functions. When ctx ends, Serve
// takes no more tasks, waits until the running ones have ended, and returns
// nil. Nothing is lost. It returns an error if it cannot reach the cluster at
// the beginning, or if the executor is closed while there are tasks: these go
// to other workers.
func Serve(ctx context.Context, url string, ex concert.Executor, opts *ServeOptions) error {
	w := &worker{
		ex: ex, held: map[string]*delivery{}, tries: map[string]*delivery{}, wake: make(chan struct{}, 1), idle: make(chan struct{}),
		paused: map[string]*pause{}, done: recent.Set[jet.Position]{Max: settled}, refused: recent.Set[string]{Max: settled}, tombs: map[string]*recent.Set[string]{}, since: time.Now(), means: map[string]time.Duration{}, expiry: pullTime,
	}
	if opts != nil {
		w.opts = *opts
	}
	option.NotNegative("cluster: Serve", "ServeOptions.Places", w.opts.Places)
	option.NotNegative("cluster: Serve", "ServeOptions.Grace", w.opts.Grace)
	if w.opts.Places == 0 {
		w.opts.Places = ex.Width()
	}
	w.opts.Places = min(w.opts.Places, placesLimit)
	w.memory = newMemory(w.opts.MaxBytes)
	if w.opts.Grace == 0 {
		w.opts.Grace = serveGrace
	}
	if w.opts.Notice == nil {
		w.opts.Notice = func(text string) { slog.Warn("cluster: " + text) }
	}
	for i := range w.opts.Places {
		w.free = append(w.free, w.opts.Places-1-i)
	}
	var err error
	if w.offers, err = offeredFunctions(w.opts.Functions); err != nil {
		return err
	}
	w.contract = w.offers.Name()
	if text, err := wire.Marshal(&w.offers); err != nil || len(text) > wire.MaxMessageBytes/2 {
		return fmt.Errorf("cluster: %d functions are more than a worker can announce: offer some of them, by ServeOptions.Functions, from several workers", len(w.offers.Functions))
	}
	if w.conn, err = w.opts.connect(ctx, url, "concert worker"); err != nil {
		return err
	}
	w.conn.OnAck = func(_ *nats.Msg, note any, _ uint64) { w.stored(note.(string)) }
	w.conn.OnNack = w.unstored
	defer w.conn.Close()
	if err := w.conn.CheckWorkerKey(); err != nil {
		return err
	}
	w.verifier.Authority = w.conn.Authority
	w.id = wire.NewWorkerID(w.conn.Owner())
	if err := w.serve(ctx); ctx.Err() == nil || errors.Is(err, concert.ErrClosed) {
		return err
	}
	return nil
}

// worker is the state of a call of Serve.
type worker struct {
	opts     ServeOptions
	id       string
	ex       concert.Executor
	conn     *jet.Conn
	offers   wire.CapabilitySet
	contract string
	since    time.Time
	life     context.Context         // of all but the connection
	ctx      context.Context         // of the tasks, which end before
	quit     context.CancelCauseFunc // has the worker take no more tasks
	verifier wire.Verifier

	mu       sync.Mutex
	held     map[string]*delivery           // guarded by mu: by key
	tries    map[string]*delivery           // guarded by mu: the held tasks, and those that wait for them, by try
	ready    []*delivery                    // guarded by mu: held tasks that wait for a place
	memory   memory                         // guarded by mu
	free     []int                          // guarded by mu: places
	asked    int                            // guarded by mu: tasks that were asked for and have not arrived
	quiet    bool                           // guarded by mu: the last request that ended has brought nothing
	fetches  int                            // guarded by mu: open requests
	expiry   time.Duration                  // guarded by mu: of the next one
	done     recent.Set[jet.Position]       // guarded by mu: messages of tasks whose results are stored
	refused  recent.Set[string]             // guarded by mu: clients of which it was noticed that a message is no task
	paused   map[string]*pause              // guarded by mu: tasks that failed here and are with the servers until they are tried again, by try
	tombs    map[string]*recent.Set[string] // guarded by mu: tasks that are not wanted, by client: their tries
	means    map[string]time.Duration       // guarded by mu: about what a function takes
	mean     time.Duration                  // guarded by mu: about what a task takes
	finished int64                          // guarded by mu
	failed   int64                          // guarded by mu
	draining bool                           // guarded by mu
	adverts  uint64                         // guarded by mu: how many there have been
	made     time.Time                      // guarded by mu: when the consumer was, by the servers' clock
	saying   int                            // guarded by mu: tasks that are not held any more, and of which the servers have not been told: see unhold
	idle     chan struct{}                  // closed when it drains and holds nothing
	wake     chan struct{}                  // has room for one: look again
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
		Stream: wire.CancelStream, Prefix: wire.CancelPrefix, Live: wire.CanceledPrefix, Read: cancellations.Read, OnEnd: cancellations.Close, MaxPause: jet.HeartbeatPeriod,
	}, func(client string, body []byte, _ bool) { w.canceled(client, body) })
	if err != nil {
		return err
	}
	defer w.depart()
	if err := w.conn.RetryUntilDeadline(ctx, w.register); err != nil {
		return err
	}
	var background sync.WaitGroup
	background.Go(func() { w.renew(life) })
	background.Go(func() { w.advertise(life) })
	if w.opts.Ready != nil {
		if _, err := executor.CallApart(readyTime, func() struct{} { w.opts.Ready(); return struct{}{} }); err != nil {
			w.opts.Notice("ServeOptions.Ready failed: " + executor.ErrorText(err))
		}
	}
	taking, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	w.quit = quit
	w.pull(taking)

	// It drains. What has been asked for may still come, and is run.
	w.mu.Lock()
	w.draining = true
	w.checkIdle()
	w.mu.Unlock()
	soon, cancel := context.WithTimeout(life, jet.HeartbeatPeriod)
	w.advert(soon)
	cancel()
	select {
	case <-w.idle:
	case <-time.After(w.opts.Grace):
		stop(errDraining)
		w.awaitIdle()
	}
	end()
	background.Wait()
	w.forgetPaused()
	return context.Cause(taking)
}

// forgetPaused forgets tasks that are tried again later, elsewhere.
func (w *worker) forgetPaused() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for try, p := range w.paused {
		p.over.Stop()
		delete(w.paused, try)
	}
}

// awaitIdle waits until nothing is held, or the servers are away, or do not
// answer for longer than they need to choose who leads: what they have not
// heard of goes to another worker when its lease ends.
//
// It waits for tasks that were canceled only as long as the grace period: if
// the executor has not ended them by then, their functions do not end.
func (w *worker) awaitIdle() {
	stuck := time.NewTimer(max(w.opts.Grace, leastGrace))
	defer stuck.Stop()
	for unheard := 0; ; {
		select {
		case <-w.idle:
			return
		case <-stuck.C:
			if n := w.busy(); n > 0 {
				w.opts.Notice(fmt.Sprintf("%d canceled tasks did not return: another worker runs them in about half a minute", n))
				return
			}
			continue
		case <-time.After(jet.WorkerTimeout):
		}
		ctx, cancel := context.WithTimeout(w.life, jet.RequestTimeout)
		err := w.advert(ctx)
		cancel()
		if unheard++; err == nil {
			unheard = 0
		}
		if unheard > 1 || !w.conn.NC.IsConnected() {
			w.opts.Notice("the servers cannot be reached at the end: another worker runs the unfinished tasks in about half a minute")
			return
		}
	}
}

// busy returns how many tasks are with the executor.
func (w *worker) busy() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opts.Places - len(w.free)
}

// register has the servers know the worker: what it offers, that it is there,
// and its consumer of tasks. That comes last: as long as it is missing, all of
// it is done again.
func (w *worker) register(ctx context.Context) error {
	if err := w.putContract(ctx); err != nil {
		return err
	}
	if err := w.advert(ctx); err != nil {
		return err
	}
	return w.makeConsumer(ctx)
}

// makeConsumer makes the one of this worker's contract, if need be.
func (w *worker) makeConsumer(ctx context.Context) error {
	made, err := w.conn.TaskConsumer(ctx, &w.offers)
	if err != nil {
		return fmt.Errorf("cluster: consumer of tasks: %w", err)
	}
	w.mu.Lock()
	again := !w.made.IsZero() && !made.Equal(w.made)
	if !made.Equal(w.made) {
		w.made = made
		w.conn.NextGeneration()
	}
	w.mu.Unlock()
	if again {
		w.opts.Notice("the servers had lost the consumer by which this worker gets tasks, and have a new one: tasks that were sent before may run again")
	}
	return nil
}

// canceled takes note of a task that a client does not want any more.
func (w *worker) canceled(client string, body []byte) {
	key, ok := wire.CanceledKey(client, body)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	tombs := w.tombs[client]
	if tombs == nil {
		tombs = &recent.Set[string]{Max: wire.MaxCancels}
		w.tombs[client] = tombs
	}
	tombs.Add(key)
	switch d := w.tries[key]; {
	case d == nil:
	case d.cancel != nil:
		d.cancel(concert.ErrCanceled)
		if d.stop != nil {
			go d.stop() // it may still wait in the executor
		}
	case d.behind != nil:
		for _, o := range w.unwait(key, d.behind) {
			w.conn.Background.Go(func() { w.refuse(o) })
		}
	case w.unqueue(d):
		w.conn.Background.Go(func() { w.admit(d, true) })
	}
	p := w.paused[key]
	if p == nil {
		return
	}
	delete(w.paused, key)
	p.over.Stop()
	d := p.task
	if w.held[d.key] != nil {
		return
	}
	// Nobody has it now who would say so. It is held again until that is
	// stored, so that it is acknowledged then.
	w.hold(d)
	w.conn.Background.Go(func() { w.publish(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(context.Canceled)}) })
}

// unwanted reports whether a task has been canceled. The caller holds mu.
func (w *worker) unwanted(d *delivery) bool {
	tombs := w.tombs[d.ID.Client]
	return tombs != nil && tombs.Has(d.try)
}

// checkIdle notices that a worker which drains holds nothing any more, and has
// said so. The caller holds mu.
func (w *worker) checkIdle() {
	if w.draining && len(w.held) == 0 && w.saying == 0 && w.fetches == 0 {
		select {
		case <-w.idle:
		default:
			close(w.idle)
		}
	}
}

// renew keeps the leases of what is held.
func (w *worker) renew(life context.Context) {
	tick := time.NewTicker(jet.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-life.Done():
			return
		}
		w.mu.Lock()
		var msgs []*jet.Message
		for _, d := range w.held {
			if d.msg != nil && time.Since(d.came) >= jet.Lease/6 {
				msgs = append(msgs, d.msg)
			}
			for _, o := range d.waiting {
				msgs = append(msgs, o.msg)
			}
		}
		w.mu.Unlock()
		for _, m := range msgs {
			m.Ack(jet.AckProgress)
		}
	}
}
