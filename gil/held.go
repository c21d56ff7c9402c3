package gil

import (
	"context"

	"concert/executor"
)

// Held is the permission of a goroutine that holds a lock. It is valid for
// that goroutine, until the Do or Run that created the Held returns, except
// within Release. At other times the methods of the Held panic. The methods
// of the zero value always panic.
type Held struct {
	lock *Lock
	turn uint64
}

// check panics if h does not hold the lock.
func (h Held) check(method string) {
	if h.lock == nil {
		panic("gil: " + method + " of a Held that no Do or Run has made")
	}
	if !h.holds() {
		panic("gil: " + method + " by a goroutine that does not hold the lock: a Held is valid for one goroutine until its Do returns, except within Release")
	}
}

// holds reports whether the turn of h holds the lock.
func (h Held) holds() bool {
	w := h.lock.word.Load()
	return turnOf(w) == h.turn && stateOf(w) != free
}

// Checkpoint hands over the lock if a waiter is due, and then blocks until this
// goroutine has acquired the lock again. A goroutine that holds the lock for
// long calls Checkpoint regularly. If the lock has no waiter, Checkpoint takes
// some nanoseconds.
func (h Held) Checkpoint() {
	h.check("Checkpoint")
	if stateOf(h.lock.word.Load()) == contended {
		h.lock.checkpoint(h.turn)
	}
}

// Release releases the lock, calls fn, and acquires the lock again, even if fn
// panics or calls runtime.Goexit. fn is the part that blocks, and must not use
// what the lock guards. Release blocks until fn has returned and the lock is
// acquired.
func (h Held) Release(fn func()) {
	h.check("Release")
	l := h.lock
	l.leave()
	defer func() {
		l.acquire(nil, h.turn)
		l.begin()
	}()
	fn()
}

// Context returns a context that carries h, for [Release], [Checkpoint] and
// [Of]. Waits of package concert that are called with this context release the
// lock.
func (h Held) Context(ctx context.Context) context.Context {
	return executor.WithReleaser(ctx, waiting(h))
}

// Of returns the Held that a context carries, and whether there is one. The
// methods of the Held panic if it is not valid for the caller. The context of a
// task does not carry the Held of the task that submitted it.
func Of(ctx context.Context) (Held, bool) {
	w, ok := executor.ReleaserOf(ctx).(waiting)
	return Held(w), ok
}

// waiting is the Held that the waits of package concert get from a context.
// Unlike a Held, it may be used while the lock is released.
type waiting Held

// Release calls [Held.Release] if the Held holds the lock. Otherwise it only
// calls fn.
func (w waiting) Release(fn func()) {
	if h := Held(w); h.holds() {
		h.Release(fn)
		return
	}
	fn()
}

// Release calls fn while the lock that ctx carries is released; see
// [Held.Release]. If ctx carries no lock, Release only calls fn. So a blocking
// function can call Release whether or not its caller holds a lock.
// [concert.Release] is for locks of any kind.
func Release(ctx context.Context, fn func()) {
	if h, ok := Of(ctx); ok {
		h.Release(fn)
		return
	}
	fn()
}

// Checkpoint calls [Held.Checkpoint] of the Held that ctx carries. If ctx
// carries no Held, Checkpoint does nothing.
func Checkpoint(ctx context.Context) {
	if h, ok := Of(ctx); ok {
		h.Checkpoint()
	}
}
