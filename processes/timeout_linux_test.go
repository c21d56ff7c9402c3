package processes_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

var returnsContextError = concert.Register("processes_test.returnsContextError", func(ctx context.Context, wrap bool) (int, error) {
	<-ctx.Done()
	if wrap {
		return 0, errors.New("an error of its own")
	}
	return 0, ctx.Err()
})

// TestPool_TimeoutReturned: if a task returns the error of its context after
// Options.Timeout, the task must fail with ErrTimeout, like a task that has to
// be killed. If it returns another error, it must fail with that error.
func TestPool_TimeoutReturned(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Timeout: 20 * time.Millisecond, Grace: time.Minute})
	_, err := submit(t, p, returnsContextError, false).Result(t.Context())
	if !errors.Is(err, processes.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("Result() error = %v, want ErrTimeout", err)
	}
	const said = "processes: task ran for too long: no result within 20ms (Options.Timeout)"
	if !strings.HasPrefix(err.Error(), said) {
		t.Errorf("Result() error = %v, want %q in it", err, said)
	}
	if _, err := submit(t, p, returnsContextError, true).Result(t.Context()); errors.Is(err, processes.ErrTimeout) || err == nil || err.Error() != "an error of its own" {
		t.Errorf("Result() error = %v, want the error that the task returned", err)
	}
}

// TestTimeout_TasksOwnDeadline: a task may return context.DeadlineExceeded
// before Options.Timeout, for example because of its own deadline. Then its
// error must not be ErrTimeout.
func TestTimeout_TasksOwnDeadline(t *testing.T) {
	p := newPool(t, 1, &processes.Options{Timeout: time.Hour})
	_, err := concert.Submit(t.Context(), p, ownDeadline, 1).Result(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, processes.ErrTimeout) {
		t.Errorf("Result() = %v, want DeadlineExceeded and not ErrTimeout", err)
	}
}

var ownDeadline = concert.Register("processes_test.ownDeadline", func(context.Context, int) (int, error) { return 0, context.DeadlineExceeded })

// TestTimeout_LateResultsOfMap: if the pool receives results of earlier calls
// of a Map after it has noticed that a call runs, the timeout of this call must
// still take effect.
func TestTimeout_LateResultsOfMap(t *testing.T) {
	leftovers(t)
	n := 0
	p := newPool(t, 1, &processes.Options{Timeout: 200 * time.Millisecond, Grace: 20 * time.Millisecond, Observer: func(e concert.Event) {
		if e.Kind == concert.TaskFinished {
			if n++; n == 520 {
				time.Sleep(30 * time.Millisecond) // delays the pool, so that it has not yet read the results of earlier calls
			}
		}
	}})
	naps := make([]time.Duration, 600)
	naps[599] = time.Hour
	last := error(nil)
	for _, err := range concert.Map(t.Context(), p, nap, slices.Values(naps)) {
		last = err
	}
	if !errors.Is(last, processes.ErrTimeout) {
		t.Errorf("the slow item: %v, want ErrTimeout", last)
	}
}

// TestTimeout_FromOwnStart: the timeout of a task must count from the start
// of this task, and not from the start of the previous task. So the pool
// must notice the start of the second task.
func TestTimeout_FromOwnStart(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Timeout: time.Minute, Grace: 10 * time.Millisecond})
	first, second := submit(t, p, nap, 50*time.Millisecond), submit(t, p, nap, 500*time.Millisecond)
	first.Result(t.Context())
	eventually(t, "the pool notices that the second task runs", func() bool { return second.State() != concert.Pending })
	if second.State() != concert.Running {
		t.Error("the pool noticed the second task only when it had ended")
	}
}

// quickOrWaits is quick, and some of its calls wait for their context to end.
var quickOrWaits = concert.Register("processes_test.quickOrWaits", func(ctx context.Context, n int) (int, error) {
	if n%97 == 50 {
		<-ctx.Done()
		return n, context.Cause(ctx)
	}
	return n, nil
})

// TestTimeout_OneCall: if a call runs for too long, only this call must fail.
func TestTimeout_OneCall(t *testing.T) {
	sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
		leftovers(t)
		p := newPool(t, 1, &processes.Options{Timeout: 50 * time.Millisecond}, memory)
		n := 0
		for _, err := range concert.Map(t.Context(), p, quickOrWaits, slices.Values(upTo(500))) {
			if (err != nil) != (n%97 == 50) {
				t.Errorf("call %d: %v", n, err)
			}
			n++
		}
	})
}
