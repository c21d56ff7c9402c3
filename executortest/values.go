package executortest

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"

	"concert"
)

var valueCases = []testCase{
	{"SharedOrCopied", "arguments and results are shared if Traits.Shared is set, and copied otherwise", func(s *suite) {
		ex := s.executor(Config{})
		arg := &[]int{1, 2, 3}
		got := must[*[]int](s)(concert.Submit(s.ctx, ex, scribble, arg).Result(s.ctx))
		if (*got)[0] != 42 || len(*got) != 3 {
			s.Errorf("result = %v", *got)
		}
		if s.Shared && ((*arg)[0] != 42 || got != arg) {
			s.Errorf("argument after the task = %v, at %p; result at %p: not shared", *arg, arg, got)
		}
		if !s.Shared && ((*arg)[0] != 1 || got == arg) {
			s.Errorf("argument after the task = %v, at %p; result at %p: not a copy", *arg, arg, got)
		}
	}},

	{"Registered", "a task whose function is not registered fails with ErrNotRegistered, unless Traits.Shared is set", func(s *suite) {
		ex := s.executor(Config{})
		// The executor finds the function by the value that Register has
		// returned, or by the code of a function at package level.
		must[int](s)(concert.Submit(s.ctx, ex, square, 2).Result(s.ctx))
		must[int](s)(concert.Submit(s.ctx, ex, squareFunc, 2).Result(s.ctx))
		must[int](s)(concert.Submit(s.ctx, ex, sizeOf, &[]byte{1}).Result(s.ctx)) // a closure that was registered
		factor := 3
		closure := func(_ context.Context, n int) (int, error) { return factor * n, nil }
		got, err := concert.Submit(s.ctx, ex, closure, 2).Result(s.ctx)
		if s.Shared {
			if got != 6 || err != nil {
				s.Errorf("closure(2) = %d, %v; want 6", got, err)
			}
			return
		}
		if !errors.Is(err, concert.ErrNotRegistered) || !strings.Contains(err.Error(), "values.go:") {
			s.Errorf("Result() of a closure = %v; want ErrNotRegistered with file and line", err)
		}
		for _, err := range concert.Map(s.ctx, ex, closure, upTo(3)) {
			if !errors.Is(err, concert.ErrNotRegistered) {
				s.Errorf("Map() of a closure = %v, want ErrNotRegistered", err)
			}
		}
		must[int](s)(concert.Submit(s.ctx, ex, square, 2).Result(s.ctx))
	}},

	{"Unencodable", "if an argument cannot be encoded, only its own task fails", func(s *suite) {
		ex := s.executor(Config{})
		got, err := concert.Submit(s.ctx, ex, callIt, any(func() int { return 7 })).Result(s.ctx)
		if s.Shared {
			if got != 7 || err != nil {
				s.Errorf("callIt() = %d, %v; want 7", got, err)
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), "executortest.callIt") || !strings.Contains(err.Error(), "func() int") {
			s.Errorf("Result() = %v; want an error that names the function and the type", err)
		}
		must[int](s)(concert.Submit(s.ctx, ex, square, 2).Result(s.ctx))
	}},

	{"Errors", "errors.Is and errors.As find what a task returned, wherever it ran", func(s *suite) {
		ex := s.executor(Config{})
		result := func(how string) error {
			_, err := concert.Submit(s.ctx, ex, fail, how).Result(s.ctx)
			return err
		}
		if err := result("error"); err == nil || err.Error() != "a plain error" {
			s.Errorf("error = %v", err)
		}
		if err := result("eof"); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || err.Error() != "reading the test: unexpected EOF" {
			s.Errorf("error = %v, want one that is io.ErrUnexpectedEOF", err)
		}
		if err := result("sentinel"); !errors.Is(err, errOurs) {
			s.Errorf("error = %v, want one that is errOurs", err)
		}
		var c *codeError
		if err := result("type"); !errors.As(err, &c) || c.Code != 99 || c.Note != "teapot" {
			s.Errorf("error = %v, want one that has a codeError", err)
		}
	}},

	{"ArgumentDropped", "a settled future does not keep its argument in memory", func(s *suite) {
		ex := s.executor(Config{})
		arg := new([]byte)
		*arg = make([]byte, 1<<20)
		var freed atomic.Bool
		runtime.AddCleanup(arg, func(*atomic.Bool) { freed.Store(true) }, &freed)
		f := concert.Submit(s.ctx, ex, sizeOf, arg)
		must[int](s)(f.Result(s.ctx))
		arg = nil
		s.eventually("the argument is collected", func() bool {
			runtime.GC()
			return freed.Load()
		})
		runtime.KeepAlive(f)
	}},

	{"ResultsReleased", "a Map does not keep results that it has yielded", func(s *suite) {
		if !s.Shared {
			return // the results of the function are copied; see the case MapMemory
		}
		ex := s.executor(Config{})
		var freed atomic.Int64
		big := func(context.Context, int) (*[1 << 16]byte, error) {
			b := new([1 << 16]byte)
			runtime.AddCleanup(b, func(n *atomic.Int64) { n.Add(1) }, &freed)
			return b, nil
		}
		n := int64(0)
		for _, err := range concert.Map(s.ctx, ex, big, upTo(1000)) {
			if err != nil {
				s.Fatal(err)
			}
			if n++; n == 900 {
				s.eventually("the results that were yielded are freed", func() bool {
					runtime.GC()
					return freed.Load() > 800
				})
			}
		}
	}},

	{"ContextValues", "tasks that share memory can read the values of the submitter's context", func(s *suite) {
		if !s.Shared {
			return // the worker receives only the deadline of the context: see Register, and the case Deadline
		}
		ex := s.executor(Config{})
		type key struct{}
		ctx := context.WithValue(s.ctx, key{}, "the value")
		read := func(ctx context.Context, _ int) (any, error) { return ctx.Value(key{}), nil }
		if got := must[any](s)(concert.Submit(ctx, ex, read, 0).Result(s.ctx)); got != "the value" {
			s.Errorf("value in a task = %v", got)
		}
		for got, err := range concert.Map(ctx, ex, read, upTo(3)) {
			if got != "the value" || err != nil {
				s.Errorf("value in a Map = %v, %v", got, err)
			}
		}
	}},
}

var callIt = concert.Register("executortest.callIt", func(_ context.Context, f any) (int, error) { return f.(func() int)(), nil })
