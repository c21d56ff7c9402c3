package child

import (
	"encoding/binary"
	"os"
	"sync"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// writer sends frames to the pool.
//
//	frame --> ring of the journal --several in one write--> pipe
//	small result --> list of the journal --several in one frame--> ring
//
// A small result needs no separate frame, because the writer stores it in
// the list. Before it puts another frame, and before it writes to the pipe,
// it puts a frame with the results that are only in the list; see
// shm.Journal.
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
	scratch []byte        // guarded by mu: memory for the head of a frame
	buf     []byte        // guarded by mu: the frames that are not in the pipe yet, if there is no journal
	written uint64        // guarded by mu: total size of the frames that were put
	flushed uint64        // guarded by mu: number of these bytes that were written to the pipe
	last    time.Duration // guarded by mu: uptime of the last write
	list    frame.Results // guarded by mu: the results that are only in the list of the journal; Sizes and Bytes are parts of the list
	listed  int           // guarded by mu: the position in the list after the last result, including results that were sent
	timer   *time.Timer   // set once
	armed   bool          // guarded by mu: whether the timer runs
	late    bool          // guarded by mu: the timer has run since the last call of addToList
}

const (
	gatherTime  = 100 * time.Microsecond
	maxDelay    = time.Millisecond
	maxGathered = shm.RingSize / 4
	maxInRing   = shm.RingSize / 2 // larger frames are written to the pipe directly
)

func newWriter(pipe *os.File, j *shm.Journal) *writer {
	w := &writer{pipe: pipe, journal: j, scratch: make([]byte, 0, 64)}
	w.timer = time.AfterFunc(time.Hour, w.flushLate)
	w.timer.Stop()
	w.list.ID.Index = frame.MaxList // the number of no call, so that the first result begins a new list
	return w
}

// put adds one frame, which is the concatenation of parts.
func (w *writer) put(parts ...[]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(parts)
}

// outcome adds the frame of a call that has ended. now is the uptime at the end
// of the call. If the last write was long ago, or if the frames are large,
// outcome writes all frames to the pipe. Otherwise it starts the timer.
func (w *writer) outcome(now time.Duration, parts ...[]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(parts)
	w.endedLocked(now)
}

// addToList stores the result of a call that has ended in the list, and then
// writes to the pipe or starts the timer, like the method outcome.
// frame.CanList must be true for the result. The result stored is false if
// the list has no space for the result. The result late is true if the timer
// had to write frames to the pipe.
func (w *writer) addToList(now time.Duration, o *frame.Outcome) (stored, late bool) {
	if w.journal == nil || o.ID.Index >= frame.MaxList {
		return false, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l, i, value := &w.list, int(o.ID.Index), o.Value.Encoded
	n := l.Len()
	if l.ID.Seq != o.ID.Seq || l.Kind != value.Kind || int(l.ID.Index)+n != i || w.listed+len(value.Bytes) > shm.ListSize {
		w.collectLocked()
		w.journal.SetList(o.ID.Seq, i, value.Kind)
		*l = frame.Results{ID: o.ID, List: executor.List{Kind: value.Kind}}
		w.listed, n = 0, 0
	}
	sizes, bytes := w.journal.List()
	if executor.FixedSize(value.Kind) == 0 {
		l.Sizes = sizes[2*(i-n) : 2*(i+1)]
		binary.LittleEndian.PutUint16(l.Sizes[2*n:], uint16(len(value.Bytes)))
	}
	first := w.listed - len(l.Bytes)
	w.listed += copy(bytes[w.listed:], value.Bytes)
	l.Bytes = bytes[first:w.listed]
	l.Ran += o.Ran
	w.endedLocked(now)
	late, w.late = w.late, false
	return true, late
}

// collect puts the results that are only in the list into the ring. The loop
// calls collect at the end of a frame of calls. Before that, the slot of
// this frame shows the pool which results are complete.
func (w *writer) collect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.collectLocked()
}

func (w *writer) collectLocked() {
	l := w.list
	if l.Len() == 0 {
		return
	}
	w.list.ID.Index += uint32(l.Len())
	w.list.Ran, w.list.Sizes, w.list.Bytes = 0, nil, nil
	w.putLocked([][]byte{frame.ResultListHead(w.scratch[:0], &l), l.Sizes, l.Bytes})
}

// endedLocked is called after a call has ended: it writes to the pipe, or
// starts the timer.
func (w *writer) endedLocked(now time.Duration) {
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
	w.collectLocked()
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

// flushLate is the function of the timer.
func (w *writer) flushLate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = true
	w.flushLocked()
}

// flush writes to the pipe all frames that were put.
func (w *writer) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked()
}

func (w *writer) flushLocked() {
	w.collectLocked()
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

// write writes to the pipe. If the write fails, the pool has ended, or a
// task has closed the pipe. The pool can then receive no more results, so
// this process exits.
func (w *writer) write(b []byte) {
	if len(b) == 0 {
		return
	}
	if _, err := w.pipe.Write(b); err != nil {
		os.Exit(exitPoolGone)
	}
}
