package loop

import (
	"runtime/pprof"

	"concert"
)

// host is a goroutine that coroutines run on. One that has ended leaves it to
// another which has not begun, if that is the next to run: so a thousand short
// coroutines need one goroutine, and no switch between them.
//
// It is a channel with room for one; a token means: you have the baton.
type host chan struct{}

func newHost() host { return make(host, 1) }

// spareHost returns a host for which a goroutine is to be started.
func (l *Loop) spareHost() host {
	if n := len(l.hosts); n > 0 {
		h := l.hosts[n-1]
		l.hosts = l.hosts[:n-1]
		return h
	}
	return newHost()
}

// spareHosts is how many hosts are kept whose goroutine has ended.
const spareHosts = 64

// freeHost keeps the host for another goroutine. The caller has the baton.
func (l *Loop) freeHost(h host) {
	if len(l.hosts) < spareHosts {
		l.hosts = append(l.hosts, h)
	}
}

// work is the goroutine of a host.
func work(t *Task) {
	pprof.SetGoroutineLabels(t.loop.labels)
	for t != nil {
		t = t.run(true)
	}
}

// run runs the coroutine to its end, and returns the next one if that is to run
// on this goroutine; else the baton has been handed on. again says whether it
// can.
func (t *Task) run(again bool) (next *Task) {
	returned := false
	var err error
	b := t.body
	t.body = nil
	defer func() {
		if !returned {
			err = concert.ErrGoexit
			if v := recover(); v != nil {
				p := concert.NewPanicError(v)
				p.Task = t.String()
				err = p
			} else {
				again = false // this goroutine ends
			}
		}
		if f, ok := b.(finisher); ok {
			f.finish(t, err)
		}
		next = t.finish(err, again)
	}()
	if t.ctx.over.Load() {
		err = t.ctx.cause // it was canceled before it began
	} else {
		err = b.call(&t.ctx)
	}
	returned = true
	return nil
}

// finish ends the coroutine and gives up the baton. If the next one has not
// begun and may run on this goroutine, it is returned.
func (t *Task) finish(err error, again bool) (next *Task) {
	l := t.loop
	t.err = err
	t.done.Store(true)
	t.joiners.wakeAll()
	if t.group != nil {
		t.group.childEnded(t)
	}
	h := t.host
	l.mu.Lock()
	t.state = ended
	t.host = nil
	t.ctx.dropLocked()
	l.live--
	next = l.nextLocked()
	if next != nil && next.host == nil && again {
		next.host = h
		for _, s := range l.release() {
			s.stop()
		}
		return next
	}
	if again {
		l.freeHost(h)
	}
	l.unlock(next)
	return nil
}
