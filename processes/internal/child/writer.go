package child

import (
	"os"
	"sync"
	"time"

	"concert/processes/internal/shm"
)

// writer sends frames to the pool.
//
//	frame --> ring of the journal --several in one write--> pipe
//
// A write to the pipe costs more than a small task. So the writer collects
// frames for gatherTime, and writes them together. If the next task is slow, a
// timer writes the collected frames after maxDelay. When the worker is idle,
// the loop calls flush. Without a journal, the frames in this process would be
// lost if the process died. So the loop calls flush after each frame.
type writer struct {
	pipe    *os.File
	journal *shm.Journal // nil: there is none

	mu      sync.Mutex
	buf     []byte        // guarded by mu: the frames that are not in the pipe yet, if there is no journal
	written uint64        // guarded by mu: total size of the frames that were put
	flushed uint64        // guarded by mu: how many of these bytes were written to the pipe
	last    time.Duration // guarded by mu: uptime of the last write
	timer   *time.Timer   // set once
	armed   bool          // guarded by mu: whether the timer runs
}

const (
	gatherTime  = 100 * time.Microsecond
	maxDelay    = time.Millisecond
	maxGathered = shm.RingSize / 4
	maxInRing   = shm.RingSize / 2 // larger frames are written to the pipe directly
)

func newWriter(pipe *os.File, j *shm.Journal) *writer {
	w := &writer{pipe: pipe, journal: j}
	w.timer = time.AfterFunc(time.Hour, w.flush)
	w.timer.Stop()
	return w
}

// put adds one frame, which is the concatenation of parts.
func (w *writer) put(parts ...[]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(parts)
}

// outcome adds the frame of a call that has ended; the parameter now is the
// uptime of its end. If the last write was long ago, or if the frames are
// large, outcome writes all frames to the pipe. Otherwise it starts the timer.
func (w *writer) outcome(now time.Duration, parts ...[]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(parts)
	if now-w.last >= gatherTime || w.written-w.flushed >= maxGathered {
		w.last = now
		w.flushLocked()
		return
	}
	if !w.armed {
		w.armed = true
		w.timer.Reset(maxDelay)
	}
}

func (w *writer) putLocked(parts [][]byte) {
	size := 0
	for _, b := range parts {
		size += len(b)
	}
	switch {
	case w.journal == nil && size <= maxInRing:
		for _, b := range parts {
			w.buf = append(w.buf, b...)
		}
		return
	case size > maxInRing:
		w.writeDirectLocked(parts)
		return
	case w.written-w.flushed+uint64(size) > shm.RingSize:
		w.flushLocked()
	}
	for _, b := range parts {
		w.journal.Put(w.written, b)
		w.written += uint64(len(b))
	}
	w.journal.Written().Store(w.written) // the frame is complete
}

// writeDirectLocked writes a frame to the pipe without copying it to the ring.
func (w *writer) writeDirectLocked(parts [][]byte) {
	w.flushLocked()
	for _, b := range parts {
		w.write(b)
		w.written += uint64(len(b))
	}
	w.flushed = w.written
	if w.journal != nil {
		w.journal.Base().Store(w.written)
		w.journal.Written().Store(w.written)
	}
}

// flush writes to the pipe all frames that were put.
func (w *writer) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked()
}

func (w *writer) flushLocked() {
	if w.armed {
		w.armed = false
		w.timer.Stop()
	}
	if w.journal == nil {
		w.write(w.buf)
		w.buf = w.buf[:0]
		return
	}
	if w.written > w.flushed {
		first, second := w.journal.Get(w.flushed, w.written)
		w.write(first)
		w.write(second)
		w.flushed = w.written
	}
}

// write writes to the pipe. If the write fails, the pool can receive no more
// results, and this process exits: the pool has ended, or a task has closed the
// pipe.
func (w *writer) write(b []byte) {
	if len(b) == 0 {
		return
	}
	if _, err := w.pipe.Write(b); err != nil {
		os.Exit(exitPoolGone)
	}
}
