package child

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestCallContext_DeadlinePassed: after a timeout, Err and Cause of a call's
// context, and of contexts derived from it, must be DeadlineExceeded.
func TestCallContext_DeadlinePassed(t *testing.T) {
	expired := func(t *testing.T, ctx context.Context) {
		t.Helper()
		<-ctx.Done()
		if ctx.Err() != context.DeadlineExceeded || context.Cause(ctx) != context.DeadlineExceeded {
			t.Errorf("Err() = %v, Cause() = %v, want DeadlineExceeded", ctx.Err(), context.Cause(ctx))
		}
	}
	type key struct{}
	for name, parent := range map[string]func() (context.Context, context.CancelFunc){
		"no deadline": func() (context.Context, context.CancelFunc) { return context.Background(), func() {} },
		"later deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for when, before := range map[string]bool{"before": true, "after": false} {
				t.Run("contexts are made "+when, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						ctx, stop := parent()
						defer stop()
						c := newCallContext(ctx)
						var below, timed context.Context
						var cancel, cancelTimed context.CancelFunc
						derive := func() {
							below, cancel = context.WithCancel(context.WithValue(c, key{}, 1))
							timed, cancelTimed = context.WithTimeout(c, time.Minute)
						}
						if before {
							derive()
							if c.Err() != nil || below.Err() != nil {
								t.Fatalf("before the timeout: %v, %v", c.Err(), below.Err())
							}
						}
						c.limit.expire()
						if c.Err() != context.DeadlineExceeded {
							t.Errorf("Err() = %v, want DeadlineExceeded", c.Err())
						}
						if !before {
							derive()
						}
						defer cancel()
						defer cancelTimed()
						for _, ctx := range []context.Context{c, below, timed} {
							expired(t, ctx)
						}
					})
				})
			}
		})
	}
	t.Run("the deadline of the frame", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithTimeout(context.Background(), time.Second)
			defer stop()
			c := newCallContext(ctx)
			below, cancel := context.WithCancel(c)
			defer cancel()
			for _, ctx := range []context.Context{c, below} {
				expired(t, ctx)
			}
		})
	})
	t.Run("a cancellation", func(t *testing.T) {
		why := errors.New("why")
		c := newCallContext(context.Background())
		below, cancel := context.WithCancel(c)
		defer cancel()
		c.lazy.Cancel(why)
		c.limit.expire() // has no effect, because the context has been canceled
		for _, ctx := range []context.Context{c, below} {
			if <-ctx.Done(); ctx.Err() != context.Canceled || context.Cause(ctx) != why {
				t.Errorf("Err() = %v, Cause() = %v, want Canceled and its cause", ctx.Err(), context.Cause(ctx))
			}
		}
	})
	t.Run("the end of the call", func(t *testing.T) {
		c := newCallContext(context.Background())
		below, cancel := context.WithCancel(c)
		defer cancel()
		c.end()
		if <-below.Done(); below.Err() != context.Canceled || c.Err() != context.Canceled {
			t.Errorf("Err() = %v and %v, want Canceled", c.Err(), below.Err())
		}
	})
}
