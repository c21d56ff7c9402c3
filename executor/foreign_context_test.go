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

// ownContext is a context of the program's own type.
type ownContext struct{ context.Context }

// relayContext is an ownContext that has its own Done channel.
type relayContext struct {
	context.Context
	done chan struct{}
}

// newRelayContext returns a relayContext that ends with ctx.
func newRelayContext(ctx context.Context) context.Context {
	c := relayContext{ctx, make(chan struct{})}
	context.AfterFunc(ctx, func() { close(c.done) })
	return c
}

func (c relayContext) Done() <-chan struct{} { return c.done }

func (c relayContext) Err() error {
	select {
	case <-c.done:
		return c.Context.Err()
	default:
		return nil
	}
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
	embeds := func(ctx context.Context) context.Context { return &ownContext{ctx} }
	for name, c := range map[string]struct {
		begin   func(context.Context) (context.Context, func())
		own     func(context.Context) context.Context
		delayed bool
		want    error
	}{
		"canceled": {canceled, embeds, false, context.Canceled}, "expired": {expired, embeds, false, context.DeadlineExceeded},
		"own Done, canceled": {canceled, newRelayContext, true, context.Canceled}, "own Done, expired": {expired, newRelayContext, true, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range 100 {
					inner, end := c.begin(t.Context())
					ctx, stop := executor.Isolate(c.own(inner))
					below, cancel := context.WithCancel(ctx)
					if err := ctx.Err(); err != nil {
						t.Fatalf("before the end: %v", err)
					}
					end()
					if c.delayed {
						<-ctx.Done()
					}
					if err := ctx.Err(); err != c.want || context.Cause(ctx) != why {
						t.Fatalf("just after the end: %v, %v; want %v, %v", err, context.Cause(ctx), c.want, why)
					}
					<-below.Done()
					if err := below.Err(); err != c.want || context.Cause(below) != why {
						t.Fatalf("derived context: %v, %v; want %v, %v", err, context.Cause(below), c.want, why)
					}
					cancel()
					stop()
				}
			})
		})
	}
}

// stuckContext is a context that has its own Done channel. After the context
// has ended, its Err waits for the gate.
type stuckContext struct {
	context.Context
	done, gate chan struct{}
}

func (c stuckContext) Done() <-chan struct{} { return c.done }

func (c stuckContext) Err() error {
	select {
	case <-c.done:
		<-c.gate
		return context.Canceled
	default:
		return nil
	}
}

// TestForeignContext_ErrHangs: if contexts have ended, and their Err does not
// return, the replacements count as canceled after some time. Many such
// contexts together do not take longer than one.
func TestForeignContext_ErrHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := stuckContext{t.Context(), make(chan struct{}), make(chan struct{})}
		var all []context.Context
		for range 100 {
			ctx, stop := executor.Isolate(own)
			defer stop()
			all = append(all, ctx)
		}
		close(own.done)
		begin := time.Now()
		for _, ctx := range all {
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

type capturedKey struct{}

func init() { executor.CaptureValue(capturedKey{}) }

// TestCaptureValue: for a captured key, a replacement returns the value without
// a call of a method of the replaced context. For other keys, it calls Value of
// the replaced context.
func TestCaptureValue(t *testing.T) {
	type other struct{}
	calls := new(atomic.Int64)
	for name, outer := range map[string]context.Context{
		"found":   context.WithValue(context.WithValue(t.Context(), capturedKey{}, "a"), other{}, "b"),
		"missing": context.WithValue(t.Context(), other{}, "b"),
	} {
		ctx, stop := executor.Isolate(counted{outer, calls})
		defer stop()
		calls.Store(0)
		want := outer.Value(capturedKey{})
		if v := ctx.Value(capturedKey{}); v != want || calls.Load() != 0 {
			t.Errorf("%s: the captured value = %v, want %v, after %d calls", name, v, want, calls.Load())
		}
		if v := ctx.Value(other{}); v != "b" || calls.Load() != 1 {
			t.Errorf("%s: the other value = %v after %d calls, want b after one", name, v, calls.Load())
		}
	}
}

// silent is a context that has ended, and whose Done returns nil.
type silent struct{ context.Context }

func (silent) Done() <-chan struct{} { return nil }

// TestForeignContext_AlreadyEnded: if a context has ended before it is
// replaced, the replacement has ended, too, whether Done or only Err reports
// the end.
func TestForeignContext_AlreadyEnded(t *testing.T) {
	why := errors.New("enough")
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for _, own := range []context.Context{&ownContext{canceled}, silent{canceled}} {
		ctx, stop := executor.Isolate(own)
		if ctx.Err() != context.Canceled || context.Cause(ctx) != why {
			t.Errorf("%T: %v, %v; want Canceled, %v", own, ctx.Err(), context.Cause(ctx), why)
		}
		stop()
	}
}
