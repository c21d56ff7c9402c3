package executor

import (
	"slices"
)

// Stats is a snapshot of an executor: what it does now, and what it has done
// since it was made. It can be copied and encoded as JSON, for example by
// expvar.Func. The numbers are read one after another. If tasks start or end
// in the meantime, the numbers may not fit together. Otherwise they are
// exact.
//
// # What counts
//
// A Submit, TrySubmit or Relay counts as one task, as soon as the queue has
// accepted it. If the executor refuses a task, because it is closed or has
// no room, the task does not count.
//
// Each item of a Map counts as one task, as soon as it is claimed for a
// worker. Until then, it is in the inputs of the Map and not in the queue.
// Workers in this process claim an item when they begin it, so such an item
// is never Queued. They count finished items in batches. A batch takes about
// 0.1 ms, or longer if one of its items is slow. When a batch ends, its
// finished items count as Submitted and Done. This may be after their
// results have arrived. Only their failures count at once. For other
// workers, items are claimed some time before they begin.
//
// A task is Queued until it starts, Running until it has settled, and then
// Done, whatever the outcome. So Submitted is Queued + Running + Done. Tasks
// that wait for other tasks are Running, too. The submitter of a remote task
// learns late that a short task has started. So such a task can be Queued while
// it runs.
//
// # The times
//
// QueueTime is the time from the acceptance of a task to the moment when a
// worker takes it from the queue, or when it is sent to a worker in another
// process. It does not include the wait for room in the queue. QueueTime
// includes neither items of a Map nor nested tasks, which are run by the
// task that waits for them.
//
// RunTime is the time that the function of a task takes, with its waits. A
// task that was canceled before it started has no RunTime. A task whose
// worker died has none either, because no worker has sent its outcome.
//
// Reading the clock takes as long as a very short task. So while tasks are
// short, about 20 us or less on average, only some are timed: one of 128, and
// one of 8 of the tasks for which a worker had to wake up. Each of them counts
// as 128 or 8 tasks. Items of a Map in this process are timed in batches of at
// most 128 items that take about 0.1 ms. All items of a batch count with the
// mean of the batch.
type Stats struct {
	// Workers is the number of workers that exist. Busy is the number of these
	// workers that have started a task.
	Workers int `json:"workers"`
	Busy    int `json:"busy"`
	// Queued is the number of tasks that were accepted and have not started.
	// Running is the number of tasks that have started and not settled.
	Queued  int `json:"queued"`
	Running int `json:"running"`
	// Waiting is the number of submitters that wait for room in the queue.
	Waiting int `json:"waiting"`
	// Submitted is the number of tasks that were accepted. Done is the number
	// of these tasks that have settled.
	Submitted int64 `json:"submitted"`
	Done      int64 `json:"done"`
	// Failed counts the tasks in Done that have an error. A failure counts
	// before its task is Done. So Done - Failed.Total() is never more than the
	// number of tasks that have succeeded.
	Failed Failures `json:"failed"`
	// Restarts is the number of workers that were started because another one
	// had died.
	Restarts int64 `json:"restarts"`
	// Sent and Received are the numbers of bytes that were sent to workers and
	// received from them. They are 0 if workers are goroutines of this process.
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
	// QueueTime and RunTime have the times of tasks.
	QueueTime Histogram `json:"queueTime"`
	RunTime   Histogram `json:"runTime"`
}

// Stats returns the numbers that the group knows. The Stats of an executor
// returns these numbers, and adds the numbers that only the executor knows.
// For a remote executor, these are its workers, their restarts and the bytes
// that were sent. The queues of the group should be [TaskQueue]s: tasks in
// any other queue count only when they start. Do not hold the mutex of a
// queue while calling Stats.
func (g *WorkerGroup) Stats() (s Stats) {
	st := g.stats
	if st == nil {
		return s
	}
	// A task changes the numbers in one order, and they are read in the
	// reverse order. So a task that changes its state in the meantime is not
	// counted twice.
	var claimed, started int64
	for i := range st.shards {
		h := &st.shards[i]
		s.Done += h.settled.Load()
		started -= h.ended.Load()
		h.queueTime.addTo(&s.QueueTime)
		h.runTime.addTo(&s.RunTime)
	}
	if g.local != nil {
		claimed = g.addWorkers(&s)
	}
	for i := range st.shards {
		started += st.shards[i].started.Load()
		claimed += st.shards[i].claimed.Load()
	}
	s.Running += int(max(0, started))
	st.mu.Lock()
	queues := slices.Clone(st.queues)
	st.mu.Unlock()
	accepted := int64(0)
	for _, q := range queues {
		q.mu.Lock()
		accepted += q.accepted
		s.Waiting += int(q.blocked.Load())
		q.mu.Unlock()
	}
	for i := range st.shards {
		s.Failed.add(&st.shards[i]) // read last, so that it has the errors of all tasks in Done
	}
	s.Submitted = max(accepted+claimed, s.Done+int64(s.Running))
	s.Queued = int(s.Submitted - s.Done - int64(s.Running))
	return s
}

// addWorkers adds the numbers of the workers to s. It returns the number of
// items that the workers have claimed.
func (g *WorkerGroup) addWorkers(s *Stats) (claimed int64) {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	s.Workers = len(g.workers)
	s.Done += g.left.tasks + g.left.items
	claimed = g.left.items
	for w := range g.workers {
		items := w.items.Load()
		s.Done += w.tasks.Load() + items
		claimed += items
	}
	for w := range g.workers {
		tasks, inMaps := w.main.count()
		for _, c := range w.compensating {
			more, moreInMaps := c.count()
			tasks, inMaps = tasks+more, inMaps+moreInMaps
		}
		s.Running += tasks
		claimed += int64(inMaps)
		if tasks > 0 {
			s.Busy++
		}
	}
	return claimed
}

// count returns the number of tasks that the carrier has started and that
// have not ended. It also returns the number of these tasks that run items
// of a Map.
func (s *carrier) count() (tasks, inMaps int) {
	add := func(t *Task) {
		if t.state() != running || t.carrier.Load() != s {
			return
		}
		tasks++
		if t.status.Load()&ofMap != 0 {
			inMaps++
		}
	}
	if t := s.base.Load(); t != nil {
		add(t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.nested {
		add(t)
	}
	return tasks, inMaps
}

// workerCounts are the numbers of tasks and of items of Maps that were run by
// workers that have left the group.
type workerCounts struct{ tasks, items int64 }
