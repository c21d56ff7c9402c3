package lazy

import (
	"context"
	"sync"
	"time"
)

// Ending is a context that ends when End is called. The caller of End
// chooses the Err and the cause. (If a context of package context is
// canceled from outside, its Err is always [context.Canceled].) An Ending
// has no deadline and no values. Make one with NewEnding.
type Ending struct {
	done chan struct{} // closed at the end of the context, after the assignment to as

	mu    sync.Mutex
	as    context.Context // guarded by mu: a context with the same Err and cause; nil before the end
	below []func()        // guarded by mu: functions that end the child contexts
}

// NewEnding returns an Ending that has not ended.
func NewEnding() *Ending { return &Ending{done: make(chan struct{})} }

// End ends the context. From now on, [context.Cause] returns cause. If cause
// is nil, it returns the same as Err. The Err method returns
// [context.DeadlineExceeded] if err is that error, and [context.Canceled]
// otherwise. Only the first End counts.
func (e *Ending) End(err, cause error) {
	as := endedContext(err, cause)
	e.mu.Lock()
	if e.as != nil {
		e.mu.Unlock()
		return
	}
	e.as = as
	below := e.below
	e.below = nil
	close(e.done)
	e.mu.Unlock()
	for _, end := range below {
		end()
	}
}

// endedContext returns a context that has ended with an error and a cause.
func endedContext(err, cause error) context.Context {
	if err == context.DeadlineExceeded {
		ctx, cancel := context.WithDeadlineCause(context.Background(), time.Unix(0, 0), cause)
		cancel()
		return ctx
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	return ctx
}

// ended returns a context with the same Err and cause, or nil before the end.
func (e *Ending) ended() context.Context {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.as
}

// Deadline returns no deadline.
func (*Ending) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done returns a channel that End closes.
func (e *Ending) Done() <-chan struct{} { return e.done }

// Err returns nil before the end.
func (e *Ending) Err() error {
	if as := e.ended(); as != nil {
		return as.Err()
	}
	return nil
}

// Value returns nil before the end. After the end, it returns a value only for
// the key by which package context finds the cause.
func (e *Ending) Value(key any) any {
	if as := e.ended(); as != nil {
		return as.Value(key)
	}
	return nil
}

// AfterFunc calls end when the context has ended. Package context calls
// AfterFunc for each child context, and so needs no goroutine for the child.
func (e *Ending) AfterFunc(end func()) (stop func() bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.as != nil {
		go end() // end acquires a lock that the caller of AfterFunc holds
		return func() bool { return false }
	}
	e.below = append(e.below, end)
	return func() bool { return true } // package context calls the returned function when the child has ended, and in this case end does nothing
}
