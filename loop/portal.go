package loop

import (
	"context"
	"errors"

	"concert/executor"
)

// Portal lets other goroutines enter a loop. It is open until Close is called,
// or until the context of its group ends. Any goroutine may call its methods.
//
// A Portal is an [executor.Lock]. With
//
//	pool := goroutines.New(64, &goroutines.Options{Lock: portal})
//
// the tasks of a pool are coroutines of the loop, up to 64 concurrently.
// Submit, Map and futures work as with any executor. A Portal corresponds to
// run_coroutine_threadsafe in Python.
type Portal struct {
	group *Group
	task  *Task // the coroutine that is parked while the portal is open

	closed bool // guarded by Loop.mu

	// For a portal of Open:
	done chan struct{} // closed when the loop has ended; nil for a portal of Group.Portal
	err  error         // the error of Run; written before done is closed
}

// Portal opens a [Portal] into the loop. The group waits until the portal is
// closed, as for a child. While a portal is open, the loop reports no deadlock.
func (g *Group) Portal() *Portal {
	p := &Portal{group: g}
	l := g.owner.loop
	p.task = g.spawn((*portalTask)(p), 0, 4).SetName("portal")
	l.mu.Lock()
	l.openPortals++
	l.mu.Unlock()
	return p
}

// portalTask is the body of the coroutine that waits until the portal is
// closed. If the context of the coroutine ends, portalTask.finish closes the
// portal.
type portalTask Portal

func (p *portalTask) call(ctx context.Context) (err error) {
	c := callerOf(ctx, opPortal)
	l := c.task().loop
	l.mu.Lock()
	if p.closed {
		l.mu.Unlock()
		return nil
	}
	return c.parkLocked(opPortal, nil, nil)
}

func (p *portalTask) finish(*Task, error) {
	l := p.group.owner.loop
	l.mu.Lock()
	(*Portal)(p).closeLocked()
	l.unlock(nil)
}

func (p *Portal) isClosed() bool {
	l := p.group.owner.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.closed
}

func (p *Portal) closeLocked() {
	if !p.closed {
		p.closed = true
		p.group.owner.loop.openPortals--
	}
}

// Open starts a loop that has no main coroutine: all coroutines enter through
// the portal. The loop ends when the portal is closed, or when ctx ends.
//
//	portal := loop.Open(ctx, nil)
//	defer portal.Close()
func Open(ctx context.Context, opts *Options) *Portal {
	checkRun(ctx, "Open")
	opened := make(chan *Portal)
	go func() {
		var p *Portal
		err := Run(ctx, opts, func(_ context.Context, g *Group) error {
			p = g.Portal()
			p.done = make(chan struct{})
			opened <- p
			return nil
		})
		p.err = err
		close(p.done)
	}()
	return <-opened
}

// Run runs fn as a coroutine of the loop, on the calling goroutine, and returns
// the error of fn. The context of fn has the values of ctx. It ends when ctx or
// the context of the portal's group ends. After Close, Run returns [ErrClosed].
// A panic in fn continues in the caller of Run.
//
// Actions of the caller before Run synchronize before later steps of the
// loop. Steps of the loop before the end of fn synchronize before the return
// of Run.
func (p *Portal) Run(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	if ctx == nil || fn == nil {
		panic("loop: Portal.Run called with a nil context or function")
	}
	g := p.group
	l := g.owner.loop
	if t := runningTask(ctx); t != nil && t.loop == l { // the caller is already a coroutine of the loop
		if p.isClosed() {
			return ErrClosed
		}
		return fn(ctx)
	}
	ctx, stop := executor.Isolate(ctx)
	defer stop()
	t := l.newTask(ctx, fn)
	t.isolated, t.external = true, true
	t.grant = newGrantChan()
	var listener *contextListener
	if ctx.Done() != nil {
		listener = l.listen(&t.ctx, ctx)
	}
	l.mu.Lock()
	if p.closed || l.closed {
		l.mu.Unlock()
		if listener != nil {
			listener.stop()
		}
		return ErrClosed
	}
	l.live++
	t.ctx.linkLocked(&g.ctx)
	t.ctx.addListenerLocked(listener)
	l.acquireLocked(t)
	err = errNotReturned
	defer func() { t.finish(err, false) }()
	if p.isClosed() { // the portal was closed while Run waited for the scheduler lock
		err = ErrClosed
		return err
	}
	t.group = g
	g.live++
	if err = (caller{taskCtx: &t.ctx}).ended(); err != nil {
		return err
	}
	err = errNotReturned // remains if fn panics
	err = fn(&t.ctx)
	return err
}

// errNotReturned is the error of a coroutine of Portal.Run whose function
// panicked. The panic itself continues in the caller of Run.
var errNotReturned = errors.New("loop: function of Portal.Run panicked or called runtime.Goexit")

// Close closes the portal: later calls of Run fail. If the portal belongs to
// a group, the group waits for the coroutines that have entered. If [Open]
// has returned the portal, Close ends the loop, waits for its coroutines,
// and returns the error of the loop. A coroutine of such a loop must not
// call Close: it would wait for itself. Later calls of Close have the same
// result.
func (p *Portal) Close() error {
	l := p.group.owner.loop
	l.mu.Lock()
	p.closeLocked()
	l.wakeLocked(p.task, nil)
	l.unlock(nil)
	if p.done == nil {
		return nil
	}
	<-p.done
	return p.err
}
