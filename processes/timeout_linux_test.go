package processes_test

import (
	"context"
	"errors"
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

// TestPool_TimeoutReturned: after Options.Timeout, a task that returns the
// error of its context has ErrTimeout, like a task that has to be killed. A
// task that returns another error keeps it.
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
		t.Errorf("Result() error = %v, want the task's own", err)
	}
}

// TestTimeout_Own: a task that returns the context.DeadlineExceeded of its own
// deadline has not exceeded Options.Timeout.
func TestTimeout_Own(t *testing.T) {
	p := newPool(t, 1, &processes.Options{Timeout: time.Hour})
	_, err := concert.Submit(t.Context(), p, ownDeadline, 1).Result(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, processes.ErrTimeout) {
		t.Errorf("Result() = %v, want DeadlineExceeded and not ErrTimeout", err)
	}
}

var ownDeadline = concert.Register("processes_test.ownDeadline", func(context.Context, int) (int, error) { return 0, context.DeadlineExceeded })
