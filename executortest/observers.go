package executortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"concert"
)

// observerCases are the cases of observers that misbehave.
var observerCases = []testCase{
	{"ObserverPanics", "a panic of the observer affects no task", func(s *suite) {
		withObserver(s, []concert.EventKind{concert.TaskSubmitted, concert.TaskStarted, concert.TaskProgress, concert.TaskFinished}, func() { panic("out of ink") })
	}},

	{"ObserverGoexit", "an observer that calls runtime.Goexit affects no task", func(s *suite) {
		// At TaskSubmitted, Goexit would end the goroutine of the test. At
		// TaskStarted, tasks that share memory fail with ErrGoexit, as
		// documented.
		withObserver(s, []concert.EventKind{concert.TaskProgress, concert.TaskFinished}, runtime.Goexit)
		if !s.Shared {
			withObserver(s, []concert.EventKind{concert.TaskStarted}, runtime.Goexit)
			return
		}
		ex := s.executor(Config{Observer: func(e concert.Event) {
			if e.Kind == concert.TaskStarted {
				runtime.Goexit()
			}
		}})
		if _, err := concert.Submit(s.ctx, ex, square, 3).Result(s.ctx); !errors.Is(err, concert.ErrGoexit) {
			s.Errorf("Result() of a task whose start an observer ended: %v, want ErrGoexit", err)
		}
		n := 0
		for _, err := range concert.Map(s.ctx, ex, square, upTo(20)) {
			if n++; !errors.Is(err, concert.ErrGoexit) {
				s.Errorf("result of a Map whose start an observer ended: %v, want ErrGoexit", err)
			}
		}
		if n != 20 {
			s.Errorf("%d results of 20", n)
		}
	}},

	{"ObserverHangs", "an observer that does not return blocks neither other tasks nor Shutdown", func(s *suite) {
		defer quietly()()
		var both sync.WaitGroup // concurrent, because the executor waits a second for each observer that hangs
		for _, kind := range []concert.EventKind{concert.TaskStarted, concert.TaskFinished} {
			release := make(chan struct{})
			hung := make(chan struct{}, 1)
			ex := s.executor(Config{Workers: 2, Grace: time.Millisecond, Observer: func(e concert.Event) {
				if e.Kind == kind && e.Input != nil && e.Input.Label == "culprit" {
					hung <- struct{}{}
					<-release
				}
			}})
			both.Go(func() { s.observerHangs(ex, kind, hung, release) })
		}
		both.Wait()
	}},
}

// observerHangs checks that an executor runs tasks while its observer hangs.
func (s *suite) observerHangs(ex concert.Executor, kind concert.EventKind, hung <-chan struct{}, release chan<- struct{}) {
	culprit := concert.Submit(concert.WithLabel(s.ctx, "culprit"), ex, square, 3)
	<-hung
	for n := range 20 {
		if got, err := concert.Submit(s.ctx, ex, square, n).Result(s.ctx); got != n*n || err != nil {
			s.Errorf("with an observer that hangs at %v: another task has the result %d, %v", kind, got, err)
		}
	}
	n := 0
	for got, err := range concert.Map(s.ctx, ex, square, upTo(50)) {
		if got != n*n || err != nil {
			s.Errorf("with an observer that hangs at %v: result %d of a Map is %d, %v", kind, n, got, err)
		}
		n++
	}
	if !s.Shared { // if tasks share memory, the observer hangs on the goroutine of the task
		if got, err := culprit.Result(s.ctx); got != 9 || err != nil {
			s.Errorf("with an observer that hangs at %v: the task itself has the result %d, %v", kind, got, err)
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Millisecond)
	ex.Shutdown(ctx)
	cancel()
	close(release)
	if _, err := culprit.Result(s.ctx); err != nil {
		s.Errorf("with an observer that hangs at %v, and then returns: %v", kind, err)
	}
	ex.Close()
}

// quietly discards the log of package slog until the returned function is
// called.
func quietly() (restore func()) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	return func() { slog.SetDefault(before) }
}

// withObserver checks that an observer that calls the function do, at events
// of the given kinds, does not change the outcomes of tasks.
func withObserver(s *suite, kinds []concert.EventKind, do func()) {
	defer quietly()()
	for _, kind := range kinds {
		ex := s.executor(Config{Workers: 1, Observer: func(e concert.Event) {
			if e.Kind == kind {
				do()
			}
		}})
		why := fmt.Sprint("with an observer that fails at ", kind)
		g, held := s.held(ex)
		dropped := concert.Submit(s.ctx, ex, square, 1)
		never := dropped.Cancel() // false if a worker has fetched the task ahead; then the worker may run it
		g.open()
		if _, err := held.Result(s.ctx); err != nil {
			s.Errorf("Result() %s: %v", why, err)
		}
		if _, err := dropped.Result(s.ctx); !errors.Is(err, concert.ErrCanceled) && (never || err != nil) {
			s.Errorf("Result() of a canceled task %s: %v, want ErrCanceled", why, err)
		}
		if _, err := concert.Submit(s.ctx, ex, fail, "sentinel").Result(s.ctx); !errors.Is(err, errOurs) {
			s.Errorf("Result() of a task that fails %s: %v", why, err)
		}
		n := 0
		for got, err := range concert.Map(s.ctx, ex, square, upTo(50)) {
			if got != n*n || err != nil {
				s.Errorf("result %d of a Map %s: %d, %v", n, why, got, err)
			}
			n++
		}
		if n != 50 {
			s.Errorf("a Map %s gave %d results of 50", why, n)
		}
		ex.Close()
	}
}
