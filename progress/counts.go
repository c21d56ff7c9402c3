package progress

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"concert"
)

// counts has the numbers that a Display shows.
type counts struct {
	total   int
	noun    string
	unit    func(int64) string
	kind    func(error) string // may be nil
	begin   time.Time
	records *records // nil unless the format is JSON

	mu       sync.Mutex
	finished int               // guarded by mu: number of tasks that have settled
	failed   int               // guarded by mu: number of settled tasks with an error
	kinds    []kindCount       // guarded by mu: the failed tasks by kind, if kind is set; at most maxKinds kinds
	unbegun  int               // guarded by mu: number of settled tasks that never started
	running  map[uint64]amount // guarded by mu: the tasks whose start was observed, and that have not settled
	ended    amount            // guarded by mu: sum of the progress of the settled tasks
	moved    int64             // guarded by mu: sum of the progress of all tasks

	lastLook  time.Time // guarded by mu
	lastMoved int64     // guarded by mu: the value of moved when lastLook was set
	rate      float64   // guarded by mu: progress per second, smoothed
}

// amount is the progress that a task has reported. It is zero before the first
// report.
type amount struct {
	done, total int64
	reported    bool
}

// kindCount is the number of failed tasks of one kind.
type kindCount struct {
	kind  string
	count int
}

// maxKinds is the maximum number of kinds in the text. Failed tasks of other
// kinds are counted together.
const maxKinds = 4

// addKindLocked counts a failed task.
func (c *counts) addKindLocked(kind string) {
	for i := range c.kinds {
		if c.kinds[i].kind == kind {
			c.kinds[i].count++
			return
		}
	}
	if len(c.kinds) < maxKinds {
		c.kinds = append(c.kinds, kindCount{kind, 1})
	}
}

func (c *counts) observe(e concert.Event) {
	kind := ""
	if e.Kind == concert.TaskFinished && e.Err != nil && c.kind != nil {
		kind = c.kind(e.Err)
	}
	c.mu.Lock()
	switch e.Kind {
	case concert.TaskStarted:
		if _, known := c.running[e.Task]; !known {
			c.running[e.Task] = amount{}
		}
	case concert.TaskProgress:
		// The first report of a task is not added to c.moved, because a
		// download may continue in the middle of a file. The number of a task
		// that begins again decreases. This decrease is not subtracted from
		// c.moved.
		if before, known := c.running[e.Task]; known {
			if before.reported {
				c.moved += max(0, e.Done-before.done)
			}
			c.running[e.Task] = amount{e.Done, e.Total, true}
		}
	case concert.TaskFinished:
		c.finished++
		if e.Err != nil {
			c.failed++
			if c.kind != nil {
				c.addKindLocked(kind)
			}
		}
		if e.Worker < 0 {
			c.unbegun++
		}
		if a, known := c.running[e.Task]; known {
			if e.Err == nil {
				a.done = max(a.done, a.total)
			}
			c.ended.done += a.done
			c.ended.total += a.done
			delete(c.running, e.Task)
		}
	}
	c.mu.Unlock()
	if c.records != nil {
		c.records.add(e)
	}
}

// view is a copy of the numbers at one time.
type view struct {
	counts  *counts
	took    time.Duration
	running int
	done    int
	failed  int
	kinds   string // the failed tasks by kind, or empty
	unbegun int
	moved   int64
	rate    float64 // progress per second
	share   float64 // finished share of the total, from 0 to 1; 0 if there is no total
	all     amount  // sum of the progress of all tasks, while the sum of their totals is known; otherwise zero
}

// look returns a view, and updates the rate since the last call.
func (c *counts) look(now time.Time) view {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.lastLook
	if last.IsZero() {
		last = c.begin
	}
	if since := now.Sub(last); since >= frame/2 {
		rate := float64(c.moved-c.lastMoved) / since.Seconds()
		if c.lastLook.IsZero() {
			c.rate = rate
		}
		keep := math.Exp2(-since.Seconds()) // a rate loses half of its weight in a second, for any interval between calls of look
		c.rate = keep*c.rate + (1-keep)*rate
		c.lastLook, c.lastMoved = now, c.moved
	}
	v := view{
		counts: c, took: now.Sub(c.begin), done: c.finished, failed: c.failed, kinds: c.kindsLocked(), unbegun: c.unbegun,
		running: len(c.running), moved: c.moved, rate: c.rate,
	}
	if c.total > 0 {
		part := float64(c.finished)
		for _, a := range c.running {
			if a.total > 0 {
				part += min(1, max(0, float64(a.done)/float64(a.total)))
			}
		}
		v.share = min(1, part/float64(c.total))
	}
	if all := c.allLocked(); c.unit != nil && all.total > 0 {
		v.all, v.share = all, min(1, float64(all.done)/float64(all.total))
	}
	return v
}

// kindsLocked returns a text with the number of failed tasks of each kind,
// with the most frequent kind first.
func (c *counts) kindsLocked() string {
	sorted := slices.Clone(c.kinds)
	slices.SortStableFunc(sorted, func(a, b kindCount) int { return cmp.Compare(b.count, a.count) })
	var parts []string
	rest := c.failed
	for _, k := range sorted {
		parts = append(parts, fmt.Sprintf("%d %s", k.count, k.kind))
		rest -= k.count
	}
	if rest > 0 && len(parts) > 0 {
		parts = append(parts, fmt.Sprintf("%d other", rest))
	}
	return strings.Join(parts, ", ")
}

// failures returns the number of failed tasks, and their kinds.
func (v view) failures() string {
	if v.kinds == "" {
		return fmt.Sprintf("%d failed", v.failed)
	}
	return fmt.Sprintf("%d failed (%s)", v.failed, v.kinds)
}

// allLocked returns the sum of the progress of all tasks. It returns zero if a
// task has not started, or has not reported its total, or if no task runs.
func (c *counts) allLocked() amount {
	if c.finished+len(c.running) != c.total || len(c.running) == 0 {
		return amount{}
	}
	all := c.ended
	for _, a := range c.running {
		if a.total <= 0 {
			return amount{}
		}
		all.done += min(a.done, a.total)
		all.total += a.total
	}
	return all
}

// left estimates the remaining time. It returns 0 if it is too early for an
// estimate.
func (v view) left() time.Duration {
	if v.took < time.Second || v.share < 0.01 || v.share == 1 {
		return 0
	}
	if v.all.total > 0 && v.moved > 0 {
		return time.Duration(float64(v.took) * float64(v.all.total-v.all.done) / float64(v.moved))
	}
	// Tasks that never started took no time. So they are left out of the
	// estimate for the other tasks.
	ran := v.share - float64(v.unbegun)/float64(v.counts.total)
	if ran < 0.001 {
		return 0
	}
	return time.Duration(float64(v.took) * (1 - v.share) / ran)
}
