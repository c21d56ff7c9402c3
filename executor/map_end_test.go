package executor_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/executor"
	"concert/goroutines"
)

// lateExecutor calls event, and then passes the task to another executor.
type lateExecutor struct {
	concert.Executor
	event func()
}

// Execute calls event, and waits until all other goroutines of the bubble
// are blocked.
func (e lateExecutor) Execute(_ context.Context, t *executor.Task) error {
	e.event()
	synctest.Wait()
	return e.Executor.Execute(context.Background(), t)
}

// TestMap_EndsWhileSubmitting: if a Map ends while it submits a task to the
// executor, the Map must not wait until a worker takes that task.
func TestMap_EndsWhileSubmitting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := goroutines.New(1, nil)
		defer pool.Close()
		release := make(chan struct{})
		held := concert.Submit(t.Context(), pool, func(context.Context, int) (int, error) {
			<-release
			return 0, nil
		}, 0)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		for _, err := range concert.Map(ctx, lateExecutor{pool, cancel}, double, slices.Values([]int{1, 2, 3})) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Map() with a canceled context: %v", err)
			}
		}
		close(release)
		held.Result(t.Context())
	})
}

// TestMap_ShutdownWithInputsLeft: the executor of a Map is shut down while
// inputs are left. The Map must end with ErrClosed, even if the executor has
// run all inputs that the Map took.
func TestMap_ShutdownWithInputsLeft(t *testing.T) {
	const last = 4 // the last input that the Map takes before the first result
	for name, mapOf := range map[string]func(context.Context, concert.Executor, func(context.Context, int) (int, error), iter.Seq[int]) iter.Seq2[int, error]{
		"Map": concert.Map[int, int], "MapUnordered": concert.MapUnordered[int, int],
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := goroutines.New(1, nil)
				blocked, release := make(chan struct{}), make(chan struct{})
				fn := func(_ context.Context, n int) (int, error) {
					time.Sleep(time.Millisecond) // a Map of slow calls takes few inputs ahead
					if n == last {
						close(blocked)
						<-release
					}
					return n, nil
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				n, err := 0, error(nil)
				for _, err = range mapOf(t.Context(), pool, fn, forever) {
					if n++; n > 1 {
						continue
					}
					<-blocked
					synctest.Wait()
					go pool.Shutdown(ended)
					synctest.Wait()
					close(release)
				}
				if !errors.Is(err, concert.ErrClosed) {
					t.Errorf("a Map of endless inputs ended after %d results with %v, want ErrClosed", n, err)
				}
				pool.Close()
			})
		})
	}
}

// badRefusal is an error with a method that misbehaves.
type badRefusal struct {
	method string
	fail   func()
}

func (e *badRefusal) call(method string) {
	if e.method == method {
		e.fail()
	}
}

func (e *badRefusal) Error() string { return "refused" }

func (e *badRefusal) Is(error) bool { e.call("Is"); return false }

func (e *badRefusal) Unwrap() error { e.call("Unwrap"); return nil }

// TestMap_ErrorMethodsMisbehave: the initializer of a pool has failed. A Map on
// this pool must end with the error of the initializer, even if methods of this
// error fail.
func TestMap_ErrorMethodsMisbehave(t *testing.T) {
	for _, method := range []string{"Is", "Unwrap"} {
		for _, how := range []string{"panics", "exits", "hangs"} {
			t.Run(method+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					release := make(chan struct{})
					defer close(release)
					bad := &badRefusal{method, func() {
						switch how {
						case "panics":
							panic("out of cheese")
						case "exits":
							runtime.Goexit()
						}
						<-release
					}}
					pool := goroutines.New(1, &goroutines.Options{Init: func(context.Context) (any, error) { return nil, bad }})
					defer pool.Close()
					if _, err := concert.Submit(t.Context(), pool, double, 1).Result(t.Context()); err == nil {
						t.Errorf("a task ran although the initializer failed")
					}
					var last error
					for _, last = range concert.Map(t.Context(), pool, double, slices.Values([]int{1, 2, 3})) {
					}
					if last == nil || !strings.Contains(last.Error(), "refused") {
						t.Errorf("the Map ended with %v, want the error of the initializer", last)
					}
				})
			})
		}
	}
}

func forever(yield func(int) bool) {
	for n := 0; yield(n); n++ {
	}
}

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }
