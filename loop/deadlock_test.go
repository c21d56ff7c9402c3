package loop_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/loop"
)

// TestDeadlockError_Text: if all coroutines wait for each other, all waits
// must fail. The error must have each coroutine, what it waits for, and
// where.
func TestDeadlockError_Text(t *testing.T) {
	_, _, here, _ := runtime.Caller(0)
	at := func(format string, offsets ...int) string { // offsets are line numbers relative to the line above
		var places []any
		for _, n := range offsets {
			places = append(places, fmt.Sprintf("loop/deadlock_test.go:%d", here+n))
		}
		return fmt.Sprintf(format, places...)
	}
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		var a, b loop.Mutex
		take := func(first, second *loop.Mutex) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				if err := first.Lock(ctx); err != nil {
					return err
				}
				defer first.Unlock()
				if err := loop.Sleep(ctx, time.Hour); err != nil {
					return err
				}
				if err := second.Lock(ctx); err != nil {
					return err
				}
				second.Unlock()
				return nil
			}
		}
		g.Go(take(&a, &b)).SetName("left")
		right := g.Go(take(&b, &a)).SetName("right")
		g.Go(func(ctx context.Context) error { return right.Wait(ctx) }).SetName("third")
		return nil
	})
	dl, ok := errors.AsType[*loop.DeadlockError](err)
	if !ok || !errors.Is(err, concert.ErrDeadlock) {
		t.Fatalf("Run() = %v, want a DeadlockError", err)
	}
	for i, want := range []string{
		at("TestDeadlockError_Text.func2 (%s) waits in WithGroup for its children", 8),
		at("left (%s) waits in Mutex.Lock, which right holds at %s", 26, 19),
		at("right (%s) waits in Mutex.Lock, which left holds at %s", 27, 19),
		at("third (%s) waits in Task.Wait for right at %s", 28, 28),
	} {
		if lines := strings.Split(dl.Error(), "\n"); len(lines) != 5 || !strings.HasSuffix(lines[i+1], want) {
			t.Errorf("line %d of\n%v\nwant it to end with %s", i+1, dl, want)
		}
	}
}

// TestDeadlock_Shielded: a deadlock must also end shielded waits. If a
// coroutine ignores the error, Run must still return the error.
func TestDeadlock_Shielded(t *testing.T) {
	failed := 0
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error {
			var e loop.Event
			for range 3 {
				if errors.Is(e.Wait(loop.Shield(ctx)), concert.ErrDeadlock) {
					failed++
				}
			}
			return nil
		})
		return nil
	})
	if failed != 3 || !errors.Is(err, concert.ErrDeadlock) {
		t.Errorf("%d of 3 waits failed with the deadlock; Run() = %v", failed, err)
	}
}

// TestDeadlock_NotWhileWakeable: while something can wake a coroutine, the loop
// must not report a deadlock.
func TestDeadlock_NotWhileWakeable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			var e loop.Event
			waits := func() *loop.Task { return g.Go(e.Wait) }
			// A coroutine in Block will return.
			w := waits()
			loop.Block(ctx, func() error { time.Sleep(time.Hour); return nil })
			// A coroutine that waits for a future will be woken.
			concert.Go(ctx, func(context.Context) (int, error) { time.Sleep(time.Hour); return 0, nil }).Result(ctx)
			// A context of package context may end.
			short, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			if err := new(loop.Event).Wait(short); err != context.DeadlineExceeded {
				t.Errorf("Wait() = %v", err)
			}
			// A goroutine may enter through the portal.
			p := g.Portal()
			go func() {
				time.Sleep(time.Hour)
				p.Run(context.Background(), func(context.Context) error { e.Set(); return nil })
				p.Close()
			}()
			return w.Wait(ctx)
		})
		if err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
}

// TestDeadlock_LastTimerRemoved: the last timer expires or is canceled. If
// nothing can wake a coroutine after that, the loop must report a deadlock.
func TestDeadlock_LastTimerRemoved(t *testing.T) {
	for name, outside := range map[string]bool{"timeout": false, "cancel on another goroutine": true} {
		t.Run(name, func(t *testing.T) {
			err := run(t, func(ctx context.Context, g *loop.Group) error {
				_, cancel := loop.WithTimeout(ctx, time.Hour)
				defer cancel()
				if outside {
					time.AfterFunc(time.Minute, cancel)
				}
				return new(loop.Event).Wait(ctx) // ctx is not the context with the timeout
			})
			if !errors.Is(err, concert.ErrDeadlock) {
				t.Errorf("Run() = %v, want a deadlock", err)
			}
		})
	}
}

// TestDeadlock_NotAfterCancel: if the context of Run or Portal.Run has ended,
// waits must end with its cause and not with a deadlock. While the context of
// Portal.Run can end, the loop must not report a deadlock.
func TestDeadlock_NotAfterCancel(t *testing.T) {
	for range 100 {
		for _, virtual := range []bool{false, true} {
			outer, cancel := context.WithCancelCause(t.Context())
			loop.Run(outer, &loop.Options{Virtual: virtual}, func(ctx context.Context, g *loop.Group) error {
				cancel(errTest)
				if err := new(loop.Event).Wait(ctx); err != errTest {
					t.Errorf("Wait() = %v; virtual time: %v", err, virtual)
				}
				return nil
			})
			outer, cancel = context.WithCancelCause(t.Context())
			loop.Run(outer, &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
				cancel(errTest)
				if err := loop.Sleep(ctx, time.Hour); err != errTest {
					t.Errorf("Sleep() = %v", err)
				}
				return nil
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		p := loop.Open(t.Context(), nil)
		result := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			result <- p.Run(ctx, new(loop.Event).Wait)
		}()
		synctest.Wait()
		go p.Close()
		if err := <-result; err != context.DeadlineExceeded {
			t.Errorf("Portal.Run() = %v", err)
		}
	})
}
