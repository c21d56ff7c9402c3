package adaptive_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"sync"
	"time"
)

// server simulates a server that tasks use, in virtual time. The duration of
// a task depends on the number of tasks that use the server.
type server struct {
	mu       sync.Mutex
	random   func() float64 // guarded by mu: a factor for the duration of a task, 1 on average
	in       int            // guarded by mu: the number of tasks that use the server
	capacity int            // guarded by mu
	queue    slots          // guarded by mu: for kind "slots"; replaced when capacity changes
	kind     string
}

const service = 20 * time.Millisecond

var errBusy = errors.New("busy")

func newServer(kind string, capacity int, random func() float64) *server {
	s := &server{kind: kind, random: random}
	s.resize(capacity)
	return s
}

// resize changes the capacity. Tasks that already wait for a slot get a slot of
// the old capacity.
func (s *server) resize(capacity int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity = capacity
	s.queue = make(slots, capacity)
}

// task uses the server once.
func (s *server) task(context.Context, int) (int, error) {
	s.mu.Lock()
	s.in++
	n, k, queue := float64(s.in), float64(s.capacity), s.queue
	d := time.Duration(float64(service) * s.random())
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.in--
		s.mu.Unlock()
	}()
	switch s.kind {
	case "waits":
		time.Sleep(d)
	case "slots": // serves k tasks concurrently; the others wait
		queue.use(d)
	case "thrashes": // more than k tasks slow down all of them
		time.Sleep(time.Duration(float64(d) * max(1, math.Pow(n/k, 2))))
	case "contention": // Amdahl's law, with a speed-up of at most k
		time.Sleep(time.Duration(float64(d) * (1 + (n-1)/k)))
	case "refuses": // fails at once if there are more than k tasks
		if n > k {
			time.Sleep(time.Millisecond)
			return 0, errBusy
		}
		time.Sleep(d)
	default:
		panic(s.kind)
	}
	return 0, nil
}

// rate returns the throughput at a limit, in tasks per second, if durations are
// exact.
func (s *server) rate(limit int) float64 {
	one, k, x := 1/service.Seconds(), float64(s.capacity), float64(limit)
	switch s.kind {
	case "waits":
		return x * one
	case "slots":
		return min(x, k) * one
	case "thrashes":
		return x * one / max(1, math.Pow(x/k, 2))
	case "contention":
		return x * one / (1 + (x-1)/k)
	case "refuses":
		return min(x, k) * one
	}
	panic(s.kind)
}

// bestRate returns the highest throughput at the limits from 1 to highest.
func (s *server) bestRate(highest int) (best float64) {
	for n := 1; n <= highest; n++ {
		best = max(best, s.rate(n))
	}
	return best
}

// slots is a semaphore. Its capacity is the number of tasks that may use it
// concurrently.
type slots chan struct{}

func (s slots) use(d time.Duration) {
	s <- struct{}{}
	time.Sleep(d)
	<-s
}

// numbers yields the numbers below n.
func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	}
}

// exactly is the factor of a server whose tasks all take the same time.
func exactly() float64 { return 1 }

// idle is an Options.CPU for tasks that use no CPU time.
func idle() time.Duration { return 0 }
