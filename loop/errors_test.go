package loop_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/loop"
)

// badError is an error with a method that calls the function fail.
type badError struct {
	method string
	fail   func()
}

func (e *badError) call(method string) {
	if e.method == method {
		e.fail()
	}
}

func (e *badError) Error() string { e.call("Error"); return "bad" }

func (e *badError) Unwrap() error { e.call("Unwrap"); return nil }

func (e *badError) Is(error) bool { e.call("Is"); return false }

// TestGroup_ErrorMethodsFail: if a method of an error panics, exits or hangs,
// the other coroutines of the group must be canceled, and Run must return.
func TestGroup_ErrorMethodsFail(t *testing.T) {
	sleep := func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) }
	places := map[string]func(ctx context.Context, g *loop.Group, cancel context.CancelCauseFunc, bad error) error{
		"child": func(_ context.Context, g *loop.Group, _ context.CancelCauseFunc, bad error) error {
			g.Go(func(context.Context) error { return bad })
			g.Go(sleep)
			return nil
		},
		"panic of a child": func(_ context.Context, g *loop.Group, _ context.CancelCauseFunc, bad error) error {
			g.Go(func(context.Context) error { panic(bad) })
			g.Go(sleep)
			return nil
		},
		"body": func(_ context.Context, g *loop.Group, _ context.CancelCauseFunc, bad error) error {
			g.Go(sleep)
			return bad
		},
		"cause": func(ctx context.Context, g *loop.Group, _ context.CancelCauseFunc, bad error) error {
			ctx, cancel := loop.WithCancel(ctx)
			cancel(bad)
			return sleep(ctx)
		},
		"cause of Run's context": func(ctx context.Context, g *loop.Group, cancel context.CancelCauseFunc, bad error) error {
			g.Go(sleep)
			cancel(bad)
			return sleep(ctx)
		},
	}
	for place, run := range places {
		for _, method := range []string{"Error", "Unwrap", "Is"} {
			for _, how := range []string{"panics", "exits", "hangs"} {
				t.Run(method+" of the error of the "+place+" "+how, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						release := make(chan struct{})
						bad := &badError{method, func() {
							switch how {
							case "panics":
								panic("out of cheese")
							case "exits":
								runtime.Goexit()
							}
							<-release
						}}
						ctx, cancel := context.WithCancelCause(t.Context())
						returned := make(chan error)
						begin := time.Now()
						go func() {
							returned <- loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error { return run(ctx, g, cancel, bad) })
						}()
						select {
						case err := <-returned:
							if err == nil {
								t.Errorf("Run() = nil, want an error")
							}
						case <-time.After(time.Hour / 2):
							t.Errorf("Run does not return")
						}
						if took := time.Since(begin); took > 5*time.Second {
							t.Errorf("Run took %v", took)
						}
						close(release)
						cancel(errors.New("over"))
					})
				})
			}
		}
	}
}

// TestGroup_CancellationOnlyErrors: if an error says more than that its
// context has ended, Run must return this error.
func TestGroup_CancellationOnlyErrors(t *testing.T) {
	cleanup := errors.New("cleanup failed")
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error { return errors.Join(loop.Sleep(ctx, time.Hour), cleanup) })
		g.Go(func(context.Context) error { return errTest })
		g.Go(func(ctx context.Context) error { return errors.Join(loop.Sleep(ctx, time.Hour), context.Canceled) })
		return nil
	})
	if err == nil || !errors.Is(err, cleanup) || !errors.Is(err, errTest) || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("Run() = %v", err)
	}
	err = run(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error { panic(loop.Sleep(ctx, time.Hour)) })
		loop.Yield(ctx)
		g.Cancel()
		return nil
	})
	if _, ok := errors.AsType[*concert.PanicError](err); !ok {
		t.Errorf("Run() with a child that panicked with a cancellation error = %v", err)
	}
}

// incomparableError is an error that cannot be compared, and whose Is method
// panics.
type incomparableError struct{ v any }

func (incomparableError) Error() string { return "odd" }

func (incomparableError) Is(error) bool { panic("do not ask") }

// TestGroup_IncomparableError: if an error cannot be compared, and its Is
// method panics, Run must still return the error.
func TestGroup_IncomparableError(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := loop.WithCancel(ctx)
		return loop.WithGroup(inner, func(_ context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) })
			loop.Yield(ctx)
			cancel(incomparableError{[]int{1}})
			return nil
		})
	})
	if err == nil || err.Error() != "odd" {
		t.Errorf("Run() = %v", err)
	}
}

// TestPanicError_Task: if a coroutine panics, its error must have the name of
// the coroutine.
func TestPanicError_Task(t *testing.T) {
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(context.Context) error { panic("out of cheese") }).SetName("page %d", 3)
		return nil
	})
	p, ok := errors.AsType[*concert.PanicError](err)
	if !ok || p.Task != "page 3" || !strings.Contains(err.Error(), "page 3: task panicked: out of cheese") {
		t.Errorf("Run() = %v; want a PanicError with the name of the coroutine", err)
	}
}

// TestTask_Panics: if a coroutine panics or calls Goexit, its error must say
// so, and its siblings must be canceled. The error of a panic must have the
// stack.
func TestTask_Panics(t *testing.T) {
	for name, c := range map[string]struct {
		fn    func()
		check func(error) bool
	}{
		"panic": {func() { explode() }, func(err error) bool {
			e, ok := errors.AsType[*concert.PanicError](err)
			return ok && e.Value == "boom" && strings.Contains(e.Stack(), "explode")
		}},
		"Goexit": {runtime.Goexit, func(err error) bool { return errors.Is(err, concert.ErrGoexit) }},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t, func(ctx context.Context, g *loop.Group) error {
				sibling := g.Go(func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) })
				g.Go(func(ctx context.Context) error {
					loop.Yield(ctx)
					c.fn()
					return nil
				})
				err := sibling.Wait(loop.Shield(ctx))
				if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "because loop_test.TestTask_Panics") {
					t.Errorf("Wait() for the sibling = %v", err)
				}
				return err
			})
			if !c.check(err) {
				t.Errorf("Run() = %+v", err)
			}
		})
	}
}

func explode() { panic("boom") }
