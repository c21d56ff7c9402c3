package goroutines

import (
	"bytes"
	"concert/executor"
	"fmt"
	"runtime"
	"slices"
	"strconv"

	"concert"
)

// errWithin is the error of a Close or Shutdown by a task or a callback of the
// pool itself.
func errWithin(method string) error {
	return fmt.Errorf("goroutines: %s in a task or a callback of the same pool: the pool refuses new tasks, and the call does not wait for the running ones: %w", method, concert.ErrDeadlock)
}

// within reports whether the calling goroutine is one of the pool's workers, so
// that to wait for the pool would be to wait for oneself. Close has no context
// that could say so, and callbacks of OnDone may have any.
func (p *Pool) within() bool {
	id := goroutineID()
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.goroutines[id]; ok {
		return true
	}
	// Package executor starts the goroutines of compensating carriers.
	return slices.ContainsFunc(p.workers, (*worker).isBusy) && executor.Compensating()
}

func (w *worker) isBusy() bool { return w.Busy() }

// goroutineID returns the number of the calling goroutine, which only its stack
// trace says: "goroutine 7 [running]:". It takes a microsecond or two, and is
// asked for when a worker starts and when a pool is closed.
func goroutineID() uint64 {
	var buf [64]byte
	text := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(text, []byte(" "))
	id, _ := strconv.ParseUint(string(number), 10, 64)
	return id
}
