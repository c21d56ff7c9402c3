package executortest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert"
)

var closeCases = []testCase{
	{"Close", "Close refuses new tasks and waits until all accepted tasks have settled, and a second Close does the same", func(s *suite) {
		ex := s.executor(Config{})
		g := s.gate()
		var futures []*concert.Future[string]
		for range 10 {
			futures = append(futures, concert.Submit(s.ctx, ex, hold, g))
		}
		closed := make(chan error, 2)
		go func() { closed <- ex.Close() }()
		go func() { closed <- ex.Close() }()
		s.eventually("late submits are refused", func() bool {
			f := concert.Submit(s.ctx, ex, square, 1)
			f.Cancel() // otherwise the task would fill the queue
			_, err := f.Result(s.ctx)
			return errors.Is(err, concert.ErrClosed)
		})
		select {
		case <-closed:
			s.Error("Close() returned while tasks were held")
		default:
		}
		g.open()
		for range 2 {
			if err := <-closed; err != nil {
				s.Errorf("Close() = %v", err)
			}
		}
		for _, f := range futures {
			if f.State() != concert.Finished {
				s.Errorf("%v after Close", f)
			}
		}
		if err := ex.Shutdown(s.ctx); err != nil {
			s.Errorf("Shutdown() after Close = %v", err)
		}
	}},

	{"LateSubmit", "after Close, Submit and Map fail with ErrClosed", func(s *suite) {
		ex := s.executor(Config{})
		ex.Close()
		if _, err := concert.Submit(s.ctx, ex, square, 1).Result(s.ctx); !errors.Is(err, concert.ErrClosed) {
			s.Errorf("Submit() after Close: %v, want ErrClosed", err)
		}
		n := 0
		for _, err := range concert.Map(s.ctx, ex, square, upTo(100)) {
			if n++; !errors.Is(err, concert.ErrClosed) {
				s.Errorf("Map() after Close: %v, want ErrClosed", err)
			}
		}
		if n != 1 {
			s.Errorf("Map() after Close gave %d results, want one error", n)
		}
	}},

	{"CloseDuringMap", "a Map whose executor is closed ends with ErrClosed after its last result", func(s *suite) {
		ex := s.executor(Config{})
		var taken atomic.Int64
		n, last := 0, error(nil)
		var wg sync.WaitGroup
		for got, err := range concert.Map(s.ctx, ex, square, counting(&taken)) {
			if last = err; err == nil && got != n*n {
				s.Fatalf("result %d = %d", n, got)
			}
			if n++; n == 100 {
				wg.Go(func() { ex.Close() })
			}
		}
		wg.Wait()
		if !errors.Is(last, concert.ErrClosed) {
			s.Errorf("Map() ended with %v, want ErrClosed", last)
		}
	}},

	{"Shutdown", "when its context ends, Shutdown cancels queued and running tasks, and returns a ShutdownError with the cause", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		g := s.gate()
		var futures []*concert.Future[string]
		for range 6 {
			futures = append(futures, concert.Submit(s.ctx, ex, hold, g))
		}
		s.eventually("two tasks start", func() bool { // and their futures report it
			return g.entered() == 2 && futures[0].State() == concert.Running && futures[1].State() == concert.Running
		})
		why := errors.New("time to go")
		ctx := s.ended(why)
		err := ex.Shutdown(ctx)
		var shut *concert.ShutdownError
		if !errors.As(err, &shut) || !errors.Is(err, why) || len(shut.Running) != 0 || shut.Canceled != 4 {
			s.Errorf("Shutdown() = %v (%+v); want the cause, 4 canceled, none running", err, shut)
		}
		for i, f := range futures {
			_, err := f.Result(s.ctx)
			if i < 2 && (f.State() != concert.Finished || !errors.Is(err, why) && !errors.Is(err, context.Canceled)) {
				s.Errorf("running task %d: %v, %v; want finished, with the cause", i, f, err)
			}
			if i >= 2 && (f.State() != concert.Canceled || !errors.Is(err, concert.ErrCanceled) || !errors.Is(err, why)) {
				s.Errorf("waiting task %d: %v, %v; want canceled, with the cause", i, f, err)
			}
		}
		if err := ex.Shutdown(s.ctx); err != nil {
			s.Errorf("second Shutdown() = %v", err)
		}
	}},

	{"ShutdownEncoding", "Shutdown also cancels a task whose argument is being encoded", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		g, encoding, may := s.gate(), make(chan struct{}), make(chan struct{})
		running := concert.Submit(s.ctx, ex, hold, g)
		s.eventually("the first task starts", func() bool { return running.State() == concert.Running })
		f := concert.Submit(s.ctx, ex, holdSlow, slowGate{g, sync.OnceFunc(func() { close(encoding) }), may})
		if s.Shared { // the argument is not encoded
			s.eventually("the second task starts", func() bool { return f.State() == concert.Running })
		} else {
			<-encoding
		}
		why := errors.New("time to go")
		ctx := s.ended(why)
		shut := make(chan error, 1)
		go func() { shut <- ex.Shutdown(ctx) }()
		running.Result(s.ctx) // Shutdown has canceled this task, so it has canceled the other task, too
		close(may)
		if _, err := f.Result(s.ctx); !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
			s.Errorf("Result() of the task that was being encoded: %v, want the cause", err)
		}
		var failure *concert.ShutdownError
		if err := <-shut; !errors.As(err, &failure) || len(failure.Running) != 0 {
			s.Errorf("Shutdown() = %v; want that nothing runs", err)
		}
	}},

	{"ShutdownStubborn", "after the grace period, ShutdownError.Running names the tasks that still run", func(s *suite) {
		ex := s.executor(Config{Workers: 1, Grace: 20 * time.Millisecond})
		g := s.gate()
		f := concert.Submit(s.ctx, ex, stubborn, g)
		s.eventually("the task starts", func() bool { return g.entered() == 1 && f.State() == concert.Running })
		ctx := s.ended(nil)
		err := ex.Shutdown(ctx)
		var shut *concert.ShutdownError
		if !errors.As(err, &shut) {
			s.Fatalf("Shutdown() = %v, want *ShutdownError", err)
		}
		if s.Kills {
			if _, err := f.Result(s.ctx); err == nil {
				s.Error("Result() of a task that was killed = nil")
			}
			return
		}
		if want := []string{"executortest.stubborn"}; !slices.Equal(shut.Running, want) {
			s.Errorf("Shutdown() says that these are running: %q; want %q", shut.Running, want)
		}
		if f.State() != concert.Running {
			s.Errorf("state = %v, want running", f.State())
		}
		g.open()
		if got, err := f.Result(s.ctx); got != "passed" || err != nil {
			s.Errorf("Result() of the task that returned late = %q, %v; want its own result", got, err)
		}
	}},

	{"CloseInCallback", "Close and Shutdown in a callback of the executor return at once, with nil or with an error that wraps ErrDeadlock", func(s *suite) {
		for name, end := range map[string]func(concert.Executor) error{
			"Close":    concert.Executor.Close,
			"Shutdown": func(ex concert.Executor) error { return ex.Shutdown(context.Background()) },
		} {
			ex := s.executor(Config{Workers: 1})
			ended := make(chan error, 1)
			g := s.gate()
			f := concert.Submit(s.ctx, ex, hold, g)
			f.OnDone(s.ctx, func(context.Context, *concert.Future[string]) { ended <- end(ex) })
			g.open()
			select {
			case err := <-ended:
				if err != nil && !errors.Is(err, concert.ErrDeadlock) {
					s.Errorf("%s() in a callback = %v, want nil or ErrDeadlock", name, err)
				}
			case <-s.ctx.Done():
				s.Fatalf("%s() in a callback hangs", name)
			}
			if err := ex.Close(); err != nil {
				s.Errorf("Close() after that = %v", err)
			}
			if _, err := concert.Submit(s.ctx, ex, square, 1).Result(s.ctx); !errors.Is(err, concert.ErrClosed) {
				s.Errorf("Submit() after that: %v, want ErrClosed", err)
			}
		}
	}},

	{"CloseStorm", "when submitters, Cancel, Maps, Close and Shutdown run concurrently, every task settles", func(s *suite) {
		rounds := 20
		switch {
		case testing.Short() || s.Far:
			rounds = 5
		case !s.Shared: // fewer rounds, because each one starts worker processes
			rounds = 10
		}
		for round := range rounds {
			ex := s.executor(Config{Workers: 2, Queue: 4, Grace: time.Second})
			var wg sync.WaitGroup
			var mu sync.Mutex
			var futures []*concert.Future[int]
			for range 4 {
				wg.Go(func() {
					for i := range 200 {
						f := concert.Submit(s.ctx, ex, square, i)
						if i%3 == 0 {
							f.Cancel()
						}
						mu.Lock()
						futures = append(futures, f)
						mu.Unlock()
					}
				})
			}
			wg.Go(func() {
				for range concert.Map(s.ctx, ex, square, upTo(500)) {
				}
			})
			for range 2 {
				wg.Go(func() {
					s.eventually("some tasks are submitted", func() bool {
						mu.Lock()
						defer mu.Unlock()
						return len(futures) > 20*round
					})
					if round%2 == 0 {
						ex.Close()
						return
					}
					ex.Shutdown(s.ended(nil))
				})
			}
			wg.Wait()
			for _, f := range futures {
				got, err := f.Result(s.ctx)
				if err != nil && !errors.Is(err, concert.ErrClosed) && !errors.Is(err, context.Canceled) {
					s.Fatalf("%v: %d, %v", f, got, err)
				}
			}
		}
	}},

	{"BackPressure", "Execute blocks while the queue is full, until the caller's context ends", func(s *suite) {
		ex := s.executor(Config{Workers: 1, Queue: 2})
		g := s.gate()
		var accepted []*concert.Future[string]
		for {
			// The context of an accepted task must not end here: if it ended,
			// the gate would no longer hold the task.
			ctx, cancel := context.WithCancelCause(s.ctx)
			defer cancel(nil)
			tired := errors.New("no room for half a second")
			timer := time.AfterFunc(time.Second/2, func() { cancel(tired) })
			f := concert.Submit(ctx, ex, hold, g)
			timer.Stop()
			if f.State() == concert.Canceled {
				if _, err := f.Result(s.ctx); !errors.Is(err, tired) || !errors.Is(err, concert.ErrCanceled) {
					s.Errorf("Result() of a task for which there was no room = %v", err)
				}
				break
			}
			accepted = append(accepted, f)
			if len(accepted) > 200 {
				s.Fatal("a queue of 2 took 200 tasks")
			}
		}
		if len(accepted) < 2 {
			s.Errorf("a queue of 2 took %d tasks", len(accepted))
		}
		g.open()
		concert.Wait(s.ctx, concert.AllCompleted, accepted...)
		must[int](s)(concert.Submit(s.ctx, ex, square, 1).Result(s.ctx))
	}},

	{"CancelMakesRoom", "a canceled task releases its slot in the queue", func(s *suite) {
		ex := s.executor(Config{Workers: 1, Queue: 4})
		g, first := s.held(ex)
		for range 200 { // all call the same function: of each function, an executor may send one call to a worker that is not free yet
			if !concert.Submit(s.ctx, ex, hold, g).Cancel() {
				s.Fatal("Cancel() of a waiting task = false")
			}
		}
		g.open()
		must[string](s)(first.Result(s.ctx))
	}},
}
