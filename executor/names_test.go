package executor_test

import (
	"context"
	"reflect"
	"runtime"
	"testing"

	"concert"
	"concert/goroutines"
)

// factory returns functions that all have the same code.
//
//go:noinline
func factory(n int) func(context.Context, int) (int, error) {
	return func(context.Context, int) (int, error) { return n, nil }
}

type calculator struct{ n int }

func (c calculator) add(_ context.Context, n int) (int, error) { return c.n + n, nil }

func generic[T any](_ context.Context, v T) (T, error) { return v, nil }

var (
	literalName = concert.Register("names.literal", func(context.Context, int) (int, error) { return 0, nil })
	oneName     = concert.Register("names.one", factory(1))
	twoName     = concert.Register("names.two", factory(2))
	retryName   = concert.Register("names.retry", concert.Retry(square, nil))
	methodName  = concert.Register("names.method", calculator{1}.add)
	genericName = concert.Register("names.generic", generic[int])
	topName     = concert.Register("names.topLevel", topLevel)
)

func topLevel(context.Context, int) (int, error) { return 0, nil }

// thisPackage is the path of this package, with which names of functions begin.
var thisPackage = reflect.TypeFor[calculator]().PkgPath()

// TestTask_Name: a task has the name under which its function was registered.
// This holds for every kind of function, and as long as the task's future is
// used.
func TestTask_Name(t *testing.T) {
	for _, c := range []struct {
		want string
		fn   func(context.Context, int) (int, error)
	}{
		{"names.literal", literalName},
		{"names.one", oneName},
		{"names.two", twoName},
		{thisPackage + ".factory.func1", factory(1)},
		{"names.retry", retryName},
		{"names.method", methodName},
		{thisPackage + ".calculator.add-fm", calculator{2}.add},
		{"names.generic", genericName},
		{"names.topLevel", topName},
		{"names.topLevel", topLevel},
		{thisPackage + ".TestTask_Name.func1", func(context.Context, int) (int, error) { return 0, nil }},
	} {
		t.Run(c.want, func(t *testing.T) {
			ex := goroutines.New(1, nil)
			defer ex.Close()
			gate := make(chan struct{})
			concert.Submit(t.Context(), ex, func(context.Context, int) (int, error) { <-gate; return 0, nil }, 0)
			f := concert.Submit(t.Context(), ex, c.fn, 1)
			if got, want := f.String(), c.want+" (pending)"; got != want {
				t.Errorf("String() of a task that waits = %q, want %q", got, want)
			}
			close(gate)
			f.Result(t.Context())
			runtime.GC()
			if got, want := f.String(), c.want+" (finished)"; got != want {
				t.Errorf("String() of a task that is done = %q, want %q", got, want)
			}
		})
	}
}
