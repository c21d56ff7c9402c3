package processes

import (
	"context"
	"sync/atomic"
	"time"

	"concert/internal/lazy"
)

// callContext is the context of a call in a worker. One that nobody has asked for
// its Done goes on to the next call: only a goroutine that a call leaves behind
// could tell, by its Err.
type callContext struct {
	lazy lazy.Context // its parent has the deadline of the calls of a frame
	over atomic.Bool
}

func newCallContext(parent context.Context) *callContext {
	c := new(callContext)
	c.lazy.Parent = parent
	return c
}

// end says that the call has ended.
func (c *callContext) end() {
	c.over.Store(true)
	c.lazy.End()
}

// Deadline, Done, Err and Value are those of a context.
func (c *callContext) Deadline() (time.Time, bool) { return c.lazy.Parent.Deadline() }
func (c *callContext) Done() <-chan struct{}       { return c.lazy.Done(c.over.Load) }
func (c *callContext) Err() error                  { return c.lazy.Err(c.over.Load()) }
func (c *callContext) Value(key any) any           { return c.lazy.Value(key) }
