package choose

import (
	"strings"
	"testing"
	"time"

	"concert"
	"concert/choose/usage"
)

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

// TestSeriousCaveats_UntriedModels: suppose that tasks compute for part of
// their time, and that there was no time for models without a lock. Then a
// verdict for a model with a lock must not be certain.
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
			tr.MaxConcurrency = 16
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

// TestSeriousCaveats_ImpossibleGain: a verdict must not be certain if its
// gain is higher than its concurrency.
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

// TestSeriousCaveats_Rival: a verdict must not be certain if, after a few
// rounds, another point may be more than 18% better.
func TestSeriousCaveats_Rival(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		ratios []float64 // the throughput of the other point in each round, divided by the throughput of the chosen point
		doubt  bool
	}{
		{[]float64{0.97, 1.25, 0.96}, true},
		{[]float64{0.97, 1.1, 0.96}, false},
	} {
		tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}}}
		tr.MaxConcurrency = 4
		tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear}
		tr.report.Machine = Machine{Processors: 2}
		tr.report.Rounds = len(c.ratios)
		points := []*point{tr.add(0, 1), tr.add(1, 2), tr.add(1, 4)}
		for round, ratio := range append([]float64{1}, c.ratios...) {
			for i, p := range points {
				p.tasks = 1000
				p.samples = append(p.samples, sample{round, []float64{100, 200, 200 * ratio}[i]})
			}
		}
		if got := tr.seriousCaveats(points[1], tr.finalists(), false); (len(got) > 0) != c.doubt {
			t.Errorf("another point has %v of the throughput: the serious caveats are %q", c.ratios, got)
		}
	}
}

// TestSeriousCaveats_BusyMachine: if other programs use the processors, the
// verdict must be certain only for work that needs little processor time.
func TestSeriousCaveats_BusyMachine(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		kind   Kind
		cpu    time.Duration // of a run
		others float64
		doubt  bool
	}{
		{"waits", IOBound, 50 * time.Microsecond, 0.7, false},
		{"waits, computes at a high throughput", IOBound, 600 * time.Microsecond, 0.7, true},
		{"waits, idle machine", IOBound, 600 * time.Microsecond, 0.1, false},
		{"mixed", Mixed, 50 * time.Microsecond, 0.7, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}}}
			tr.MaxConcurrency = 16
			tr.report.Kind = KindVerdict{Kind: c.kind, Certainty: Clear}
			tr.report.Machine = Machine{Processors: 2, Others: c.others}
			tr.report.Profile.Usage = usage.Usage{Wall: 10 * time.Millisecond, CPU: c.cpu}
			tr.report.Rounds = 2
			points := []*point{tr.add(0, 1), tr.add(1, 16)}
			for round := range 3 {
				for i, p := range points {
					p.tasks = 1000
					p.samples = append(p.samples, sample{round, []float64{100, 1600}[i]})
				}
			}
			if got := tr.seriousCaveats(points[1], tr.finalists(), false); (len(got) > 0) != c.doubt {
				t.Errorf("the serious caveats are %q", got)
			}
		})
	}
}

// TestMinorCaveats_Drift: if the speed of the work has changed, the gains
// may still be right. The caveat must not say that they are right in two
// cases: if the recommended point was in no round, and if the change makes
// the verdict doubtful.
func TestMinorCaveats_Drift(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		rounds int
		drift  float64
		right  bool
		text   string
	}{
		{"rounds", 2, 0.5, true, "50% higher than at the beginning"},
		{"no round", 0, -0.5, false, "50% lower than at the beginning. The gain of goroutines with concurrency 2 may be wrong"},
		{"very different speed", 2, 5, false, "500% higher than at the beginning"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}}}
			tr.report.Rounds, tr.report.Drift = c.rounds, c.drift
			base, chosen := tr.add(0, 1), tr.add(1, 2)
			for round := range c.rounds + 1 {
				base.samples = append(base.samples, sample{round, 100})
				chosen.samples = append(chosen.samples, sample{round, 200})
			}
			all := strings.Join(tr.minorCaveats(chosen), "\n")
			if !strings.Contains(all, c.text) || strings.Contains(all, "still right") != c.right {
				t.Errorf("the caveats are:\n%s", all)
			}
		})
	}
}

// TestDecide_Rising: while the throughput is rising, and a higher
// concurrency is permitted, a verdict must not be certain.
func TestDecide_Rising(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name    string
		share   float64 // of CPU time
		highest int     // the maximum concurrency
		level   int     // the highest level that was measured
		want    Certainty
	}{
		{"waits, higher levels", 0.02, 64, 8, Likely},
		{"waits, no higher level", 0.02, 8, 8, Clear},
		{"mixed, higher levels", 0.5, 64, 8, Likely},
		{"computes, on all processors", 1, 64, 8, Clear},
		{"computes, processors left", 1, 64, 4, Likely},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}}}
			tr.MaxConcurrency = c.highest
			tr.report.Kind = KindVerdict{Kind: kindOf(c.share), Certainty: Clear, CPUShare: Interval{Median: c.share, Low: c.share, High: c.share}}
			tr.report.Machine = Machine{Processors: 8}
			tr.report.Profile.Usage = usage.Usage{Wall: 10 * time.Millisecond}
			tr.report.Rounds = 2
			points := []*point{tr.add(0, 1), tr.add(1, c.level/2), tr.add(1, c.level)}
			for _, p := range points {
				p.tasks = 1000
				for round := range 3 {
					p.samples = append(p.samples, sample{round, 100 * float64(p.level)})
				}
			}
			tr.decide(tr.finalists(), false)
			v := tr.report.Verdict
			if v.Certainty != c.want || v.Concurrency != c.level {
				t.Errorf("%s, concurrency %d; want %s, %d: %s", v.Certainty, v.Concurrency, c.want, c.level, v.Sentence)
			}
			if n := strings.Count(v.Sentence, "still rising"); n > 1 || n == 0 && v.Certainty == Likely && c.share < 1 {
				t.Errorf("the sentence has %d times that the throughput was rising: %s", n, v.Sentence)
			}
		})
	}
}

// TestSimplest_EnoughTasks: for CPU-bound work, Run must not recommend more
// tasks than processors for a gain of a few percent. The sentence must state
// this gain.
func TestSimplest_EnoughTasks(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name  string
		share float64 // of CPU time
		two   float64 // the throughput with two tasks
		level int     // of the recommended point
		text  string
	}{
		{"computes, little less", 1, 200, 2, "concurrency 8 reaches 2.2x"},
		{"computes, equal", 1, 218, 2, "2 to 8 are equally good"},
		{"computes, much less", 1, 180, 8, "interpreters with concurrency 8: 2.2x"},
		{"waits for part of the time", 0.5, 200, 8, "interpreters with concurrency 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{{Name: "one interpreter", Open: open, Levels: []int{1}}, {Name: "interpreters", Open: open, Levels: []int{2, 8}}}}
			tr.MaxConcurrency = 8
			tr.report.Kind = KindVerdict{Kind: kindOf(c.share), Certainty: Clear, CPUShare: Interval{Median: c.share, Low: c.share, High: c.share}}
			tr.report.Machine = Machine{Processors: 2}
			tr.report.Profile.Usage = usage.Usage{Wall: 10 * time.Millisecond}
			tr.report.Rounds = 7
			for i, p := range []*point{tr.add(0, 1), tr.add(1, 2), tr.add(1, 8)} {
				p.tasks = 1000
				for round := range tr.report.Rounds + 1 {
					p.samples = append(p.samples, sample{round, []float64{100, c.two, 220}[i]})
				}
			}
			tr.decide(tr.finalists(), false)
			if v := tr.report.Verdict; v.Certainty != Clear || v.Concurrency != c.level || !strings.Contains(v.Sentence, c.text) {
				t.Errorf("%s, concurrency %d; want %d and %q in: %s", v.Certainty, v.Concurrency, c.level, c.text, v.Sentence)
			}
		})
	}
}
