// Package gil is a lock with the rules of CPython's global interpreter lock: for engines
// that may be used by one goroutine at a time, such as embedded interpreters and C
// libraries, whose users should not wait for each other while they wait for something
// else.
//
//	lock := gil.New(nil)
//	lock.Do(func(held gil.Held) {
//		for step := range steps {
//			engine.Run(step)
//			held.Checkpoint() // who has waited for long gets his turn
//		}
//		held.Release(func() { page = fetch(url) }) // others go on meanwhile
//		engine.Use(page)
//	})
//
// # The model
//
//	Do ------------> [ holder ] -- Do returns, Release begins --> the next, or free
//	Release ends --> [        ] -- Checkpoint, when one is due --> back into the queue
//
//	queue   who came by Do, or was made to switch     due after the interval, 5 ms
//	        who comes back from Release               due after 50 us
//
// One goroutine holds the lock. The others wait, and each of them falls due after some
// time. A holder that comes to a Checkpoint hands the lock to the one that has been due
// for longest, if there is one, and waits for its own next turn: that is a forced switch.
// A holder that lets go of it by itself hands it to the one that is due first.
//
// # The rules
//
//   - The lock cannot be left held, nor be let go of twice: Do and Release are
//     around functions, and put things right when those panic or call
//     runtime.Goexit.
//   - The lock is handed over, and never taken past one who waits. So whoever waits gets it
//     when those that are due before him have had it; nobody starves.
//   - Those who come back from blocking fall due sooner, as they mostly need it for a
//     moment, to begin to block again. In CPython they wait 5 ms like everybody else, which
//     is known as the convoy effect (bpo-7946).
//   - A holder reads the clock at a checkpoint only while somebody waits.
//
// Waits of package concert that are given the context of Run (or [Held.Context]) let go of the
// lock: a goroutine that waits for a future does not keep others from computing it. A
// pool of package concert/goroutines has its tasks hold a lock by Options.Lock.
//
// # The corners
//
// A [Held] is good for the goroutine that Do called, until Do returns, and not inside of
// Release. Another use panics, as far as it can be seen: a goroutine that was given the
// Held of one that holds the lock just then cannot be told from it. A Do inside a Do of the
// same lock waits for itself; [Lock.Run] sees that, given the context.
//
// A holder that neither comes to a checkpoint nor lets go keeps the lock, as C code does that
// does not release Python's.
//
// The source of these rules is CPython's Python/ceval_gil.c (of 3.2 and later), and
// sys.setswitchinterval.
package gil

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"concert/internal/option"
)

// Options tunes a Lock. The zero value, and nil, are ready to use.
type Options struct {
	// Interval is how long a goroutine waits until the holder has to switch at its next
	// checkpoint. Zero means 5 milliseconds, as sys.getswitchinterval has it. The
	// least is a microsecond.
	Interval time.Duration

	// Times has Stats say how long the lock was held and waited for, at the cost of
	// reading the clock at each change.
	Times bool
}

const (
	defaultInterval = 5 * time.Millisecond
	longestInterval = 1 << 62               // can be added to the time since the lock was made
	comeBack        = 50 * time.Microsecond // until one who comes back from Release is due
)

// Lock is a lock with the rules of the package comment. Its methods are safe for
// concurrent use. Make one with New; it must not be copied.
type Lock struct {
	after [2]time.Duration // one is due, by line
	timed bool
	epoch time.Time

	word atomic.Uint64 // who holds it and whether somebody waits, see word.go

	// Of the holder:
	last  uint64        // the turn of who last came back
	since time.Duration // when the holder got it, if timed

	// Written by the holder:
	issued  atomic.Uint64 // how many turns there were when he came back
	returns atomic.Uint64 // how often one came back after another
	forced  atomic.Uint64
	heldFor atomic.Int64

	due atomic.Int64 // while contended: when the first who waits is due, since epoch

	mu sync.Mutex

	// Guarded by mu:
	waiting   queue
	waitedFor time.Duration
}

// New returns a lock that nobody holds. It panics if the interval is negative.
func New(opts *Options) *Lock {
	var o Options
	if opts != nil {
		o = *opts
	}
	option.NotNegative("gil: New", "Options.Interval", o.Interval)
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	o.Interval = min(max(o.Interval, time.Microsecond), longestInterval)
	return &Lock{after: [2]time.Duration{fresh: o.Interval, back: min(comeBack, o.Interval)}, timed: o.Times, epoch: time.Now()}
}

// Do waits for the lock, calls fn while it is held, and lets go of it when fn returns,
// panics or calls runtime.Goexit.
func (l *Lock) Do(fn func(Held)) {
	l.acquire(nil, 0)
	defer l.leave()
	fn(l.begin())
}

// Run is Do for a function that takes a context: the one that fn gets carries the
// Held, for [Release] and [Checkpoint]. If ctx ends while Run waits for the lock, fn is not
// called and the cause is returned; else what fn returns is. Run panics inside a Do
// or Run of the same lock, as far as ctx says so.
func (l *Lock) Run(ctx context.Context, fn func(context.Context) error) error {
	if h, ok := Of(ctx); ok && h.lock == l && h.holds() {
		panic("gil: Run inside of Do or Run of the same lock: it would wait for itself")
	}
	if !l.acquire(ctx.Done(), 0) {
		return context.Cause(ctx)
	}
	defer l.leave()
	return fn(l.begin().Context(ctx))
}

// begin is called by a goroutine that has got the lock.
func (l *Lock) begin() Held {
	if l.timed {
		l.since = l.now()
	}
	return Held{l, turnOf(l.word.Load())}
}

// end is called before the lock is let go of.
func (l *Lock) end() {
	if l.timed {
		l.heldFor.Store(l.heldFor.Load() + int64(l.now()-l.since))
	}
}

func (l *Lock) leave() {
	l.end()
	l.release()
}

// now is the time since the lock was made.
func (l *Lock) now() time.Duration { return time.Since(l.epoch) }

// acquire gets the lock for somebody who comes back for his turn, or for a new turn if that is 0, or waits for
// it in a line. It reports false if done, unless nil, is closed before.
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

// wait waits for a turn.
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
	if !gone { // it was granted in the same instant
		<-w.granted
		l.release()
	}
	return false
}

// release lets go of the lock.
func (l *Lock) release() {
	w := l.word.Load()
	freed := wordOf(l.turns(w), free)
	if stateOf(w) == held && l.word.CompareAndSwap(w, freed) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting.first() == nil { // he has given up just now
		l.word.Store(freed)
		return
	}
	l.handOver()
}

// handOver gives the lock to who is due first. The caller holds mu, and the lock, which is
// contended.
func (l *Lock) handOver() {
	w := l.waiting.pop()
	if l.timed {
		l.waitedFor += l.now() - w.since
	}
	l.pass(w.turn)
	l.recount()
	w.granted <- struct{}{}
}

// enqueue adds one who waits. The caller holds mu.
func (l *Lock) enqueue(in line, turn uint64) *waiter {
	now := l.now()
	w := &waiter{granted: make(chan struct{}, 1), turn: turn, since: now, due: now + l.after[in]}
	l.waiting.push(in, w)
	l.recount()
	return w
}

// recount brings the state and due up to date with those who wait; somebody holds the lock. The
// caller holds mu.
func (l *Lock) recount() {
	first := l.waiting.first()
	if first == nil {
		l.setState(held)
		return
	}
	l.due.Store(int64(first.due))
	l.setState(contended)
}

// checkpoint lets somebody else have the lock, if one is due.
func (l *Lock) checkpoint(turn uint64) {
	now := l.now()
	if int64(now) < l.due.Load() {
		return
	}
	l.mu.Lock()
	if first := l.waiting.first(); first == nil || now < first.due { // he has given up meanwhile
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
