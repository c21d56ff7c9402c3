package loop_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"concert/loop"
)

// badError is an error with a method that misbehaves.
type badError struct {
	method string
	fail   func()
}

func (e *badError) call(method string) {
	if e.method == method {
		e.fail()
	}
}

// Error misbehaves.
func (e *badError) Error() string { e.call("Error"); return "bad" }

// Unwrap misbehaves.
func (e *badError) Unwrap() error { e.call("Unwrap"); return nil }

// Is misbehaves.
func (e *badError) Is(error) bool { e.call("Is"); return false }

// TestGroup_BadErrors: whatever the methods of an error do, the others of its
// group are canceled, and Run returns.
func TestGroup_BadErrors(t *testing.T) {
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
								t.Errorf("Run has no error")
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
