package loop_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"concert/goroutines"
	"concert/loop"
)

// TestSleep_Order: coroutines that sleep must wake in the order of their times.
// Coroutines with the same time must wake in the order in which they began to
// sleep.
func TestSleep_Order(t *testing.T) {
	var got []int
	ok(t, func(ctx context.Context, g *loop.Group) error {
		start := time.Now()
		for i, d := range []time.Duration{3, 1, 2, 1, 0, -5} {
			g.Go(func(ctx context.Context) error {
				err := loop.Sleep(ctx, d*time.Hour)
				if slept := time.Since(start); slept != max(d, 0)*time.Hour || loop.Now(ctx) != time.Now() {
					t.Errorf("Sleep(%d h) took %v; the time is %v, and %v by the loop", d, slept, time.Now(), loop.Now(ctx))
				}
				got = append(got, i)
				return err
			})
		}
		return nil
	})
	if want := []int{4, 5, 1, 3, 2, 0}; !slices.Equal(got, want) {
		t.Errorf("coroutines woke in the order %v, want %v", got, want)
	}
}

// TestSleep_MaxDuration: if the end of a sleep overflows the clock, the sleep
// must not end at once.
func TestSleep_MaxDuration(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		g.Background(func(ctx context.Context) error { return loop.Sleep(ctx, 1<<63-1) })
		g.After(1<<63-1, func(context.Context) error { t.Error("a canceled coroutine started"); return nil }).Cancel()
		ctx, cancel := loop.WithTimeout(ctx, 1<<63-1)
		defer cancel()
		return loop.Sleep(ctx, time.Second)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestOptions_Virtual: if all coroutines sleep, virtual time must jump to the
// next timer. While a coroutine is in Block, virtual time must not advance.
func TestOptions_Virtual(t *testing.T) {
	real := time.Now()
	err := loop.Run(t.Context(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		start := loop.Now(ctx)
		g.Background(func(ctx context.Context) error {
			for loop.Sleep(ctx, 24*time.Hour) == nil {
			}
			return nil
		})
		loop.Sleep(ctx, 1000*24*time.Hour)
		if now := loop.Now(ctx); now.Sub(start) != 1000*24*time.Hour {
			t.Errorf("Now() after 1,000 days = %v, before: %v", now, start)
		}
		before := loop.Now(ctx)
		loop.Block(ctx, func() error { time.Sleep(time.Millisecond); return nil })
		if now := loop.Now(ctx); now != before {
			t.Errorf("virtual time advanced by %v during Block", now.Sub(before))
		}
		return nil
	})
	if err != nil || time.Since(real) > time.Hour {
		t.Errorf("Run() = %v after %v", err, time.Since(real))
	}
}

// TestWithTimeout_Virtual: a deadline in virtual time must apply only to the
// loop. It must not affect package context, package net and executors.
func TestWithTimeout_Virtual(t *testing.T) {
	l := listen(t)
	defer l.Close()
	pool := goroutines.New(1, nil)
	defer pool.Close()
	err := loop.Run(t.Context(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		short, cancel := loop.WithTimeout(ctx, time.Hour)
		defer cancel()
		if at, ok := short.Deadline(); ok {
			t.Errorf("Deadline() = %v", at)
		}
		c, err := loop.Dial(short, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		c.Close()
		if ended, err := loop.Offload(short, pool, func(ctx context.Context, _ int) (bool, error) { return ctx.Err() != nil, nil }, 0); ended || err != nil {
			t.Errorf("Offload() = %v, %v; the context has ended: want false", ended, err)
		}
		real, cancelReal := context.WithTimeout(short, time.Millisecond)
		defer cancelReal()
		if err := loop.Block(real, func() error { <-real.Done(); return real.Err() }); err != context.DeadlineExceeded {
			t.Errorf("Block() with a real timeout below a virtual one = %v", err)
		}
		if now := loop.Now(ctx).Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); now != 0 {
			t.Errorf("virtual time advanced by %v", now)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
