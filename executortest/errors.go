package executortest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"concert"
)

// start submits a task that is held at a new gate and waits until it is
// running, as its future says.
func (s *suite) start(ctx context.Context, ex concert.Executor) *concert.Future[string] {
	s.Helper()
	g := s.gate()
	f := concert.Submit(ctx, ex, hold, g)
	s.eventually("the task starts", func() bool { return g.entered() == 1 && f.State() == concert.Running })
	return f
}

const beforeItStarted = "before it started"

var errorCases = []testCase{
	{"CancelText", "whether a task has done something decides what to do next", func(s *suite) {
		why := errors.New("time to go")
		for _, way := range []struct {
			name string
			end  func(ex concert.Executor, f *concert.Future[string], cancel context.CancelCauseFunc)
			want error // besides context.Canceled
		}{
			{"Cancel", func(_ concert.Executor, f *concert.Future[string], _ context.CancelCauseFunc) { f.Cancel() }, concert.ErrCancelled},
			{"context", func(_ concert.Executor, _ *concert.Future[string], cancel context.CancelCauseFunc) { cancel(why) }, nil},
			{"Shutdown", func(ex concert.Executor, _ *concert.Future[string], _ context.CancelCauseFunc) {
				ctx, cancel := context.WithCancelCause(s.ctx)
				cancel(why)
				ex.Shutdown(ctx)
			}, nil},
		} {
			ex := s.executor(Config{Workers: 1})
			ctx, cancel := context.WithCancelCause(s.ctx)
			running := s.start(ctx, ex)
			waiting := concert.Submit(ctx, ex, hold, s.gate())
			way.end(ex, waiting, cancel)
			way.end(ex, running, cancel)
			_, err := running.Result(s.ctx)
			if !isCancelled(err, way.want) || strings.Contains(err.Error(), beforeItStarted) || running.State() != concert.Finished {
				s.Errorf("%s of a running task: %v, %v; want that it was canceled, not %q", way.name, running.State(), err, beforeItStarted)
			}
			_, err = waiting.Result(s.ctx)
			if !isCancelled(err, concert.ErrCancelled) || strings.Count(err.Error(), beforeItStarted) != 1 || waiting.State() != concert.Cancelled {
				s.Errorf("%s of a waiting task: %v, %v; want that it was canceled %q", way.name, waiting.State(), err, beforeItStarted)
			}
			if way.name != "Cancel" && !errors.Is(err, why) {
				s.Errorf("%s of a waiting task: %v, want the cause in it", way.name, err)
			}
		}
	}},

	{"ShutdownMap", "the deadline of a Shutdown is not the deadline of the Maps that it ends", func(s *suite) {
		why := errors.New("time to go")
		for _, cause := range []error{context.DeadlineExceeded, context.Canceled, why} {
			for name, mapping := range map[string]func(context.Context, concert.Executor, func(context.Context, gate) (string, error), iter.Seq[gate]) iter.Seq2[string, error]{
				"Map": concert.Map[gate, string], "MapUnordered": concert.MapUnordered[gate, string],
			} {
				ex := s.executor(Config{Workers: 2})
				g := s.gate()
				shut := make(chan error, 1)
				go func() {
					defer close(shut)
					for g.entered() < 2 {
						if s.ctx.Err() != nil {
							return
						}
						time.Sleep(time.Millisecond)
					}
					ctx, cancel := context.WithCancelCause(s.ctx)
					cancel(cause)
					shut <- ex.Shutdown(ctx)
				}()
				results, last := 0, error(nil)
				for _, err := range mapping(s.ctx, ex, hold, slices.Values(slices.Repeat([]gate{g}, 20))) {
					if results++; err == nil {
						s.Errorf("%s: a result of a call that was held", name)
					}
					last = err
				}
				if !errors.Is(last, concert.ErrClosed) || errors.Is(last, context.DeadlineExceeded) || errors.Is(last, context.Canceled) || cause == why && !errors.Is(last, why) {
					s.Errorf("%s under a Shutdown whose context ended by %v: ended with %v, want ErrClosed", name, cause, last)
				}
				if results > 20 {
					s.Errorf("%s: %d results of 20 inputs", name, results)
				}
				if err := <-shut; !errors.Is(err, cause) {
					s.Errorf("Shutdown() = %v, want a ShutdownError with %v", err, cause)
				}
			}
		}
	}},

	{"CancelIgnored", "a task that has to be stopped by force had started", func(s *suite) {
		ex := s.executor(Config{Workers: 1, Grace: 20 * time.Millisecond})
		g := s.gate()
		f := concert.Submit(s.ctx, ex, stubborn, g)
		s.eventually("the task starts", func() bool { return g.entered() == 1 && f.State() == concert.Running })
		f.Cancel()
		if !s.Kills {
			g.open()
			must[string](s)(f.Result(s.ctx))
			return
		}
		if _, err := f.Result(s.ctx); !isCancelled(err, concert.ErrCancelled) || strings.Contains(err.Error(), beforeItStarted) {
			s.Errorf("Result() of a running task that was killed: %v; want that it was canceled, not %q", err, beforeItStarted)
		}
	}},
}

// isCancelled reports whether err is context.Canceled, or the cause that a
// case has given, and also, unless nil, want.
func isCancelled(err, want error) bool {
	if err == nil || want != nil && !errors.Is(err, want) {
		return false
	}
	return errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "time to go")
}
