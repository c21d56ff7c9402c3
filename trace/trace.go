// Package trace writes the steps of tasks to a file for a trace viewer, which
// shows which worker ran which task, and when.
//
//	file, err := os.Create("trace.json")
//	...
//	tracer := trace.New(file)
//	defer tracer.Close()
//	ex := goroutines.New(8, &goroutines.Options{Observer: tracer.Observer("downloads")})
//
// Open the file at https://ui.perfetto.dev, or in Chrome at chrome://tracing.
// These viewers do not send the file anywhere.
//
// # The model
//
//	executor "a" --Observer--> tasks that run --> one line for each that ends --> writer
//	executor "b" --Observer-->
//
// The file has the JSON of the Trace Event Format (Google, 2016). In the file,
// an Observer is a process, a worker is a thread, and a task is a complete
// event (ph X). The event has the number of the task, and the error of a failed
// task. A task that never started is an instant event (ph i).
//
// A Writer writes a task when the task ends, and keeps nothing about it. So
// memory grows only with the number of running tasks. If the underlying writer
// is slower than the tasks, the tasks wait for it.
//
// # The rules
//
// A viewer shows the tasks of one thread correctly if they are disjoint or
// nested. Most tasks of a worker are disjoint or nested: while a task waits
// for another task of its pool, its worker may run the other task. Tasks of a
// worker may also overlap in part, in a Python interpreter with threads, or if
// a nested task waits, too. Of two such tasks, the second one is on another
// track of the worker.
package trace

import (
	"bufio"
	"io"
	"sync"
	"time"

	"concert"
	"concert/executor"
)

// Writer writes a trace. Make one with New. Its methods are safe for concurrent
// use.
type Writer struct {
	begin time.Time

	mu        sync.Mutex
	w         *bufio.Writer        // guarded by mu
	line      []byte               // guarded by mu: the line that is being built
	lines     int                  // guarded by mu: number of lines written
	processes int                  // guarded by mu
	open      map[uint64]running   // guarded by mu: running tasks, by number; nil after Close
	tracks    map[workerID]*tracks // guarded by mu
	quoted    map[string][]byte    // guarded by mu: names as JSON
	err       error                // guarded by mu: first error of the writer
}

// New returns a Writer that writes to w until Close. It writes through a
// buffer, on the goroutines of tasks. New panics if w is nil.
func New(w io.Writer) *Writer {
	if w == nil {
		panic("trace: New without a writer")
	}
	t := &Writer{
		begin: time.Now(), w: bufio.NewWriterSize(w, 64<<10),
		open: map[uint64]running{}, tracks: map[workerID]*tracks{}, quoted: map[string][]byte{},
	}
	t.w.WriteString(`{"displayTimeUnit":"ms","traceEvents":[`)
	return t
}

// Observer returns an observer for the options of one executor. The name is
// the name of the executor in the trace. Use one observer for each executor.
// Otherwise workers with the same number would share their tracks.
func (t *Writer) Observer(name string) concert.Observer {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.processes++
	process := t.processes
	if t.open != nil {
		t.meta("process_name", process, 0, name)
	}
	return func(e concert.Event) { t.observe(process, e) }
}

// Close completes the file. It writes each running task with the current time
// as its end. It returns the first error of the writer given to New, and does
// not close that writer. Later events are dropped. Close may be called again.
func (t *Writer) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		return t.err
	}
	now := time.Now()
	for task, r := range t.open {
		t.complete(task, r, now, "it still ran when the trace was closed")
	}
	t.open, t.tracks = nil, nil
	t.w.WriteString("\n]}\n")
	if err := t.w.Flush(); t.err == nil {
		t.err = err
	}
	return t.err
}

func (t *Writer) observe(process int, e concert.Event) {
	if e.Kind != concert.TaskStarted && e.Kind != concert.TaskFinished {
		return
	}
	text := textOf(e.Err) // called before mu is locked, because it may call user code
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil || t.err != nil {
		return
	}
	r, running := t.open[e.Task]
	switch {
	case e.Kind == concert.TaskStarted:
		if running { // the task has already started on another worker, which has died
			t.complete(e.Task, r, e.Time, "it was started again")
		}
		t.start(workerID{process, e.Worker}, e)
	case running:
		delete(t.open, e.Task)
		t.complete(e.Task, r, e.Time, text)
	default:
		t.dropped(process, e, text)
	}
}

// start records a task that starts.
func (t *Writer) start(at workerID, e concert.Event) {
	tr := t.tracks[at]
	if tr == nil {
		tr = &tracks{}
		t.tracks[at] = tr
	}
	r := running{at, e.Name, e.Input, e.Time}
	if r.start.Before(t.begin) {
		r.start = t.begin
	}
	t.open[e.Task] = r
	tr.begin(r.start)
}

// textOf returns the text of an error, or "" for nil. If the Error method
// fails, the text describes this failure.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	if text := executor.ErrorText(err); text != "" {
		return text
	}
	return "an error without a text"
}
