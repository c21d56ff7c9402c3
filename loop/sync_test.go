package loop_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/loop"
	"concert/loop/looptest"
)

// TestEvent_SetAndClear: Set must wake all waiters. Later waits must return at
// once, until Clear.
func TestEvent_SetAndClear(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		var e loop.Event
		woken := 0
		for range 3 {
			g.Go(func(ctx context.Context) error {
				err := e.Wait(ctx)
				woken++
				return err
			})
		}
		loop.Yield(ctx)
		e.Set()
		e.Set()
		if err := e.Wait(ctx); woken != 0 || err != nil || !e.IsSet() {
			t.Errorf("Wait() of an event that is set let %d other coroutines run; error %v", woken, err)
		}
		e.Clear()
		short, cancel := loop.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := e.Wait(short); err == nil || woken != 3 || e.IsSet() {
			t.Errorf("Wait() for a cleared event = %v; %d coroutines were woken", err, woken)
		}
		return nil
	})
}

// TestLocks_Order: a Mutex or a Semaphore must be handed to waiters in
// order, and must not be handed to canceled waiters. A caller that comes
// later must not acquire the lock before the waiters.
func TestLocks_Order(t *testing.T) {
	type lock interface {
		acquire(context.Context) error
		release()
	}
	for name, make := range map[string]func() lock{
		"Mutex":     func() lock { return mutex{new(loop.Mutex)} },
		"Semaphore": func() lock { return semaphore{loop.NewSemaphore(1)} },
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			ok(t, func(ctx context.Context, g *loop.Group) error {
				l := make()
				l.acquire(ctx)
				var tasks []*loop.Task
				for i := range 6 {
					tasks = append(tasks, g.Go(func(ctx context.Context) error {
						if err := l.acquire(ctx); err != nil {
							return err
						}
						got = append(got, i)
						loop.Sleep(ctx, time.Second)
						l.release()
						return nil
					}))
				}
				loop.Yield(ctx)
				tasks[0].Cancel()
				l.release() // hands over to 1, because 0 was canceled before
				tasks[1].Cancel()
				tasks[3].Cancel()
				if err := l.acquire(ctx); err != nil { // queued after 5
					return err
				}
				got = append(got, 9)
				l.release()
				return nil
			})
			if want := []int{1, 2, 4, 5, 9}; !slices.Equal(got, want) {
				t.Errorf("acquired by %v, want %v", got, want)
			}
		})
	}
}

type mutex struct{ *loop.Mutex }

func (m mutex) acquire(ctx context.Context) error { return m.Lock(ctx) }

func (m mutex) release() { m.Unlock() }

type semaphore struct{ *loop.Semaphore }

func (s semaphore) acquire(ctx context.Context) error { return s.Acquire(ctx) }

func (s semaphore) release() { s.Release() }

// TestMutex_Misuse: misuse of a Mutex must return an error or panic.
func TestMutex_Misuse(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		var m loop.Mutex
		if text := panics(m.Unlock); !strings.Contains(text, "not locked") {
			t.Errorf("Unlock: %s", text)
		}
		m.Lock(ctx)
		if err := m.Lock(ctx); !errors.Is(err, concert.ErrDeadlock) {
			t.Errorf("the second Lock() = %v", err)
		}
		if m.TryLock(ctx) {
			t.Error("TryLock() of a locked mutex = true")
		}
		m.Unlock()
		if text := panics(func() { loop.NewSemaphore(-1) }); !strings.Contains(text, "negative") {
			t.Errorf("NewSemaphore(-1): %s", text)
		}
		return nil
	})
}

// TestSemaphore_Permits: at most n coroutines may hold a semaphore. A Release
// without an Acquire must raise this limit by one.
func TestSemaphore_Permits(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		s := loop.NewSemaphore(2)
		inside, most := 0, 0
		for range 10 {
			g.Go(func(ctx context.Context) error {
				if err := s.Acquire(ctx); err != nil {
					return err
				}
				defer s.Release()
				inside++
				most = max(most, inside)
				defer func() { inside-- }()
				return loop.Sleep(ctx, time.Second)
			})
		}
		start := time.Now()
		loop.Yield(ctx)
		if s.TryAcquire() {
			t.Error("TryAcquire() without a free permit = true")
		}
		if err := s.Acquire(ctx); err != nil || time.Since(start) != 5*time.Second || most != 2 {
			t.Errorf("Acquire() = %v after %v; at most %d inside", err, time.Since(start), most)
		}
		s.Release()
		s.Release()
		for i := range 3 {
			if !s.TryAcquire() {
				t.Errorf("%d permits, want 3", i)
			}
		}
		return nil
	})
}

// TestCond_NotifyAndBroadcast: Notify must wake the first waiters, and
// Broadcast must wake all waiters. A waiter that is canceled must not consume a
// notification.
func TestCond_NotifyAndBroadcast(t *testing.T) {
	for _, locked := range []bool{false, true} {
		t.Run(fmt.Sprintf("locked=%v", locked), func(t *testing.T) {
			var got []int
			ok(t, func(ctx context.Context, g *loop.Group) error {
				var c loop.Cond
				var m loop.Mutex
				if locked {
					c.L = &m
				}
				lock := func(ctx context.Context) {
					if locked {
						m.Lock(loop.Shield(ctx))
					}
				}
				unlock := func() {
					if locked {
						m.Unlock()
					}
				}
				var tasks []*loop.Task
				for i := range 6 {
					tasks = append(tasks, g.Go(func(ctx context.Context) error {
						lock(ctx)
						defer unlock()
						err := c.Wait(ctx)
						if err == nil {
							got = append(got, i)
						}
						return err
					}))
				}
				loop.Sleep(ctx, time.Second)
				lock(ctx)
				tasks[0].Cancel()
				if n := c.Notify(1); n != 1 { // wakes 1, because 0 was canceled before
					t.Errorf("Notify(1) = %d", n)
				}
				tasks[1].Cancel() // no effect: 1 was already woken
				if n := c.Notify(2); n != 2 {
					t.Errorf("Notify(2) = %d", n)
				}
				unlock()
				loop.Sleep(ctx, time.Second)
				if want := []int{1, 2, 3}; !slices.Equal(got, want) {
					t.Errorf("woken: %v, want %v", got, want)
				}
				if n := c.Broadcast(); n != 2 {
					t.Errorf("Broadcast() = %d", n)
				}
				if n := c.Notify(5); n != 0 {
					t.Errorf("Notify(5) without waiters = %d", n)
				}
				return nil
			})
		})
	}
}

// TestCond_WaitFor: WaitFor must check the condition first, and again after
// each notification.
func TestCond_WaitFor(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		var c loop.Cond
		n := 0
		waiting := g.Go(func(ctx context.Context) error { return c.WaitFor(ctx, func() bool { return n >= 3 }) })
		for range 3 {
			loop.Sleep(ctx, time.Second)
			if waiting.Done() {
				t.Errorf("WaitFor() returned at %d", n)
			}
			n++
			c.Broadcast()
		}
		loop.Yield(ctx)
		if !waiting.Done() {
			t.Error("WaitFor() did not return")
		}
		return c.WaitFor(ctx, func() bool { return true })
	})
}

// TestCond_NoLostNotification: no other coroutine may run between the check of
// the state and the wait for its change.
func TestCond_NoLostNotification(t *testing.T) {
	looptest.Explore(t, 500, func(ctx context.Context, g *loop.Group) error {
		var c loop.Cond
		full := false
		g.Go(func(ctx context.Context) error { return c.WaitFor(ctx, func() bool { return full }) })
		g.Go(func(context.Context) error { full = true; c.Notify(1); return nil })
		return nil
	})
}

// TestCond_Deadlock: if Wait fails because of a deadlock, the caller must
// hold the lock again.
func TestCond_Deadlock(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		var m loop.Mutex
		c := loop.Cond{L: &m}
		g.Go(func(ctx context.Context) error {
			m.Lock(ctx)
			defer m.Unlock()
			return c.Wait(ctx)
		})
		g.Go(func(ctx context.Context) error {
			m.Lock(ctx)
			defer m.Unlock()
			return new(loop.Event).Wait(loop.Shield(ctx))
		})
		return nil
	})
	if _, panicked := errors.AsType[*concert.PanicError](err); panicked || !errors.Is(err, concert.ErrDeadlock) {
		t.Errorf("Run() = %v", err)
	}
}
