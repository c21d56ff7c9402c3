package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/executor"
	"concert/goroutines"
)

// standardContexts returns contexts that the standard library derives from ctx.
func standardContexts(t *testing.T, ctx context.Context) map[string]context.Context {
	canceled, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	timed, cancel := context.WithTimeout(ctx, time.Hour)
	t.Cleanup(cancel)
	notified, stop := signal.NotifyContext(ctx, os.Interrupt)
	t.Cleanup(stop)
	return map[string]context.Context{
		"itself": ctx, "WithCancel": canceled, "WithTimeout": timed, "NotifyContext": notified,
		"WithoutCancel": context.WithoutCancel(ctx), "WithValue": context.WithValue(ctx, t, 1),
		"WithLabel": concert.WithLabel(ctx, "x"), "all": context.WithoutCancel(context.WithValue(notified, t, 1)),
	}
}

// TestForeign_KnownContexts: a context of this package or of the standard
// library must not count as foreign, because Submit would replace it, and
// replacements need goroutines. A context that wraps a context of the
// program's own type must count as foreign.
func TestForeign_KnownContexts(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	check := func(what string, ctx context.Context) {
		for name, ctx := range standardContexts(t, ctx) {
			if executor.Foreign(ctx) {
				t.Errorf("the context of a %s (%s) counts as foreign", what, name)
			}
		}
	}
	check("program", context.Background())
	ctx := context.Background()
	f := concert.Submit(ctx, ex, func(ctx context.Context, _ int) (int, error) { check("task", ctx); return 0, nil }, 0)
	called := make(chan struct{})
	f.OnDone(ctx, func(ctx context.Context, _ *concert.Future[int]) { check("callback", ctx); close(called) })
	<-called
	item := func(ctx context.Context, _ int) (int, error) {
		check("call of a Map", ctx)
		for _, err := range concert.Map(ctx, ex, func(ctx context.Context, _ int) (int, error) {
			check("call of a Map within a Map", ctx)
			return 0, nil
		}, slices.Values([]int{1})) {
			return 0, err
		}
		return 0, nil
	}
	for _, err := range concert.Map(ctx, ex, item, slices.Values([]int{1})) {
		if err != nil {
			t.Error(err)
		}
	}
	own := counted{ctx, new(atomic.Int64)}
	for name, ctx := range standardContexts(t, &own) {
		if !executor.Foreign(ctx) {
			t.Errorf("a context of the program's own type (%s) does not count as foreign", name)
		}
	}
	if !executor.Foreign((*counted)(nil)) {
		t.Error("a nil pointer does not count as foreign")
	}
}

// children counts the goroutines that the calling goroutine has started and
// that have not ended. It ignores all other goroutines of the program, such as
// goroutines of earlier tests.
func children() int {
	parent, _, _ := strings.Cut(string(stacks(false)), " [")
	return strings.Count(string(stacks(true))+"\n", " in "+parent+"\n")
}

func stacks(all bool) []byte {
	buf := make([]byte, 1<<20)
	return buf[:runtime.Stack(buf, all)]
}

// TestTaskContext_Children: contexts derived from a task's context need no
// goroutine. They end with the task's context, and have its cause.
func TestTaskContext_Children(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	why := errors.New("no longer needed")
	started := make(chan int)
	var child, grandchild context.Context
	f := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (int, error) {
		type key struct{}
		var cancel context.CancelFunc
		child, cancel = context.WithCancel(ctx)
		defer cancel()
		grandchild, cancel = context.WithTimeout(context.WithValue(child, key{}, 1), time.Hour)
		defer cancel()
		started <- children()
		<-grandchild.Done()
		return 7, context.Cause(grandchild)
	}, 0)
	if n := <-started; n != 0 {
		t.Errorf("contexts derived from the task's context started %d goroutines", n)
	}
	f.Cancel()
	if got, err := f.Result(t.Context()); got != 7 || !errors.Is(err, concert.ErrCanceled) {
		t.Errorf("Result() = %d, %v; want 7 and ErrCanceled, as the function returned them", got, err)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	f = concert.Submit(ctx, ex, func(ctx context.Context, _ int) (int, error) {
		started <- 0
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}, 0)
	<-started
	cancel(why)
	if _, err := f.Result(t.Context()); err != why {
		t.Errorf("cause in the task = %v, want the submitter's", err)
	}
}

// TestTaskContext_EndsWithTask: the context of a task ends with the task, even
// if a goroutine of the task still uses the context. This holds whether or not
// Done was called before.
func TestTaskContext_EndsWithTask(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	for _, asked := range []bool{false, true} {
		t.Run(fmt.Sprint("Done called ", asked), func(t *testing.T) {
			var kept context.Context
			f := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (int, error) {
				if kept = ctx; asked {
					ctx.Done()
				}
				return 0, ctx.Err()
			}, 0)
			if _, err := f.Result(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-kept.Done()
			if kept.Err() != context.Canceled || context.Cause(kept) != context.Canceled {
				t.Errorf("asked %v: Err() = %v, cause %v; want Canceled", asked, kept.Err(), context.Cause(kept))
			}
		})
	}
}

func TestGo_ResultAndPanic(t *testing.T) {
	f := concert.Go(t.Context(), func(context.Context) (string, error) { return "done", nil })
	if got, err := f.Result(t.Context()); got != "done" || err != nil {
		t.Errorf("Result() = %q, %v", got, err)
	}
	f = concert.Go(t.Context(), func(context.Context) (string, error) { panic("lost in a thread") })
	if _, err := f.Result(t.Context()); err == nil {
		t.Error("a panic in Go is lost")
	}
	// The task on the only worker waits for a task of Go, which waits for a
	// second task on that worker. The worker must run the second task during
	// the wait.
	ex := goroutines.New(1, nil)
	defer ex.Close()
	g := concert.Submit(t.Context(), ex, func(ctx context.Context, n int) (int, error) {
		return concert.Go(ctx, func(ctx context.Context) (int, error) {
			return concert.Submit(ctx, ex, square, n).Result(ctx)
		}).Result(ctx)
	}, 5)
	if got, err := g.Result(t.Context()); got != 25 || err != nil {
		t.Errorf("Result() through Go = %d, %v; want 25", got, err)
	}
}

// TestMap_InputBlocks: if the loop is left while the inputs block, Map waits
// for the goroutine of the inputs, but for at most 100 ms.
func TestMap_InputBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, nil)
		defer ex.Close()
		for _, pause := range []time.Duration{50 * time.Millisecond, time.Hour} {
			ended := false
			inputs := func(yield func(int) bool) {
				defer func() { ended = true }()
				if yield(1) {
					time.Sleep(pause)
					yield(2)
				}
			}
			begin := time.Now()
			for range concert.Map(t.Context(), ex, square, inputs) {
				break
			}
			took := time.Since(begin)
			if want := min(pause, 100*time.Millisecond); took != want {
				t.Errorf("input blocks for %v: leaving the loop took %v, want %v", pause, took, want)
			}
			if pause < time.Second && !ended {
				t.Error("the goroutine of the inputs still runs")
			}
			time.Sleep(pause)
			synctest.Wait()
			if !ended {
				t.Error("the inputs did not end at their next value")
			}
		}
	})
}

func square(_ context.Context, n int) (int, error) { return n * n, nil }
