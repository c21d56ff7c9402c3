package executortest

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"concert"
)

// oddContext is a context with a type of the program. After armed is set, the
// methods panic or end their goroutine.
type oddContext struct {
	context.Context
	how   string
	armed *atomic.Bool
}

func (c oddContext) misbehave(method string) {
	if !c.armed.Load() {
		return
	}
	switch c.how {
	case method + " panics":
		panic("out of cheese")
	case method + " exits":
		runtime.Goexit()
	}
}

// Err panics or ends its goroutine.
func (c oddContext) Err() error { c.misbehave("Err"); return c.Context.Err() }

// Value panics or ends its goroutine.
func (c oddContext) Value(key any) any { c.misbehave("Value"); return c.Context.Value(key) }

// Deadline panics or ends its goroutine.
func (c oddContext) Deadline() (time.Time, bool) {
	c.misbehave("Deadline")
	return c.Context.Deadline()
}

var contextCases = []testCase{
	{"OddContexts", "a context with methods that fail affects only its own task", func(s *suite) {
		for _, how := range []string{"Err panics", "Err exits", "Deadline panics", "Value panics"} {
			ex := s.executor(Config{Workers: 1, Queue: 8})
			g, held := s.held(ex)
			odd := oddContext{s.ctx, how, new(atomic.Bool)}
			f := concert.Submit(odd, ex, square, 3)
			behind := concert.Submit(s.ctx, ex, square, 4)
			odd.armed.Store(true)
			g.open()
			must[string](s)(held.Result(s.ctx))
			if n, err := behind.Result(s.ctx); n != 16 || err != nil {
				s.Errorf("%s: the next task = %d, %v", how, n, err)
			}
			n, err := f.Result(s.ctx)
			switch {
			case err == nil && n == 9: // the executor has called no method of the context
			case err == nil || !errors.Is(err, concert.ErrCanceled) && !errors.Is(err, concert.ErrGoexit):
				s.Errorf("%s: %d, %v; want the result, or an error that says that the task never started", how, n, err)
			}
			must[int](s)(concert.Submit(s.ctx, ex, square, 2).Result(s.ctx))
		}
	}},

	{"OddContextOfMap", "if methods of a Map's context fail, no task outside of this Map is affected", func(s *suite) {
		if s.Shared {
			return // the methods fail in the range loop and in calls of the Map
		}
		for _, how := range []string{"Deadline panics", "Deadline exits", "Value panics"} {
			ex := s.executor(Config{Workers: 1, Queue: 8})
			odd := oddContext{s.ctx, how, new(atomic.Bool)}
			inputs := func(yield func(int) bool) {
				odd.armed.Store(true)
				for i := range 20 {
					if !yield(i) {
						return
					}
				}
			}
			for range concert.Map(odd, ex, square, inputs) {
			}
			must[int](s)(concert.Submit(s.ctx, ex, square, 2).Result(s.ctx))
		}
	}},

	{"OwnContexts", "when a context of the program's own type ends, its task ends, as with any other context", func(s *suite) {
		ex := s.executor(Config{Workers: 1, Queue: 8})
		g, held := s.held(ex)
		// Some executors send tasks to a worker that is not free yet. If the
		// context of such a task ends, the worker may have begun the task
		// before the executor withdraws it. So the case first submits other
		// tasks, which are sent instead.
		for range 4 {
			concert.Submit(s.ctx, ex, square, 2)
		}
		cause := errors.New("enough")
		inner, cancel := context.WithCancelCause(s.ctx)
		own := oddContext{inner, "", new(atomic.Bool)}
		waiting := concert.Submit(own, ex, square, 3)
		cancel(cause)
		g.open()
		must[string](s)(held.Result(s.ctx))
		n, err := waiting.Result(s.ctx)
		if !errors.Is(err, concert.ErrCanceled) || !errors.Is(err, cause) {
			s.Errorf("Result() = %d, %v; want ErrCanceled and the cause", n, err)
		}
		g2 := s.gate()
		inner, cancel = context.WithCancelCause(s.ctx)
		running := concert.Submit(oddContext{inner, "", new(atomic.Bool)}, ex, hold, g2)
		s.eventually("the task runs", func() bool { return g2.entered() == 1 })
		cancel(cause)
		if _, err := running.Result(s.ctx); err == nil {
			s.Errorf("a running task whose context ended has no error")
		}
	}},
}
