package concert_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/goroutines"
	"concert/internal/loopback"
)

// endless are values that contain themselves: fmt would overflow the stack.
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

// panicEndless panics with one of them.
var panicEndless = concert.Register("concert_test.panicEndless", func(_ context.Context, i int) (int, error) { panic(endless[i]) })

// TestPanicError_Endless: the value of a panic may contain itself. Its text is
// the type, in the error and in logs.
func TestPanicError_Endless(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	pool := goroutines.New(1, &goroutines.Options{Observer: func(concert.Event) { panic(endless[0]) }})
	defer pool.Close()
	elsewhere := loopback.New(1, loopback.Options{})
	defer elsewhere.Close()
	for i, v := range endless {
		for name, ex := range map[string]concert.Executor{"goroutines": pool, "loopback": elsewhere} {
			f := concert.Submit(t.Context(), ex, panicEndless, i)
			done := make(chan struct{})
			f.OnDone(t.Context(), func(context.Context, *concert.Future[int]) { defer close(done); panic(v) })
			<-done
			_, err := f.Result(t.Context())
			var p *concert.PanicError
			if !errors.As(err, &p) || len(err.Error()) > 1<<20 {
				t.Errorf("%d on %s: %T, %d bytes", i, name, err, len(err.Error()))
			}
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
		if err := concert.NewPanicError(c.value); !strings.HasSuffix(err.Error(), ": "+c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestPanicError_Inputs: a panic of a Map's inputs ends the program with the
// stack of the inputs, although the loop raises it.
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
