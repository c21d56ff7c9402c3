package executortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"concert"
)

// start submits a task that is held at a new gate, and waits until the future
// reports that the task is running.
func (s *suite) start(ctx context.Context, ex concert.Executor) *concert.Future[string] {
	s.Helper()
	g := s.gate()
	f := concert.Submit(ctx, ex, hold, g)
	s.eventually("the task starts", func() bool { return g.entered() == 1 && f.State() == concert.Running })
	return f
}

const beforeItStarted = "before it started"

var errorCases = []testCase{
	{"CancelText", "the error of a canceled task says whether the task had started", func(s *suite) {
		why := errors.New("time to go")
		for _, way := range []struct {
			name string
			end  func(ex concert.Executor, f *concert.Future[string], cancel context.CancelCauseFunc)
			want error // the error that errors.Is must match, in addition to context.Canceled; may be nil
		}{
			{"Cancel", func(_ concert.Executor, f *concert.Future[string], _ context.CancelCauseFunc) { f.Cancel() }, concert.ErrCanceled},
			{"context", func(_ concert.Executor, _ *concert.Future[string], cancel context.CancelCauseFunc) { cancel(why) }, nil},
			{"Shutdown", func(ex concert.Executor, _ *concert.Future[string], _ context.CancelCauseFunc) {
				ex.Shutdown(s.ended(why))
			}, nil},
		} {
			ex := s.executor(Config{Workers: 1})
			ctx, cancel := context.WithCancelCause(s.ctx)
			running := s.start(ctx, ex)
			waiting := concert.Submit(ctx, ex, hold, s.gate())
			way.end(ex, waiting, cancel)
			way.end(ex, running, cancel)
			_, err := running.Result(s.ctx)
			if !isCanceled(err, way.want) || strings.Contains(err.Error(), beforeItStarted) || running.State() != concert.Finished {
				s.Errorf("%s of a running task: %v, %v; want that it was canceled, not %q", way.name, running.State(), err, beforeItStarted)
			}
			_, err = waiting.Result(s.ctx)
			if !isCanceled(err, concert.ErrCanceled) || strings.Count(err.Error(), beforeItStarted) != 1 || waiting.State() != concert.Canceled {
				s.Errorf("%s of a waiting task: %v, %v; want that it was canceled %q", way.name, waiting.State(), err, beforeItStarted)
			}
			if way.name != "Cancel" && !errors.Is(err, why) {
				s.Errorf("%s of a waiting task: %v, want the cause in it", way.name, err)
			}
			ex.Close() // otherwise a worker that several executors share could begin the next waiting task
		}
	}},

	{"CancelCause", "errors.Is finds the cause of a cancellation, wherever the task ran", func(s *suite) {
		why := errors.New("time to go")
		for name, c := range map[string]struct {
			end  func(f *concert.Future[string], cancel context.CancelCauseFunc)
			want error
			text string
		}{
			"a cause":    {func(_ *concert.Future[string], cancel context.CancelCauseFunc) { cancel(why) }, why, "time to go"},
			"no cause":   {func(_ *concert.Future[string], cancel context.CancelCauseFunc) { cancel(nil) }, context.Canceled, "context canceled"},
			"a sentinel": {func(_ *concert.Future[string], cancel context.CancelCauseFunc) { cancel(io.EOF) }, io.EOF, "EOF"},
			"Cancel":     {func(f *concert.Future[string], _ context.CancelCauseFunc) { f.Cancel() }, concert.ErrCanceled, concert.ErrCanceled.Error()},
		} {
			ex := s.executor(Config{Workers: 1})
			ctx, cancel := context.WithCancelCause(s.ctx)
			f := s.start(ctx, ex)
			c.end(f, cancel)
			_, err := f.Result(s.ctx)
			cancel(nil)
			if s.Foreign {
				if !errors.Is(err, context.Canceled) {
					s.Errorf("%s: %v, want context.Canceled", name, err)
				}
				continue
			}
			if err == nil || !errors.Is(err, c.want) || errors.Is(err, concert.ErrCanceled) != (c.want == concert.ErrCanceled) || err.Error() != c.text {
				s.Errorf("%s: %v, ErrCanceled %t; want %v", name, err, errors.Is(err, concert.ErrCanceled), c.want)
			}
		}
	}},

	{"CancelCauseCrowd", "errors.Is finds the cause even if the canceled context has many child contexts", func(s *suite) {
		why := errors.New("time to go")
		ex := s.executor(Config{Workers: 1})
		for range 4 {
			for name, submit := range map[string]func(context.Context, gate) func() error{
				"Submit": func(ctx context.Context, g gate) func() error {
					f := concert.Submit(ctx, ex, hold, g)
					s.eventually("the task starts", func() bool { return g.entered() == 1 && f.State() == concert.Running })
					return func() error { return second(f.Result(s.ctx)) }
				},
				"waiting Submit": func(ctx context.Context, g gate) func() error {
					held := concert.Submit(s.ctx, ex, hold, g)
					s.eventually("the worker is held", func() bool { return g.entered() == 1 })
					f := concert.Submit(ctx, ex, hold, g)
					return func() error {
						err := second(f.Result(s.ctx))
						g.open()
						must[string](s)(held.Result(s.ctx))
						if errors.Is(err, why) && errors.Is(err, concert.ErrCanceled) {
							return why
						}
						return fmt.Errorf("a waiting task: %w", err)
					}
				},
				"Map": func(ctx context.Context, g gate) func() error {
					last := make(chan error, 1)
					go func() {
						var err error
						for _, err = range concert.Map(ctx, ex, hold, slices.Values([]gate{g})) {
						}
						last <- err
					}()
					s.eventually("the task starts", func() bool { return g.entered() == 1 })
					return func() error { return <-last }
				},
			} {
				ctx, cancel := context.WithCancelCause(s.ctx)
				var crowd []context.CancelFunc
				for range 50_000 {
					_, leave := context.WithCancel(ctx)
					crowd = append(crowd, leave)
				}
				result := submit(ctx, s.gate())
				cancel(why)
				err := result()
				for _, leave := range crowd {
					leave()
				}
				foreign := s.Foreign && errors.Is(err, context.Canceled)
				if !foreign && (!errors.Is(err, why) || errors.Is(err, concert.ErrCanceled)) {
					s.Errorf("%s: %v, ErrCanceled %t; want %v", name, err, errors.Is(err, concert.ErrCanceled), why)
				}
			}
		}
	}},

	{"ShutdownMap", "a Map that Shutdown ends fails with ErrClosed, and not with the error of Shutdown's context", func(s *suite) {
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
					shut <- ex.Shutdown(s.ended(cause))
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

	{"CancelIgnored", "the error of a running task that the executor had to kill says that the task had started", func(s *suite) {
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
		if _, err := f.Result(s.ctx); !isCanceled(err, concert.ErrCanceled) || strings.Contains(err.Error(), beforeItStarted) {
			s.Errorf("Result() of a running task that was killed: %v; want that it was canceled, not %q", err, beforeItStarted)
		}
	}},

	{"DeadlineQueued", "a queued task settles when its submitter's context ends, although no worker is free", func(s *suite) {
		if s.Far {
			return // only the worker can decide whether it has begun the task
		}
		ex := s.executor(Config{Workers: 1})
		g, held := s.held(ex)
		type future = *concert.Future[int]
		for name, wait := range map[string]func(f future){
			"Result": func(f future) { f.Result(s.ctx) },
			"Done":   func(f future) { <-f.Done() },
			"Wait":   func(f future) { concert.Wait(s.ctx, concert.AllCompleted, f) },
			"Gather": func(f future) { concert.Gather(s.ctx, f) },
			"AsCompleted": func(f future) {
				for range concert.AsCompleted(s.ctx, f) {
				}
			},
			"Result in a task": func(f future) {
				concert.Go(s.ctx, func(ctx context.Context) (int, error) { return f.Result(ctx) }).Result(s.ctx)
			},
		} {
			ctx, cancel := context.WithCancel(s.ctx)
			var futures []future
			for range 3 { // several tasks, because workers may fetch some of them ahead
				futures = append(futures, concert.Submit(ctx, ex, square, 1))
			}
			time.AfterFunc(10*time.Millisecond, cancel)
			for _, f := range futures {
				wait(f)
				if _, err := f.Result(s.ctx); !errors.Is(err, context.Canceled) || f.State() != concert.Canceled {
					s.Errorf("%s of a task whose context ended in the queue: %v, %v; want that it was canceled", name, err, f.State())
				}
			}
		}
		g.open()
		must[string](s)(held.Result(s.ctx))
	}},
	{"DeadlineRunning", "the error of a running task whose deadline expires is DeadlineExceeded, and not a cancellation", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		// ctx is a clock: its deadline passes when the case calls ctx.strike.
		// Here this happens while the task runs.
		ctx := newClock(s.ctx)
		f := s.start(ctx, ex)
		ctx.strike()
		s.expired("a deadline of a clock", f, true)

		// A deadline of package context may pass before the task runs. Then the
		// case tries again with a later deadline.
		for left, ran := 20*time.Millisecond, false; !ran; left *= 2 {
			g := s.gate()
			ctx, cancel := context.WithTimeout(s.ctx, left)
			f := concert.Submit(ctx, ex, hold, g)
			f.Result(s.ctx)
			cancel()
			ran = g.entered() > 0
			s.expired("a deadline of package context", f, ran || f.State() == concert.Finished)
		}

		past, cancel := context.WithTimeout(s.ctx, -time.Second)
		defer cancel()
		s.expired("a deadline in the past", concert.Submit(past, ex, hold, s.gate()), false)

		ctx, g := newClock(s.ctx), s.gate()
		go func() {
			for g.entered() == 0 && s.ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			ctx.strike()
		}()
		for _, err := range concert.Map(ctx, ex, hold, slices.Values([]gate{g})) {
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, concert.ErrCanceled) {
				s.Errorf("Map() whose deadline passes: %v, want DeadlineExceeded", err)
			}
		}
	}},

	{"DeadlineIgnored", "the error of a task that is killed at its deadline is DeadlineExceeded, and not a cancellation", func(s *suite) {
		ex := s.executor(Config{Workers: 1, Grace: 20 * time.Millisecond})
		g, ctx := s.gate(), newClock(s.ctx)
		f := concert.Submit(ctx, ex, stubborn, g)
		s.eventually("the task starts", func() bool { return g.entered() == 1 && f.State() == concert.Running })
		ctx.strike()
		if !s.Kills {
			g.open()
			must[string](s)(f.Result(s.ctx))
			return
		}
		s.expired("a deadline that the task ignores", f, true)
	}},

	{"TimeoutRunning", "the executor's timeout is a deadline of the task's context, and its error wraps Traits.Expired", func(s *suite) {
		if s.Expired == nil {
			return // the executor has no such option
		}
		ex := s.executor(Config{Workers: 1, Timeout: 100 * time.Millisecond, Grace: 20 * time.Millisecond})
		for name, fn := range map[string]func(context.Context, gate) (string, error){"a task that ends": hold, "a task that is killed": stubborn} {
			f := concert.Submit(s.ctx, ex, fn, s.gate())
			s.expired("the Timeout of "+name, f, true)
			if _, err := f.Result(s.ctx); !errors.Is(err, s.Expired) {
				s.Errorf("the Timeout of %s: %v, want also %v", name, err, s.Expired)
			}
		}
		for _, err := range concert.Map(s.ctx, ex, hold, slices.Values([]gate{s.gate()})) {
			if !errors.Is(err, s.Expired) || !errors.Is(err, context.DeadlineExceeded) {
				s.Errorf("the Timeout of an item of a Map: %v, want %v", err, s.Expired)
			}
		}
	}},
}

// expired checks the error of a task whose deadline has passed. The
// parameter started says whether the task had started before.
func (s *suite) expired(what string, f *concert.Future[string], started bool) {
	s.Helper()
	_, err := f.Result(s.ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("%s: %v, want DeadlineExceeded", what, err)
		return
	}
	state := concert.Canceled
	if started {
		state = concert.Finished
	}
	if f.State() != state || errors.Is(err, concert.ErrCanceled) == started || errors.Is(err, context.Canceled) == started || strings.Contains(err.Error(), beforeItStarted) == started {
		s.Errorf("%s: %v, %v; want %v, and if it did not start ErrCanceled and %q", what, f.State(), err, state, beforeItStarted)
	}
}

// clock is a context whose deadline passes when its method strike is called.
type clock struct {
	context.Context
	struck chan struct{}
}

func newClock(ctx context.Context) *clock { return &clock{ctx, make(chan struct{})} }

func (c *clock) strike() { close(c.struck) }

// Deadline returns a time that is far away.
func (c *clock) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }

// Done returns a channel that strike closes.
func (c *clock) Done() <-chan struct{} { return c.struck }

// Err returns DeadlineExceeded after a call of strike.
func (c *clock) Err() error {
	select {
	case <-c.struck:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// isCanceled reports whether errors.Is matches err with context.Canceled, or
// the text of err contains the cause "time to go". If want is not nil,
// errors.Is must match err with want, too.
func isCanceled(err, want error) bool {
	if err == nil || want != nil && !errors.Is(err, want) {
		return false
	}
	return errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "time to go")
}
