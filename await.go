package concert

import "context"

// wait returns when the task has settled, or else with the cause for which
// ctx ended, or ErrDeadlock.
func (t *Task) wait(ctx context.Context) error {
	if t.settled() {
		return nil
	}
	w, self := standing(ctx)
	if w == nil {
		return t.waitOutside(ctx)
	}
	return w.await(ctx, self, t)
}

// waitOutside is wait for a goroutine that is no worker.
func (t *Task) waitOutside(ctx context.Context) error {
	settled := make(signal, 1)
	watch := &watcher{tell: settled}
	if !t.watch(watch) {
		return nil
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		if !t.unwatch(watch) {
			return nil // it settled in the same instant
		}
		return context.Cause(ctx)
	}
}

// await is wait for the worker that runs self.
func (w *Worker) await(ctx context.Context, self, t *Task) error {
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
			if t.settled() {
				return nil
			}
			return context.Cause(ctx)
		}
		if w.group.holds(t) {
			w.runNested(t)
			w.group.queue.Dropped()
		}
		if t.settled() {
			return nil
		}
		if !watching {
			if watching = t.watch(watch); !watching {
				return nil
			}
		}
		if _, err := w.block(ctx, self, settled, []*Task{t}, nil); err != nil && !t.settled() {
			return err
		}
	}
}

// holds reports whether the task waits for a worker of this group.
func (g *WorkerGroup) holds(t *Task) bool { return t.group == g && t.state() == pending }

// RunHere runs the task at once, if ctx marks a worker of this group: a task
// that submits to its own executor must not wait for room there, because it
// may be what has to end before there is room. It reports whether it did.
func (g *WorkerGroup) RunHere(ctx context.Context, t *Task) bool {
	w, _ := standing(ctx)
	return w != nil && w.group == g && w.runNested(t)
}

// WaitRoom is how an Execute waits for room in its queue: until ready is
// closed, or has something in its buffer, or ctx ends, with its cause. If ctx marks a worker of another group, the
// wait takes part in the search for deadlocks.
func (g *WorkerGroup) WaitRoom(ctx context.Context, ready <-chan struct{}) error {
	w, self := standing(ctx)
	if w == nil {
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for {
		if yielded, err := w.block(ctx, self, ready, nil, g); yielded || err != nil {
			return err
		}
	}
}
