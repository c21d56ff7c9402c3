package executortest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"concert"
)

// record is an observer that stores the events of each task.
type record struct {
	mu     sync.Mutex
	events map[uint64][]concert.Event // guarded by mu
}

func (r *record) observe(e concert.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events == nil {
		r.events = make(map[uint64][]concert.Event)
	}
	r.events[e.Task] = append(r.events[e.Task], e)
}

// check fails the case if the events of a task are incomplete or in a wrong
// order. For each sequence of events, it returns the number of tasks that had
// this sequence.
func (r *record) check(s *suite) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	sequences := map[string]int{}
	for id, events := range r.events {
		var kinds []concert.EventKind
		for i, e := range events {
			kinds = append(kinds, e.Kind)
			if i > 0 && e.Time.Before(events[i-1].Time) {
				s.Errorf("task %d: %v is before %v", id, e.Kind, events[i-1].Kind)
			}
			if e.Name == "" || (e.Worker >= 0) != (e.Kind != concert.TaskSubmitted && slices.Contains(kinds, concert.TaskStarted)) {
				s.Errorf("task %d: the name or the worker is wrong in %+v", id, e)
			}
		}
		key := fmt.Sprint(slices.Compact(kinds))
		switch key {
		case "[submitted finished]", "[submitted started finished]", "[submitted started progress finished]":
		default:
			s.Errorf("task %d has the events %v", id, kinds)
		}
		sequences[key]++
	}
	return sequences
}

var eventCases = []testCase{
	{"StartOrder", "a worker starts tasks in the order in which they were submitted", func(s *suite) {
		// Because of the pauses, the number of tasks that the worker has
		// fetched ahead varies.
		ex := s.executor(Config{Workers: 1})
		path := filepath.Join(s.dir, "started")
		var futures []*concert.Future[int]
		var want strings.Builder
		for i := range 300 {
			if i%7 == 0 {
				time.Sleep(time.Millisecond)
			}
			futures = append(futures, concert.Submit(s.ctx, ex, appendLine, line{path, i}))
			fmt.Fprintln(&want, i)
		}
		for _, f := range futures {
			must[int](s)(f.Result(s.ctx))
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want.String() {
			s.Errorf("the tasks started in this order (error %v):\n%s", err, strings.ReplaceAll(string(got), "\n", " "))
		}
	}},

	{"Events", "the observer receives each change of a task's state once, in order", func(s *suite) {
		var r record
		ex := s.executor(Config{Workers: 1, Observer: r.observe})
		g, held := s.held(ex)
		dropped := concert.Submit(s.ctx, ex, square, 1)
		dropped.Cancel()
		failed := concert.Submit(s.ctx, ex, fail, "panic")
		// If the worker is in another program, the cancellation must arrive
		// there before the worker is free.
		concert.Wait(s.ctx, concert.AllCompleted, dropped)
		g.open()
		must[string](s)(held.Result(s.ctx))
		concert.Wait(s.ctx, concert.AllCompleted, failed)
		s.mapSquares(ex, 100)
		ex.Close()
		got := r.check(s)
		if got["[submitted started finished]"] != 102 || got["[submitted finished]"] != 1 {
			s.Errorf("sequences: %v; want 102 that ran, 1 that did not", got)
		}
		errs := 0
		for _, events := range r.events {
			if events[len(events)-1].Err != nil {
				errs++
			}
		}
		if errs != 2 {
			s.Errorf("%d tasks finished with an error, want 2", errs)
		}
	}},

	{"Names", "events and futures have the name under which the function is registered", func(s *suite) {
		var r record
		ex := s.executor(Config{Observer: r.observe})
		const want = "executortest.sizeOf" // registered with a function literal
		f := concert.Submit(s.ctx, ex, sizeOf, &[]byte{1})
		must[int](s)(f.Result(s.ctx))
		if got := f.String(); got != want+" (finished)" {
			s.Errorf("String() of a future = %q, want %q in it", got, want)
		}
		for _, err := range concert.Map(s.ctx, ex, sizeOf, slices.Values([]*[]byte{{1}, {2}})) {
			if err != nil {
				s.Error(err)
			}
		}
		ex.Close()
		if got := r.check(s); got["[submitted started finished]"] != 3 {
			s.Errorf("sequences: %v; want 3 that ran", got)
		}
		for _, events := range r.events {
			for _, e := range events {
				if e.Name != want {
					s.Errorf("event %v has the name %q, want %q", e.Kind, e.Name, want)
				}
			}
		}
	}},

	{"Progress", "the observer receives the progress that a running task reports", func(s *suite) {
		if !s.Shared {
			return // a remote executor sends the progress of a task in its own way
		}
		var r record
		ex := s.executor(Config{Workers: 1, Observer: r.observe})
		must[int64](s)(concert.Submit(s.ctx, ex, milestone, 3).Result(s.ctx))
		for _, err := range concert.Map(s.ctx, ex, milestone, slices.Values([]int64{3, 3})) {
			if err != nil {
				s.Error(err)
			}
		}
		ex.Close()
		if got := r.check(s); got["[submitted started progress finished]"] != 3 {
			s.Errorf("sequences: %v; want 3 with progress", got)
		}
		for id, events := range r.events {
			n := int64(0)
			for _, e := range events {
				if e.Kind == concert.TaskProgress {
					if n++; e.Done != n || e.Total != 3 {
						s.Errorf("task %d: progress %d of %d, want %d of 3", id, e.Done, e.Total, n)
					}
				}
			}
		}
		concert.Progress(s.ctx, 1, 2) // does nothing outside of a task
	}},
}
