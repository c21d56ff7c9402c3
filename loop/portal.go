package loop

import (
	"context"
	"errors"
)

// Portal is the way into a loop from other goroutines. It is open until its Close, or until the context of the
// group that it belongs to ends. Its methods may be called from any goroutine.
//
// It is a [concert.Lock], so that with
//
//	pool := goroutines.New(64, &goroutines.Options{Lock: portal})
//
// the tasks of a pool are coroutines of the loop, up to 64 at a time: Submit, Map and futures reach
// into the loop as they do into any executor. In Python that is run_coroutine_threadsafe.
type Portal struct {
	group *Group
	task  *Task // parked for as long as the portal is open

	closed bool // guarded by Loop.mu

	// Of a loop that Open has made:
	done chan struct{} // closed when it has ended; else nil
	err  error         // of Run, once it has
}

// Portal opens a way into the loop. The group waits for it to be closed, as it waits for a child. While one
// is open the loop takes nothing for a deadlock.
func (g *Group) Portal() *Portal {
	p := &Portal{group: g}
	l := g.owner.loop
	p.task = g.spawn((*gate)(p), 0, 4).SetName("portal")
	l.mu.Lock()
	l.portals++
	l.mu.Unlock()
	return p
}

// gate is the coroutine that waits for the portal to be closed, or closes it.
type gate Portal

func (p *gate) call(ctx context.Context) (err error) {
	c := runs(ctx, opPortal)
	l := c.task().loop
	l.mu.Lock()
	if p.closed {
		l.mu.Unlock()
		return nil
	}
	return c.parkLocked(opPortal, nil, nil)
}

func (p *gate) finish(*Task, error) {
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
		p.group.owner.loop.portals--
	}
}

// Open makes a loop that has no coroutines but those that come in by the portal. It ends by the portal's Close,
// or when ctx ends.
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

// Run runs fn as a coroutine of the loop, on the calling goroutine, and returns its error. The context that fn is given
// has the values of ctx, and ends with it and with the portal's group. After Close it returns
// [ErrClosed]. A panic in fn goes on in Run's caller.
//
// What the caller did before is seen by coroutines that run after fn, and the other way round.
func (p *Portal) Run(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	if ctx == nil || fn == nil {
		panic("loop: Portal.Run with a nil context or function")
	}
	g := p.group
	l := g.owner.loop
	if t := runningOf(ctx); t != nil && t.loop == l { // it is in the loop already
		if p.isClosed() {
			return ErrClosed
		}
		return fn(ctx)
	}
	t := l.newTask(ctx, fn)
	t.contained, t.visitor = true, true
	t.host = newHost()
	var ear *stranger
	if ctx.Done() != nil {
		ear = l.listen(&t.ctx, ctx)
	}
	l.mu.Lock()
	if p.closed || l.closed {
		l.mu.Unlock()
		if ear != nil {
			ear.stop()
		}
		return ErrClosed
	}
	l.live++
	t.ctx.linkLocked(&g.ctx)
	t.ctx.hearLocked(ear)
	l.joinLocked(t)
	err = errNotReturned
	defer func() { t.finish(err, false) }()
	if p.isClosed() { // while we waited
		err = ErrClosed
		return err
	}
	t.group = g
	g.live++
	if err = (caller{scope: &t.ctx}).ended(); err != nil {
		return err
	}
	err = errNotReturned // what stays, if fn does not return
	err = fn(&t.ctx)
	return err
}

// errNotReturned is what those see who wait for a coroutine whose panic goes on in the caller of Portal.Run.
var errNotReturned = errors.New("loop: the function has panicked or called runtime.Goexit")

// Close closes the portal: nobody comes in any more. Its group waits for those who are inside. That of [Open]
// ends the loop, waits for them, and returns the error of the loop, if there is one; a coroutine of the loop must not call
// it, as it would wait for itself. Later calls do the same.
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
