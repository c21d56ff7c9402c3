package choose

import (
	"testing"
	"time"

	"concert"
	"concert/choose/usage"
)

// TestLikely_Loss: a loss that was measured once contradicts the kind of
// CPU-bound work only if more tasks gain nothing either, and if no other
// programs used the processors, or if tasks are so short that the executor
// takes longer than the task.
func TestLikely_Loss(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		run    time.Duration
		others float64
		rate   float64 // the throughput with two tasks; 0 if it was not measured
		more   float64 // the throughput with more tasks; 0 if it was not measured
		model  int     // of the recommended point
	}{
		{"idle machine", 5 * time.Millisecond, 0.05, 28, 0, 0},
		{"idle machine, more tasks gain", 5 * time.Millisecond, 0.05, 28, 210, 1},
		{"busy machine", 5 * time.Millisecond, 0.9, 28, 0, 1},
		{"busy machine, not measured", 5 * time.Millisecond, 0.9, 0, 0, 1},
		{"busy machine, tiny tasks", 5 * time.Microsecond, 0.9, 66, 0, 0},
		{"busy machine, tiny tasks, not measured", 5 * time.Microsecond, 0.9, 0, 0, 0},
		{"busy machine, tiny tasks that gain", 5 * time.Microsecond, 0.9, 170, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "processes", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear}
			tr.report.Machine = Machine{Processors: 2, Others: c.others}
			tr.report.Profile.Usage = usage.Usage{Wall: c.run, CPU: c.run}
			base := tr.add(0, 1)
			base.samples = []sample{{0, 100}}
			if c.rate > 0 {
				tr.add(1, 2).samples = []sample{{0, c.rate}}
			}
			if c.more > 0 {
				tr.add(1, 8).samples = []sample{{0, c.more}}
			}
			if p := tr.likely(tr.finalists()); p == nil || p.model != c.model {
				t.Errorf("likely() = %+v, want a point of model %d", p, c.model)
			}
		})
	}
}

// TestLikely_SimplestForWaits: after few measurements, a model that seems
// better does not replace a simpler model for I/O-bound work. A lock limits the
// throughput if tasks compute for part of their time.
func TestLikely_SimplestForWaits(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name         string
		share        float64 // of CPU time
		first, other float64 // the throughput of the simpler model, and of the other one
		locked       int     // the model with a lock
		model        int     // of the recommended point
	}{
		{"alike", 0.02, 660, 980, 0, 1},
		{"clearly worse", 0.02, 300, 980, 0, 2},
		{"with a lock, little CPU time", 0.02, 660, 980, 1, 1},
		{"with a lock, more CPU time", 0.2, 660, 980, 1, 2},
		{"the better one has a lock", 0.2, 660, 980, 2, 1},
		{"the better one is the simpler one, with a lock", 0.2, 980, 660, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "first", Open: open}, {Name: "second", Open: open}}}
			tr.models[c.locked].Locked = true
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: IOBound, Certainty: Clear, CPUShare: Interval{Median: c.share}}
			tr.report.Machine = Machine{Processors: 2, Others: 0.8}
			tr.add(0, 1).samples = []sample{{0, 100}}
			tr.add(1, 16).samples = []sample{{0, c.first / 3}}
			tr.add(1, 64).samples = []sample{{0, c.first}}
			tr.add(2, 64).samples = []sample{{0, c.other}}
			if p := tr.likely(tr.finalists()); p == nil || p.model != c.model || p.level != 64 {
				t.Errorf("likely() = %+v, want model %d with concurrency 64", p, c.model)
			}
		})
	}
}

// TestLikely_SimplestForProcessors: while other programs compute, a model with
// more threads that seems better does not replace a simpler model for CPU-bound
// work, unless the tasks of the simpler model seem to share a lock.
func TestLikely_SimplestForProcessors(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		first  float64 // the throughput of the simpler model
		others float64
		model  int // of the recommended point
	}{
		{"busy machine", 102, 0.7, 1},
		{"busy machine, lock", 80, 0.7, 2},
		{"idle machine", 102, 0.05, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}, {Name: "processes", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear}
			tr.report.Machine = Machine{Processors: 2, Others: c.others}
			tr.report.Profile.Usage = usage.Usage{Wall: time.Millisecond, CPU: time.Millisecond}
			tr.add(0, 1).samples = []sample{{0, 100}}
			tr.add(1, 2).samples = []sample{{0, c.first}}
			tr.add(2, 2).samples = []sample{{0, 168}}
			if p := tr.likely(tr.finalists()); p == nil || p.model != c.model {
				t.Errorf("likely() = %+v, want a point of model %d", p, c.model)
			}
		})
	}
}

// TestSeriousCaveats_DoubtfulLoss: sequential execution must not be a certain
// verdict for CPU-bound work if few rounds say that concurrency gains nothing.
func TestSeriousCaveats_DoubtfulLoss(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		rounds int
		run    time.Duration
		rate   float64 // of goroutines
		doubt  bool
	}{
		{"few rounds", 3, time.Millisecond, 101, true},
		{"many rounds", 8, time.Millisecond, 101, false},
		{"clear loss", 3, time.Millisecond, 20, false},
		{"tiny tasks", 3, time.Microsecond, 101, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}}}
			tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear}
			tr.report.Machine = Machine{Processors: 2}
			tr.report.Profile.Usage = usage.Usage{Wall: c.run, CPU: c.run}
			tr.report.Rounds = c.rounds
			base, other := tr.add(0, 1), tr.add(1, 2)
			for round := range c.rounds + 1 {
				base.samples = append(base.samples, sample{round, 100})
				other.samples = append(other.samples, sample{round, c.rate})
			}
			base.tasks, other.tasks = 1000, 1000
			if got := tr.seriousCaveats(base, tr.finalists(), false); (len(got) > 0) != c.doubt {
				t.Errorf("the serious caveats are %q", got)
			}
		})
	}
}

// TestSeriousCaveats_UntriedModels: a verdict for a model under a lock is not
// certain if there was no time for models without one, and if tasks compute for
// part of their time.
func TestSeriousCaveats_UntriedModels(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name            string
		share           float64 // of CPU time
		locked, untried bool
		doubt           bool
	}{
		{"lock", 0.2, true, true, true},
		{"lock, all models were tried", 0.2, true, false, false},
		{"lock, little CPU time", 0.02, true, true, false},
		{"no lock", 0.2, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "threads", Open: open, Locked: c.locked}, {Name: "processes", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: IOBound, Certainty: Clear, CPUShare: Interval{Median: c.share}}
			tr.report.Machine = Machine{Processors: 2}
			const rounds = 8
			tr.report.Rounds = rounds
			points := []*point{tr.add(0, 1), tr.add(1, 16)}
			if !c.untried {
				points = append(points, tr.add(2, 2))
			}
			for i, p := range points {
				p.tasks = 1000
				for round := range rounds + 1 {
					p.samples = append(p.samples, sample{round, []float64{100, 350, 120}[i]})
				}
			}
			if got := tr.seriousCaveats(points[1], tr.finalists(), false); (len(got) > 0) != c.doubt {
				t.Errorf("the serious caveats are %q", got)
			}
		})
	}
}

// TestSeriousCaveats_ImpossibleGain: a gain that is higher than the concurrency
// is not a certain verdict.
func TestSeriousCaveats_ImpossibleGain(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		rate  float64
		doubt bool
	}{{1600, false}, {3100, true}} {
		tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}}}
		tr.report.Kind = KindVerdict{Kind: IOBound, Certainty: Clear}
		const rounds = 8
		tr.report.Rounds = rounds
		base, other := tr.add(0, 1), tr.add(1, 16)
		for round := range rounds + 1 {
			base.samples = append(base.samples, sample{round, 100})
			other.samples = append(other.samples, sample{round, c.rate})
		}
		base.tasks, other.tasks = 1000, 1000
		if got := tr.seriousCaveats(other, tr.finalists(), false); (len(got) > 0) != c.doubt {
			t.Errorf("%.0f tasks per second instead of 100, with concurrency 16: the serious caveats are %q", c.rate, got)
		}
	}
}

// TestLikely_NeighboringKinds: if the work is of one of two neighboring kinds,
// this is enough for a recommendation.
func TestLikely_NeighboringKinds(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name      string
		low, high float64 // the ends of the interval of the share of CPU time
		level     int     // of the recommended point; 0 if there is none
	}{
		{"mixed or CPU-bound", 0.6, 0.95, 2},
		{"I/O-bound or mixed", 0.1, 0.5, 16},
		{"I/O-bound or CPU-bound", 0.1, 0.9, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "processes", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: Mixed, Certainty: Unclear, CPUShare: Interval{Median: (c.low + c.high) / 2, Low: c.low, High: c.high}}
			tr.report.Machine = Machine{Processors: 2}
			tr.report.Profile.Usage = usage.Usage{Wall: time.Millisecond, CPU: time.Millisecond / 2}
			tr.add(0, 1).samples = []sample{{0, 100}}
			tr.add(1, 2).samples = []sample{{0, 190}}
			tr.add(1, 16).samples = []sample{{0, 400}}
			level := 0
			if p := tr.likely(tr.finalists()); p != nil {
				level = p.level
			}
			if level != c.level {
				t.Errorf("likely() has concurrency %d, want %d", level, c.level)
			}
		})
	}
}
