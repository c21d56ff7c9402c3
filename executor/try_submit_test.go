package executor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/gil"
	"concert/goroutines"
)

// executeFunc is an executor whose Execute is a function of the test.
type executeFunc struct {
	concert.Executor
	execute func(ctx context.Context, t *executor.Task) error
}

func (e executeFunc) Execute(ctx context.Context, t *executor.Task) error { return e.execute(ctx, t) }

func TestTrySubmit_Context(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "value")
	one := func(context.Context, int) (int, error) { return 1, nil }
	errOther := errors.New("other")
	for _, c := range []struct {
		name string
		err  func(ctx context.Context) error
		want error // nil for a dropped task
	}{
		{"Cause", context.Cause, nil},
		{"WrappedCause", func(ctx context.Context) error { return fmt.Errorf("wrapped: %w", context.Cause(ctx)) }, nil},
		{"Err", func(context.Context) error { return errOther }, errOther},
	} {
		t.Run(c.name, func(t *testing.T) {
			var task *executor.Task
			f, ok := concert.TrySubmit(ctx, executeFunc{nil, func(ctx context.Context, t2 *executor.Task) error {
				task = t2
				_, hasDeadline := ctx.Deadline()
				if ctx.Value(key{}) != "value" || ctx.Err() == nil || hasDeadline {
					t.Errorf("Execute got a context with the value %v, the error %v", ctx.Value(key{}), ctx.Err())
				}
				<-ctx.Done()
				return c.err(ctx)
			}}, one, 1)
			if ok != (c.want != nil) {
				t.Fatalf("TrySubmit() = %v, %v", f, ok)
			}
			if !task.Settled() {
				t.Error("the task has not settled")
			}
			if ok {
				if _, err := f.Result(t.Context()); !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
			}
		})
	}
}

// TestTrySubmit_InTask: in a task, TrySubmit neither runs a queued task nor
// releases the lock of the executor.
func TestTrySubmit_InTask(t *testing.T) {
	var ran []string // guarded by lock
	lock := gil.New(nil)
	ex := goroutines.New(1, &goroutines.Options{Queue: 1, Lock: lock})
	defer ex.Close()
	other := goroutines.New(1, &goroutines.Options{Lock: lock})
	defer other.Close()
	note := func(_ context.Context, s string) (string, error) {
		ran = append(ran, s)
		return s, nil
	}
	queued, err := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) ([]*concert.Future[string], error) {
		queued := []*concert.Future[string]{
			concert.Submit(t.Context(), ex, note, "queued"), // fills the queue
			concert.Submit(t.Context(), other, note, "other"),
		}
		time.Sleep(20 * time.Millisecond) // the other worker waits for the lock
		if f, ok := concert.TrySubmit(ctx, ex, note, "dropped"); ok {
			t.Errorf("TrySubmit() = %v, true with a full queue", f)
		}
		ran = append(ran, "task")
		return queued, nil
	}, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := concert.Gather(t.Context(), queued...); err != nil {
		t.Fatal(err)
	}
	if ran[0] != "task" || len(ran) != 3 {
		t.Errorf("ran %v, want the task first, and three tasks", ran)
	}
}
