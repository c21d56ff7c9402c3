package progress

import (
	"encoding/json"
	"sync"
	"time"

	"concert"
	"concert/executor"
)

// Record is a line of JSON: one event of a task. Fields that do not apply are
// omitted.
type Record struct {
	Event  string    `json:"event"` // submitted, started, progress or finished
	Task   uint64    `json:"task"`  // number of the task in this process, from 1 up
	Name   string    `json:"name,omitempty"`
	Input  *int64    `json:"input,omitempty"`  // index of the input in its Map, from 0 up
	Label  string    `json:"label,omitempty"`  // set by concert.WithLabel
	Worker *int      `json:"worker,omitempty"` // number of the worker, from 0 up
	Time   time.Time `json:"time"`
	Done   int64     `json:"done,omitempty"`  // in progress: the finished amount
	Total  int64     `json:"total,omitempty"` // in progress: the whole amount
	Error  string    `json:"error,omitempty"` // in finished: the error of the task
}

func newRecord(e concert.Event) Record {
	r := Record{Event: e.Kind.String(), Task: e.Task, Name: e.Name, Time: e.Time, Done: e.Done, Total: e.Total}
	if e.Input != nil {
		r.Label = e.Input.Label
		if e.Input.Index >= 0 {
			r.Input = &e.Input.Index
		}
	}
	if e.Worker >= 0 {
		r.Worker = &e.Worker
	}
	if e.Err != nil {
		r.Error = executor.ErrorText(e.Err) // the Error method may be user code
	}
	return r
}

// records has the lines of JSON that are not written yet.
//
//  1. A worker appends a line, and wakes the writer.
//  2. The writer takes all lines, and writes them without holding the lock.
//
// If too many lines wait, a worker blocks until step 2.
type records struct {
	wake chan struct{} // wakes the writer, because lines are waiting; has a buffer of one

	mu      sync.Mutex
	room    sync.Cond
	waiting []byte // guarded by mu
	over    bool   // guarded by mu: whether the writer has failed or ended
}

const mostWaiting = 1 << 20 // if more bytes wait, a worker blocks

func newRecords() *records {
	r := &records{wake: make(chan struct{}, 1)}
	r.room.L = &r.mu
	return r
}

func (r *records) add(e concert.Event) {
	line, err := json.Marshal(newRecord(e))
	if err != nil {
		panic(err) // cannot happen: strings, numbers and times can always be encoded
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.waiting) > mostWaiting && !r.over {
		r.room.Wait()
	}
	if r.over {
		return
	}
	r.waiting = append(append(r.waiting, line...), '\n')
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take removes and returns all waiting lines. spare is memory for the next
// lines.
func (r *records) take(spare []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.waiting
	r.waiting = spare[:0]
	r.room.Broadcast()
	return all
}

// end makes further calls of r.add return at once, and wakes the workers that
// are blocked in a call of r.add.
func (r *records) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.room.Broadcast()
}

// write writes the lines until quit is closed and all lines are written.
func (s *screen) write(r *records, quit <-chan struct{}) {
	defer r.end()
	var spare []byte
	for last := false; !last; {
		select {
		case <-r.wake:
		case <-quit:
			last = true
		}
		all := r.take(spare)
		s.mu.Lock()
		s.printLocked(string(all))
		s.mu.Unlock()
		spare = all
	}
}
