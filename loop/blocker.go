package loop

import "context"

// blocker takes a coroutine out of the loop for something that blocks and can
// be stopped. It belongs to the coroutine.
type blocker struct {
	scope   *scope
	derived *derived // if the context is one that package context has made, else nil
}

type derived struct {
	caller caller
	detach func() bool   // of caller.foreign, while it blocks, or nil
	ended  chan struct{} // closed when stop has returned
}

func blockerOf(c caller) blocker {
	b := blocker{scope: c.scope}
	if c.foreign != nil || c.shielded {
		b.derived = &derived{caller: c}
	}
	return b
}

func (b *blocker) caller() caller {
	if b.derived != nil {
		return b.derived.caller
	}
	return caller{scope: b.scope}
}

// start leaves the loop, until end. If the context ends meanwhile, stop is
// called; if it has ended before, its cause is returned, and there is nothing
// to end.
func (b *blocker) start(op op, stop interrupter) error {
	t := b.scope.task
	t.check(op)
	c := b.caller()
	if err := c.await(); err != nil {
		return err
	}
	if c.foreign != nil {
		b.derived.attend(stop)
	}
	t.leave(op, c.in(), stop)
	return nil
}

// attend has stop called when the foreign context ends.
func (d *derived) attend(stop interrupter) {
	ended := make(chan struct{})
	d.ended = ended
	d.detach = context.AfterFunc(d.caller.foreign, func() {
		stop.interrupt()
		close(ended)
	})
}

// end comes back into the loop, when stop is not running any more. It returns
// the cause if the context has ended.
func (b *blocker) end() error {
	if d := b.derived; d != nil && d.detach != nil {
		if !d.detach() {
			<-d.ended
		}
		d.detach, d.ended = nil, nil
	}
	b.scope.task.comeBack()
	return b.caller().ended()
}
