package jobs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"concert/progress"
)

// gate delays the start of jobs, for --delay, --load and --memfree, and for a
// button of the live page. Jobs pass the gate sequentially, in any order.
type gate struct {
	pauser // for the button of the live page

	delay   time.Duration
	maxLoad float64 // 0 means no limit
	minFree int64   // 0 means no limit
	note    func(text string)

	load func() (float64, error) // the load average of the last minute
	free func() (int64, error)   // the memory that is available, in bytes

	mu   chan struct{} // a lock; waiting for it can be canceled; guards the fields below
	last time.Time     // the time at which the last job started
	told sync.Once     // for the note about a closed gate, which is printed once
}

// lookInterval is the time between two measurements of the load or the memory.
const lookInterval = time.Second

func newGate(o *options, note func(string)) *gate {
	return &gate{
		delay: o.delay, maxLoad: float64(o.load), minFree: o.memFree.Bytes, note: note,
		load: loadAverage, free: freeMemory, mu: make(chan struct{}, 1),
	}
}

// pass waits until a job may start. It returns false if ctx ends first.
func (g *gate) pass(ctx context.Context) bool {
	if g.delay == 0 && g.maxLoad == 0 && g.minFree == 0 {
		return g.wait(ctx) && ctx.Err() == nil
	}
	select {
	case g.mu <- struct{}{}:
		defer func() { <-g.mu }()
	case <-ctx.Done():
		return false
	}
	if rest := g.delay - time.Since(g.last); !g.last.IsZero() && rest > 0 && !sleep(ctx, rest) {
		return false
	}
	for why := g.closed(); why != ""; why = g.closed() {
		g.told.Do(func() { g.note("waiting: " + why + "\n") })
		if !sleep(ctx, lookInterval) {
			return false
		}
	}
	if !g.wait(ctx) {
		return false
	}
	g.last = time.Now()
	return ctx.Err() == nil
}

// closed returns the reason why no job may start now, or "" if jobs may start.
// If a number cannot be read, jobs may start. This is unusual, because check
// has read all numbers before.
func (g *gate) closed() string {
	if g.maxLoad > 0 {
		if load, err := g.load(); err == nil && load > g.maxLoad {
			return fmt.Sprintf("the load average is %.2f (--load %v)", load, g.maxLoad)
		}
	}
	if g.minFree > 0 {
		if free, err := g.free(); err == nil && free < g.minFree {
			return fmt.Sprintf("%s of memory are free (--memfree %s)", progress.Bytes(free), progress.Bytes(g.minFree))
		}
	}
	return ""
}

// check returns an error if this system does not have a number that the gate
// needs.
func (g *gate) check() error {
	if g.maxLoad > 0 {
		if _, err := g.load(); err != nil {
			return fmt.Errorf("--load: the load average of this system is unknown: %w", err)
		}
	}
	if g.minFree > 0 {
		if _, err := g.free(); err != nil {
			return fmt.Errorf("--memfree: the free memory of this system is unknown: %w", err)
		}
	}
	return nil
}

// sleep waits. It returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
