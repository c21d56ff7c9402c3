package goroutines

import (
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"concert"
	"concert/executor"
)

// Limit decides the number of tasks of a pool that run at the same time; see
// Options.Limit.
type Limit interface {
	// Limit returns the number of tasks that may run at the same time from
	// now on, at least 1. New calls it with the zero Event. Then the pool
	// calls it with each event of its tasks, one at a time, on the goroutine
	// on which the event happens. It should return quickly, and must not use
	// the pool. If a call takes longer than a second, Limit is not called
	// with further events until it has returned.
	Limit(concert.Event) int
}

// Resize changes the number of workers to n. New workers start when there are
// tasks for them. Surplus workers end when their task ends. Resize panics if n
// is below 1.
func (p *Pool) Resize(n int) {
	if n < 1 {
		panic(fmt.Sprintf("goroutines: Resize: n is %d; it must be at least 1", n))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target.Store(clampWorkers(n))
	for range min(p.queue.LenLocked()-len(p.idle), n-len(p.workers)) {
		p.startWorkerLocked()
	}
	surplus := min(len(p.workers)-n, len(p.idle))
	if surplus <= 0 {
		return
	}
	// The woken workers find that there are too many workers, and leave.
	for _, w := range p.idle[len(p.idle)-surplus:] {
		w.wakeUp()
	}
	p.idle = p.idle[:len(p.idle)-surplus]
}

// clampWorkers returns n as an int32, or the largest int32 if n is larger.
func clampWorkers(n int) int32 { return int32(min(n, math.MaxInt32)) }

// limited makes the pool call Options.Limit for each event, and resize itself
// to the result. most, if not 0, is the maximum number of workers. limited
// returns the initial number of workers.
func (p *Pool) limited(most int) int {
	if most == 0 || most > math.MaxInt32 {
		most = math.MaxInt32
	}
	limit, observer := p.opts.Limit, p.opts.Observer
	bounded := func(e concert.Event) int { return min(max(limit.Limit(e), 1), most) }
	turns := newTurns()
	p.opts.Observer = func(e concert.Event) {
		if observer != nil {
			defer observer(e) // a panic of the observer does not prevent the call of the Limit
		}
		if !turns.begin() {
			return
		}
		defer turns.end()
		if n := bounded(e); n != p.Width() {
			p.Resize(n)
		}
	}
	return bounded(concert.Event{})
}

// A turns value passes events to a Limit one at a time, so that an older
// result of the Limit does not replace a newer one. If a call of the Limit
// does not return, it blocks only its own goroutine: other events no longer
// wait for a turn.
type turns struct {
	taken chan struct{} // contains an element while an event has its turn
	stuck atomic.Bool   // whether the present turn takes longer than limitTime
}

// limitTime is the maximum time that an event waits for its turn.
const limitTime = time.Second

func newTurns() *turns { return &turns{taken: make(chan struct{}, 1)} }

// begin waits for a turn. If a call of the Limit does not return, begin gets
// no turn and reports false.
func (t *turns) begin() bool {
	select {
	case t.taken <- struct{}{}:
		return true
	default:
	}
	if t.stuck.Load() {
		return false
	}
	select {
	case t.taken <- struct{}{}:
		return true
	case <-time.After(limitTime):
	}
	if !t.stuck.Swap(true) {
		// Log on another goroutine, because the handler of slog may be code of
		// the program.
		go executor.CallIsolated(0, func() bool {
			slog.Error("goroutines: the Limit of a pool does not return; until it returns, it receives no events, and the number of workers does not change", "after", limitTime)
			return true
		})
	}
	return false
}

func (t *turns) end() {
	t.stuck.Store(false)
	<-t.taken
}
