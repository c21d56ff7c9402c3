package loop_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/goroutines"
	"concert/loop"
)

// TestContext_OfOtherCoroutine: if ctx is not a context of the running
// coroutine, a function of package loop must panic.
func TestContext_OfOtherCoroutine(t *testing.T) {
	calls := map[string]func(ctx context.Context){
		"Sleep": func(ctx context.Context) { loop.Sleep(ctx, time.Second) },
		"Yield": func(ctx context.Context) { loop.Yield(ctx) },
		"WithGroup": func(ctx context.Context) {
			loop.WithGroup(ctx, func(context.Context, *loop.Group) error { return nil })
		},
		"WithTimeout": func(ctx context.Context) { loop.WithTimeout(ctx, time.Second) },
		"WithCancel":  func(ctx context.Context) { loop.WithCancel(ctx) },
		"Event.Wait":  func(ctx context.Context) { new(loop.Event).Wait(ctx) },
		"Mutex.Lock":  func(ctx context.Context) { new(loop.Mutex).Lock(ctx) },
		"Queue.Get":   func(ctx context.Context) { loop.NewQueue[int](0).Get(ctx) },
		"Block":       func(ctx context.Context) { loop.Block(ctx, func() error { return nil }) },
		"Now":         func(ctx context.Context) { loop.Now(ctx) },
		"Current":     func(ctx context.Context) { loop.Current(ctx) },
		"Conn":        func(ctx context.Context) { loop.Conn(ctx, nil) },
	}
	refused := func(t *testing.T, ctx context.Context, want string) {
		t.Helper()
		for name, call := range calls {
			if text := panics(func() { call(ctx) }); !strings.Contains(text, name) || !strings.Contains(text, want) {
				t.Errorf("%s: %s; want it to contain %q", name, text, want)
			}
		}
	}
	refused(t, context.Background(), "belongs to no coroutine")
	refused(t, nil, "nil context")
	var stale context.Context
	var left *loop.Group
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(inner context.Context) error {
			refused(t, ctx, "while coroutine loop_test.TestContext_OfOtherCoroutine.func") // the context of the parent
			stale = inner
			return nil
		}).Wait(ctx)
		refused(t, stale, "has returned")
		loop.Block(ctx, func() error {
			refused(t, ctx, "is not running")
			if text := panics(func() { g.Go(func(context.Context) error { return nil }) }); !strings.Contains(text, "Portal") {
				t.Errorf("Go inside of Block: %s", text)
			}
			return nil
		})
		loop.WithGroup(ctx, func(_ context.Context, g *loop.Group) error { left = g; return nil })
		if text := panics(func() { left.Go(func(context.Context) error { return nil }) }); !strings.Contains(text, "has ended") {
			t.Errorf("Go in a group that has ended: %s", text)
		}
		return nil
	})
	refused(t, stale, "has returned")
	if loop.Of(context.Background()) != nil || loop.Of(stale) == nil {
		t.Error("Of() of a context without a loop is not nil, or Of() of the context of a coroutine that has returned is nil")
	}
}

// TestContext_OfSubmittedTask: if a coroutine submits a task to a pool, the
// task must not count as part of the coroutine, even if the two run at the same
// time.
func TestContext_OfSubmittedTask(t *testing.T) {
	var busy, twice atomic.Int32
	hold := func() {
		if busy.Add(1) > 1 {
			twice.Add(1)
		}
		time.Sleep(5 * time.Millisecond)
		busy.Add(-1)
	}
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		portal := g.Portal()
		defer portal.Close()
		pool := goroutines.New(2, &goroutines.Options{Lock: portal})
		inside := concert.Submit(ctx, pool, func(context.Context, int) (int, error) { hold(); return 0, nil }, 0)
		plain := goroutines.New(2, nil)
		nested := concert.Submit(ctx, plain, func(ctx context.Context, _ int) (string, error) {
			err := loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error { return loop.Sleep(ctx, time.Millisecond) })
			return panics(func() { loop.Now(ctx) }), err
		}, 0)
		hold() // without an await
		if text, err := nested.Result(ctx); !strings.Contains(text, "Now called with a context that belongs to no coroutine") || err != nil {
			t.Errorf("Now() in a task of another pool: %s, %v", text, err)
		}
		_, err := inside.Result(ctx)
		return err
	})
	if twice.Load() > 0 || err != nil {
		t.Errorf("two coroutines ran at the same time: %v; Run() = %v", twice.Load() > 0, err)
	}
}

// TestAwait_FailureYields: an await must let other coroutines run, even if
// it fails for another reason than a cancellation.
func TestAwait_FailureYields(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		q := loop.NewQueue[int](1)
		q.Close()
		var m loop.Mutex
		m.Lock(ctx)
		for name, await := range map[string]func() error{
			"Put":  func() error { return q.Put(ctx, 1) },
			"Get":  func() error { _, err := q.Get(ctx); return err },
			"Lock": func() error { return m.Lock(ctx) },
			"Wait": func() error { return loop.Current(ctx).Wait(ctx) },
		} {
			other := g.Go(nothing)
			if err := await(); err == nil || !other.Done() {
				t.Errorf("%s() = %v; another coroutine has run: %v", name, err, other.Done())
			}
		}
		return nil
	})
}

// TestAwait_AfterEnd: if the context of an await has ended, the await must
// fail, and must let other coroutines run.
func TestAwait_AfterEnd(t *testing.T) {
	others := 0
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Background(func(ctx context.Context) error {
			for loop.Yield(ctx) == nil {
				others++
			}
			return nil
		})
		loop.Yield(ctx)
		inner, cancel := loop.WithCancel(ctx)
		cancel(errTest)
		var e loop.Event
		e.Set()
		var m loop.Mutex
		q := loop.NewQueue[int](0)
		q.TryPut(1)
		task := g.Go(func(context.Context) error { return nil })
		for name, await := range map[string]func() error{
			"Yield":     func() error { return loop.Yield(inner) },
			"Sleep":     func() error { return loop.Sleep(inner, 0) },
			"Event":     func() error { return e.Wait(inner) },
			"Mutex":     func() error { return m.Lock(inner) },
			"Semaphore": func() error { return loop.NewSemaphore(1).Acquire(inner) },
			"Put":       func() error { return q.Put(inner, 1) },
			"Get":       func() error { _, err := q.Get(inner); return err },
			"Cond":      func() error { return new(loop.Cond).Wait(inner) },
			"Task":      func() error { return task.Wait(inner) },
			"Block": func() error {
				return loop.Block(inner, func() error { t.Error("the function of Block ran"); return nil })
			},
			"Dial": func() error { _, err := loop.Dial(inner, "tcp", "127.0.0.1:1"); return err },
		} {
			before := others
			if err := await(); err != errTest && name != "Task" { // the result of Task.Wait depends on the order of the map
				t.Errorf("%s() with a context that has ended = %v", name, err)
			}
			if others == before && name != "Task" {
				t.Errorf("%s() let no other coroutine run", name)
			}
		}
		if err := m.Lock(ctx); err != nil || q.Len() != 1 {
			t.Errorf("after the failed awaits: Lock() = %v, %d items", err, q.Len())
		}
		return nil
	})
}
