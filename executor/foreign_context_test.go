package executor_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert/executor"
)

// ownContext is a context of a type that package context does not know. If its
// gate is set, Err waits for it.
type ownContext struct {
	context.Context
	gate chan struct{}
}

// Err blocks at the gate.
func (c *ownContext) Err() error {
	if c.gate != nil {
		<-c.gate
	}
	return c.Context.Err()
}

// TestForeignContext_End: when a context of the program's own type ends, its
// replacement immediately has the same Err and cause, and so have derived
// contexts.
func TestForeignContext_End(t *testing.T) {
	why := errors.New("enough")
	canceled := func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancelCause(ctx)
		return ctx, func() { cancel(why) }
	}
	expired := func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithDeadlineCause(ctx, time.Now().Add(time.Hour), why)
		return ctx, func() { <-ctx.Done(); cancel() }
	}
	for name, c := range map[string]struct {
		begin func(context.Context) (context.Context, func())
		want  error
	}{"canceled": {canceled, context.Canceled}, "expired": {expired, context.DeadlineExceeded}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range 100 {
					inner, end := c.begin(t.Context())
					ctx, stop := executor.ReplaceContext(&ownContext{Context: inner})
					below, cancel := context.WithCancel(ctx)
					if err := ctx.Err(); err != nil {
						t.Fatalf("before the end: %v", err)
					}
					end()
					if err := ctx.Err(); err != c.want || context.Cause(ctx) != why {
						t.Fatalf("just after the end: %v, %v; want %v, %v", err, context.Cause(ctx), c.want, why)
					}
					<-below.Done()
					if err := below.Err(); err != c.want || context.Cause(below) != why {
						t.Fatalf("below: %v, %v; want %v, %v", err, context.Cause(below), c.want, why)
					}
					cancel()
					stop()
				}
			})
		})
	}
}

// TestForeignContext_ErrHangs: if a context has ended, and its Err does not
// return, the replacement counts as canceled after some time.
func TestForeignContext_ErrHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, cancel := context.WithCancel(t.Context())
		own := &ownContext{Context: inner}
		ctx, stop := executor.ReplaceContext(own)
		defer stop()
		own.gate = make(chan struct{})
		cancel()
		begin := time.Now()
		for range 2 {
			if err := ctx.Err(); err != context.Canceled {
				t.Errorf("Err() = %v, want Canceled", err)
			}
		}
		if took := time.Since(begin); took == 0 || took > time.Second {
			t.Errorf("Err() waited for %v", took)
		}
		close(own.gate)
	})
}

// muteContext is a context whose Value does not return while its gate is
// closed. It counts the calls.
type muteContext struct {
	context.Context
	gate  chan struct{}
	calls *atomic.Int64
}

// Value waits at the gate.
func (c muteContext) Value(key any) any {
	if key == (muteKey{}) {
		c.calls.Add(1)
		<-c.gate
	}
	return c.Context.Value(key)
}

type muteKey struct{}

// TestForeignContext_ValueHangs: the replacement waits only once for a Value
// that does not return.
func TestForeignContext_ValueHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := muteContext{context.WithValue(t.Context(), muteKey{}, "found"), make(chan struct{}), new(atomic.Int64)}
		ctx, stop := executor.ReplaceContext(c)
		defer stop()
		begin := time.Now()
		for range 3 {
			if v := ctx.Value(muteKey{}); v != nil {
				t.Errorf("Value() = %v, want nil", v)
			}
		}
		if n, took := c.calls.Load(), time.Since(begin); n != 1 || took > 2*time.Second {
			t.Errorf("%d calls, in %v; want one", n, took)
		}
		close(c.gate)
	})
}

// silent is a context that has ended, and whose Done returns nil.
type silent struct{ context.Context }

// Done returns nil.
func (silent) Done() <-chan struct{} { return nil }

// TestForeignContext_AlreadyEnded: if a context has ended before it is
// replaced, the replacement has ended, too, whether Done or only Err reports
// the end.
func TestForeignContext_AlreadyEnded(t *testing.T) {
	why := errors.New("enough")
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for _, own := range []context.Context{&ownContext{Context: canceled}, silent{canceled}} {
		ctx, stop := executor.ReplaceContext(own)
		if ctx.Err() != context.Canceled || context.Cause(ctx) != why {
			t.Errorf("%T: %v, %v; want Canceled, %v", own, ctx.Err(), context.Cause(ctx), why)
		}
		stop()
	}
}
