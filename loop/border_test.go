package loop_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"concert/loop"
)

// TestBorder: a context that is not the running coroutine's is refused, with
// the rule.
func TestBorder(t *testing.T) {
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
				t.Errorf("%s: %s; want it to say %q", name, text, want)
			}
		}
	}
	refused(t, context.Background(), "belongs to no coroutine")
	refused(t, nil, "nil context")
	var stale context.Context
	var left *loop.Group
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(inner context.Context) error {
			refused(t, ctx, "while coroutine loop_test.TestBorder.func") // the parent's
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
		t.Error("Of is wrong")
	}
}

// TestNil: arguments that are missing are said to be.
func TestNil(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		for name, call := range map[string]func(){
			"Go":         func() { g.Go(nil) },
			"Background": func() { g.Background(nil) },
			"After":      func() { g.After(time.Second, nil) },
			"Spawn":      func() { loop.Spawn[int](g, nil) },
			"WithGroup":  func() { loop.WithGroup(ctx, nil) },
			"Run":        func() { loop.Run(ctx, nil, nil) },
			"Serve":      func() { loop.Serve(ctx, nil, nil) },
			"NewQueue":   func() { loop.NewQueue[int](-1) },
		} {
			if text := panics(call); !strings.HasPrefix(text, "loop: ") || !strings.Contains(text, name) {
				t.Errorf("%s: %s", name, text)
			}
		}
		return nil
	})
}
