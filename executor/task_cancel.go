package executor

import "runtime"

// Fail settles with err a task that the executor has accepted and will not run.
// It reports false, and changes nothing, if the task has started or settled.
func (t *Task) Fail(err error) bool { return t.fail(err, nil) }

// fail is Fail on the goroutine of carrier s, unless s is nil.
func (t *Task) fail(err error, s *carrier) bool {
	if !t.move(pending, settling) && !t.move(encoding, settling) {
		return false
	}
	t.job.drop(t, err, s)
	return true
}

// Cancel asks the task to end. A task that has not started never starts; its
// error is ErrCanceled and cause (nil for none) to errors.Is. For a running
// task, Cancel cancels the context. It reports whether the task had not
// started.
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

// interrupt cancels the context of a running task. Package context then calls
// methods of the submitter's context. If that is foreign, interrupt does not
// wait until they return. It calls them only once, because Shutdown cancels
// each task many times.
func (t *Task) interrupt(cause error) {
	if !foreign(t.ctx.Parent) {
		t.ctx.Cancel(cause)
		return
	}
	if t.status.Or(interrupted)&interrupted != 0 {
		return
	}
	go func() {
		if failure := guarded(func() { t.ctx.Cancel(cause) }); failure != nil {
			logApart("concert: a running task could not be canceled", "task", t.Name(), "error", contextFailure(t.ctx.Parent, failure).Error())
		}
	}()
}
