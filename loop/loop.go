package loop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"concert/executor"
)

// Options tunes a loop. The zero value, and nil, are ready to use.
type Options struct {
	// Name is the name of the loop in reports and in profiles. In profiles, the
	// goroutines of the loop have the label "loop" with this value. Empty means
	// "loop".
	Name string

	// Stall is the time for which a coroutine may hold the loop, from one
	// await to the next, before the loop reports it. Zero means 100
	// milliseconds, like the default of slow_callback_duration in asyncio. A
	// negative value turns the reports off.
	Stall time.Duration

	// OnStall, if set, is called when a coroutine holds the loop for too
	// long: once for each stall, while the coroutine still holds the loop.
	// The call is on a separate goroutine, and may still run when Run has
	// returned. If OnStall is nil, the report is logged with package slog. A
	// panic in OnStall is logged.
	OnStall func(*StallReport)

	// Virtual makes the time of the loop virtual: when all coroutines wait, the
	// virtual time jumps to the next timer. So a test that sleeps for an hour
	// takes no real time. Virtual time does not advance while a coroutine runs,
	// is in Block, or waits for a future. It starts at midnight UTC 2000-01-01,
	// as in testing/synctest.
	Virtual bool

	// Seed, if not zero, makes the loop choose at random which coroutine runs
	// next. The loop then also lets other coroutines run at some awaits that
	// need not wait. The same seed makes the same choices. Seed implies
	// Virtual. See package concert/loop/looptest.
	Seed uint64
}

// Loop is an event loop. Any goroutine may call its methods, and the methods of
// [Portal]. Nearly all other functions of this package are for coroutines only.
type Loop struct {
	opts    Options
	started time.Time       // the time of the real clock when the loop started
	epoch   time.Time       // started, or the start of virtual time
	labels  context.Context // has the profiling labels for the goroutines of the loop
	number  string          // a number that identifies the loop in the process
	random  *rand.Rand      // nil without Options.Seed; used only by the holder of the scheduler lock

	current atomic.Pointer[Task] // the holder of the scheduler lock, or nil; written under mu

	mu sync.Mutex

	// Guarded by mu:
	lockHeld         bool     // whether a coroutine holds the scheduler lock
	ready            runQueue // coroutines that wait for the scheduler lock
	steps            uint64   // number of times that the scheduler lock was granted
	endedContexts    uint64   // number of taskContexts that have ended
	live             int      // number of coroutines that have not ended
	outside          int      // number of coroutines that are in a blocking call
	openPortals      int
	timers           timers      // the timers of Sleep, Group.After and deadlines
	listeners        listenerSet // the listeners to foreign contexts
	poll             pollState
	onPoll           func()             // nil except in tests; pollContexts calls it once
	interrupts       []pendingInterrupt // interrupts to start when mu is released
	stoppedListeners []*contextListener // listeners to stop when mu is released
	root             *taskContext       // the context of the main coroutine
	deadlock         *DeadlockError     // nil until a deadlock is found
	closed           bool               // whether Run has ended the loop

	virtual time.Duration // the virtual time; written under mu by the holder of the scheduler lock
	alarm   *time.Timer   // calls onAlarm
	alarmAt time.Duration // when alarm is due
	watch   stallWatch

	spareGrantChans []grantChan // channels for reuse; used only by the holder of the scheduler lock
}

// loops counts the loops of the process.
var loops atomic.Uint64

// Run runs main as the first coroutine of a new loop, on the calling
// goroutine. When main and all other coroutines of the loop have ended, Run
// returns the error of main. The argument g of main is a group as in
// [WithGroup]. Run waits for the children of g.
//
// The contexts of the coroutines have the values of ctx, and end shortly
// after ctx ends. If all coroutines wait and nothing can wake them, their
// waits fail with a [*DeadlockError]. The error of Run contains this error.
//
// Run panics if ctx is the context of a running coroutine, because the inner
// loop would block the outer one. A coroutine may call Run in [Block]. If a
// task holds a lock (Options.Lock of concert/goroutines), Run does not
// release the lock: release it before the call of Run.
func Run(ctx context.Context, opts *Options, main func(ctx context.Context, g *Group) error) error {
	if main == nil {
		panic("loop: Run called with a nil function")
	}
	checkRun(ctx, "Run")
	ctx, stop := executor.Isolate(ctx)
	defer stop()
	l := newLoop(opts)
	defer l.close()
	defer pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels())) // WithLabels looks up the labels now, and not at the end of Run
	ctx = pprof.WithLabels(ctx, pprof.Labels("loop", l.opts.Name, "loop.number", l.number))
	l.labels = ctx
	pprof.SetGoroutineLabels(ctx)

	t := l.newTask(ctx, main)
	l.root = &t.ctx
	if ctx.Done() != nil {
		// The loop reports no deadlock while l.listeners has listeners. This
		// listener is not in l.listeners, so the loop can report a deadlock
		// even if ctx can still end.
		listener := &contextListener{loop: l, target: l.root, ctx: ctx, active: true}
		l.root.listener = listener
		listener.stop = context.AfterFunc(ctx, listener.onEnd)
		defer listener.stop()
		if ctx.Err() != nil {
			listener.onEnd()
		}
	}
	var err error
	l.runOnCaller(t, func() { err = WithGroup(&t.ctx, main) })
	if l.deadlock != nil && !errors.Is(err, l.deadlock) {
		err = errors.Join(err, l.deadlock)
	}
	return err
}

// checkRun panics if ctx is nil, or if it is the context of a running
// coroutine.
func checkRun(ctx context.Context, name string) {
	if ctx == nil {
		panic("loop: " + name + " called with a nil context")
	}
	if t := runningTask(ctx); t != nil {
		panic("loop: " + name + " called in coroutine " + t.String() + ": use WithGroup, or call it in Block")
	}
}

// runningTask returns the coroutine to which ctx belongs, or nil if this
// coroutine is not running.
func runningTask(ctx context.Context) *Task {
	tc, ok := ctx.Value(taskContextKey{}).(*taskContext)
	if ok && tc.task.loop.current.Load() == tc.task && executor.ReleaserOf(ctx) == (*releaser)(tc.task) {
		return tc.task
	}
	return nil
}

func newLoop(opts *Options) *Loop {
	l := &Loop{started: time.Now(), alarmAt: never}
	l.epoch = l.started
	if opts != nil {
		l.opts = *opts
	}
	l.opts.Name = cmp.Or(l.opts.Name, "loop")
	l.opts.Stall = cmp.Or(l.opts.Stall, defaultStall)
	if seed := l.opts.Seed; seed != 0 {
		l.opts.Virtual = true
		l.random = rand.New(rand.NewPCG(seed, seed))
		l.ready.random = l.random
	}
	if l.opts.Virtual {
		l.epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	l.number = fmt.Sprint(loops.Add(1))
	return l
}

// runOnCaller runs fn as the coroutine t, on the calling goroutine.
func (l *Loop) runOnCaller(t *Task, fn func()) {
	t.grant = newGrantChan()
	l.mu.Lock()
	l.live++
	l.acquireLocked(t)
	defer func() { t.finish(nil, false) }()
	fn()
}

// close stops the timers of the loop. It is called when all coroutines have
// ended.
func (l *Loop) close() {
	l.mu.Lock()
	l.closed = true
	if l.alarm != nil {
		l.alarm.Stop()
	}
	l.watch.stop()
	l.mu.Unlock()
}

// Of returns the loop to which ctx belongs, or nil. Any goroutine may call it.
func Of(ctx context.Context) *Loop {
	if tc, ok := ctx.Value(taskContextKey{}).(*taskContext); ok {
		return tc.task.loop
	}
	return nil
}

// String returns the name of the loop.
func (l *Loop) String() string { return l.opts.Name }
