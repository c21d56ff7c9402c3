package executor

import (
	"bytes"
	"context"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// Shutdown is the part of [Executor.Shutdown] that all executors share. An
// executor calls it after it has begun to refuse new tasks. The channel done
// is closed when all tasks have settled: Shutdown waits for this, and
// returns nil. If ctx ends first, Shutdown calls cancel, waits for the grace
// period at most, and returns a [*ShutdownError].
//
// The function cancel cancels all tasks, and returns the number of tasks
// that had not started. Shutdown calls it every 10 ms, because one call may
// miss a task that is just moving from the queue to a worker. The function
// running returns the names of the tasks that still run after the grace
// period.
func Shutdown(ctx context.Context, done <-chan struct{}, grace time.Duration, cancel func(cause error) (notStarted int), running func() []string) error {
	select {
	case <-done:
		return nil // all tasks have settled, so ctx does not matter
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	failure := &ShutdownError{Cause: context.Cause(ctx)}
	end := time.After(max(0, grace))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		failure.Canceled += cancel(failure.Cause)
		select {
		case <-done:
			return failure
		case <-tick.C:
		case <-end:
			failure.Running = running()
			return failure
		}
	}
}

// Shutdown is the function [Shutdown] for an executor whose workers are
// goroutines of this process. It cancels the tasks of the queue and of the
// workers.
func (g *WorkerGroup) Shutdown(ctx context.Context, done <-chan struct{}, grace time.Duration) error {
	return Shutdown(ctx, done, grace, g.CancelAll, g.Running)
}

// CancelAll cancels the tasks of the queue, and then the tasks that the
// workers run. It returns the number of canceled tasks that had not started.
func (g *WorkerGroup) CancelAll(cause error) (notStarted int) {
	for t := g.local.Next(); t != nil; t = g.local.Next() {
		if t.Cancel(cause) {
			notStarted++
		}
	}
	for _, t := range g.tasks() {
		t.Cancel(cause)
	}
	return notStarted
}

// Running returns the names of the tasks that the workers have started and that
// have not ended.
func (g *WorkerGroup) Running() (names []string) {
	for _, t := range g.tasks() {
		names = append(names, t.Name())
	}
	return names
}

// tasks returns the tasks that the workers have started, by worker.
func (g *WorkerGroup) tasks() (tasks []*Task) {
	graph.mu.Lock()
	workers := make([]*Worker, 0, len(g.workers))
	for w := range g.workers {
		workers = append(workers, w)
	}
	graph.mu.Unlock()
	slices.SortFunc(workers, func(a, b *Worker) int { return a.id - b.id })
	for _, w := range workers {
		tasks = append(tasks, w.Tasks()...)
	}
	return tasks
}

// Tasks returns the tasks that the worker has started and that have not ended.
func (w *Worker) Tasks() []*Task {
	graph.mu.Lock()
	compensating := slices.Clone(w.compensating)
	graph.mu.Unlock()
	tasks := w.main.tasks(nil)
	for _, s := range compensating {
		tasks = s.tasks(tasks)
	}
	return tasks
}

// tasks appends the tasks that run on the carrier to list: first the task from
// the queue, then the nested tasks.
func (s *carrier) tasks(list []*Task) []*Task {
	if t := s.base.Load(); t != nil && t.state() == running && t.carrier.Load() == s {
		list = append(list, t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(list, s.nested...)
}

// Within reports whether its caller is a task or a callback of the group, or
// ctx is the context of such a task or callback. In this case, Close and
// Shutdown of the executor must not wait for the tasks of the group: they
// would wait for their own caller.
func (g *WorkerGroup) Within(ctx context.Context) bool {
	// It is not enough to examine ctx: Close has no context, and a callback may
	// pass any context. So Within first compares the calling goroutine with the
	// goroutines of the workers.
	id := goroutineID()
	busy := false
	graph.mu.Lock()
	for w := range g.workers {
		if w.goroutine.Load() == id {
			graph.mu.Unlock()
			return true
		}
		busy = busy || w.Busy()
	}
	graph.mu.Unlock()
	if busy && compensating() {
		return true
	}
	w := WorkerOf(ctx)
	return w != nil && w.group == g
}

// goroutineID returns the number of the calling goroutine. It parses the number
// from the stack trace, "goroutine 7 [running]:". This takes one or two
// microseconds.
func goroutineID() uint64 {
	var buf [64]byte
	text := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(text, []byte(" "))
	id, _ := strconv.ParseUint(string(number), 10, 64)
	return id
}

// serveName is the name of carrier.serve in stack traces.
var serveName = runtime.FuncForPC(reflect.ValueOf((*carrier).serve).Pointer()).Name()

// compensating reports whether the calling goroutine is a compensating carrier
// of any group: whether carrier.serve is on its stack. The call takes some
// microseconds.
func compensating() bool {
	var pcs [64]uintptr
	for skip := 0; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		frames := runtime.CallersFrames(pcs[:n])
		for more := n > 0; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if f.Function == serveName {
				return true
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}
