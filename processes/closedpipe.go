package processes

import (
	"fmt"
	"time"

	"concert/processes/internal/osproc"
)

// A worker has its pipes open as long as its process lives, unless a task has
// closed them or has replaced the program of the process (exec). Such a process
// can neither receive calls nor send results. It may live forever, and no
// Timeout would end it, so the pool kills it.

const (
	exitTime     = 500 * time.Millisecond // a process that has closed a pipe must begin to exit within this time
	maxExitTimes = 20                     // a process that has begun to exit gets at most this many times exitTime
)

// pipeClosed waits for the end of a worker that has closed the pipe of its
// calls or its results, as an exiting worker does. It kills a worker that does
// not exit.
func (w *worker) pipeClosed(pipe string) {
	for range maxExitTimes {
		select {
		case <-w.dead:
			return
		case <-time.After(exitTime):
		}
		if !osproc.IsExiting(w.pid) {
			break
		}
	}
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.isDeadLocked() || w.state == leaving && w.count == 0 { // killAfterLocked kills a leaving worker
		return
	}
	w.killLocked(fmt.Errorf("it closed the pipe of its %s and did not exit: a task replaced the program (exec), or closed files of the worker", pipe))
}
