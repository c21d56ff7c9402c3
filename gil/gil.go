// Package gil is a lock with the rules of CPython's global interpreter lock.
// It is for engines that only one goroutine may use at a time, such as
// embedded interpreters and C libraries. A goroutine releases the lock while
// it blocks, so that other goroutines can use the engine in the meantime.
//
//	lock := gil.New(nil)
//	lock.Do(func(held gil.Held) {
//		for step := range steps {
//			engine.Run(step)
//			held.Checkpoint() // hands over the lock if another goroutine has waited for long
//		}
//		held.Release(func() { page = fetch(url) }) // other goroutines can hold the lock here
//		engine.Use(page)
//	})
//
// # The model
//
// One goroutine holds the lock. All other goroutines that want the lock wait in
// a queue. Each waiter becomes due some time after it has entered the queue.
//
//	Do ------------> [ holder ] -- Do returns, Release begins ----> next in the queue, or free
//	Release ends --> [        ] -- Checkpoint, if a waiter is due --> back into the queue
//
//	a waiter that                                       becomes due after
//	called Do, or was preempted at a checkpoint         the interval, 5 ms
//	returns from the function of Release                50 us
//
// If the holder reaches a Checkpoint and a waiter is due, the holder hands the
// lock to the waiter that became due first, and enters the queue: this is a
// forced switch. A holder that releases the lock hands it to the waiter that
// becomes due first.
//
// # The rules
//
//   - Do and Release call functions. If such a function panics or calls
//     runtime.Goexit, Do still releases the lock, and Release still acquires it
//     again. So no goroutine can forget to release the lock, or release it
//     twice.
//   - A lock with waiters is handed to one of them. A goroutine that arrives
//     later cannot take the lock first. So each waiter acquires the lock after
//     the waiters that are due earlier, and no waiter starves.
//   - A goroutine that returns from the function of Release becomes due sooner.
//     It usually needs the lock only for a moment, until it blocks again. In
//     CPython such a thread waits for 5 ms like all other threads, which is
//     known as the convoy effect (bpo-7946).
//   - A holder reads the clock at a checkpoint only if the lock has waiters.
//
// Waits of package concert release the lock if they are called with the context
// of Run (or of [Held.Context]). So a goroutine that waits for a future does
// not prevent other goroutines from computing the result. The tasks of a pool
// of package concert/goroutines hold a lock if the pool has Options.Lock.
//
// # The corners
//
// A [Held] is valid for the goroutine that called Do, until Do returns,
// except within Release. If a Held is used otherwise, its methods panic,
// with one exception: the lock cannot detect that another goroutine uses the
// Held of the current holder. A Do within a Do of the same lock blocks
// forever. A [Lock.Run] within a Do or Run of the same lock panics, if its
// context carries the Held.
//
// A holder that neither reaches a checkpoint nor releases the lock keeps the
// lock, like C code that does not release the lock of Python.
//
// The rules are those of CPython's Python/ceval_gil.c (since 3.2) and of
// sys.setswitchinterval.
package gil

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"concert/internal/option"
)

// Options tunes a Lock. The zero value, and nil, are ready to use.
type Options struct {
	// Interval is the time after which a waiter becomes due. At its next
	// checkpoint, the holder hands the lock to a waiter that is due. Zero means
	// 5 milliseconds, the default of sys.setswitchinterval. Shorter intervals
	// than a microsecond count as a microsecond. New panics if Interval is
	// negative.
	Interval time.Duration

	// Times makes Stats report the time for which the lock was held, and the
	// time that goroutines waited for it. For this, the lock reads the clock
	// each time it is acquired or released.
	Times bool
}

const (
	defaultInterval = 5 * time.Millisecond
	longestInterval = 1 << 62               // so small that the sum of it and the age of a lock does not overflow
	returnInterval  = 50 * time.Microsecond // the time after which a goroutine that returns from Release becomes due
)

// Lock is a lock with the rules of the package comment. Its methods are safe
// for concurrent use. Make one with New; it must not be copied.
type Lock struct {
	after [2]time.Duration // for each line of the queue: the time after which a waiter becomes due
	timed bool
	epoch time.Time

	word atomic.Uint64 // the holder, and whether the lock has waiters: see state.go

	// Read and written by the holder:
	last  uint64        // the last turn that acquired the lock again, after a Release or a switch
	since time.Duration // when the holder acquired the lock; only if timed is set

	// Written by the holder:
	issued  atomic.Uint64 // the number of turns that had begun when a turn last acquired the lock again
	returns atomic.Uint64 // the number of times that a turn acquired the lock again after another turn had held it
	forced  atomic.Uint64
	heldFor atomic.Int64

	due atomic.Int64 // while contended: the time, since epoch, at which the first waiter becomes due

	mu sync.Mutex

	// Guarded by mu:
	waiting   queue
	waitedFor time.Duration
}

// New returns a lock that is free. It panics if the interval is negative.
func New(opts *Options) *Lock {
	o := *cmp.Or(opts, &Options{})
	option.NotNegative("gil: New", "Options.Interval", o.Interval)
	o.Interval = cmp.Or(o.Interval, defaultInterval)
	o.Interval = min(max(o.Interval, time.Microsecond), longestInterval)
	return &Lock{after: [2]time.Duration{fresh: o.Interval, back: min(returnInterval, o.Interval)}, timed: o.Times, epoch: time.Now()}
}

// Do acquires the lock, calls fn, and releases the lock when fn returns, panics
// or calls runtime.Goexit. It blocks until the lock is acquired.
func (l *Lock) Do(fn func(Held)) {
	l.acquire(nil, 0)
	defer l.leave()
	fn(l.begin())
}

// Run does the same as Do, for a function that takes a context. The context of
// fn carries the Held, for [Release] and [Checkpoint]. Run returns the error of
// fn. If ctx ends while Run waits for the lock, Run does not call fn and
// returns the cause of ctx. Run panics if ctx carries a Held that holds this
// lock, because Run would block forever.
func (l *Lock) Run(ctx context.Context, fn func(context.Context) error) error {
	if h, ok := Of(ctx); ok && h.lock == l && h.holds() {
		panic("gil: Run inside of Do or Run of the same lock: the goroutine would wait for itself")
	}
	if !l.acquire(ctx.Done(), 0) {
		return context.Cause(ctx)
	}
	defer l.leave()
	return fn(l.begin().Context(ctx))
}

// begin returns the Held of a goroutine that has just acquired the lock.
func (l *Lock) begin() Held {
	if l.timed {
		l.since = l.now()
	}
	return Held{l, turnOf(l.word.Load())}
}

// end adds the time since begin was called to l.heldFor. It is called before
// the lock is released.
func (l *Lock) end() {
	if l.timed {
		l.heldFor.Store(l.heldFor.Load() + int64(l.now()-l.since))
	}
}

func (l *Lock) leave() {
	l.end()
	l.release()
}

// now returns the time since the lock was made.
func (l *Lock) now() time.Duration { return time.Since(l.epoch) }

// acquire acquires the lock for a new turn if the parameter turn is 0, and
// otherwise again for the turn with this number. It reports false if the
// channel done is closed before that. done may be nil.
func (l *Lock) acquire(done <-chan struct{}, turn uint64) bool {
	if w := l.word.Load(); stateOf(w) == free && l.take(w, turn) {
		return true
	}
	l.mu.Lock()
	for {
		w := l.word.Load()
		if stateOf(w) == free && l.take(w, turn) {
			l.mu.Unlock()
			return true
		}
		if stateOf(w) == contended || stateOf(w) == held && l.word.CompareAndSwap(w, wordOf(turnOf(w), contended)) {
			break
		}
	}
	in := fresh
	if turn != 0 {
		in = back
	}
	w := l.enqueue(in, turn)
	l.mu.Unlock()
	return l.wait(done, w)
}

// wait blocks until the lock is granted to w. It reports false if done is
// closed before that.
func (l *Lock) wait(done <-chan struct{}, w *waiter) bool {
	select {
	case <-w.granted:
		return true
	case <-done:
	}
	l.mu.Lock()
	gone := l.waiting.remove(w)
	if gone {
		l.recount()
	}
	l.mu.Unlock()
	if !gone { // the lock was granted at the same moment, so release it
		<-w.granted
		l.release()
	}
	return false
}

// release hands the lock to the first waiter, or marks it as free.
func (l *Lock) release() {
	w := l.word.Load()
	freed := wordOf(l.turns(w), free)
	if stateOf(w) == held && l.word.CompareAndSwap(w, freed) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting.first() == nil { // the last waiter has given up in the meantime
		l.word.Store(freed)
		return
	}
	l.handOver()
}

// handOver hands the lock to the waiter that becomes due first. The caller
// holds the lock and mu. The lock is contended.
func (l *Lock) handOver() {
	w := l.waiting.pop()
	if l.timed {
		l.waitedFor += l.now() - w.since
	}
	l.pass(w.turn)
	l.recount()
	w.granted <- struct{}{}
}

// enqueue adds a waiter to a line of the queue. The caller holds mu.
func (l *Lock) enqueue(in line, turn uint64) *waiter {
	now := l.now()
	w := &waiter{granted: make(chan struct{}, 1), turn: turn, since: now, due: now + l.after[in]}
	l.waiting.push(in, w)
	l.recount()
	return w
}

// recount sets the state and l.due after the queue has changed. The caller
// holds mu. The lock is not free.
func (l *Lock) recount() {
	first := l.waiting.first()
	if first == nil {
		l.setState(held)
		return
	}
	l.due.Store(int64(first.due))
	l.setState(contended)
}

// checkpoint hands over the lock if a waiter is due.
func (l *Lock) checkpoint(turn uint64) {
	now := l.now()
	if int64(now) < l.due.Load() {
		return
	}
	l.mu.Lock()
	if first := l.waiting.first(); first == nil || now < first.due { // the waiter that was due has given up
		l.mu.Unlock()
		return
	}
	l.end()
	l.forced.Store(l.forced.Load() + 1)
	w := l.enqueue(fresh, turn)
	l.handOver()
	l.mu.Unlock()
	l.wait(nil, w)
	l.begin()
}
