package loop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"concert"
)

// Options tunes a loop. The zero value, and nil, are ready to use.
type Options struct {
	// Name is the name of the loop in reports, and in profiles the value of the
	// label "loop" of its goroutines. Empty means "loop".
	Name string

	// Stall is how long a coroutine may hold the loop, from one await to the
	// next, before it is reported. Zero means 100 milliseconds, as asyncio's
	// slow_callback_duration. Negative means that nothing is reported.
	Stall time.Duration

	// OnStall, if set, is called once for a coroutine that holds the loop,
	// while it does so. It runs on a goroutine of its own, perhaps until after
	// Run has returned. Nil logs the report with package slog. A panic of it
	// is contained, and logged.
	OnStall func(*StallReport)

	// Virtual makes the loop's time virtual: it jumps to the next timer
	// whenever all coroutines wait, and stands still otherwise. So a test of an
	// hour takes no time. It also stands still while a coroutine is in Block,
	// or waits for a future. It starts at midnight UTC 2000-01-01, as that of
	// testing/synctest.
	Virtual bool

	// Seed, if not zero, makes the loop choose at random which coroutine runs
	// next, and switch at awaits that need not wait. The same seed makes the
	// same choices. It implies Virtual. See package concert/loop/looptest.
	Seed uint64
}

// Loop is an event loop. Its methods, and those of [Portal], may be called from
// any goroutine. Nearly everything else in this package is for coroutines only.
type Loop struct {
	opts    Options
	started time.Time       // by the real clock
	epoch   time.Time       // the same, or where virtual time begins
	labels  context.Context // with the labels of its goroutines
	number  string          // distinguishes it from others in the process
	random  *rand.Rand      // by Options.Seed, or nil; belongs to the one who has the baton

	current atomic.Pointer[Task] // who has the baton; written under mu

	mu sync.Mutex

	// Guarded by mu:
	lockHeld         bool     // somebody has the baton, or is about to
	ready            runQueue // who waits for it
	steps            uint64   // how often it was granted
	endedContexts    uint64   // how many scopes have ended
	live             int      // coroutines that have not ended
	outside          int      // of those, the ones that will come back by themselves
	openPortals      int      // ways in that are open
	timers           timers   // of sleepers and deadlines
	listeners        listenerSet
	poll             pollState
	interrupts       []pendingInterrupt // since mu was taken
	stoppedListeners []*contextListener // to be stopped, since then
	root             *taskContext       // of Run's coroutine
	deadlock         *DeadlockError
	closed           bool // Run has returned

	virtual time.Duration // the virtual time; written under mu, by the one who has the baton
	alarm   *time.Timer   // the runtime's timer that ring is called by
	alarmAt time.Duration // when
	watch   stallWatch

	spareGrantChans []grantChan // without a goroutine; belongs to the one who has the baton
}

var loops atomic.Uint64

// Run runs main as the first coroutine of a new loop, on the calling goroutine.
// It returns main's error when main and all other coroutines of the loop have
// ended. g is a group like that of [WithGroup], for whose children Run waits.
//
// The contexts of the coroutines have the values of ctx, and end a moment after
// ctx ends. If all coroutines wait and nothing can wake them, their waits fail
// with a [*DeadlockError], which is then part of Run's error.
//
// Run panics if ctx is that of a running coroutine, because a loop in a loop
// would keep the outer one from running. It may be called in [Block]. In a task
// that holds a lock, by Options.Lock of concert/goroutines, release the lock
// first, because the loop does not.
func Run(ctx context.Context, opts *Options, main func(ctx context.Context, g *Group) error) error {
	if main == nil {
		panic("loop: Run with a nil function")
	}
	checkRun(ctx, "Run")
	l := newLoop(opts)
	defer l.close()
	defer pprof.SetGoroutineLabels(ctx)
	ctx = pprof.WithLabels(ctx, pprof.Labels("loop", l.opts.Name, "loop.number", l.number))
	l.labels = ctx
	pprof.SetGoroutineLabels(ctx)

	t := l.newTask(ctx, main)
	l.root = &t.ctx
	if ctx.Done() != nil {
		// It is not among the strangers: its end is no hope in a deadlock.
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

// checkRun panics where no loop can be run.
func checkRun(ctx context.Context, name string) {
	if ctx == nil {
		panic("loop: " + name + " with a nil context")
	}
	if t := runningTask(ctx); t != nil {
		panic("loop: " + name + " in a coroutine, " + t.String() + ": use WithGroup, or call it in Block")
	}
}

// runningOf returns the coroutine to which ctx belongs, if that runs.
func runningTask(ctx context.Context) *Task {
	tc, ok := ctx.Value(taskContextKey{}).(*taskContext)
	if ok && tc.task.loop.current.Load() == tc.task && concert.ReleaserOf(ctx) == (*releaser)(tc.task) {
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
	if l.opts.Name == "" {
		l.opts.Name = "loop"
	}
	if l.opts.Stall == 0 {
		l.opts.Stall = defaultStall
	}
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

// enter has the calling goroutine be the coroutine t for as long as fn runs.
func (l *Loop) runOnCaller(t *Task, fn func()) {
	t.grant = newGrantChan()
	l.mu.Lock()
	l.live++
	l.acquireLocked(t)
	defer func() { t.finish(nil, false) }()
	fn()
}

// close is called when no coroutine is left.
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

// String returns the loop's name.
func (l *Loop) String() string { return l.opts.Name }
