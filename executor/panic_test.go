package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/executor"
	"concert/goroutines"
	"concert/internal/loopback"
)

// endless has values that contain themselves, for which fmt would overflow the
// stack, and a value that is too large to print.
var endless = func() []any {
	m := map[string]any{}
	m["self"] = m
	l := make([]any, 1)
	l[0] = l
	type node struct{ Next any }
	n := &node{}
	n.Next = []any{*n, m}
	return []any{m, l, n, struct{ V any }{m}, &l, [1]any{m}, map[[1]any]int{{n}: 1, {"m"}: 2}, slices.Repeat([]any{1}, 1<<20)}
}()

// panicEndless panics with the value of endless that has this index.
var panicEndless = concert.Register("concert_test.panicEndless", func(_ context.Context, i int) (int, error) { panic(endless[i]) })

// TestPanicError_Endless: if the value of a panic contains itself, errors and
// logs contain its type instead of its text.
func TestPanicError_Endless(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	pool := goroutines.New(1, &goroutines.Options{Observer: func(concert.Event) { panic(endless[0]) }})
	defer pool.Close()
	elsewhere := loopback.New(1, loopback.Options{})
	defer elsewhere.Close()
	for i, v := range endless {
		for name, ex := range map[string]concert.Executor{"goroutines": pool, "loopback": elsewhere} {
			t.Run(fmt.Sprint(name, " ", i), func(t *testing.T) {
				f := concert.Submit(t.Context(), ex, panicEndless, i)
				done := make(chan struct{})
				f.OnDone(t.Context(), func(context.Context, *concert.Future[int]) { defer close(done); panic(v) })
				<-done
				_, err := f.Result(t.Context())
				var p *concert.PanicError
				if !errors.As(err, &p) || len(err.Error()) > 1<<20 {
					t.Errorf("%d on %s: %T, %d bytes", i, name, err, len(err.Error()))
				}
			})
		}
	}
	for _, c := range []struct {
		value any
		want  string
	}{
		{endless[0], "a value of type map[string]interface {}, which contains itself or is large"},
		{map[string]int{"a": 1}, "map[a:1]"},
		{&struct{ A, B any }{1, []any{nil, "x"}}, "&{1 [<nil> x]}"},
		{errors.New("out of cheese"), "out of cheese"},
		{nil, "<nil>"},
	} {
		if err := executor.NewPanicError(c.value); !strings.HasSuffix(err.Error(), ": "+c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestPanicError_Inputs: if the inputs of a Map panic, the loop panics with an
// error whose text contains the stack of the inputs.
func TestPanicError_Inputs(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	defer func() {
		err, _ := recover().(error)
		for _, want := range []string{"concert: the inputs or the labels of a Map panicked: out of cheese\n", "panic_test.go:"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the loop panicked with %v, want %q in it", err, want)
			}
		}
	}()
	for range concert.Map(t.Context(), ex, square, func(func(int) bool) { panic("out of cheese") }) {
	}
}

// outerPanic returns the error of a task that panics.
func outerPanic(ctx context.Context, ex concert.Executor) (int, error) {
	return concert.Submit(ctx, ex, panicEndless, 0).Result(ctx)
}

// TestPanicError_Task: the error of a task that panics names the function of
// this task. This also holds if another task returns the error, and if the
// error is sent to another process.
func TestPanicError_Task(t *testing.T) {
	pool := goroutines.New(1, nil)
	defer pool.Close()
	elsewhere := loopback.New(1, loopback.Options{})
	defer elsewhere.Close()
	const name = "concert_test.panicEndless"
	check := func(where string, err error) {
		t.Helper()
		p, ok := errors.AsType[*concert.PanicError](err)
		if !ok || p.Task != name || !strings.HasPrefix(err.Error(), "concert: "+name+": task panicked: ") {
			t.Errorf("%s: %T, %v", where, err, err)
		}
	}
	for where, ex := range map[string]concert.Executor{"goroutines": pool, "loopback": elsewhere} {
		t.Run(where, func(t *testing.T) {
			_, err := concert.Submit(t.Context(), ex, panicEndless, 0).Result(t.Context())
			check(where, err)
			_, err = concert.Submit(t.Context(), pool, outerPanic, ex).Result(t.Context())
			check(where+", returned by another task", err)
			check(where+", encoded", executor.DecodeError(executor.EncodeError(err)))
			for _, err := range concert.Map(t.Context(), ex, panicEndless, slices.Values([]int{0})) {
				if p, ok := errors.AsType[*concert.PanicError](err); !ok || p.Task != name || p.Input == nil {
					t.Errorf("%s, in a Map: %T, %v", where, err, err)
				}
			}
		})
	}
	_, err := concert.Go(t.Context(), func(context.Context) (int, error) { panic("x") }).Result(t.Context())
	if !strings.HasPrefix(err.Error(), "concert: "+thisPackage+".TestPanicError_Task.func") {
		t.Errorf("Go: %v", err)
	}
	long := executor.DecodeError(executor.EncodeError(&concert.PanicError{Value: "x", Task: strings.Repeat("n", 1<<20)}))
	if p, ok := long.(*concert.PanicError); !ok || len(p.Task) > 256 || !strings.HasPrefix(p.Task, "nnn") {
		t.Errorf("a long name: %.300v", long)
	}
	hooked := &concert.PanicError{Value: "x"}
	if hooked.Error() != "concert: task panicked: x" {
		t.Errorf("without a name: %v", hooked)
	}
}
