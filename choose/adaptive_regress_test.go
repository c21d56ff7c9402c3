package choose_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/choose"
	"concert/goroutines"
)

// Loads under which an adaptive limit has been seen to stay where it should
// not.

// TestAdaptiveCollapse: a server that serves nobody while there are too many,
// and can do less and less.
func TestAdaptiveCollapse(t *testing.T) {
	for _, start := range []int{2, 64} {
		synctest.Test(t, func(t *testing.T) {
			var in, count, capacity atomic.Int64
			capacity.Store(12)
			limit := choose.Adaptive(&choose.AdaptiveOptions{Start: start, CPU: idle})
			ex := goroutines.New(0, &goroutines.Options{Limit: limit})
			defer ex.Close()
			work := func(context.Context, int) (int, error) {
				n := in.Add(1)
				defer in.Add(-1)
				time.Sleep(20*time.Millisecond + time.Duration(count.Add(1)*7919%1000)*time.Microsecond)
				if n > capacity.Load() {
					return 0, errBusy
				}
				return 0, nil
			}
			n, good := 0, 0
			for _, err := range concert.MapUnordered(t.Context(), ex, work, numbers(40_000)) {
				switch n++; {
				case n == 20_000:
					capacity.Store(4)
				case n > 30_000 && err == nil:
					good++
				}
			}
			if good < 8000 {
				t.Errorf("from %d: of the last 10,000 tasks %d succeeded, at a limit of %d", start, good, limit.Now())
			}
		})
	}
}

// TestAdaptiveOutage: it does not climb while everything fails.
func TestAdaptiveOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := choose.Adaptive(&choose.AdaptiveOptions{Start: 2, CPU: idle, Decided: func(d choose.Decision) {
			if d.To > 3 {
				t.Errorf("nothing succeeds, and it goes on: %v", d)
			}
		}})
		ex := goroutines.New(0, &goroutines.Options{Limit: limit})
		defer ex.Close()
		for range concert.MapUnordered(t.Context(), ex, func(context.Context, int) (int, error) {
			time.Sleep(20 * time.Millisecond)
			return 0, errBusy
		}, numbers(5000)) {
		}
	})
}

// TestAdaptiveFewTasks: there are clearly fewer tasks than the limit, or the
// pool, allows, and fewer still would be better.
func TestAdaptiveFewTasks(t *testing.T) {
	for _, c := range []struct{ start, most, clients int }{{2, 8, 0}, {2, 0, 5}, {2, 0, 20}, {128, 0, 5}, {128, 0, 20}} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer("thrashes", 30, exactly)
			limit := choose.Adaptive(&choose.AdaptiveOptions{Start: c.start, Most: 128, CPU: idle})
			ex := goroutines.New(c.most, &goroutines.Options{Limit: limit})
			defer ex.Close()
			const change, settled, tasks = 6000, 9000, 14_000
			clients := c.clients
			if clients == 0 {
				clients = 1000
			}
			// A closed loop: each client asks again when it has its answer.
			places := make(chan struct{}, clients)
			var begin time.Time
			n := 0
			for range concert.MapUnordered(t.Context(), ex, s.task, func(yield func(int) bool) {
				for i := range tasks {
					places <- struct{}{}
					if !yield(i) {
						return
					}
				}
			}) {
				<-places
				switch n++; n {
				case change:
					s.resize(3)
				case settled:
					begin = time.Now()
				}
			}
			got, best := (tasks-settled)/time.Since(begin).Seconds(), s.bestLaw(128)
			if got < 0.8*best {
				t.Errorf("from %d, of %d workers, with %d clients: %.0f a second are %.2f of the best", c.start, c.most, c.clients, got, got/best)
				for _, d := range limit.Decisions() {
					t.Log(d)
				}
			}
		})
	}
}

// TestAdaptiveBursts: pauses are not a lack of tasks.
func TestAdaptiveBursts(t *testing.T) {
	for _, pause := range []time.Duration{50 * time.Millisecond, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer("places", 12, exactly)
			limit := choose.Adaptive(&choose.AdaptiveOptions{Start: 2, CPU: idle})
			ex := goroutines.New(0, &goroutines.Options{Limit: limit})
			defer ex.Close()
			for range 300 {
				for range concert.MapUnordered(t.Context(), ex, s.task, numbers(100)) {
				}
				time.Sleep(pause)
			}
			if limit.Now() < 9 {
				t.Errorf("with pauses of %v the limit is %d, on a server of 12", pause, limit.Now())
				for _, d := range limit.Decisions() {
					t.Log(d)
				}
			}
		})
	}
}
