package goroutines_test

import (
	"context"
	"errors"
	"testing"

	"concert"
	"concert/goroutines"
)

// TestClose_FromTask: if a task closes its own pool, Close and Shutdown
// return ErrDeadlock. The task may run on the main carrier of its worker, or
// on a compensating carrier. The pool closes when the task has ended.
func TestClose_FromTask(t *testing.T) {
	watch(t)
	closes := func(p *goroutines.Pool) error {
		if err := p.Shutdown(context.Background()); !errors.Is(err, concert.ErrDeadlock) {
			t.Errorf("Shutdown() in a task = %v, want ErrDeadlock", err)
		}
		return p.Close()
	}
	for name, nested := range map[string]bool{"main carrier": false, "compensating carrier": true} {
		t.Run(name, func(t *testing.T) {
			a, b := goroutines.New(1, nil), goroutines.New(1, nil)
			defer b.Close()
			f := concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) {
				if !nested {
					return 0, closes(a)
				}
				// This task waits for a task of b, which waits for a second
				// task of a. So the worker of a compensates.
				return concert.Submit(ctx, b, func(ctx context.Context, _ int) (int, error) {
					return concert.Submit(ctx, a, func(context.Context, int) (int, error) { return 0, closes(a) }, 0).Result(ctx)
				}, 0).Result(ctx)
			}, 0)
			if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrDeadlock) {
				t.Errorf("Close() in a task = %v, want ErrDeadlock", err)
			}
			if err := a.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
		})
	}
	t.Run("another pool", func(t *testing.T) {
		a, b := goroutines.New(1, nil), goroutines.New(1, nil)
		defer a.Close()
		f := concert.Submit(t.Context(), a, func(context.Context, int) (int, error) { return 0, b.Close() }, 0)
		if _, err := f.Result(t.Context()); err != nil {
			t.Errorf("Close() of another pool = %v", err)
		}
	})
}
