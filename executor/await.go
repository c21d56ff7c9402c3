package executor

import "context"

// Wait returns when the task has settled, or else with the cause for which
// ctx ended, or ErrDeadlock.
func (t *Task) Wait(ctx context.Context) error {
	if t.Settled() {
		return nil
	}
	if r := ReleaserOf(ctx); r != nil {
		return released(r, func() error { return t.waitUnlocked(ctx) })
	}
	return t.waitUnlocked(ctx)
}

func (t *Task) waitUnlocked(ctx context.Context) error {
	s, self := standing(ctx)
	if s == nil {
		return t.waitOutside(ctx)
	}
	return s.await(ctx, self, t)
}

// waitOutside is wait for a goroutine that is no worker.
func (t *Task) waitOutside(ctx context.Context) error {
	settled := make(signal, 1)
	watch := &watcher{tell: settled}
	if !t.watch(watch) {
		return nil
	}
	ended := t.queuedEnd(ctx)
	for {
		select {
		case <-settled:
			return nil
		case <-ended:
			ended = nil
			t.expire()
		case <-ctx.Done():
			if !t.unwatch(watch) {
				return nil // it settled in the same instant
			}
			return context.Cause(ctx)
		}
	}
}

// await is wait for the strand that runs self.
func (s *strand) await(ctx context.Context, self, t *Task) error {
	settled := make(signal, 1)
	watch := &watcher{tell: settled}
	watching := false
	defer func() {
		if watching {
			t.unwatch(watch)
		}
	}()
	for {
		if ctx.Err() != nil {
			if t.Settled() {
				return nil
			}
			return context.Cause(ctx)
		}
		if !hurried(ctx, self) {
			s.tryNested(t)
		}
		if t.Settled() {
			return nil
		}
		if !watching {
			if watching = t.watch(watch); !watching {
				return nil
			}
			if t.queuedEnd(ctx) != nil {
				defer expireLater(ctx, []*Task{t})()
			}
		}
		if err := s.block(ctx, self, settled, []*Task{t}, nil); err != nil && !t.Settled() {
			return err
		}
	}
}

// hurried reports whether the wait has a deadline before that of the task that
// waits. What the task runs on top of itself would not end for it.
func hurried(ctx context.Context, self *Task) bool {
	if ctx == self.context() {
		return false
	}
	d, ok := ctx.Deadline()
	if !ok {
		return false
	}
	own, ok := self.ctx.Deadline()
	return !ok || d.Before(own)
}

// tryNested runs the task if it waits for a worker of this strand's group, and
// reports whether it does not any more.
func (s *strand) tryNested(t *Task) bool {
	if t.group != s.worker.group || t.state() != pending {
		return false
	}
	s.runNested(t)
	t.group.queue.Dropped()
	return true
}

// WaitRoom waits for room in the queue of an Execute: until ready is closed or
// has an element in its buffer, or until ctx ends, and then it returns the
// cause of ctx. If ctx marks a worker, the wait takes part in the search for
// deadlocks.
func (g *WorkerGroup) WaitRoom(ctx context.Context, ready <-chan struct{}) error {
	if r := ReleaserOf(ctx); r != nil {
		return released(r, func() error { return g.waitRoom(ctx, ready) })
	}
	return g.waitRoom(ctx, ready)
}

func (g *WorkerGroup) waitRoom(ctx context.Context, ready <-chan struct{}) error {
	if s, self := standing(ctx); s != nil {
		return s.block(ctx, self, ready, nil, g)
	}
	return waitFor(ctx, ready)
}
