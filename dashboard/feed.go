package dashboard

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"concert"
)

// Feed is a [Source] for work that no executor runs. The program reports the
// steps of its tasks by Observe. The zero value is ready to use. The methods
// are safe for concurrent use.
type Feed struct {
	mu        sync.Mutex
	total     int64                    // guarded by mu: the expected number of tasks, or 0
	stats     concert.Stats            // guarded by mu
	open      map[uint64]concert.Event // guarded by mu: the events TaskStarted of running tasks
	lanes     []bool                   // guarded by mu: lanes[i] is whether a running task has worker number i
	observers []*concert.Observer      // guarded by mu
}

// SetTotal sets the number of tasks that are expected. Tasks that have not
// started are shown as queued.
func (f *Feed) SetTotal(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total = int64(n)
}

// SetWorkers sets the number of workers.
func (f *Feed) SetWorkers(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Workers = n
}

// Observe records a step of a task: TaskStarted, TaskProgress or TaskFinished.
// Events without a time get the current time. If the Worker of a TaskStarted
// is negative, the task gets the lowest worker number that no running task
// has. If there was no TaskStarted before a TaskFinished, the task counts as
// one that never started.
func (f *Feed) Observe(e concert.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e.Kind {
	case concert.TaskStarted:
		f.startLocked(&e)
	case concert.TaskFinished:
		f.finishLocked(&e)
	case concert.TaskProgress:
		t, ok := f.open[e.Task]
		if !ok {
			return
		}
		e.Name, e.Input, e.Worker = t.Name, t.Input, t.Worker
	default:
		return
	}
	for _, o := range f.observers {
		(*o)(e)
	}
}

func (f *Feed) startLocked(e *concert.Event) {
	if old, ok := f.open[e.Task]; ok { // a further attempt of a running task
		f.freeLocked(old.Worker)
		f.stats.Running--
	}
	if e.Worker < 0 {
		e.Worker = slices.Index(f.lanes, false)
		if e.Worker < 0 {
			e.Worker = len(f.lanes)
		}
	}
	for len(f.lanes) <= e.Worker {
		f.lanes = append(f.lanes, false)
	}
	f.lanes[e.Worker] = true
	if f.open == nil {
		f.open = map[uint64]concert.Event{}
	}
	f.open[e.Task] = *e
	f.stats.Running++
}

func (f *Feed) finishLocked(e *concert.Event) {
	if t, ok := f.open[e.Task]; ok {
		delete(f.open, e.Task)
		f.freeLocked(t.Worker)
		f.stats.Running--
		e.Name, e.Input, e.Worker = t.Name, t.Input, t.Worker
		addTime(&f.stats.RunTime, e.Time.Sub(t.Time))
	}
	f.stats.Done++
	switch {
	case e.Err == nil:
	case errors.Is(e.Err, context.DeadlineExceeded):
		f.stats.Failed.Timeouts++
	case errors.Is(e.Err, context.Canceled):
		f.stats.Failed.Canceled++
	default:
		f.stats.Failed.Errors++
	}
}

func (f *Feed) freeLocked(worker int) {
	if worker >= 0 && worker < len(f.lanes) {
		f.lanes[worker] = false
	}
}

// addTime adds a duration to a histogram.
func addTime(h *concert.Histogram, d time.Duration) {
	d = max(0, d)
	bounds := h.Bounds()
	i, _ := slices.BinarySearch(bounds[:], d) // the last bucket if no bound is large enough
	h.Counts[i]++
	h.Sum += d
}

// Stats returns the numbers of the tasks.
func (f *Feed) Stats() concert.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Queued = int(max(0, f.total-s.Done-int64(s.Running)))
	s.Submitted = s.Done + int64(s.Running) + int64(s.Queued)
	s.Busy = s.Running
	s.Workers = max(s.Workers, s.Busy)
	return s
}

// Watch calls the observer with a TaskStarted for each running task, and then
// with all further steps of tasks, until stop is called.
func (f *Feed) Watch(o concert.Observer) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &o
	f.observers = append(f.observers, p)
	for _, e := range f.open {
		o(e)
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.observers = slices.DeleteFunc(f.observers, func(other *concert.Observer) bool { return other == p })
	}
}
