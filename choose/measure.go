package choose

import (
	"context"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concert"
)

// shape is how a slice of a point is measured: so many tasks, all of which
// count; or, if tasks is 0, as many as there is time for, without those that
// warm up.
type shape struct {
	tasks   int
	length  time.Duration
	longest time.Duration // for the first n tasks, if there are to be more
	tiny    bool          // tasks are too short to look at each
	few     bool          // no more are given to the executor than it has workers, as each is long
}

// slice is what was measured.
type slice struct {
	rate   float64 // tasks that succeeded, a second
	tasks  int     // that were run
	failed int
	err    error         // the first
	mean   time.Duration // of a task that succeeded, 0 if unknown
	spans  []Span
}

// loop measures the work in a plain loop.
func (t *trial) loop(ctx context.Context, s shape) (got slice) {
	begin := time.Now()
	batch := 1
	for ctx.Err() == nil {
		for range batch {
			if t.outOfRuns() {
				break
			}
			var started time.Time
			if !s.tiny {
				started = time.Now()
			}
			err := t.guarded(ctx, t.next)
			if !s.tiny {
				got.spans = append(got.spans, Span{Start: started.Sub(begin), End: time.Since(begin), Failed: err != nil})
			}
			t.next = (t.next + 1) % t.inputs
			t.runs++
			got.add(err)
		}
		took := time.Since(begin)
		if t.outOfRuns() || s.tasks > 0 && got.tasks >= s.tasks || s.tasks == 0 && took >= s.length {
			break
		}
		if s.tiny && took < s.length/100 {
			batch *= 2 // looking at the clock takes longer than such a task
		}
	}
	took := time.Since(begin)
	got.rate = float64(got.tasks-got.failed) / took.Seconds()
	got.mean = took / time.Duration(max(1, got.tasks))
	return got
}

func (s *slice) add(err error) {
	s.tasks++
	if err != nil {
		s.failed++
		if s.err == nil {
			s.err = err
		}
	}
}

// tinyBatch is how many tiny tasks there are to a look at the clock.
const tinyBatch = 64

// feed gives inputs to a Map until it has had enough, on the goroutine that Map
// has for that.
type feed struct {
	shape
	bound  int           // on how many are given, 0 for none
	places chan struct{} // one for each task that may be with the executor, if few
	until  atomic.Int64  // when to stop, in nanoseconds since begin; 0 while that is open, -1 for now
	begin  time.Time

	// Read when the Map has ended:
	given int
	last  time.Duration // when the last one was
}

func (f *feed) inputs(ctx context.Context, first, inputs int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; (f.tasks == 0 || i < f.tasks) && (f.bound == 0 || i < f.bound); i++ {
			if f.few {
				select {
				case f.places <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
			if !f.tiny || i%tinyBatch == 0 {
				now := time.Since(f.begin)
				if until := f.until.Load(); until < 0 || until > 0 && now.Nanoseconds() >= until {
					return
				}
				f.last = now
			}
			f.given++
			if !yield((first + i) % inputs) {
				return
			}
		}
	}
}

// pool measures a slice of a point whose executor is open.
//
//	feed --> Map --> executor --> results, each with the time when it came
//
//	results   |<- n: warm up ->|<-------- window -------->|<- emptying ->|
//	inputs    |------------------ come until here ------->|
//
// The window begins with the n-th result, when each worker has had one. How
// long that took says how long a task takes at this level: inputs come for
// twice as long, and for the slice's length at least. If it took so long that
// there is no time for that, the window is all of the slice. Where a number of
// tasks is given, inputs come until there have been as many.
func (t *trial) pool(ctx context.Context, ex concert.Executor, rec *recorder, n int, s shape) (got slice) {
	if rec != nil {
		rec.reset()
	}
	f := &feed{shape: s, begin: time.Now()}
	if t.MaxRuns > 0 {
		f.bound = t.MaxRuns - t.runs
	}
	if s.few {
		f.places = make(chan struct{}, max(n, min(ex.Width(), 2*n)))
	}
	w := window{lag: n}
	if s.tiny {
		w.each, w.lag = tinyBatch, 1
	}
	open := false // the window has begun
	for err := range t.stream(ctx, ex, f.inputs(ctx, t.next, t.inputs)) {
		if err != nil && ctx.Err() != nil {
			break
		}
		got.add(err)
		if got.failed >= hopeless && 2*got.failed > got.tasks {
			f.until.Store(-1)
		}
		if s.few {
			<-f.places
		}
		if s.tiny && got.tasks%w.each != 0 {
			continue
		}
		now := time.Since(f.begin)
		if !open && (got.tasks >= n && !s.tiny || s.tiny && now >= s.length/2) {
			open = true
			switch {
			case s.tasks > 0:
			case now > s.longest && !s.tiny:
				f.until.Store(-1)
			case s.tiny:
				f.until.CompareAndSwap(0, (now + s.length).Nanoseconds())
			default:
				f.until.CompareAndSwap(0, (now + max(s.length, 2*now)).Nanoseconds())
			}
		}
		if open && err == nil {
			w.arrivals = append(w.arrivals, now)
		}
	}
	took := time.Since(f.begin)
	t.next = (t.next + f.given) % t.inputs
	t.runs += f.given
	if rec != nil {
		got.spans, got.mean = rec.took()
	}
	if got.rate = w.rate(f.last); got.rate == 0 {
		got.rate = float64(got.tasks-got.failed) / max(took, 1).Seconds()
	}
	return got
}

// window is when results came.
type window struct {
	arrivals []time.Duration // since it has begun
	lag      int             // how many may come in a burst, because as many run at a time
	each     int             // each arrival is of so many, if not 0
}

// rate returns how many come in a second, by those that have come until then,
// and 0 if they are too few to say.
//
// Tasks often end in bursts, of as many as run at a time or as a server lets
// through, and to count from somewhere in one burst to somewhere in another
// would be off by part of a burst. So the time is taken between each arrival
// and the one that is a whole number of bursts later, and averaged.
func (w *window) rate(until time.Duration) float64 {
	n, _ := slices.BinarySearch(w.arrivals, until+1)
	if n < fewestArrivals || n < w.lag+w.lag/4 {
		return 0
	}
	lag := max(n/2/w.lag, 1) * w.lag
	var sum time.Duration
	for i := range n - lag {
		sum += w.arrivals[i+lag] - w.arrivals[i]
	}
	return float64(lag*max(1, w.each)) * float64(n-lag) / max(sum, 1).Seconds()
}

const fewestArrivals = 5

// hopeless is how many runs may fail, if they are more than half, before no
// more are tried.
const hopeless = 50

// spread is the standard deviation of the times of tasks, as a share of their
// mean; 0 for few.
func spread(spans []Span) float64 {
	var n, sum, sq float64
	for _, s := range spans {
		d := (s.End - s.Start).Seconds()
		n, sum, sq = n+1, sum+d, sq+d*d
	}
	if n < fewestArrivals || sum == 0 {
		return 0
	}
	mean := sum / n
	return math.Sqrt(max(0, sq/n-mean*mean)) / mean
}

// recorder collects the tasks of a slice from what an executor says to its
// observer.
type recorder struct {
	mu      sync.Mutex
	begin   time.Time                // guarded by mu
	running map[uint64]concert.Event // guarded by mu: their starts
	spans   []Span                   // guarded by mu
}

// reset begins a slice.
func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin, r.running, r.spans = time.Now(), map[uint64]concert.Event{}, nil
}

func (r *recorder) observe(e concert.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case concert.TaskStarted:
		r.running[e.Task] = e
	case concert.TaskFinished:
		if start, ok := r.running[e.Task]; ok {
			delete(r.running, e.Task)
			r.spans = append(r.spans, Span{start.Worker, start.Time.Sub(r.begin), e.Time.Sub(r.begin), e.Err != nil})
		}
	}
}

// took returns the tasks of the slice, and how long one that succeeded took on
// average.
func (r *recorder) took() (spans []Span, mean time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, s := range r.spans {
		if !s.Failed {
			mean += s.End - s.Start
			n++
		}
	}
	if n > 0 {
		mean /= time.Duration(n)
	}
	return r.spans, mean
}

const (
	exploreLength = 60  // a slice takes one part in so many of the budget at most, while exploring,
	roundLength   = 25  // and in rounds, unless a single task takes longer;
	leastLength   = 200 // and at least one part in so many
	mostWaves     = 6   // so many tasks of each worker make a good slice,
	leastWaves    = 3   // and so many if workers are many
	enoughTasks   = 96  // for a slice, in full waves
)

// shape says how to measure a point that is thought to do so many tasks a
// second.
func (t *trial) shape(p *point, rate float64) shape {
	alone := t.report.Profile.Wall
	longest := t.Budget / exploreLength
	if t.round > 0 {
		longest = t.Budget / roundLength
	}
	waves := min(max(enoughTasks/p.level, leastWaves), mostWaves)
	if time.Duration(waves)*alone > longest {
		n := int(rate*longest.Seconds()) / p.level
		return shape{tasks: min(max(n, 1), waves) * p.level, few: true}
	}
	s := shape{length: max(t.Budget/leastLength, time.Duration(waves)*alone), longest: longest, tiny: alone < tiny}
	s.few = alone > 5*time.Millisecond
	return s
}

// lowLevel is how many at a time do not queue yet, mostly.
const lowLevel = 4

// theft is the share of the processors that the host may take while a slice is
// measured; if it takes more, the slice is measured again, up to twice: but not
// where that happens to more than one slice in so many, as it would leave no
// time for rounds, and be no better.
const (
	theft     = 0.1
	thefts    = 4
	theftFree = 3 // however few slices there were
)

// slice measures a point once more.
func (t *trial) slice(ctx context.Context, p *point) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if t.outOfRuns() || t.since() >= t.Budget {
		return errStop
	}
	if t.OnStep != nil {
		t.OnStep(Step{t.models[p.model].Name, p.level, t.since(), t.runs, &t.report.Profile})
	}
	fresh, err := t.open(p)
	if err != nil {
		return err
	}
	rate := float64(p.level) / max(t.report.Profile.Wall, 1).Seconds()
	if len(p.samples) > 0 {
		rate = p.explored()
	} else if best := t.leader(); best != nil && p.level > best.level {
		rate = min(rate, 2*best.explored())
	}
	shape := t.shape(p, rate)
	if fresh && shape.tasks == p.level && t.report.Profile.Wall < t.Budget/exploreLength {
		shape.tasks *= 2 // a worker's first task is not like the others
	}
	var got slice
	t.slices++
	for again := range 3 {
		begin, cpu := time.Now(), readProcessors()
		if p.ex == nil {
			got = t.loop(ctx, shape)
		} else {
			got = t.pool(ctx, p.ex, p.rec, p.level, shape)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if got.tasks == 0 {
			return errStop
		}
		p.cost, p.last = time.Since(begin), got.tasks
		p.tasks += got.tasks
		p.failed += got.failed
		if p.err == nil {
			p.err = got.err
		}
		var stolen float64
		if p.busy, stolen = cpu.since(); stolen < theft || t.report.Remeasured > theftFree+t.slices/thefts || t.outOfRuns() || t.since()+2*p.cost > t.Budget {
			break
		}
		if again < 2 {
			t.report.Remeasured++
		}
	}
	p.spans, p.mean = got.spans, got.mean
	if p.level <= lowLevel { // at higher ones tasks differ by how long they queue
		t.times = append(t.times, got.spans...)
		t.spread = spread(t.times)
	}
	p.samples = append(p.samples, sample{t.round, got.rate})
	return nil
}
