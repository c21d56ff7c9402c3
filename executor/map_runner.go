package executor

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"concert/internal/lazy"
)

// runner is a task that calls a Map's function on one item after another.
type runner[In, Out any] struct {
	task  Task
	m     *mapRun[In, Out]
	ctx   *itemContext // context of the current item; nil if the next item needs a new context
	batch int          // number of items between two readings of the clock
	ended int          // number of items of the current batch that have ended
	last  int64        // the uptime when the batch began
	seen  sight
}

func (m *mapRun[In, Out]) newRunner() *runner[In, Out] {
	r := &runner[In, Out]{m: m, batch: 1}
	r.task.status.Store(idle | ofMap)
	r.task.ctx.Parent = m.ctx
	r.task.job = r
	r.task.fn = m.id
	return r
}

// run calls the function on items for one turn. It reports whether the runner
// needs another turn.
func (r *runner[In, Out]) run(t *Task) (again bool) {
	m := r.m
	s := t.carrier.Load()
	begin := uptime()
	r.last = begin
	hit := false // whether the consumer waits for an item of this batch
	for m.ctx.Err() == nil {
		for r.ended = 0; r.ended < r.batch && !m.stopped.Load(); {
			it, index := m.buffer.claim(&r.seen)
			if it == nil {
				break
			}
			r.call(it, index)
			if m.asleep.Load() != awake && (!m.ordered || m.needed.Load() == index) {
				hit = true
				if m.asleep.Load() == wakeAtOnce {
					m.wakeConsumer()
				}
			}
		}
		full := r.ended == r.batch
		took := int64(0)
		if r.ended > 0 {
			now := uptime()
			took = now - r.last
			r.count(s, now)
		}
		if hit {
			m.wakeConsumer()
			hit = false
		}
		if !full {
			if r.park(t) {
				return false
			}
			continue
		}
		r.adapt(time.Duration(took))
		if time.Duration(r.last-begin) >= turn && m.ctx.Err() == nil {
			// If workers use all processors, the feeder and the consumer would
			// otherwise wait up to 10 ms until the scheduler preempts a worker.
			runtime.Gosched()
			return true
		}
	}
	r.leave(t, idle)
	return false
}

// count counts the items of the batch that have ended, and begins a new
// batch. The parameter now is the current uptime. s is the carrier that has
// run the items.
func (r *runner[In, Out]) count(s *carrier, now int64) {
	s.worker.items.Add(int64(r.ended))
	s.worker.group.stats.ranItems(s.worker.id, now-r.last, r.ended)
	r.ended, r.last = 0, now
}

// adapt sets r.batch, so that the next batch takes between half a turn and
// two turns. The parameter took is the duration of the last batch.
func (r *runner[In, Out]) adapt(took time.Duration) {
	switch {
	case took < turn/2 && r.batch < maxBatch:
		r.batch *= 2
		r.m.fitWindow(r.batch)
	case took > 2*turn && r.batch > 1:
		r.batch = max(1, int(time.Duration(r.batch)*turn/took))
		r.m.fitWindow(r.batch)
	}
}

// park removes the runner from the executor until the feeder starts it again.
// It reports false, and does nothing, if there is an unclaimed or encoded item.
func (r *runner[In, Out]) park(t *Task) bool {
	m := r.m
	m.mu.Lock()
	m.active.Add(-1)
	if (len(m.encoded) > 0 || m.buffer.unclaimed()) && !m.stopped.Load() {
		m.active.Add(1)
		m.mu.Unlock()
		return false
	}
	r.endContext()
	t.carrier.Store(nil) // must be nil before another worker can start the runner
	t.move(running, idle)
	m.parked = append(m.parked, r)
	m.mu.Unlock()
	m.wakeConsumer()
	return true
}

// leave removes the runner from the executor permanently, and moves its task to
// the given state.
func (r *runner[In, Out]) leave(t *Task, to uint64) {
	m := r.m
	m.mu.Lock()
	r.endContext()
	t.carrier.Store(nil)
	t.move(running, to)
	m.active.Add(-1)
	m.mu.Unlock()
	m.wakeConsumer()
}

// interrupt ends the whole Map. The executor calls it to cancel running calls.
func (r *runner[In, Out]) interrupt(_ *Task, cause error) { r.m.interrupt(cause) }

func (m *mapRun[In, Out]) interrupt(cause error) {
	m.mu.Lock()
	if m.failure == nil {
		m.failure = &closedError{cause}
	}
	m.mu.Unlock()
	m.cancel(cause)
}

// drop ends a runner that was canceled before it ran: by the executor, or by
// mapRun.stop.
func (r *runner[In, Out]) drop(t *Task, err error, s *carrier) {
	m := r.m
	if canceled, ok := err.(*neverStarted); ok { // the executor was shut down, or the loop has ended
		err = &closedError{canceled.cause}
	}
	m.mu.Lock()
	if m.failure == nil {
		m.failure = err
	}
	r.endContext()
	t.settle(canceledState, s)
	m.active.Add(-1)
	m.mu.Unlock()
	m.wakeConsumer()
}

// call calls the function on one item. If the function ends the goroutine,
// the item is done and the runner goes back to the queue.
func (r *runner[In, Out]) call(it *item[In, Out], index int64) {
	if r.ctx == nil {
		r.ctx = &itemContext{task: &r.task}
		r.ctx.lazy.Parent = r.m.ctx
	}
	returned := false
	defer func() {
		goexit := false
		if !returned {
			if v := recover(); v != nil {
				it.err = NewPanicError(v)
			} else {
				it.err, goexit = ErrGoexit, true
			}
			it.err = withInput(it.err, func() *Input { return r.m.input(index) })
		}
		var zero In
		it.in = zero
		r.ended++
		if goexit { // the goroutine ends, so run cannot do this
			r.count(r.task.carrier.Load(), uptime())
			defer r.m.wakeConsumer()
		}
		r.done(it, index)
	}()
	ctx := context.Context(r.ctx)
	if list, id := r.task.observers(); list != nil {
		r.ctx.number, r.ctx.input = lastNumber.Add(1), r.m.input(index)
		list.call(r.ctx.event(TaskSubmitted, -1))
		list.call(r.ctx.event(TaskStarted, id))
		ctx = within(ctx, r.ctx.number)
	}
	it.out, it.err = callFunction(&r.task, ctx, r.m.fn, it.in)
	returned = true
}

func (r *runner[In, Out]) done(it *item[In, Out], index int64) {
	if it.err != nil {
		r.task.countFailed(r.m.ctx, true, it.err)
	}
	if r.ctx.number != 0 {
		r.doneObserved(it, index)
		return
	}
	if r.ctx.lazy.Opened() {
		r.endContext()
	}
	r.m.buffer.markDone(it, index, r.m.ordered)
}

// doneObserved does the last steps of the method done for an item with a
// number. An item has a number if there were observers when its call began.
// The observers may end the goroutine, by runtime.Goexit.
func (r *runner[In, Out]) doneObserved(it *item[In, Out], index int64) {
	list, worker := r.task.observers()
	e := r.ctx.event(TaskFinished, worker)
	e.Err = it.err
	returned := false
	defer func() {
		r.endContext()
		if !returned && r.ended > 0 { // the goroutine ends, so run cannot count the batch
			r.count(r.task.carrier.Load(), uptime())
		}
		r.m.buffer.markDone(it, index, r.m.ordered)
		if !returned {
			r.m.wakeConsumer() // the goroutine ends, so run cannot do this
		}
	}()
	list.call(e)
	returned = true
}

func (r *runner[In, Out]) endContext() {
	if r.ctx != nil {
		r.ctx.over.Store(true)
		r.ctx.lazy.End()
		r.ctx = nil
	}
}

// itemContext is the context of one call of a Map. If the call did not use
// Done, the next call gets the same itemContext. Only a goroutine that the
// first call started and left running could notice this, by calling Err.
type itemContext struct {
	lazy   lazy.Context
	over   atomic.Bool
	task   *Task
	number uint64 // number of the call for the observers; 0 if there were none when the call began
	input  *Input // for the observers; nil without a number
}

// Deadline returns the deadline of the Map's context.
func (c *itemContext) Deadline() (time.Time, bool) { return c.lazy.Deadline() }

// Done returns a channel that is closed when the call has returned, or before
// if the Map's context ends.
func (c *itemContext) Done() <-chan struct{} { return c.lazy.Done(c.over.Load) }

// Err is not nil when the call has returned or the Map's context has ended.
func (c *itemContext) Err() error { return c.lazy.Err(c.over.Load()) }

// Value returns the values of this package's keys for the item, without a
// search of the parent contexts. For all other keys, it returns the value of
// the Map's context.
func (c *itemContext) Value(key any) any {
	switch key {
	case workerKey{}:
		return c.task
	case numberKey{}, ownKey{}:
		return c
	case releaserKey{}, labelKey{}:
		return nil // the parents' values belong to the caller of Map
	}
	return c.lazy.Value(key)
}

// Source implements lazy.Link.
func (c *itemContext) Source() context.Context { return c.lazy.Source() }

// mapContext is the parent context of all calls of a Map. It is canceled when
// the caller's range loop over the results ends.
type mapContext struct {
	context.Context // derived from caller, but with its own cancellation
	caller          context.Context
}

// Value returns the values of the caller's context, except for the keys that
// package context uses for cancellation.
func (c *mapContext) Value(key any) any {
	if lazy.IsCancelKey(key) {
		return c.Context.Value(key)
	}
	return c.caller.Value(key)
}

// Source implements lazy.Link.
func (c *mapContext) Source() context.Context { return lazy.SourceOf(c.caller) }

// String names the function of the Map.
func (c *itemContext) String() string { return "concert.Map(" + c.task.Name() + ")" }

func (c *itemContext) event(kind EventKind, worker int) Event {
	return Event{Kind: kind, Task: c.number, Name: c.input.Name, Input: c.input, Worker: worker, Time: time.Now(), Context: c.lazy.Parent}
}

func (c *itemContext) progress(done, total int64) {
	if list, id := c.task.observers(); list != nil && c.number != 0 {
		e := c.event(TaskProgress, id)
		e.Done, e.Total = done, total
		list.call(e)
	}
}

var _ context.Context = (*itemContext)(nil)
