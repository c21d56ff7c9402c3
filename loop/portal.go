package loop

import (
	"context"
	"errors"
)

// Portal lets other goroutines enter a loop. It is open until its Close, or
// until the context of the group that it belongs to ends. Its methods may be
// called from any goroutine.
//
// It is a [concert.Lock], so that with
//
//	pool := goroutines.New(64, &goroutines.Options{Lock: portal})
//
// the tasks of a pool are coroutines of the loop, up to 64 at a time: Submit,
// Map and futures reach into the loop as they do into any executor. In Python
// that is run_coroutine_threadsafe.
type Portal struct {
	group *Group
	task  *Task // parked for as long as the portal is open

	closed bool // guarded by Loop.mu

	// Of a loop that Open has made:
	done chan struct{} // closed when it has ended; else nil
	err  error         // of Run, once it has
}

// Portal opens a [Portal] into the loop. The group waits until it is closed, as
// for a child. While a portal is open, the loop reports no deadlock.
func (g *Group) Portal() *Portal {
	p := &Portal{group: g}
	l := g.owner.loop
	p.task = g.spawn((*portalTask)(p), 0, 4).SetName("portal")
	l.mu.Lock()
	l.openPortals++
	l.mu.Unlock()
	return p
}

// gate is the coroutine that waits for the portal to be closed, or closes it.
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

// Open makes a loop whose only coroutines are those that enter by the portal.
// It ends when the portal is closed, or when ctx ends.
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
// its error. The context of fn has the values of ctx, and ends with ctx and
// with the portal's group. After Close, Run returns [ErrClosed]. A panic in fn
// continues in the caller of Run.
//
// What the caller does before Run synchronizes before later steps of the loop,
// and steps before the end of fn synchronize before the return of Run.
func (p *Portal) Run(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	if ctx == nil || fn == nil {
		panic("loop: Portal.Run with a nil context or function")
	}
	g := p.group
	l := g.owner.loop
	if t := runningTask(ctx); t != nil && t.loop == l { // it is in the loop already
		if p.isClosed() {
			return ErrClosed
		}
		return fn(ctx)
	}
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
	if p.isClosed() { // while we waited
		err = ErrClosed
		return err
	}
	t.group = g
	g.live++
	if err = (caller{taskCtx: &t.ctx}).ended(); err != nil {
		return err
	}
	err = errNotReturned // what stays, if fn does not return
	err = fn(&t.ctx)
	return err
}

// errNotReturned is what those see who wait for a coroutine whose panic goes on
// in the caller of Portal.Run.
var errNotReturned = errors.New("loop: the function has panicked or called runtime.Goexit")

// Close closes the portal: no goroutine can enter any longer. If the portal
// belongs to a group, the group waits for those that have entered. A portal of
// [Open] ends its loop, waits for them, and returns the error of the loop, if
// there is one. A coroutine of this loop must not call Close, because it would
// wait for itself. Later calls do the same.
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
