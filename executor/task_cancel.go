package executor

import (
	"cmp"
	"context"
	"reflect"
	"runtime"
)

// Fail settles a task that the executor has accepted and will not run. The
// error of the task is err. Fail reports false, and changes nothing, if the
// task has started or settled.
func (t *Task) Fail(err error) bool { return t.fail(err, nil) }

// fail does the same as Fail. s is the carrier whose goroutine calls fail, or
// nil.
func (t *Task) fail(err error, s *carrier) bool {
	if !t.move(pending, settling) && !t.move(encoding, settling) {
		return false
	}
	t.job.drop(t, err, s)
	return true
}

// Cancel cancels the task. A task that has not started never starts: errors.Is
// matches its error with ErrCanceled and with cause, unless cause is nil. If
// the task is running, Cancel cancels its context. It reports whether the task
// had not started.
func (t *Task) Cancel(cause error) bool {
	for {
		switch t.state() {
		case pending, encoding:
			if !t.Fail(&neverStarted{cause}) {
				continue
			}
			if t.group != nil {
				t.group.queue.Dropped()
			}
			return true
		case copying:
			runtime.Gosched() // another goroutine will leave this short state soon
			continue
		case claimed:
			if !t.group.remote.Withdraw(t) {
				cause = cmp.Or(cause, ErrCanceled)
				t.job.interrupt(t, cause)
				return false
			}
			if !t.move(claimed, settling) {
				continue
			}
			t.job.drop(t, &neverStarted{cause}, nil)
			t.group.queue.Dropped()
			return true
		case settling:
			return true
		case running:
			cause = cmp.Or(cause, ErrCanceled)
			t.job.interrupt(t, cause)
		}
		return false
	}
}

// A queue does not watch the contexts of its tasks. If a submitter's context
// ends, a queued task settles only when a worker takes it. So functions that
// wait for a task also watch the submitter's context. Submit does not watch
// it, because this would cost more than all other steps of Submit together.

// Expire cancels a queued task if the submitter's context is done. It
// reports whether it has canceled the task. An executor that may have no
// workers for a long time calls Expire periodically. During the call of
// Expire, the executor must not hold locks that it needs when a task
// settles.
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

// expireLater is for a wait with ctx. Until stop is called, it expires each
// task when the context of the task's submitter ends. It registers one function
// for all tasks with the same context.
func expireLater(ctx context.Context, tasks []*Task) (stop func()) {
	var groups [][]*Task
	var known map[context.Context]int // the index in groups of the tasks with this context
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
