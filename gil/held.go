package gil

import (
	"context"

	"concert"
)

// Held is what a goroutine has that holds a lock. It is good for that goroutine, until
// the Do or Run returns that made it, but for what runs inside of its Release. Its methods
// panic elsewhere, and those of the zero value always do.
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
		panic("gil: " + method + " by a goroutine that does not hold the lock: a Held is good until its Do returns, not inside of Release, and for one goroutine")
	}
}

// holds reports whether it is the turn of h.
func (h Held) holds() bool {
	w := h.lock.word.Load()
	return turnOf(w) == h.turn && stateOf(w) != free
}

// Checkpoint is called now and then by a goroutine that goes on for long. If somebody has
// waited for the lock for long enough, it hands the lock over, and returns when it is
// this goroutine's turn again. Else it costs some nanoseconds.
func (h Held) Checkpoint() {
	h.check("Checkpoint")
	if stateOf(h.lock.word.Load()) == contended {
		h.lock.checkpoint(h.turn)
	}
}

// Release lets go of the lock, calls fn, which should do what blocks, and waits for the lock
// again. It has it when Release returns, and also if fn panics or calls runtime.Goexit. What
// the lock guards is not to be touched in fn.
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

// Context returns a context that carries h, for [Release], [Checkpoint] and [Of]. Waits of
// package concert that are given it let go of the lock.
func (h Held) Context(ctx context.Context) context.Context {
	return concert.WithReleaser(ctx, waiting(h))
}

// Of returns the Held that a context carries. Whether it is good there is for its methods
// to say. The context of a task does not carry that of the task which submitted it.
func Of(ctx context.Context) (Held, bool) {
	w, ok := concert.ReleaserOf(ctx).(waiting)
	return Held(w), ok
}

// waiting is a Held as a wait sees it: it may wait inside of Release, too.
type waiting Held

// Release is that of the Held if it holds the lock, and else just calls fn.
func (w waiting) Release(fn func()) {
	if h := Held(w); h.holds() {
		h.Release(fn)
		return
	}
	fn()
}

// Release calls fn without the lock that ctx carries, see [Held.Release]; if it carries none
// it just calls fn. So a function that blocks need not know whether it runs under a lock; [concert.Release]
// is for locks of any kind.
func Release(ctx context.Context, fn func()) {
	if h, ok := Of(ctx); ok {
		h.Release(fn)
		return
	}
	fn()
}

// Checkpoint is that of the Held that ctx carries, see [Held.Checkpoint]; if it carries
// none it does nothing.
func Checkpoint(ctx context.Context) {
	if h, ok := Of(ctx); ok {
		h.Checkpoint()
	}
}
