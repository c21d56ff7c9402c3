package dashboard

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"concert"
)

// The limits for the memory of a recorder.
const (
	maxSpans     = 4000 // spans of the stream, for a page that opens
	maxPoints    = 1200 // points of the lines over time: ten minutes
	maxNewSpans  = 512  // maximum number of spans in a frame; if more tasks have ended, the frame contains a sample
	maxRunning   = 256  // running tasks that a frame lists
	maxOpen      = 1 << 14
	maxFunctions = 100
	maxName      = 200 // bytes of the name of a function, and of a label
	shards       = 8
)

// The limits for the tasks that a recorder observes in each period. They make
// the observer cheap for tasks of any speed. Each event costs about 0.2 us,
// and a task has three events.
const (
	shortTasks = 2500   // finished tasks after which the observer is detached
	longTasks  = 10_000 // the same, if tasks take longer than longTime
	longTime   = 20 * time.Millisecond
)

// recorder records what a page shows of a source. The executor calls observe
// from many goroutines. The goroutine of the hub calls the other methods.
//
//	executor --observe--> shard 0..7: running tasks, spans, functions
//	                      causes: failures                        --collect--> frame
//
// In each period, the observer is attached until it has seen enough finished
// tasks. Then it is detached until the next period. A detached observer costs
// one atomic load per event of the executor.
type recorder struct {
	id     int // its number on the page
	name   string
	source Source

	// Used by observe and by the goroutine of the hub:
	shards    [shards]shard
	causes    causes
	finished  atomic.Int64 // tasks that have finished in this period
	allowance atomic.Int64 // the number of finished tasks after which the observer is detached in this period
	isFull    atomic.Bool  // whether the allowance of this period is used up
	period    atomic.Int64 // number of this period

	attachment attachment

	// Used by the goroutine of the hub alone:
	last      concert.Stats
	lastTime  time.Time
	functions functions
	estimated bool // whether the numbers of functions are estimates, because some tasks were not seen
	processes processTimes

	// The state that a complete frame contains. Guarded by the mutex of the
	// hub.
	points []point
	spans  []span
	frame  sourceFrame
}

// shard is the part of the recorded state for some of the tasks.
type shard struct {
	mu        sync.Mutex
	open      map[uint64]opened    // guarded by mu: tasks that have started, by number
	spans     []span               // guarded by mu: a sample of the tasks that have ended in this period
	ended     int                  // guarded by mu: number of tasks of which spans is a sample
	skipped   int                  // guarded by mu: tasks that have started in this period, and are not in open because it is full
	functions map[string]*function // guarded by mu: the numbers of the tasks that have ended in this period, by function
	_         [64]byte             // keeps shards apart in the cache
}

// opened is a task that has started.
type opened struct {
	name   string
	input  *concert.Input
	worker int
	start  time.Time
	done   int64 // the last report of concert.Progress
	total  int64
}

func newRecorder(name string, s Source) *recorder {
	return &recorder{name: name, source: s}
}

// start begins to record.
func (r *recorder) start(now time.Time) {
	r.last, r.lastTime = r.source.Stats(), now
	r.allowance.Store(shortTasks)
	r.attach()
}

// forget forgets everything. The observer must be detached.
func (r *recorder) forget() {
	for i := range r.shards {
		h := &r.shards[i]
		h.mu.Lock()
		h.open, h.spans, h.ended, h.skipped, h.functions = nil, nil, 0, 0, nil
		h.mu.Unlock()
	}
	r.causes.clear()
	r.functions, r.estimated = functions{}, false
	r.points, r.spans, r.frame = nil, nil, sourceFrame{}
}

// attach begins a period. It attaches the observer, unless it is attached.
func (r *recorder) attach() {
	period := r.period.Add(1)
	r.finished.Store(0)
	r.isFull.Store(false)
	r.attachment.attach(period, r.source, r.observe)
}

// observe receives the events of the executor.
func (r *recorder) observe(e concert.Event) {
	if len(e.Name) > maxName {
		e.Name = cut(e.Name, maxName)
	}
	switch e.Kind {
	case concert.TaskStarted:
		r.started(e)
	case concert.TaskProgress:
		h := r.shard(e.Task)
		h.mu.Lock()
		if t, ok := h.open[e.Task]; ok {
			t.done, t.total = e.Done, e.Total
			h.open[e.Task] = t
		}
		h.mu.Unlock()
	case concert.TaskFinished:
		r.ended(e)
		period := r.period.Load()
		if r.finished.Add(1) >= r.allowance.Load() && r.isFull.CompareAndSwap(false, true) {
			go r.attachment.detachIn(period) // not on this goroutine, because detaching waits for this call
		}
	}
}

func (r *recorder) shard(task uint64) *shard { return &r.shards[task%shards] }

func (r *recorder) started(e concert.Event) {
	h := r.shard(e.Task)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = map[uint64]opened{}
	}
	if len(h.open) >= maxOpen/shards {
		h.skipped++
	} else {
		h.open[e.Task] = opened{name: e.Name, input: bounded(e.Input), worker: e.Worker, start: e.Time}
	}
}

func (r *recorder) ended(e concert.Event) {
	group := -1
	if e.Err != nil {
		group = r.causes.add(e) // may call methods of the error, so no lock is held
	}
	h := r.shard(e.Task)
	h.mu.Lock()
	defer h.mu.Unlock()
	t, started := h.open[e.Task]
	delete(h.open, e.Task)
	if h.functions == nil {
		h.functions = map[string]*function{}
	}
	f := h.functions[e.Name]
	if f == nil {
		name := e.Name
		if len(h.functions) >= maxFunctions {
			name = others
		}
		if f = h.functions[name]; f == nil {
			f = &function{}
			h.functions[name] = f
		}
	}
	f.done++
	if e.Err != nil {
		f.failed++
	}
	if !started {
		return // it never started, or it started while the observer was detached
	}
	took := max(0, e.Time.Sub(t.start))
	f.times.add(took)
	h.ended++
	s := span{task: e.Task, worker: t.worker, name: t.name, input: t.input, start: t.start, took: took, group: group, failed: e.Err != nil}
	if len(h.spans) < maxNewSpans/shards {
		h.spans = append(h.spans, s)
		return
	}
	// Reservoir sampling: each task of the period is in the sample with the
	// same probability.
	if i := rand.IntN(h.ended); i < len(h.spans) {
		h.spans[i] = s
	}
}

// change has everything that has happened since the last frame.
type change struct {
	point point
	spans []span
	frame sourceFrame
}

// collect ends a period. It returns everything that has happened in it, and
// begins the next period.
func (r *recorder) collect(now time.Time) change {
	stats := r.source.Stats()
	c := change{point: r.pointOf(stats, now)}
	done := stats.Done - r.last.Done
	wasFull := r.isFull.Load()
	if wasFull {
		r.estimated = true
		r.attachment.detach() // the next period attaches it again
	}
	running, seen := r.takeShards(&c, done, wasFull)
	if mean := meanSince(stats.RunTime, r.last.RunTime); mean > longTime {
		r.allowance.Store(longTasks)
	} else {
		r.allowance.Store(shortTasks)
	}
	c.frame.ID, c.frame.Name = r.id, r.name
	c.frame.Stats = statsOf(stats)
	c.frame.Sampled, c.frame.Estimated = wasFull, r.estimated
	c.point.Shown, c.point.Of = len(c.spans), int64(seen)
	if wasFull {
		c.point.Of = max(int64(seen), done)
	}
	c.frame.HasTasks = r.attachment.isPossible()
	c.frame.Running = running
	c.frame.Functions = r.functions.rows()
	c.frame.Failures = r.causes.rows()
	c.frame.Processes = r.processes.of(r.source, now)
	if t, ok := r.source.(interface{ Tables() []Table }); ok {
		c.frame.Tables = t.Tables()
	}
	r.last, r.lastTime = stats, now
	r.attach()
	return c
}

// takeShards moves the records of the shards to c and to r.functions. It
// returns the running tasks, and the number of tasks that the spans stand for.
func (r *recorder) takeShards(c *change, done int64, wasFull bool) (running []openTask, seen int) {
	finished := int64(0)
	taken := make([]map[string]*function, 0, shards)
	for i := range r.shards {
		h := &r.shards[i]
		h.mu.Lock()
		c.spans = append(c.spans, h.spans...)
		seen += h.ended + h.skipped
		h.spans, h.ended, h.skipped = h.spans[:0], 0, 0
		if h.functions != nil {
			taken = append(taken, h.functions)
			h.functions = nil
		}
		if wasFull {
			clear(h.open) // the ends of these tasks were missed
		}
		for id, t := range h.open {
			running = append(running, openTask{id, t})
		}
		h.mu.Unlock()
	}
	for _, m := range taken {
		for _, f := range m {
			finished += f.done
		}
	}
	// If only some tasks were seen, each seen task counts as several.
	factor := 1.0
	if wasFull && finished > 0 && done > finished {
		factor = float64(done) / float64(finished)
	}
	for _, m := range taken {
		r.functions.add(m, factor)
	}
	sortRunning(running)
	return running[:min(len(running), maxRunning)], seen
}

// pointOf returns the point of the lines over time.
func (r *recorder) pointOf(s concert.Stats, now time.Time) point {
	p := point{Time: now.UnixMilli(), Queued: s.Queued, Running: s.Running, Waiting: s.Waiting}
	if took := now.Sub(r.lastTime).Seconds(); took > 0 {
		p.Rate = float64(s.Done-r.last.Done) / took
		p.Failed = float64(s.Failed.Total()-r.last.Failed.Total()) / took
	}
	return p
}

// meanSince returns the mean of the durations that were added to a histogram.
func meanSince(now, before concert.Histogram) time.Duration {
	if n := now.Count() - before.Count(); n > 0 {
		return (now.Sum - before.Sum) / time.Duration(n)
	}
	return 0
}
