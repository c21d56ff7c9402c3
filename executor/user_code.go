package executor

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concert/internal/lazy"
	"concert/internal/values"
)

// In this file, user code is one of two things. First, methods of the
// program's types that encode an argument or decode a result, such as
// MarshalBinary. Second, functions of the program that an executor needs for
// one call, for example to decide whether the call runs again. User code may
// panic, end its goroutine, or never return. So it does not run on the
// goroutines of a remote executor. If user code fails, only its own call
// fails, and no other call waits.
//
//	Claim:  pending --> encoding --user code returns--> pending, Queue.Again;
//	                                    the next Claim returns the bytes
//	Settle: running --user code returns--> finished
//
// Each run of user code has two goroutines. One runs the methods. The other
// waits until the methods return or the call ends, whichever is first. A call
// ends when its context is done, after Limits.Timeout, or by Cancel. Go cannot
// stop a goroutine from outside, so a method that has not returned by then
// continues on its goroutine.
//
// Values of types without such methods are encoded by Claim and decoded by
// Settle, on the executor's own goroutine, if they are small. Encoding or
// decoding a large value takes time as well. So Claim and Settle stop when
// they notice that a value is large, and do the same as for user code. When
// the call has ended, the encoding or decoding of its large value stops,
// too, so that the goroutine becomes free.

// Limits bound the time that a remote executor may take in this process to
// encode an argument or to decode a result. They apply to values that are
// large, or that methods of the program encode or decode.
type Limits struct {
	// Timeout bounds the time for one value; zero or less means no bound. The
	// error of a call that needs more time wraps Expired.
	Timeout time.Duration
	Expired error
	// Grace is the time for which the decoding of a result may continue after
	// the call's context is done. A negative Grace counts as zero.
	Grace time.Duration
}

// userCode is one run of user code, or the encoding or decoding of a large
// value.
type userCode struct {
	name string          // the name of the call's function
	what string          // names the code that runs, for errors; "" means the methods of the value
	ctx  context.Context // the context of the call
	// grace is the time for which the user code may continue after ctx is
	// done.
	grace time.Duration
	// settled, if not nil, receives an element when the call has settled in
	// another way, for example by a cancellation.
	settled <-chan struct{}
	// run encodes or decodes a value. The function done that run returns
	// handles the result. The goroutine that waits for run calls done. If run
	// panics, ends its goroutine or takes too long, the waiting goroutine
	// calls fail instead.
	run  func(values.Work) (done func())
	fail func(error)
	// cancel cancels the call, like Batch.Cancel.
	cancel func(cause error) (notStarted bool)
}

// userCodes are the runs of user code that a group has not finished.
type userCodes struct {
	mu      sync.Mutex
	running map[*userCode]bool // guarded by mu
}

// UserCode lists the calls whose argument or result is being encoded or decoded
// on another goroutine: by methods of the program, or because the value is
// large. It returns the names of the functions of the calls. While there are
// such calls, an executor that closes must wait. The group calls
// [Queue.Dropped] when one of the calls ends. UserCode may be called with the
// executor's lock held.
func (g *WorkerGroup) UserCode() (names []string) {
	g.code.mu.Lock()
	defer g.code.mu.Unlock()
	for u := range g.code.running {
		names = append(names, u.name)
	}
	return names
}

// CancelUserCode cancels the calls that [WorkerGroup.UserCode] lists, and
// returns the number of these calls that had not started. The canceled calls
// settle within Limits.Grace. The Shutdown of an executor calls
// CancelUserCode.
func (g *WorkerGroup) CancelUserCode(cause error) (notStarted int) {
	g.code.mu.Lock()
	running := slices.Collect(maps.Keys(g.code.running))
	g.code.mu.Unlock()
	for _, u := range running {
		if u.cancel(cause) {
			notStarted++
		}
	}
	return notStarted
}

// CallFor calls fn, a function of the program that a call of the batch
// needs, on another goroutine, and returns at once. The parameter what is
// the name of the function in errors. When fn has returned, a second
// goroutine calls done. If fn panics, calls runtime.Goexit, or does not
// return in time, the second goroutine calls fail instead. The time limit
// for fn is Limits.Timeout. If the context of the call ends, fn may continue
// for the time grace. While fn runs, the call is one of
// [WorkerGroup.UserCode]. If the batch has the call of a Submit, the task
// may settle in another way while fn runs. Then neither done nor fail is
// called.
func (g *WorkerGroup) CallFor(b *Batch, what string, grace time.Duration, fn func() (done func()), fail func(error)) {
	u := &userCode{name: b.Name, what: what, ctx: b.Context(), grace: grace, run: func(values.Work) func() { return fn() }, fail: fail, cancel: b.Cancel}
	if t := b.Task(); t != nil {
		settled := make(signal, 1)
		if !t.watch(&watcher{to: settled}) {
			return
		}
		u.settled = settled
	}
	g.runUserCode(u)
}

// noReturn returns the error of user code, or of the encoding or decoding of a
// large value, that did not end in time.
func (u *userCode) noReturn(when string, cause error) error {
	what := cmp.Or(u.what, "the value is too large, or its methods")
	return lazy.Errorf("%s did not return "+when+": %w", what, cause)
}

// runUserCode runs u on another goroutine. Until u has ended, CancelUserCode
// can cancel the call to which u belongs.
func (g *WorkerGroup) runUserCode(u *userCode) {
	g.code.mu.Lock()
	if g.code.running == nil {
		g.code.running = make(map[*userCode]bool)
	}
	g.code.running[u] = true
	g.code.mu.Unlock()
	go func() {
		defer g.endUserCode(u)
		u.wait(g.limits)
	}()
}

func (g *WorkerGroup) endUserCode(u *userCode) {
	g.code.mu.Lock()
	delete(g.code.running, u)
	g.code.mu.Unlock()
	g.queue.Dropped()
}

// wait runs the user code on another goroutine, and waits until the code
// returns or the call ends.
func (u *userCode) wait(l Limits) {
	returned := make(chan func(), 1)
	over := new(atomic.Bool)
	defer over.Store(true)
	go func() {
		done := func() { u.fail(ErrGoexit) }
		defer func() {
			if v := recover(); v != nil {
				err := NewPanicError(v)
				done = func() { u.fail(err) }
			}
			returned <- done
		}()
		done = u.run(values.Work{Over: over})
	}()
	var timeout <-chan time.Time
	if l.Timeout > 0 {
		timeout = time.After(l.Timeout)
	}
	select {
	case done := <-returned:
		done()
		return
	case <-u.settled:
		return
	case <-timeout:
		u.fail(u.noReturn("within "+l.Timeout.String(), l.Expired))
		return
	case <-u.ctx.Done():
	}
	// If the methods return within the grace, their result is the outcome.
	select {
	case done := <-returned:
		done()
	case <-u.settled:
	case <-time.After(max(0, u.grace)):
		select {
		case done := <-returned:
			done()
		default:
			u.fail(u.noReturn("before the call's context ended", context.Cause(u.ctx)))
		}
	}
}
