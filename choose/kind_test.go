package choose_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/choose"
	"concert/choose/usage"
	"concert/gil"
	"concert/goroutines"
)

// alone returns an Options.Profile whose runs have these shares of CPU time, in
// turn.
func alone(wall time.Duration, shares ...float64) func(context.Context, int) (usage.Usage, error) {
	next := 0
	return func(context.Context, int) (usage.Usage, error) {
		share := shares[next%len(shares)]
		next++
		time.Sleep(wall)
		return usage.Usage{
			Wall: wall, CPU: time.Duration(share * float64(wall)),
			Sources: []usage.Source{{What: usage.CPUTime, From: "this test"}},
		}, nil
	}
}

// allProcessors returns a part of the sentence about work that computes on all
// processors.
func allProcessors() string {
	if n := runtime.GOMAXPROCS(0); n > 1 {
		return fmt.Sprintf("computes on %d.0 of the %d processors, so concurrent tasks gain little", n, n)
	}
	return "there is one processor"
}

// TestKind: the kind must follow from the CPU time of the runs alone. It
// must be unclear only if some runs are below a bound and others are above
// it.
func TestKind(t *testing.T) {
	for _, c := range []struct {
		shares    []float64
		kind      choose.Kind
		certainty choose.Certainty
		text      string
	}{
		{[]float64{0.99}, choose.CPUBound, choose.Clear, "computes for 99% of its time"},
		{[]float64{0.02}, choose.IOBound, choose.Clear, "waits for 98% of its time"},
		{[]float64{0.5}, choose.Mixed, choose.Clear, "computes for 50% of its time"},
		{[]float64{float64(runtime.GOMAXPROCS(0))}, choose.CPUBound, choose.Clear, allProcessors()},
		{[]float64{0.75, 0.77}, choose.CPUBound, choose.Clear, "CPU-bound"},
		{[]float64{0.1, 0.1, 0.1, 0.9}, choose.Mixed, choose.Unclear, "I/O-bound or CPU-bound: a run computes for 10% to 90% of its time"},
	} {
		t.Run(fmt.Sprint(c.shares), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				report, err := choose.Run(t.Context(), nap(20*time.Millisecond), []int{1}, twoModels(), &choose.Options{
					Budget: 2 * time.Second, MaxConcurrency: 16, Profile: alone(20*time.Millisecond, c.shares...),
				})
				if err != nil {
					t.Fatal(err)
				}
				checkFormats(t, report)
				if k := report.Kind; k.Kind != c.kind || k.Certainty != c.certainty || !strings.Contains(k.Sentence, c.text) {
					t.Errorf("%+v; want %s, %s, %q", k, c.kind, c.certainty, c.text)
				}
				if !strings.HasPrefix(report.Verdict.Sentence, report.Kind.Sentence) {
					t.Errorf("the sentence does not begin with the kind: %s", report.Verdict.Sentence)
				}
			})
		})
	}
}

// TestKind_TinyRun: for a run that is shorter than the cost of a task, the kind
// must not recommend concurrent tasks, because the verdict may recommend
// sequential execution.
func TestKind_TinyRun(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("with one processor, the kind recommends no concurrent tasks for any work that computes")
	}
	report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) { return 0, nil }, []int{1}, twoModels(), &choose.Options{
		Budget: 200 * time.Millisecond, Profile: alone(5*time.Microsecond, 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := report.Kind.Sentence; report.Kind.Kind != choose.CPUBound || !strings.Contains(s, "which is only 5 us") || strings.Contains(s, "run one task for each") {
		t.Errorf("the kind of a run that takes 5 us: %s", s)
	}
}

// TestKind_UnknownUsage: if the usage of a run is unknown, because the run
// fails or takes longer than the budget, the run must not count as CPU-bound.
func TestKind_UnknownUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		profile := alone(20*time.Millisecond, 0.02)
		options := &choose.Options{Budget: 2 * time.Second, MaxConcurrency: 16}
		options.Profile = func(ctx context.Context, i int) (usage.Usage, error) {
			if i == 2 {
				return usage.Usage{Sources: []usage.Source{{What: usage.CPUTime, From: "this test"}}}, errors.New("bad input")
			}
			return profile(ctx, i)
		}
		work := func(_ context.Context, i int) (int, error) {
			time.Sleep(20 * time.Millisecond)
			if i == 2 {
				return 0, errors.New("bad input")
			}
			return 0, nil
		}
		report, err := choose.Run(t.Context(), work, []int{0, 1, 2}, twoModels(), options)
		if err != nil {
			t.Fatal(err)
		}
		checkFormats(t, report)
		if k, p := report.Kind, report.Profile; k.Kind != choose.IOBound || k.Certainty != choose.Clear || p.Wall != 20*time.Millisecond || p.Failed == 0 {
			t.Errorf("a run fails: %+v, %+v", k, p)
		}
		options.Profile = func(ctx context.Context, _ int) (usage.Usage, error) {
			<-ctx.Done()
			return usage.Usage{Sources: []usage.Source{{What: usage.CPUTime, From: "this test"}}}, ctx.Err()
		}
		_, err = choose.Run(t.Context(), work, []int{0}, twoModels(), options)
		if !errors.Is(err, choose.ErrTooLong) || strings.Contains(err.Error(), "CPU-bound") {
			t.Errorf("a run takes longer than the budget: %v", err)
		}
	})
}

// TestKind_DifferentInputs: if there is time for only two runs, and the inputs
// differ, both runs must count. If there is time for more, the first run does
// not count, because it may be slower.
func TestKind_DifferentInputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shares := []float64{0.02, 1, 0.02}
		run := func(d, first time.Duration) *choose.Report {
			ran := false
			report, err := choose.Run(t.Context(), nap(d), []int{0, 1, 2}, twoModels(), &choose.Options{
				Budget: 20 * time.Second, MaxConcurrency: 8,
				Profile: func(ctx context.Context, i int) (usage.Usage, error) {
					wall := d
					if !ran {
						wall += first
					}
					ran = true
					return alone(wall, shares[i])(ctx, 0)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			checkFormats(t, report)
			return report
		}
		if r := run(450*time.Millisecond, 0); r.Profile.Runs != 2 || r.Kind.Certainty != choose.Unclear || !strings.HasPrefix(r.Kind.Sentence, "I/O-bound or CPU-bound") {
			t.Errorf("two inputs in %d runs: %+v", r.Profile.Runs, r.Kind)
		}
		if r := run(20*time.Millisecond, 200*time.Millisecond); r.Profile.Slowest != 20*time.Millisecond {
			t.Errorf("the slowest run of the profile takes %v, want 20 ms", r.Profile.Slowest)
		}
	})
}

// busyMachine is simulated work on a machine that other programs disturb: the
// machine becomes slower and faster at random.
type busyMachine struct {
	mu     sync.Mutex
	random *rand.Rand
	until  time.Time // when the speed changes
	slow   float64   // the durations of tasks are multiplied by this number
}

// factor returns the number by which the durations of tasks are multiplied
// now.
func (b *busyMachine) factor() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.After(b.until) {
		b.slow = 1 + 2*b.random.Float64()
		b.until = now.Add(time.Duration(b.random.Float64() * float64(400*time.Millisecond)))
	}
	return b.slow
}

// TestVerdict_BusyMachine: on a machine whose speed changes all the time, and
// with a short budget, choose must still recommend a concurrency that suits the
// kind of the work.
func TestVerdict_BusyMachine(t *testing.T) {
	n := runtime.GOMAXPROCS(0)
	for _, c := range []struct {
		name  string
		share float64 // of CPU time
		good  func(v choose.Verdict) bool
	}{
		{"waits", 0.02, func(v choose.Verdict) bool { return v.Model != "sequential execution" && v.Concurrency >= 16 }},
		{"computes", 1, func(v choose.Verdict) bool {
			return v.Model == "processes" && v.Concurrency >= n && v.Concurrency <= 4*n
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.share == 1 && n == 1 {
				t.Skip("with one processor, concurrency gains nothing for work that computes")
			}
			for seed := range uint64(20) {
				synctest.Test(t, func(t *testing.T) {
					machine := &busyMachine{random: rand.New(rand.NewPCG(seed, 5))}
					processors := make(slots, n)
					work := func(ctx context.Context, _ int) (int, error) {
						d := time.Duration(20e6 * machine.factor())
						if c.share < 1 {
							concert.Release(ctx, func() { time.Sleep(d) })
						} else {
							processors.use(d)
						}
						return 0, nil
					}
					locked := choose.Model{Name: "threads", Locked: true, Open: func(n int, o concert.Observer) (concert.Executor, error) {
						return goroutines.New(n, &goroutines.Options{Observer: o, Lock: gil.New(nil)}), nil
					}}
					unlocked := onGoroutines()
					unlocked.Name = "processes"
					report, err := choose.Run(t.Context(), work, []int{1}, []choose.Model{choose.Sequential(), locked, unlocked}, &choose.Options{
						Budget: 5 * time.Second, MaxConcurrency: 64, Profile: alone(20*time.Millisecond, c.share),
					})
					if err != nil {
						t.Fatal(err)
					}
					checkFormats(t, report)
					if v := report.Verdict; v.Certainty == choose.Unclear || !c.good(v) {
						t.Errorf("seed %d: %s, %s", seed, v.Certainty, report)
					}
				})
			}
		})
	}
}

// TestVerdict_LongRuns: if a single run takes a large part of the budget, or
// if only one run is permitted, this run shows the kind of the work. So Run
// must recommend a concurrency that suits the kind, even without a
// measurement of it.
func TestVerdict_LongRuns(t *testing.T) {
	n := runtime.GOMAXPROCS(0)
	const budget = 5 * time.Second
	for _, c := range []struct {
		name     string
		share    float64 // of CPU time
		min, max int     // the bounds of the concurrency
	}{
		{"computes", 1, n, 2 * n},
		{"waits", 0.02, 2, 64},
		{"both", 0.5, n, 4 * n},
	} {
		for _, part := range []float64{0.15, 0.2, 0.25, 0.3, 1.0 / 3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97} {
			for _, maxRuns := range []int{0, 1, 2} {
				t.Run(fmt.Sprintf("%s for %.2f of the budget, %d runs", c.name, part, maxRuns), func(t *testing.T) {
					if c.share > 0.1 && n == 1 {
						t.Skip("with one processor, concurrency gains little for work that computes")
					}
					synctest.Test(t, func(t *testing.T) {
						d := time.Duration(part * float64(budget))
						processors := make(slots, n)
						work := func(ctx context.Context, _ int) (int, error) {
							processors.use(time.Duration(c.share * float64(d)))
							concert.Release(ctx, func() { time.Sleep(time.Duration((1 - c.share) * float64(d))) })
							return 0, nil
						}
						locked := underLock()
						locked.Locked = true
						report, err := choose.Run(t.Context(), work, []int{1}, []choose.Model{choose.Sequential(), locked, onGoroutines()}, &choose.Options{
							Budget: budget, MaxConcurrency: 64, MaxRuns: maxRuns, Profile: alone(d, c.share),
						})
						if err != nil {
							t.Fatal(err)
						}
						checkFormats(t, report)
						if report.Took > budget && report.Verdict.Gain.Median == 0 {
							t.Errorf("Run took %v with a budget of %v, and there was no time for a measurement", report.Took, budget)
						}
						v := report.Verdict
						if v.Certainty == choose.Unclear || v.Concurrency < c.min || v.Concurrency > c.max || c.share > 0.1 && v.Model != "goroutines" {
							t.Errorf("%s: want a recommendation of %d to %d\n%s", v.Certainty, c.min, c.max, report)
						}
						if v.Gain.Median == 0 && !strings.Contains(v.Sentence, "measure it") {
							t.Errorf("the sentence does not say that the recommended point was not measured: %s", v.Sentence)
						}
						t.Log(v.Sentence)
					})
				})
			}
		}
	}
}
