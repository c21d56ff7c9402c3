package executortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"concert"
)

var futureCases = []testCase{
	{"Result", "Result returns the value of the function", func(s *suite) {
		ex := s.executor(Config{})
		futures := make([]*concert.Future[int], 500)
		for i := range futures {
			futures[i] = concert.Submit(s.ctx, ex, square, i)
		}
		for i, f := range futures {
			if got, err := f.Result(s.ctx); got != i*i || err != nil {
				s.Fatalf("Result() of square(%d) = %d, %v; want %d", i, got, err, i*i)
			}
			if f.State() != concert.Finished {
				s.Fatalf("State() after Result = %v, want finished", f.State())
			}
		}
	}},

	{"ResultDeadline", "if the context of Result ends, the task continues, and a later Result returns its outcome", func(s *suite) {
		ex := s.executor(Config{})
		g := s.gate()
		f := concert.Submit(s.ctx, ex, hold, g)
		why := errors.New("no more time")
		ctx := s.ended(why)
		if _, err := f.Result(ctx); err != why {
			s.Errorf("Result() with an ended context = %v, want its cause", err)
		}
		g.open()
		if got, err := f.Result(s.ctx); got != "passed" || err != nil {
			s.Errorf("second Result() = %q, %v; want passed", got, err)
		}
		if got, err := f.Result(ctx); got != "passed" || err != nil {
			s.Errorf("Result() of a finished task with an ended context = %q, %v; want passed", got, err)
		}
	}},

	{"ExactlyRunning", "a future is Running only if a worker has started the task; a Pending task can be canceled", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		g := s.gate()
		var futures []*concert.Future[string]
		for range 8 {
			futures = append(futures, concert.Submit(s.ctx, ex, hold, g))
		}
		s.eventually("two tasks start", func() bool { return g.entered() == 2 })
		var states map[concert.State]int
		s.eventually("two futures are Running", func() bool {
			states = map[concert.State]int{}
			for _, f := range futures {
				states[f.State()]++
			}
			return states[concert.Running] >= 2
		})
		if states[concert.Running] != 2 || states[concert.Pending] != 6 {
			s.Errorf("states with 2 workers and 8 tasks: %v; want 2 running, 6 pending", states)
		}
		g.open()
		must[[]string](s)(concert.Gather(s.ctx, futures...))
		if n := g.entered(); n != 8 {
			s.Errorf("%d tasks ran, want 8", n)
		}
	}},

	{"CancelPending", "a canceled task that has not started never runs, and settles at once", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		g, first := s.held(ex)
		never := s.gate()
		f := concert.Submit(s.ctx, ex, hold, never)
		for range 2 {
			if !f.Cancel() {
				s.Error("Cancel() of a pending task = false, want true at each call")
			}
		}
		_, err := f.Result(s.ctx)
		if !errors.Is(err, concert.ErrCanceled) || !errors.Is(err, context.Canceled) {
			s.Errorf("Result() of a canceled task: %v; want ErrCanceled, which is context.Canceled", err)
		}
		if f.State() != concert.Canceled {
			s.Errorf("State() = %v, want canceled", f.State())
		}
		g.open()
		must[string](s)(first.Result(s.ctx))
		must[int](s)(concert.Submit(s.ctx, ex, square, 1).Result(s.ctx))
		if n := never.entered(); n != 0 {
			s.Error("the canceled task ran")
		}
	}},

	{"CancelRunning", "Cancel of a running task cancels the task's context", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		_, f := s.held(ex)
		if f.Cancel() {
			s.Error("Cancel() of a running task = true, want false")
		}
		if _, err := f.Result(s.ctx); !errors.Is(err, context.Canceled) {
			s.Errorf("Result() = %v; want context.Canceled, which the function has returned", err)
		}
		if f.State() != concert.Finished {
			s.Errorf("State() = %v, want finished", f.State())
		}
		if f.Cancel() {
			s.Error("Cancel() of a finished task = true, want false")
		}
		must[int](s)(concert.Submit(s.ctx, ex, square, 1).Result(s.ctx))
	}},

	{"ContextEndsPending", "a queued task whose submitter's context ends never runs", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		g, never := s.gate(), s.gate()
		first := concert.Submit(s.ctx, ex, hold, g)
		why := errors.New("changed my mind")
		ctx, cancel := context.WithCancelCause(s.ctx)
		f := concert.Submit(ctx, ex, hold, never)
		cancel(why)
		if _, err := f.Result(s.ctx); !errors.Is(err, concert.ErrCanceled) || !errors.Is(err, why) {
			s.Errorf("Result() = %v; want ErrCanceled with the cause", err)
		}
		g.open()
		must[string](s)(first.Result(s.ctx))
		if never.entered() != 0 {
			s.Error("the task ran although its context had ended")
		}
	}},

	{"ContextEndsRunning", "when the submitter's context ends, the context of the running task ends", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		g := s.gate()
		ctx, cancel := context.WithCancel(s.ctx)
		f := concert.Submit(ctx, ex, hold, g)
		s.eventually("the task starts", func() bool { return g.entered() == 1 })
		cancel()
		if _, err := f.Result(s.ctx); !errors.Is(err, context.Canceled) {
			s.Errorf("Result() = %v, want context.Canceled", err)
		}
	}},

	{"Deadline", "the context of a task has the deadline of the submitter's context", func(s *suite) {
		ex := s.executor(Config{})
		if has := must[bool](s)(concert.Submit(s.ctx, ex, deadline, struct{}{}).Result(s.ctx)); !has {
			s.Error("the task's context has no deadline, the submitter's has")
		}
		if has := must[bool](s)(concert.Submit(context.Background(), ex, deadline, struct{}{}).Result(s.ctx)); has {
			s.Error("the task's context has a deadline, the submitter's has none")
		}
	}},

	{"CancelRace", "a task that is canceled while it completes has exactly one outcome", func(s *suite) {
		ex := s.executor(Config{})
		var ran, canceled int
		for i := range s.many(10_000) {
			f := concert.Submit(s.ctx, ex, square, i)
			var calls atomic.Int32
			called := make(chan struct{})
			f.OnDone(s.ctx, func(context.Context, *concert.Future[int]) {
				if calls.Add(1) == 1 {
					close(called)
				}
			})
			var dropped bool
			var wg sync.WaitGroup
			wg.Go(func() { dropped = f.Cancel() })
			got, err := f.Result(s.ctx)
			wg.Wait()
			again, err2 := f.Result(s.ctx)
			<-called
			switch {
			case err == nil && got == i*i && !dropped && f.State() == concert.Finished:
				ran++
			case errors.Is(err, concert.ErrCanceled) && dropped && f.State() == concert.Canceled:
				canceled++
			case errors.Is(err, context.Canceled) && !dropped && f.State() == concert.Finished:
				ran++ // an executor may stop a function that ignores its context
			default:
				s.Fatalf("task %d: Result() = %d, %v; Cancel() = %v; State() = %v", i, got, err, dropped, f.State())
			}
			if got != again || err != err2 || calls.Load() != 1 {
				s.Fatalf("task %d has more than one outcome: %d, %v and %d, %v; %d callbacks", i, got, err, again, err2, calls.Load())
			}
		}
		s.Logf("%d ran, %d were canceled", ran, canceled)
	}},

	{"Panic", "a panic in a task is a PanicError of this task, with its stack, and the executor continues", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		_, err := concert.Submit(s.ctx, ex, fail, "panic").Result(s.ctx)
		var p *concert.PanicError
		if !errors.As(err, &p) {
			s.Fatalf("Result() = %v (%T), want *PanicError", err, err)
		}
		if fmt.Sprint(p.Value) != "out of cheese" || !strings.Contains(p.Stack(), "failFunc") {
			s.Errorf("PanicError: value %v, stack without failFunc:\n%s", p.Value, p.Stack())
		}
		if _, err := concert.Submit(s.ctx, ex, fail, "panic error").Result(s.ctx); !errors.Is(err, errOurs) {
			s.Errorf("Result() of panic(err) = %v, want an error that is err", err)
		}
		must[int](s)(concert.Submit(s.ctx, ex, square, 1).Result(s.ctx))
	}},

	{"Goexit", "a task that calls runtime.Goexit settles with ErrGoexit, and the executor continues", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		for range 3 {
			if _, err := concert.Submit(s.ctx, ex, fail, "goexit").Result(s.ctx); !errors.Is(err, concert.ErrGoexit) {
				s.Fatalf("Result() = %v, want ErrGoexit", err)
			}
		}
		must[int](s)(concert.Submit(s.ctx, ex, square, 1).Result(s.ctx))
	}},

	{"NilFunction", "Submit and Map panic on the goroutine of the caller if the function is nil", func(s *suite) {
		ex := s.executor(Config{})
		for name, misuse := range map[string]func(){
			"Submit": func() { concert.Submit[int, int](s.ctx, ex, nil, 1) },
			"Map":    func() { concert.Map[int, int](s.ctx, ex, nil, func(func(int) bool) {}) },
		} {
			func() {
				defer func() {
					if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "concert: "+name) {
						s.Errorf("%s of a nil function panicked with %v", name, v)
					}
				}()
				misuse()
			}()
		}
	}},

	{"Callbacks", "each OnDone callback is called once, in order, whatever another callback does", func(s *suite) {
		ex := s.executor(Config{})
		g := s.gate()
		f := concert.Submit(s.ctx, ex, hold, g)
		order := make(chan int, 10)
		for i := range 5 {
			f.OnDone(s.ctx, func(_ context.Context, f *concert.Future[string]) {
				order <- i
				if f.State() != concert.Finished {
					s.Errorf("callback %d sees state %v", i, f.State())
				}
				if i == 2 {
					panic("callback 2 panics; this is part of the test")
				}
			})
		}
		g.open()
		must[string](s)(f.Result(s.ctx))
		for i := range 5 {
			select {
			case got := <-order:
				if got != i {
					s.Fatalf("callback %d ran as number %d", got, i)
				}
			case <-s.ctx.Done():
				s.Fatalf("callback %d never ran", i)
			}
		}
		at := false
		f.OnDone(s.ctx, func(context.Context, *concert.Future[string]) { at = true })
		if !at {
			s.Error("OnDone on a finished future did not call at once")
		}
	}},

	{"TrySubmit", "TrySubmit does not wait for room, and observers see the end of a dropped task", func(s *suite) {
		var r record
		ex := s.executor(Config{Workers: 1, Queue: 8, Observer: r.observe})
		g := s.gate()
		accepted := []*concert.Future[string]{concert.Submit(s.ctx, ex, hold, g)}
		s.eventually("the first task starts", func() bool { return g.entered() == 1 })
		dropped := 0
		try := func(ctx context.Context) bool {
			f, ok := concert.TrySubmit(ctx, ex, hold, g)
			switch {
			case ok != (f != nil):
				s.Fatalf("TrySubmit() = %v, %v", f, ok)
			case ok:
				accepted = append(accepted, f)
			default:
				dropped++
			}
			return ok
		}
		// A worker that fetches tasks ahead makes room in the queue. When
		// workers fetch no further tasks, the queue stays full.
		for refused := 0; refused < 20; refused++ {
			if try(s.ctx) {
				refused = 0
			} else {
				time.Sleep(5 * time.Millisecond)
			}
			if len(accepted) > 1000 {
				s.Fatal("a queue of 8 has room for 1000 tasks")
			}
		}
		ended := s.ended(nil)
		if try(ended) {
			s.Error("TrySubmit with an ended context put a task into a full queue")
		}

		last := len(accepted) - 1
		if !accepted[last].Cancel() {
			s.Errorf("task %d of %d has left the queue", last, last+1)
		}
		if !try(s.ctx) {
			s.Error("TrySubmit does not use the room of a canceled task")
		}
		accepted = slices.Delete(accepted, last, last+1)
		if try(s.ctx) {
			s.Error("TrySubmit found room for two tasks where one was canceled")
		}

		g.open()
		for _, f := range accepted {
			must[string](s)(f.Result(s.ctx))
		}
		if n := g.entered(); n != len(accepted) {
			s.Errorf("%d tasks ran, %d were accepted", n, len(accepted))
		}
		f, ok := concert.TrySubmit(s.ctx, ex, square, 3)
		if !ok {
			s.Fatal("an empty queue has no room")
		}
		if got := must[int](s)(f.Result(s.ctx)); got != 9 {
			s.Errorf("Result() = %d, want 9", got)
		}
		f, ok = concert.TrySubmit(ended, ex, square, 3)
		if !ok {
			s.Fatal("an empty queue has no room for a task whose context has ended")
		}
		if _, err := f.Result(s.ctx); !errors.Is(err, concert.ErrCanceled) {
			s.Errorf("error of a task whose context has ended: %v, want ErrCanceled", err)
		}
		ex.Close()
		f, ok = concert.TrySubmit(s.ctx, ex, square, 3)
		if !ok {
			s.Fatal("a closed executor has no room, want a future with ErrClosed")
		}
		if _, err := f.Result(s.ctx); !errors.Is(err, concert.ErrClosed) {
			s.Errorf("error on a closed executor: %v, want ErrClosed", err)
		}

		// Three more did not run: one was canceled, one had an ended context,
		// and one came after Close.
		got := r.check(s)
		if ran, not := got["[submitted started finished]"], got["[submitted finished]"]; ran != len(accepted)+1 || not != dropped+3 {
			s.Errorf("the observer saw %d tasks that ran and %d that did not; want %d and %d", ran, not, len(accepted)+1, dropped+3)
		}
	}},

	{"SubmitFromCallback", "a callback can submit tasks to its own executor, even if the queue is full", func(s *suite) {
		ex := s.executor(Config{Workers: 1, Queue: 1})
		last := make(chan *concert.Future[int], 1)
		var next func(ctx context.Context, f *concert.Future[int])
		left := atomic.Int32{}
		left.Store(50)
		next = func(ctx context.Context, f *concert.Future[int]) {
			if left.Add(-1) == 0 {
				last <- f
				return
			}
			concert.Submit(ctx, ex, square, 2) // this task fills the queue
			concert.Submit(ctx, ex, square, 3).OnDone(ctx, next)
		}
		concert.Submit(s.ctx, ex, square, 1).OnDone(s.ctx, next)
		select {
		case f := <-last:
			if got := must[int](s)(f.Result(s.ctx)); got != 9 {
				s.Errorf("last of the chain = %d, want 9", got)
			}
		case <-s.ctx.Done():
			s.Fatal("the chain stopped")
		}
	}},
}
