package dashboard

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"concert"
)

const (
	interval   = 500 * time.Millisecond // the time between two frames
	keepFor    = time.Minute            // the time for which recorders continue without a page
	keptFrames = 20                     // the number of frames that are kept, for pages that connect again or are slow
	maxClients = 64
)

// hub makes frames, and keeps the last frames. It never waits for a page,
// because each page takes the frames when it can.
//
//	idle --first page--> recording --no page for keepFor--> idle
//	                     recording --close--> closed
//
// The goroutine of the hub runs only while it is recording.
type hub struct {
	isPaused func() bool

	mu        sync.Mutex
	recorders []*recorder   // guarded by mu
	nextID    int           // guarded by mu: number of the next recorder
	clients   int           // guarded by mu: number of pages
	leftAt    time.Time     // guarded by mu: the time at which the last page left
	recording bool          // guarded by mu: whether the goroutine runs
	closed    bool          // guarded by mu
	final     bool          // guarded by mu: whether the last frame was made after close was called
	frames    [][]byte      // guarded by mu: the last frames, as JSON
	number    int64         // guarded by mu: number of the last frame
	complete  bool          // guarded by mu: whether the next frame must be complete, because a source was added or removed
	changed   chan struct{} // guarded by mu: closed and replaced when there is a new frame
	stop      chan struct{} // closed by close
	ended     chan struct{} // guarded by mu: closed when the goroutine has ended; nil before it starts
	own       ownProcess    // used by the goroutine alone
	process   *usage        // guarded by mu: the last use of this process
	time      time.Time     // guarded by mu: the time of the last frame
}

func (h *hub) init(isPaused func() bool) {
	h.isPaused = isPaused
	h.changed, h.stop = make(chan struct{}), make(chan struct{})
}

func (h *hub) add(r *recorder) (remove func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nextID++
	r.id = h.nextID
	h.recorders = append(slices.Clone(h.recorders), r) // the goroutine may use the old slice
	return sync.OnceFunc(func() {
		r.attachment.close()
		h.mu.Lock()
		h.recorders = slices.DeleteFunc(slices.Clone(h.recorders), func(other *recorder) bool { return other == r })
		h.complete = true
		h.mu.Unlock()
	})
}

// join begins to record for a page, if there is no other page. It returns false
// if there are too many pages, or after close.
func (h *hub) join() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.clients >= maxClients {
		return false
	}
	h.clients++
	if !h.recording {
		h.recording = true
		h.ended = make(chan struct{})
		go h.record(h.ended)
	}
	return true
}

func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients--
	h.leftAt = time.Now()
}

// record makes a frame in each interval. It ends when there was no page for
// the time keepFor, or after close.
func (h *hub) record(ended chan struct{}) {
	defer close(ended)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	started := map[*recorder]bool{}
	h.publish(started, false)
	for {
		select {
		case <-ticker.C:
			if h.isUnused() {
				h.forget(started)
				clear(started)
				if h.end() {
					return
				}
			}
			h.publish(started, false)
		case <-h.stop:
			h.publish(started, true)
			for r := range started {
				r.attachment.close()
			}
			return
		}
	}
}

// isUnused reports whether there was no page for the time keepFor.
func (h *hub) isUnused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.closed && h.clients == 0 && time.Since(h.leftAt) >= keepFor
}

// forget makes the recorders forget everything.
func (h *hub) forget(started map[*recorder]bool) {
	for r := range started {
		r.attachment.detach()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range started {
		r.forget()
	}
	h.frames = nil
	h.number++ // so that a page that has the last frame gets a complete frame next
}

// end reports whether the goroutine must end. It reports false if a page has
// joined in the meantime.
func (h *hub) end() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.clients > 0 {
		return false
	}
	h.recording = false
	return true
}

// publish makes a frame. It calls methods of the sources without a lock.
func (h *hub) publish(started map[*recorder]bool, last bool) {
	h.mu.Lock()
	recorders := h.recorders
	h.mu.Unlock()
	now := time.Now()
	changes := make([]change, len(recorders))
	for i, r := range recorders {
		if !started[r] {
			started[r] = true
			r.start(now)
		}
		changes[i] = r.collect(now)
	}
	for r := range started {
		if !slices.Contains(recorders, r) {
			delete(started, r)
		}
	}
	process := h.own.usage(now)
	f := frame{Time: now.UnixMilli(), Paused: h.isPaused(), Ended: last, Process: process}

	h.mu.Lock()
	defer h.mu.Unlock()
	h.process, h.time = process, now
	for i, r := range recorders {
		c := &changes[i]
		part := c.frame
		part.Failures = part.Failures.withoutDetails(r.frame.Failures)
		r.apply(c)
		part.Points, part.Spans = []point{c.point}, c.spans
		f.Sources = append(f.Sources, part)
	}
	if h.complete {
		h.complete = false
		f = h.completeLocked()
		f.Ended = last
	}
	h.final = last
	h.number++
	h.frames = append(h.frames, encode(f))
	if len(h.frames) > keptFrames {
		h.frames = slices.Delete(h.frames, 0, 1)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// after returns the frames after the frame with the given number, and the
// number of the last one. If the hub no longer has these frames, after returns
// a complete frame instead. If no frame follows yet, changed is closed when
// the hub has a new one.
func (h *hub) after(number int64) (frames [][]byte, last int64, changed <-chan struct{}, closed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	missing := h.number - number
	switch {
	case len(h.frames) == 0: // the goroutine has just started, and there is no frame yet
	case missing < 0 || missing > int64(len(h.frames)) || number == 0:
		frames = [][]byte{encode(h.completeLocked())}
	default:
		frames = slices.Clone(h.frames[int64(len(h.frames))-missing:])
	}
	if len(frames) == 0 {
		return nil, number, h.changed, h.isOverLocked()
	}
	return frames, h.number, h.changed, h.isOverLocked()
}

// isOverLocked reports whether there will be no further frame.
func (h *hub) isOverLocked() bool {
	if !h.closed {
		return false
	}
	select {
	case <-h.ended:
		return true
	default:
		return h.ended == nil
	}
}

// completeLocked returns a frame with everything.
func (h *hub) completeLocked() frame {
	f := frame{Full: true, Time: h.time.UnixMilli(), Paused: h.isPaused(), Ended: h.final, Process: h.process}
	for _, r := range h.recorders {
		if r.frame.ID == 0 {
			continue // it was added after the last frame
		}
		part := r.frame
		part.Points, part.Spans = r.points, r.spans
		f.Sources = append(f.Sources, part)
	}
	return f
}

// close ends the recording after a last frame, and waits for this frame.
func (h *hub) close() {
	h.mu.Lock()
	first := !h.closed
	h.closed = true
	ended := h.ended
	h.mu.Unlock()
	if first {
		close(h.stop)
	}
	if ended != nil {
		<-ended
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if first {
		close(h.changed)
		h.changed = make(chan struct{})
	}
}

// runningTask returns a running task that a page shows.
func (h *hub) runningTask(source int, id uint64) (Task, bool) {
	r := h.recorder(source)
	if r == nil {
		return Task{}, false
	}
	s := r.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.open[id]
	return Task{Source: r.name, ID: id, Name: t.name, Input: t.input}, ok
}

// failedTasks returns the tasks of a group of failures, and removes them from
// the group.
func (h *hub) failedTasks(source, group int) []Task {
	r := h.recorder(source)
	if r == nil {
		return nil
	}
	tasks := r.causes.take(group)
	for i := range tasks {
		tasks[i].Source = r.name
	}
	return tasks
}

// keepFailed puts tasks of failedTasks back into their group, because they were
// not replayed.
func (h *hub) keepFailed(source, group int, tasks []Task) {
	if r := h.recorder(source); r != nil {
		r.causes.putBack(group, tasks)
	}
}

func (h *hub) recorder(id int) *recorder {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.recorders {
		if r.id == id {
			return r
		}
	}
	return nil
}

// apply adds a change to the state of the recorder. The caller holds the mutex
// of the hub.
func (r *recorder) apply(c *change) {
	r.frame = c.frame
	r.points = appendBounded(r.points, maxPoints, c.point)
	r.spans = appendBounded(r.spans, maxSpans, c.spans...)
}

// appendBounded appends to a list, and removes the oldest elements if there are
// more than most. It removes many at once, so that it seldom copies.
func appendBounded[T any](list []T, most int, more ...T) []T {
	list = append(list, more...)
	if len(list) > most+most/4 {
		list = slices.Delete(list, 0, len(list)-most)
	}
	return list
}

// encode returns the JSON of a frame.
func encode(f frame) []byte {
	b, err := json.Marshal(f)
	if err != nil {
		panic("dashboard: " + err.Error()) // cannot happen: all parts can be encoded
	}
	return b
}

var _ Source = concert.Executor(nil)
