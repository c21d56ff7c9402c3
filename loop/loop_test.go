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

	"concert/loop"
)

type testKey struct{}

// run runs main in a loop in a synctest bubble, which also checks that no
// goroutine is left.
func run(t *testing.T, main func(ctx context.Context, g *loop.Group) error) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { err = loop.Run(t.Context(), nil, main) })
	return err
}

// ok calls the function run, and fails the test if main fails.
func ok(t *testing.T, main func(ctx context.Context, g *loop.Group) error) {
	t.Helper()
	if err := run(t, main); err != nil {
		t.Errorf("Run() = %v", err)
	}
}

// panics calls fn and returns the text of its panic.
func panics(fn func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	fn()
	return "no panic"
}

// TestRun_ContextEnds: if the context of Run ends, the awaits of all coroutines
// must fail with its cause, and Run must wait for the coroutines.
func TestRun_ContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), testKey{}, "value"))
		time.AfterFunc(time.Minute, func() { cancel(why) })
		cleaned := 0
		err := loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error {
			for range 3 {
				g.Go(func(ctx context.Context) error {
					if v := ctx.Value(testKey{}); v != "value" {
						t.Errorf("value %v in a coroutine", v)
					}
					defer func() {
						ctx, cancel := loop.WithTimeout(loop.Shield(ctx), time.Hour)
						defer cancel()
						if loop.Sleep(ctx, time.Second) == nil {
							cleaned++
						}
					}()
					err := loop.Sleep(ctx, time.Hour)
					if !errors.Is(err, why) || ctx.Err() != context.Canceled || context.Cause(ctx) != why {
						t.Errorf("Sleep() = %v, Err() = %v, Cause() = %v", err, ctx.Err(), context.Cause(ctx))
					}
					return err
				})
			}
			return nil
		})
		if err != why || cleaned != 3 {
			t.Errorf("Run() = %v, want %v; %d of 3 cleaned up", err, why, cleaned)
		}
	})
}

// TestRun_ContextEnded: if the context of Run has already ended, main must run,
// but its awaits must fail.
func TestRun_ContextEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	err := loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(context.Context) error { t.Error("a child ran"); return nil })
		ran = true
		return loop.Sleep(ctx, time.Hour)
	})
	if !ran || !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v; main ran: %v", err, ran)
	}
}

// TestRun_MainPanics: if main or the body of a group panics, the panic must
// continue in the caller after the children have ended.
func TestRun_MainPanics(t *testing.T) {
	ended := 0
	child := func(ctx context.Context) error {
		defer func() { ended++ }()
		return loop.Sleep(ctx, time.Hour)
	}
	text := panics(func() {
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			g.Go(child)
			inner := panics(func() {
				loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
					g.Go(child)
					loop.Yield(ctx)
					panic("inner")
				})
			})
			if inner != "inner" || ended != 1 {
				t.Errorf("WithGroup panicked with %q when %d children had ended", inner, ended)
			}
			panic("outer")
		})
	})
	if text != "outer" || ended != 2 {
		t.Errorf("Run panicked with %q when %d children had ended", text, ended)
	}
}

// TestRun_MainGoexit: if main calls runtime.Goexit, as t.FailNow does, Run must
// not return, and the children must end first.
func TestRun_MainGoexit(t *testing.T) {
	ended, returned := false, false
	done := make(chan struct{})
	go func() {
		defer close(done)
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error {
				defer func() { ended = true }()
				return loop.Sleep(ctx, time.Hour)
			})
			loop.Yield(ctx)
			runtime.Goexit()
			return nil
		})
		returned = true
	}()
	<-done
	if !ended || returned {
		t.Errorf("the child ended: %v; Run returned: %v", ended, returned)
	}
}

// TestRun_InCoroutine: in a coroutine, Run must panic with a text that says
// what to do. In Block, Run must work.
func TestRun_InCoroutine(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inner := func() error {
			return loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error { return loop.Sleep(ctx, time.Second) })
		}
		if text := panics(func() { inner() }); !strings.Contains(text, "WithGroup") {
			t.Errorf("Run in a coroutine: %s", text)
		}
		return loop.Block(ctx, inner)
	})
}

// TestRun_CanceledBefore: if the context has ended before Run, the waits of the
// loop must end with the cause of this context.
func TestRun_CanceledBefore(t *testing.T) {
	outer, cancel := context.WithCancelCause(t.Context())
	cancel(errTest)
	for range 5000 {
		err := loop.Run(outer, nil, func(ctx context.Context, g *loop.Group) error { return loop.Sleep(ctx, time.Minute) })
		if err != errTest {
			t.Fatalf("Run() = %v", err)
		}
	}
}

// TestNilArguments_Panic: a call with a nil function must panic, and the text
// must have the name of the called function.
func TestNilArguments_Panic(t *testing.T) {
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
