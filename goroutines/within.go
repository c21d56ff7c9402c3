package goroutines

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

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
	// A goroutine that stands in for a worker belongs to package concert.
	return slices.ContainsFunc(p.workers, (*worker).isBusy) && standsIn()
}

func (w *worker) isBusy() bool { return w.Busy() }

// standsIn reports whether the calling goroutine stands in for a worker of some
// pool.
func standsIn() bool {
	var pcs [64]uintptr
	for skip := 0; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		frames := runtime.CallersFrames(pcs[:n])
		for more := n > 0; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if strings.HasSuffix(f.Function, "concert.(*strand).serve") {
				return true
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}

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
