package executor

import "runtime"

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
				if cause == nil {
					cause = ErrCanceled
				}
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
			if cause == nil {
				cause = ErrCanceled
			}
			t.job.interrupt(t, cause)
		}
		return false
	}
}
