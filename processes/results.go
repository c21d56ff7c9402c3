package processes

import (
	"os"
	"sync"
	"time"

	"concert/processes/internal/shm"
)

// results is where a worker puts its frames for the pool.
//
//	frame --> ring of the journal --many at a time--> pipe
//
// A write to the pipe costs more than a small task, so frames gather while
// there are more tasks at hand, for a tenth of a millisecond; if the next task
// then turns out to be a slow one, a timer sees to it that they do not wait for
// it. Without a journal they must not gather: they would die with the worker.
type results struct {
	pipe    *os.File
	journal *shm.Journal // nil: there is none

	mu      sync.Mutex
	buf     []byte        // guarded by mu: without a journal, what is not in the pipe
	written uint64        // guarded by mu: bytes put
	flushed uint64        // guarded by mu: of these, in the pipe
	last    time.Duration // guarded by mu: of the last write
	timer   *time.Timer   // set once
	armed   bool          // guarded by mu: the timer runs
}

const (
	gather   = 100 * time.Microsecond
	latest   = time.Millisecond
	enough   = shm.RingSize / 4
	directly = shm.RingSize / 2 // larger frames do not go through the ring
)

func newResults(pipe *os.File, j *shm.Journal) *results {
	r := &results{pipe: pipe, journal: j}
	r.timer = time.AfterFunc(time.Hour, r.flush)
	r.timer.Stop()
	return r
}

// put adds a whole frame, in one part or several.
func (r *results) put(parts ...[]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putLocked(parts)
}

// outcome adds the frame of a call that has just ended. It writes what there
// is, unless that can wait a little.
func (r *results) outcome(now time.Duration, parts ...[]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putLocked(parts)
	if now-r.last >= gather || r.written-r.flushed >= enough {
		r.last = now
		r.flushLocked()
		return
	}
	if !r.armed {
		r.armed = true
		r.timer.Reset(latest)
	}
}

func (r *results) putLocked(parts [][]byte) {
	size := 0
	for _, b := range parts {
		size += len(b)
	}
	switch {
	case r.journal == nil && size <= directly:
		for _, b := range parts {
			r.buf = append(r.buf, b...)
		}
		return
	case size > directly:
		r.writeDirect(parts)
		return
	case r.written-r.flushed+uint64(size) > shm.RingSize:
		r.flushLocked()
	}
	for _, b := range parts {
		r.journal.Put(r.written, b)
		r.written += uint64(len(b))
	}
	r.journal.Written().Store(r.written) // the frame is complete
}

// writeDirect writes to the pipe what does not go through the ring.
func (r *results) writeDirect(parts [][]byte) {
	r.flushLocked()
	for _, b := range parts {
		r.write(b)
		r.written += uint64(len(b))
	}
	r.flushed = r.written
	if r.journal != nil {
		r.journal.Base().Store(r.written)
		r.journal.Written().Store(r.written)
	}
}

// flush writes all that has been put.
func (r *results) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushLocked()
}

func (r *results) flushLocked() {
	if r.armed {
		r.armed = false
		r.timer.Stop()
	}
	if r.journal == nil {
		r.write(r.buf)
		r.buf = r.buf[:0]
		return
	}
	if r.written > r.flushed {
		first, second := r.journal.Get(r.flushed, r.written)
		r.write(first)
		r.write(second)
		r.flushed = r.written
	}
}

// write writes to the pipe. When that fails the pool has gone, and this process
// has no reason to be.
func (r *results) write(b []byte) {
	if len(b) == 0 {
		return
	}
	if _, err := r.pipe.Write(b); err != nil {
		os.Exit(exitPoolGone)
	}
}
