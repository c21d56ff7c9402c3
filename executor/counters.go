package executor

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// This file has the counters and the histograms that tasks change: when a
// worker begins or ends them, and when they leave the queue. A snapshot reads
// them: see stats.go.
//
// It also decides which tasks are timed. Reading the clock twice and
// counting the duration takes about as long as a short task. So while tasks
// are short, only one of sampleEvery tasks is timed, and counts as
// sampleEvery tasks:
//
//	run time     the carrier counts its tasks, and times the last of each sampleEvery
//	queue time   the queue stores the time of the first task of each segment
//	Map          the runner reads the clock once for a batch of items, as it does anyway
//
// Tasks that follow a sleep of their worker are timed more often. If tasks
// become long, this shows in such tasks first. Waking the worker takes much
// longer than reading the clock, so the clock costs little there. A carrier
// counts its tasks, and times a task each time the count has grown by
// sampleEvery. A task after a sleep adds afterSleep to the count. So one of
// sampleEvery/afterSleep such tasks is timed, and counts as that many tasks.

// statistics are the counters of a group. Goroutines that run on different
// processors use different shards, so that they do not wait for each other's
// cache lines.
type statistics struct {
	shards []shard // their number is a power of two

	// short is whether tasks are short, so that only some are timed. All
	// workers read it, so it is not in the cache line of the mean.
	short atomic.Bool
	_     cacheLine
	mean  atomic.Int64 // moving mean of the run times, in nanoseconds; 0 before the first run time

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
// its own memory, in spans of 8 KiB or more. So goroutines that submit tasks
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

// counters returns the counters of the task's group. It returns nil if the task
// does not count: it belongs to Go, or the executor has refused it.
func (t *Task) counters() *statistics {
	if t.group == nil || t.status.Load()&refused != 0 {
		return nil
	}
	return t.group.stats
}

// countSettled is called when the task of a Submit has its outcome. It counts
// the error, unless it is nil, and then the task. local is whether a worker of
// this process has run the task: then this worker counts the task, after the
// call. remote is the number of the remote worker that has run the task, or -1.
func (t *Task) countSettled(local bool, remote int, err error) {
	st := t.counters()
	if st == nil {
		return
	}
	if err != nil {
		kind := failureKind(t.ctx.Err(false), local || remote >= 0, err)
		st.shardOf(t).failures[kind].Add(1)
	}
	if !local {
		h := st.shard(remote)
		if remote < 0 {
			h = st.shardOf(t)
		}
		h.settled.Add(1)
	}
}

// countFailed counts an item of a Map that has an error. The task is a runner
// of the Map. ran is whether a worker has run the item.
func (t *Task) countFailed(ctx context.Context, ran bool, err error) {
	t.group.stats.shardOf(t).failures[failureKind(ctx.Err(), ran, err)].Add(1)
}

// refuse settles a task that the executor has refused. The task does not count.
func (t *Task) refuse(err error) {
	t.status.Or(refused)
	t.Fail(err)
}

// begin moves a claimed task to running. It returns false if the task was no
// longer claimed. remote is the number of the worker, or -1.
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

const (
	sampleEvery = segmentSize // a power of two
	afterSleep  = sampleEvery / 8

	// Tasks count as short when their mean run time falls below shortTask,
	// and as long again when it rises above longTask. The two limits differ,
	// so that the mode seldom changes.
	shortTask = 16 * time.Microsecond
	longTask  = 32 * time.Microsecond
)

var loaded = time.Now()

// uptime returns the nanoseconds since this package was loaded. It is faster
// than time.Now, which reads two clocks. It is never 0.
func uptime() int64 { return int64(time.Since(loaded)) + 1 }

// ran records the run time of a task in nanoseconds, which counts as n tasks.
func (st *statistics) ran(worker int, took, n int64) {
	st.shard(worker).runTime.add(took, n)
	if n == 1 && took%8 != 0 && st.short.Load() {
		return // a remote executor times all tasks; if each changed the mean, goroutines would wait for its cache line
	}
	mean := st.mean.Load()
	if mean == 0 {
		mean = max(1, took)
	} else {
		mean += (took - mean) / 8
	}
	st.mean.Store(mean) // an update that another goroutine overwrites does no harm
	switch short := st.short.Load(); {
	case short && mean > int64(longTask):
		st.short.Store(false)
	case !short && mean < int64(shortTask):
		st.short.Store(true)
	}
}

// ranItems records that n items of a Map took some nanoseconds in total. Items
// do not decide whether tasks are short.
func (st *statistics) ranItems(worker int, took int64, n int) {
	if n > 0 {
		st.shard(worker).runTime.add(took/int64(n), int64(n))
	}
}

// A stamp is the time at which a queue accepted a task. 0 means that the
// task is not timed. A negative stamp counts for sampleEvery tasks.
type stamp int64

// newStamp returns the stamp of a task that a queue accepts now, and that is
// timed.
func (st *statistics) newStamp() stamp {
	if st.short.Load() {
		return stamp(-uptime())
	}
	return stamp(uptime())
}

// left records that a task has left the queue.
func (st *statistics) left(at stamp) {
	n := int64(1)
	if at < 0 {
		at, n = -at, sampleEvery
	}
	now := uptime()
	st.shard(int(now>>6)).queueTime.add(now-int64(at), n)
}

// histogram is a Histogram that goroutines change and read concurrently.
type histogram struct {
	counts [buckets]atomic.Int64
	sum    atomic.Int64
}

// longest is the longest duration that a histogram adds, about 104 days. It
// protects the sum from a worker that sends a wrong time.
const longest = 1 << 53

// add adds a duration in nanoseconds, which counts as n durations.
func (h *histogram) add(ns, n int64) {
	ns = min(max(0, ns), longest)
	h.counts[bucketOf(ns)].Add(n)
	h.sum.Add(ns * n)
}

// bucketOf returns the number of the bucket of a duration in nanoseconds.
func bucketOf(ns int64) int {
	if ns <= 1000 {
		return 0
	}
	return min(bits.Len64(uint64(ns-1)/1000), buckets-1)
}

// addTo adds the counts of h to another histogram.
func (h *histogram) addTo(to *Histogram) {
	for i := range h.counts {
		to.Counts[i] += h.counts[i].Load()
	}
	to.Sum += time.Duration(h.sum.Load())
}
