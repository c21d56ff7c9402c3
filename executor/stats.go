package executor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Stats is a snapshot of an executor: what it does now, and what it has done
// since it was made. It can be copied and encoded as JSON, for example by
// expvar.Func. The numbers are read one after another. While tasks start and
// end, they can differ by the tasks that did so in the meantime. When no task
// starts or ends, they are exact.
//
// # What counts
//
// A Submit, TrySubmit or Relay counts as one task, as soon as the queue has
// accepted it. A task that the executor refuses does not count: because the
// executor is closed, or because there was no room.
//
// Each item of a Map counts as one task, as soon as it is claimed for a worker.
// Before, it is in the input of the Map and not in the queue. Workers in this
// process claim an item when they begin it, so such an item is never Queued.
// They count finished items in batches. A batch takes about 0.1 ms, or longer
// if one of its items is slow. The finished items of a batch are Submitted and
// Done when the batch ends, which may be after their results have arrived. Only
// their failures count at once. For other workers, items are claimed some time
// before they begin.
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
// process. It does not include the wait for room in the queue. It has no items
// of a Map, and no task that was run by the task that waits for it.
//
// RunTime is the time that the function of a task takes, with its waits. Tasks
// without an outcome from a worker have none: those that were canceled before
// they started, and those whose worker died.
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
	// Failed counts the tasks in Done that have an error.
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

// statistics are the counters of a group. Goroutines that run on different
// processors use different shards, so that they do not wait for each other's
// cache lines.
type statistics struct {
	shards []shard // their number is a power of two

	// short is whether tasks are short, so that only some are timed. It is
	// apart from the mean, because all workers read it.
	short atomic.Bool
	_     cacheLine
	mean  atomic.Int64 // moving mean of the run times, in nanoseconds; 0 before the first one

	mu     sync.Mutex
	queues []*TaskQueue // guarded by mu: the queues of the group
}

// shard has the counts of some tasks of a group. The tasks that workers of this
// process have run are not in settled: each Worker counts its own.
type shard struct {
	settled  atomic.Int64               // tasks that have settled, and that no local worker has run
	started  atomic.Int64               // remote tasks that have started
	ended    atomic.Int64               // remote tasks that have started and settled
	claimed  atomic.Int64               // items of Maps that were claimed for remote workers
	failures [failureKinds]atomic.Int64 // tasks with an error

	queueTime, runTime histogram
	_                  cacheLine
}

// maxShards bounds the memory of the counters of a group: a shard has about 700
// bytes.
const maxShards = 16

func newStatistics(processors int) *statistics {
	n := 1
	for n < processors && n < maxShards {
		n *= 2
	}
	return &statistics{shards: make([]shard, n)}
}

// shard returns the shard for a worker, by its number.
func (st *statistics) shard(worker int) *shard { return &st.shards[worker&(len(st.shards)-1)] }

// shardOf returns the shard for a task. The allocator gives each processor
// memory of its own, in spans of 8 KiB or more. So goroutines that submit tasks
// on different processors seldom use the same shard at the same time.
func (st *statistics) shardOf(t *Task) *shard {
	return st.shard(int(uintptr(unsafe.Pointer(t)) >> 13))
}

// addQueue adds a queue whose tasks belong to the group.
func (st *statistics) addQueue(q *TaskQueue) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.queues = append(st.queues, q)
}

// Stats returns the numbers that the group knows. An executor returns them as
// its own, and adds what only it knows: a remote one adds its workers, their
// restarts and the bytes that were sent. The queues of the group must be
// [TaskQueue]s. Tasks of any other queue count only when they start. Do not
// hold the mutex of a queue while calling Stats.
func (g *WorkerGroup) Stats() (s Stats) {
	st := g.stats
	if st == nil {
		return s
	}
	// The numbers are read in the reverse of the order in which a task changes
	// them. So a task that moves on in the meantime is not counted twice.
	var claimed, started int64
	for i := range st.shards {
		h := &st.shards[i]
		s.Done += h.settled.Load()
		started -= h.ended.Load()
		s.Failed.add(h)
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

// count returns how many tasks the carrier has started that have not ended, and
// how many of them run the items of a Map.
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

// counters returns the counters of the task's group. It returns nil if the task
// does not count: it belongs to Go, or the executor has refused it.
func (t *Task) counters() *statistics {
	if t.group == nil || t.status.Load()&refused != 0 {
		return nil
	}
	return t.group.stats
}

// countSettled counts the task of a Submit, which has its outcome, and its
// error, unless that is nil. The parameter local is whether a worker of this
// process has run and counted the task. The parameter remote is the number of
// the remote worker that has run it, or -1.
func (t *Task) countSettled(local bool, remote int, err error) {
	st := t.counters()
	if st == nil {
		return
	}
	if !local {
		h := st.shard(remote)
		if remote < 0 {
			h = st.shardOf(t)
		}
		h.settled.Add(1)
	}
	if err != nil {
		kind := failureKind(t.ctx.Err(false), local || remote >= 0, err)
		st.shardOf(t).failures[kind].Add(1)
	}
}

// countFailed counts an item with an error, of the Map whose runner is the
// task. The parameter ran is whether a worker has run the item.
func (t *Task) countFailed(ctx context.Context, ran bool, err error) {
	t.group.stats.shardOf(t).failures[failureKind(ctx.Err(), ran, err)].Add(1)
}

// refuse settles a task that the executor has refused. The task does not count.
func (t *Task) refuse(err error) {
	t.status.Or(refused)
	t.Fail(err)
}

// begin moves a claimed task to running. It returns false if the task was no
// longer claimed. The parameter remote is the number of the worker, or -1.
func (t *Task) begin(remote int) bool {
	if !t.move(claimed, running) {
		return false
	}
	t.group.stats.shard(remote).started.Add(1)
	return true
}

// finish moves a claimed or running task to finishing. It returns false if the
// task was neither.
func (t *Task) finish(remote int) bool {
	if t.move(running, finishing) {
		t.group.stats.shard(remote).ended.Add(1)
		return true
	}
	return t.move(claimed, finishing)
}
