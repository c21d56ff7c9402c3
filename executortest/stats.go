package executortest

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concert"
)

// settledAs checks the statistics of an executor whose tasks have all settled:
// done is the number of all tasks, and failed has the numbers of those that
// failed.
func (s *suite) settledAs(ex concert.Executor, done int64, failed concert.Failures) {
	s.Helper()
	got := ex.Stats()
	if got.Submitted != done || got.Done != done || got.Queued != 0 || got.Running != 0 || got.Waiting != 0 {
		s.Errorf("with %d tasks, which have settled: %d submitted, %d done, %d queued, %d running, %d waiting", done, got.Submitted, got.Done, got.Queued, got.Running, got.Waiting)
	}
	if s.Foreign { // exceptions of other languages are errors
		got.Failed, failed = concert.Failures{Errors: got.Failed.Total()}, concert.Failures{Errors: failed.Total()}
	}
	if got.Failed != failed {
		s.Errorf("failed tasks: %+v, want %+v", got.Failed, failed)
	}
}

// counts waits until the executor has these numbers of tasks.
func (s *suite) counts(ex concert.Executor, queued, running int, done int64) {
	s.Helper()
	var got concert.Stats
	ok := func() bool {
		got = ex.Stats()
		return got.Queued == queued && got.Running == running && got.Done == done && got.Submitted == done+int64(queued+running)
	}
	defer func() {
		if s.Failed() {
			s.Logf("the last numbers: %d queued, %d running, %d done, %d submitted; want %d, %d, %d", got.Queued, got.Running, got.Done, got.Submitted, queued, running, done)
		}
	}()
	s.eventually("the numbers of tasks are as expected", ok)
}

var statsCases = []testCase{
	{"Stats", "Stats counts queued, running and settled tasks of Submit exactly", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		if got := ex.Stats(); got.Submitted != 0 || got.Done != 0 || got.RunTime.Count() != 0 {
			s.Errorf("a new executor has the numbers %+v", got)
		}
		g, held := s.held(ex)
		var queued []*concert.Future[int]
		for i := range 4 {
			queued = append(queued, concert.Submit(s.ctx, ex, square, i))
		}
		s.counts(ex, 4, 1, 0)
		if got := ex.Stats(); s.Shared && (got.Workers != 1 || got.Busy != 1) {
			s.Errorf("%d workers of which %d are busy, want 1 and 1", got.Workers, got.Busy)
		}
		queued[3].Cancel()
		concert.Wait(s.ctx, concert.AllCompleted, queued[3])
		s.counts(ex, 3, 1, 1)
		g.open()
		must[string](s)(held.Result(s.ctx))
		must[[]int](s)(concert.Gather(s.ctx, queued[:3]...))
		s.settledAs(ex, 5, concert.Failures{Canceled: 1})
		got := ex.Stats()
		if n := got.RunTime.Count(); n != 4 {
			s.Errorf("RunTime has %d tasks, want 4", n)
		}
		if got.RunTime.Sum <= 0 {
			s.Error("RunTime has no time")
		}
		if n := got.QueueTime.Count(); n < 4 || n > 5 { // the canceled task may have been sent to a worker
			s.Errorf("QueueTime has %d tasks, want 4 or 5", n)
		}
		ex.Close()
		s.settledAs(ex, 5, concert.Failures{Canceled: 1})
		concert.Submit(s.ctx, ex, square, 1).Result(s.ctx) // refused, so it does not count
		s.settledAs(ex, 5, concert.Failures{Canceled: 1})
	}},

	{"StatsMap", "each item of a Map counts as one task", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		n := int64(s.many(1000))
		s.mapSquares(ex, int(n))
		s.settledAs(ex, n, concert.Failures{})
		if got := ex.Stats(); got.RunTime.Count() != n || got.QueueTime.Count() != 0 {
			s.Errorf("RunTime has %d tasks and QueueTime %d, want %d and 0", got.RunTime.Count(), got.QueueTime.Count(), n)
		}
		g := s.gate()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range concert.Map(s.ctx, ex, hold, slices.Values([]gate{g, g})) {
			}
		}()
		s.counts(ex, 0, 2, n)
		g.open()
		<-ended
		s.settledAs(ex, n+2, concert.Failures{})
	}},

	{"StatsFailures", "Stats counts failed tasks by the kind of their error", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		hows := []string{"error", "panic", "goexit", "sentinel", "eof", "panic error", "type"}
		want := concert.Failures{Errors: 4, Panics: 3}
		for _, how := range hows {
			concert.Submit(s.ctx, ex, fail, how).Result(s.ctx)
		}
		s.settledAs(ex, 7, want)
		for range concert.Map(s.ctx, ex, fail, slices.Values(hows)) {
		}
		want.Errors, want.Panics = 8, 6
		s.settledAs(ex, 14, want)

		f := s.start(s.ctx, ex)
		f.Cancel()
		f.Result(s.ctx)
		late := newClock(s.ctx)
		f = s.start(late, ex)
		late.strike()
		f.Result(s.ctx)
		past, cancel := context.WithTimeout(s.ctx, -time.Second)
		defer cancel()
		concert.Submit(past, ex, hold, s.gate()).Result(s.ctx)
		want.Canceled, want.Timeouts = 2, 1
		s.settledAs(ex, 17, want)
		if s.Shared {
			return
		}
		unregistered := func(context.Context, int) (int, error) { return 0, nil }
		concert.Submit(s.ctx, ex, unregistered, 1).Result(s.ctx)
		want.Other = 1
		s.settledAs(ex, 18, want)
	}},

	{"StatsObserver", "tasks count also if an observer exits when they finish", func(s *suite) {
		ex := s.executor(Config{Workers: 2, Observer: func(e concert.Event) {
			if e.Kind == concert.TaskFinished && e.Task%3 == 0 {
				runtime.Goexit()
			}
		}})
		n := s.many(200)
		s.mapSquares(ex, n)
		for i := range 6 {
			must[int](s)(concert.Submit(s.ctx, ex, square, i).Result(s.ctx))
		}
		s.settledAs(ex, int64(n+6), concert.Failures{})
	}},

	{"StatsStorm", "Submitted is Queued + Running + Done after any operations", func(s *suite) {
		ex := s.executor(Config{Workers: 2, Queue: 8})
		random := rand.New(rand.NewPCG(1, 2))
		type held struct {
			gate
			f *concert.Future[string]
		}
		var waiting []held
		submitted, done := 0, int64(0)
		remove := func(i int) {
			if f := waiting[i].f; f.State() != concert.Running || random.IntN(2) == 0 {
				f.Cancel()
			}
			waiting[i].open()
			waiting[i].f.Result(s.ctx)
			waiting = slices.Delete(waiting, i, i+1)
			done++
		}
		for range s.many(200) {
			switch n := random.IntN(5); {
			case n < 2 && len(waiting) < 8:
				g := s.gate()
				waiting = append(waiting, held{g, concert.Submit(s.ctx, ex, hold, g)})
				submitted++
			case n == 2 && len(waiting) < 2: // a worker is free for the Map
				s.mapSquares(ex, 3)
				submitted, done = submitted+3, done+3
			case len(waiting) > 0:
				remove(random.IntN(len(waiting)))
			}
			running := min(2, len(waiting))
			s.counts(ex, len(waiting)-running, running, done)
			if got := ex.Stats().Submitted; got != int64(submitted) {
				s.Fatalf("%d tasks were submitted, want %d", got, submitted)
			}
		}
		for len(waiting) > 0 {
			remove(0)
		}
		s.counts(ex, 0, 0, int64(submitted))
	}},

	{"StatsWaiting", "Stats counts the submitters that wait for room in the queue", func(s *suite) {
		ex := s.executor(Config{Workers: 1, Queue: 2})
		g := s.gate()
		const n = 40
		var all sync.WaitGroup
		for range n {
			all.Go(func() { concert.Submit(s.ctx, ex, hold, g).Result(s.ctx) })
		}
		s.eventually("each submitter waits or has submitted", func() bool {
			got := ex.Stats()
			return got.Waiting > 0 && int64(got.Waiting)+got.Submitted == n
		})
		g.open()
		all.Wait()
		s.settledAs(ex, n, concert.Failures{})
	}},

	{"StatsConcurrent", "Stats can be called at any time, and its counts of tasks never decrease", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		var over atomic.Bool
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for before := ex.Stats(); !over.Load(); {
					got := ex.Stats()
					if got.Done < before.Done || got.Submitted < got.Done || got.Queued < 0 || got.Running < 0 || got.RunTime.Count() < before.RunTime.Count() {
						s.Errorf("the numbers %+v came after %+v", got, before)
						return
					}
					before = got
					time.Sleep(100 * time.Microsecond)
				}
			})
		}
		n := s.many(2000)
		var futures []*concert.Future[int]
		for i := range n {
			futures = append(futures, concert.Submit(s.ctx, ex, square, i))
		}
		for range concert.Map(s.ctx, ex, square, upTo(n)) {
		}
		must[[]int](s)(concert.Gather(s.ctx, futures...))
		over.Store(true)
		readers.Wait()
		s.settledAs(ex, int64(2*n), concert.Failures{})
	}},

	{"StatsFailedFirst", "a failure counts before its task is Done", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		var over atomic.Bool
		var reader sync.WaitGroup
		reader.Go(func() {
			for !over.Load() {
				if got := ex.Stats(); got.Done > got.Failed.Total() {
					s.Errorf("%d tasks are Done, and %+v of them failed, but all tasks fail", got.Done, got.Failed)
					return
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
		n := s.many(2000)
		var futures []*concert.Future[string]
		for range n {
			futures = append(futures, concert.Submit(s.ctx, ex, fail, "error"))
		}
		for range concert.Map(s.ctx, ex, fail, func(yield func(string) bool) {
			for i := 0; i < n && yield("error"); i++ {
			}
		}) {
		}
		for _, f := range futures {
			f.Result(s.ctx)
		}
		over.Store(true)
		reader.Wait()
		s.settledAs(ex, int64(2*n), concert.Failures{Errors: int64(2 * n)})
	}},
}
