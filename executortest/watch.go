package executortest

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concert"
)

// sequences returns the sequences of kinds of events, each with the number
// of tasks that had it.
func (r *record) sequences() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]int{}
	for _, events := range r.events {
		var kinds []concert.EventKind
		for _, e := range events {
			kinds = append(kinds, e.Kind)
		}
		all[fmt.Sprint(slices.Compact(kinds))]++
	}
	return all
}

// forget removes the events of the tasks of a function.
func (r *record) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.events, func(_ uint64, events []concert.Event) bool { return events[0].Name == name })
}

// saw fails the case unless the tasks had the given sequences of events.
func (s *suite) saw(who string, r *record, want map[string]int) {
	s.Helper()
	if got := r.sequences(); fmt.Sprint(got) != fmt.Sprint(want) {
		s.Errorf("%s has received the events %v, want %v", who, got, want)
	}
}

var watchCases = []testCase{
	{"Watch", "an observer that is added to a running executor receives the events from then on, until it is removed", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		g, held := s.held(ex)
		queued := concert.Submit(s.ctx, ex, square, 1)
		dropped := concert.Submit(s.ctx, ex, square, 2)
		var first, second, third record
		stopFirst := ex.Watch(first.observe)
		stopSecond := ex.Watch(second.observe)
		dropped.Cancel()
		concert.Wait(s.ctx, concert.AllCompleted, dropped)
		g.open()
		must[string](s)(held.Result(s.ctx))
		must[int](s)(queued.Result(s.ctx))
		must[int](s)(concert.Submit(s.ctx, ex, square, 3).Result(s.ctx))
		stopSecond()
		s.mapSquares(ex, 10)
		stopFirst()
		stopFirst() // a second call does nothing
		must[int](s)(concert.Submit(s.ctx, ex, square, 4).Result(s.ctx))
		stopThird := ex.Watch(third.observe)
		defer stopThird()
		must[int](s)(concert.Submit(s.ctx, ex, square, 5).Result(s.ctx))
		// The task that holds the worker may be reported as started a moment
		// after its function has begun. So the observers may or may not receive
		// events of this task.
		first.forget("executortest.hold")
		second.forget("executortest.hold")
		const later, whole = "[started finished]", "[submitted started finished]"
		s.saw("the first observer", &first, map[string]int{later: 1, whole: 11})
		s.saw("the second observer", &second, map[string]int{later: 1, whole: 1})
		s.saw("the third observer", &third, map[string]int{whole: 1})
	}},

	{"WatchWithObserver", "an observer that is added receives the remaining events of tasks that the executor's own observer knows", func(s *suite) {
		var own, added record
		ex := s.executor(Config{Workers: 1, Observer: own.observe})
		g, held := s.held(ex)
		s.eventually("the executor's observer knows that the task has started", func() bool { return own.sequences()["[submitted started]"] == 1 })
		queued := concert.Submit(s.ctx, ex, square, 1)
		defer ex.Watch(added.observe)()
		g.open()
		must[string](s)(held.Result(s.ctx))
		must[int](s)(queued.Result(s.ctx))
		s.saw("the executor's observer", &own, map[string]int{"[submitted started finished]": 2})
		s.saw("the added observer", &added, map[string]int{"[finished]": 1, "[started finished]": 1})
	}},

	{"WatchStop", "when stop returns, no call of the observer begins", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		var over atomic.Bool
		var submitters sync.WaitGroup
		for range 2 {
			submitters.Go(func() {
				for !over.Load() {
					if _, err := concert.Submit(s.ctx, ex, square, 1).Result(s.ctx); err != nil {
						s.Error(err)
						return
					}
				}
			})
		}
		for range s.many(100) {
			var stopped atomic.Bool
			events := make(chan struct{}, 1)
			stop := ex.Watch(func(concert.Event) {
				if stopped.Load() {
					s.Error("a call of the observer began after stop had returned")
				}
				select {
				case events <- struct{}{}:
				default:
				}
			})
			<-events
			begin := time.Now()
			if stop(); time.Since(begin) < time.Second/2 {
				stopped.Store(true)
			} // if more time has passed, stop may have returned because a call took longer than a second
		}
		over.Store(true)
		submitters.Wait()
	}},

	{"WatchMisbehaves", "an added observer that panics, exits or hangs affects no task of other workers and no other observer", func(s *suite) {
		defer quietly()()
		for how, do := range map[string]func(){"panics": func() { panic("out of ink") }, "exits": runtime.Goexit} {
			ex := s.executor(Config{Workers: 1})
			defer ex.Watch(func(e concert.Event) {
				if e.Kind == concert.TaskFinished {
					do()
				}
			})()
			var other record
			defer ex.Watch(other.observe)()
			for i := range 5 {
				if got, err := concert.Submit(s.ctx, ex, square, i).Result(s.ctx); got != i*i || err != nil {
					s.Errorf("with an observer that %s: result %d, %v", how, got, err)
				}
			}
			s.saw("another observer, next to one that "+how+",", &other, map[string]int{"[submitted started finished]": 5})
		}

		ex := s.executor(Config{Workers: 2})
		release := make(chan struct{})
		hung := make(chan struct{}, 1)
		stop := ex.Watch(func(e concert.Event) {
			if e.Kind == concert.TaskFinished && e.Input != nil && e.Input.Label == "culprit" {
				hung <- struct{}{}
				<-release
			}
		})
		culprit := concert.Submit(concert.WithLabel(s.ctx, "culprit"), ex, square, 3)
		<-hung
		for n := range 5 {
			if got, err := concert.Submit(s.ctx, ex, square, n).Result(s.ctx); got != n*n || err != nil {
				s.Errorf("with an observer that hangs: another task has the result %d, %v", got, err)
			}
		}
		stop() // returns although a call does not
		close(release)
		if got, err := culprit.Result(s.ctx); got != 9 || err != nil {
			s.Errorf("the task whose observer hung has the result %d, %v", got, err)
		}
	}},
}
