package executor

import "time"

// This file decides which tasks are timed. Reading the clock twice and counting
// the duration takes about as long as a short task. So while tasks are short,
// one of sampleEvery is timed, and counts as that many tasks:
//
//	run time     the carrier counts its tasks, and times the last of each sampleEvery
//	queue time   the queue stores the time of the first task of each segment
//	Map          the runner reads the clock once for a batch of items, as it does anyway
//
// A worker that has slept is more likely to be the first one that gets a long
// task. It had to be woken, which takes much longer than reading the clock. So
// a task after a sleep counts as afterSleep tasks when the carrier counts up to
// sampleEvery. Such a task is timed more often, and then counts as fewer tasks.

const (
	sampleEvery = segmentSize // a power of two
	afterSleep  = sampleEvery / 8

	// Tasks are short while their mean run time is below shortTask, and long
	// again when it is above longTask. The two differ, so that the mode seldom
	// changes.
	shortTask = 16 * time.Microsecond
	longTask  = 32 * time.Microsecond
)

var loaded = time.Now()

// uptime returns the nanoseconds since this package was loaded. It is faster
// than time.Now, which reads two clocks. It is never 0.
func uptime() int64 { return int64(time.Since(loaded)) + 1 }

// sample decides whether the carrier times the task that it begins now. It
// returns the number of tasks for which the time counts, or 0 if the carrier
// does not time the task.
func (s *carrier) sample() (weight int64) {
	st := s.worker.group.stats
	switch {
	case st == nil:
		return 0
	case !st.short.Load():
		return 1
	}
	step := uint32(1)
	if s.slept {
		s.slept, step = false, afterSleep
	}
	before := s.begun
	s.begun += step
	if (before^s.begun)/sampleEvery == 0 {
		return 0
	}
	return int64(sampleEvery / step)
}

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

// A stamp is the time at which a queue has accepted a task. 0 means that the
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
