// Package metrics has the common part of the metrics for Prometheus and for
// OpenTelemetry: it reads the statistics of an executor in bounded time, and
// computes the outcomes of tasks.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"concert/executor"
)

// statsTime is the maximum time that Read waits for an executor. It is shorter
// than the 10 seconds that Prometheus waits for a program. It is long enough
// for a machine on which a goroutine must wait for a processor.
const statsTime = 3 * time.Second

// CheckName returns an error if a name cannot be the name of an executor in
// metrics.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name of the executor is empty: give each executor a name of its own")
	case !utf8.ValidString(name):
		return fmt.Errorf("the name of the executor, %q, is not valid UTF-8", name)
	}
	return nil
}

// Reader reads the statistics of an executor. An executor may be code of the
// program, so its method Stats may hang or panic. Such an executor must not
// delay the other metrics of the program. A Reader is safe for concurrent use.
// Make one with NewReader.
type Reader struct {
	source interface{ Stats() executor.Stats }
	wait   time.Duration

	mu        sync.Mutex
	current   *reading // guarded by mu: the call of Stats that runs, or nil
	succeeded int64    // guarded by mu: the largest value of Done minus Failed so far, see outcomesOf
}

// reading is a call of Stats. Its results are written before done is closed.
type reading struct {
	deadline  time.Time // the time until which Read waits for the results
	done      chan struct{}
	stats     executor.Stats
	succeeded int64
	err       error
}

// NewReader returns a Reader for an executor.
func NewReader(ex executor.Executor) *Reader { return &Reader{source: ex, wait: statsTime} }

// Read returns the statistics of the executor, and the outcomes of its tasks.
// It waits until ctx ends, but at most until Stats has run for statsTime.
// Concurrent calls of Read share one call of Stats. So if Stats never returns,
// it occupies only one goroutine. It delays only the first call of Read, which
// is important because an SDK reads one executor after another.
func (r *Reader) Read(ctx context.Context) (s executor.Stats, outcomes Outcomes, err error) {
	r.mu.Lock()
	c := r.current
	if c == nil {
		c = &reading{deadline: time.Now().Add(r.wait), done: make(chan struct{})}
		r.current = c
		go r.run(c)
	}
	r.mu.Unlock()
	ctx, cancel := context.WithDeadline(ctx, c.deadline)
	defer cancel()
	select {
	case <-c.done:
	case <-ctx.Done():
		return s, outcomes, fmt.Errorf("the executor does not answer: its method Stats has not returned: %w", ctx.Err())
	}
	return c.stats, outcomesOf(c.stats.Failed, c.succeeded), c.err
}

func (r *Reader) run(c *reading) {
	c.err = errors.New("the method Stats of the executor called runtime.Goexit")
	defer func() {
		if v := recover(); v != nil {
			c.err = fmt.Errorf("the method Stats of the executor panicked: %w", executor.NewPanicError(v))
		}
		r.mu.Lock()
		r.succeeded = max(r.succeeded, c.stats.Done-c.stats.Failed.Total())
		c.succeeded = r.succeeded
		r.current = nil
		r.mu.Unlock()
		close(c.done)
	}()
	c.stats = r.source.Stats()
	c.err = nil
}

// Outcomes are the settled tasks by outcome.
type Outcomes [7]Outcome

// Outcome is a number of settled tasks. The name is "success", or the kind of
// the error.
type Outcome struct {
	Name  string
	Tasks int64
}

// Success is the name of the outcome of tasks without an error. It is the
// first of the Outcomes.
const Success = "success"

// outcomesOf returns the outcomes. They are counters, so they must never
// decrease. The number of successful tasks is Done minus Failed. Stats counts
// a failure before it counts the task as done. So this difference may be too
// small for a moment, but it is never too large. The result therefore uses the
// largest difference so far, which is in the parameter succeeded.
func outcomesOf(f executor.Failures, succeeded int64) Outcomes {
	return Outcomes{
		{Success, succeeded}, {"error", f.Errors}, {"panic", f.Panics}, {"timeout", f.Timeouts},
		{"canceled", f.Canceled}, {"worker_death", f.WorkerDeaths}, {"other", f.Other},
	}
}
