package executor

import (
	"context"
	"reflect"
)

// A queue does not watch the contexts of its tasks. If a submitter's context
// ends, a queued task settles only when a worker takes it. So functions that
// wait for a task also watch the submitter's context. Submit does not watch it:
// this would cost more than all else in Submit.

// Expire cancels a queued task if the submitter's context is done. It reports
// whether it has canceled the task. An executor that may have no workers for a
// long time calls Expire periodically. During this call, the executor must not
// hold locks that it needs when a task settles.
func (t *Task) Expire() bool {
	return t.ctx.Parent.Err() != nil && t.Fail(&neverStarted{context.Cause(t.ctx.Parent)})
}

// expire is Expire for a waiting goroutine, which does not belong to the
// executor.
func (t *Task) expire() {
	if t.Expire() && t.group != nil {
		t.group.queue.Dropped()
	}
}

// queuedEnd is for a wait with ctx. It returns a channel that is closed when
// the submitter's context ends. It returns nil if the task is not in a queue,
// or if ctx ends with the submitter's context.
func (t *Task) queuedEnd(ctx context.Context) <-chan struct{} {
	parent := t.ctx.Parent
	if t.state() != pending || ctx == parent {
		return nil
	}
	return parent.Done()
}

// expireLater is for a wait with ctx. Until stop is called, it expires each
// task when the context of the task's submitter ends. It registers one function
// for all tasks with the same context.
func expireLater(ctx context.Context, tasks []*Task) (stop func()) {
	var groups [][]*Task
	var known map[context.Context]int // index of the group of tasks with this context
	for _, t := range tasks {
		if t.queuedEnd(ctx) == nil {
			continue
		}
		parent := t.ctx.Parent
		if reflect.TypeOf(parent).Kind() == reflect.Pointer { // contexts of other kinds may not be comparable
			if i, ok := known[parent]; ok {
				groups[i] = append(groups[i], t)
				continue
			}
			if known == nil {
				known = map[context.Context]int{}
			}
			known[parent] = len(groups)
		}
		groups = append(groups, []*Task{t})
	}
	stops := make([]func() bool, len(groups))
	for i, group := range groups {
		stops[i] = context.AfterFunc(group[0].ctx.Parent, func() {
			for _, t := range group {
				t.expire()
			}
		})
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// stopper is a watcher's listener that calls a function when the task settles.
type stopper func()

func (s stopper) notify(*Task) { s() }
