package choose_test

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/choose"
	"concert/choose/usage"
)

// The tests of this file check where the time of the budget goes.

// TestRun_LongTasks: if tasks take a large part of the budget, the time must go
// to the levels that may be the best. Level 1 is not measured again under
// another model, and a lock that tasks hold while they compute or wait is
// measured at one level only.
func TestRun_LongTasks(t *testing.T) {
	processors := runtime.GOMAXPROCS(0)
	for _, c := range []struct {
		name     string
		task     time.Duration
		share    float64 // of CPU time
		capacity int     // the number of tasks that make progress concurrently
		budget   time.Duration
		least    int // the lowest recommended concurrency
		most     int // the highest level that is measured
	}{
		{"waits for 1 s", time.Second, 0.02, 1000, 20 * time.Second, 128, 256},
		{"waits for 3 s", 3 * time.Second, 0.02, 1000, 20 * time.Second, 16, 256},
		{"a server of six, 300 ms", 300 * time.Millisecond, 0.02, 6, 20 * time.Second, 6, 64},
		{"computes for 1 s", time.Second, 1, processors, 20 * time.Second, processors, 4 * processors},
		{"computes for 300 ms, 5 s", 300 * time.Millisecond, 1, processors, 5 * time.Second, processors, 4 * processors},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.share == 1 && processors == 1 {
				t.Skip("with one processor, concurrency gains nothing for work that computes")
			}
			synctest.Test(t, func(t *testing.T) {
				server := make(slots, c.capacity)
				work := func(context.Context, int) (int, error) { server.use(c.task); return 0, nil }
				locked := underLock()
				locked.Locked = true
				type point struct {
					model string
					level int
				}
				measured := map[point]bool{}
				report, err := choose.Run(t.Context(), work, []int{1}, []choose.Model{choose.Sequential(), onGoroutines(), locked}, &choose.Options{
					Budget: c.budget, Profile: alone(c.task, c.share),
					OnStep: func(s choose.Step) { measured[point{s.Model, s.Concurrency}] = true },
				})
				if err != nil {
					t.Fatal(err)
				}
				checkFormats(t, report)
				if v := report.Verdict; v.Certainty == choose.Unclear || v.Concurrency < c.least || v.Concurrency > c.most {
					t.Errorf("%s: want a recommendation of %d to %d\n%s", v.Certainty, c.least, c.most, report)
				}
				levels := 0 // of the model under a lock
				for p := range measured {
					if p.level == 1 && p.model != "sequential execution" || p.level > c.most {
						t.Errorf("%s was measured with concurrency %d", p.model, p.level)
					}
					if p.model == locked.Name {
						levels++
					}
				}
				if levels > 1 {
					t.Errorf("the model under a lock was measured at %d levels", levels)
				}
			})
		})
	}
}

// TestRun_MirroredRounds: if tasks are short, each round must measure all
// points in one order and then in the reverse order, so that a load that
// becomes higher or lower affects all points alike.
func TestRun_MirroredRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rounds := map[int][]string{}
		server := make(slots, 2)
		report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) { server.use(5 * time.Millisecond); return 0, nil },
			[]int{1}, []choose.Model{choose.Sequential(), onGoroutines()}, &choose.Options{
				MaxConcurrency: 4, OnStep: func(s choose.Step) { rounds[s.Round] = append(rounds[s.Round], s.String()) },
			})
		if err != nil {
			t.Fatal(err)
		}
		if report.Rounds == 0 || report.Points[0].Rounds != report.Rounds {
			t.Errorf("%d rounds:\n%s", report.Rounds, report)
		}
		for round := 1; round < report.Rounds; round++ { // the base is measured again after the last round
			back := slices.Clone(rounds[round])
			slices.Reverse(back)
			if !slices.Equal(back, rounds[round]) || len(back) < 4 {
				t.Errorf("round %d measures %q, which is not the same in reverse order", round, rounds[round])
			}
		}
	})
}

// TestRun_SlowImport: if the first run of the profile imports a module for a
// large part of the budget, Run must not exceed the budget by much, and must
// recommend what suits the kind.
func TestRun_SlowImport(t *testing.T) {
	for _, imports := range []time.Duration{time.Second, 3 * time.Second, 4 * time.Second} {
		for _, share := range []float64{0.02, 1} {
			synctest.Test(t, func(t *testing.T) {
				const budget, task = 5 * time.Second, 20 * time.Millisecond
				imported, calls := false, 0
				profile := alone(task, share)
				m := onGoroutines()
				open := m.Open
				m.Open = func(n int, o concert.Observer) (concert.Executor, error) {
					time.Sleep(imports) // each interpreter imports the module
					return open(n, o)
				}
				one := choose.Model{Name: "one interpreter", Levels: []int{1}, Open: m.Open}
				server := make(slots, runtime.GOMAXPROCS(0))
				report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) {
					if share < 0.5 {
						time.Sleep(task)
					} else {
						server.use(task)
					}
					return 0, nil
				}, []int{1}, []choose.Model{one, m}, &choose.Options{
					Budget: budget, MaxConcurrency: 16,
					Profile: func(ctx context.Context, i int) (usage.Usage, error) {
						if calls++; !imported {
							time.Sleep(imports)
							imported = true
						}
						return profile(ctx, i)
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				checkFormats(t, report)
				if calls < 3 {
					t.Errorf("an import of %v: the profile has %d runs", imports, calls)
				}
				if report.Took > budget+imports/2 {
					t.Errorf("an import of %v: Run took %v, and the budget is %v", imports, report.Took, budget)
				}
				if s := report.Verdict.Sentence; strings.Contains(s, "no time to measure it") && !strings.Contains(s, "import a module") {
					t.Errorf("an import of %v: the sentence does not have the reason: %s", imports, s)
				}
				if v := report.Verdict; v.Certainty == choose.Unclear || v.Concurrency == 1 && (share < 0.5 || runtime.GOMAXPROCS(0) > 1) {
					t.Errorf("an import of %v: %s\n%s", imports, v.Certainty, report)
				}
			})
		}
	}
}

// TestRun_WorkersImport: if the first task of each worker imports a module, the
// import must not count in the throughput of a new executor.
func TestRun_WorkersImport(t *testing.T) {
	for _, imports := range []time.Duration{100 * time.Millisecond, 600 * time.Millisecond} {
		for _, wait := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var point string
				ready := map[string]time.Time{} // guarded by mu: when the import of an executor ends
				profile, imported := alone(wait, 0.02), false
				report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) {
					mu.Lock()
					until, ok := ready[point]
					if !ok {
						until = time.Now().Add(imports)
						ready[point] = until
					}
					mu.Unlock()
					time.Sleep(max(0, time.Until(until)) + wait)
					return 0, nil
				}, []int{1}, []choose.Model{{Name: "one interpreter", Levels: []int{1}, Open: onGoroutines().Open}, onGoroutines()}, &choose.Options{
					Budget: 5 * time.Second, MaxConcurrency: 32,
					Profile: func(ctx context.Context, i int) (usage.Usage, error) {
						if !imported {
							time.Sleep(imports)
							imported = true
						}
						return profile(ctx, i)
					},
					OnStep: func(s choose.Step) { point = s.String() },
				})
				if err != nil {
					t.Fatal(err)
				}
				if v := report.Verdict; v.Concurrency < 16 || v.Certainty == choose.Unclear {
					t.Errorf("an import of %v, tasks of %v: %s\n%s", imports, wait, v.Certainty, report)
				}
				for _, p := range report.Points {
					if want := float64(p.Concurrency); p.Gain.Median < 0.7*want || p.Gain.Median > 1.3*want {
						t.Errorf("an import of %v, tasks of %v: the gain of %s with concurrency %d is %.2f", imports, wait, p.Model, p.Concurrency, p.Gain.Median)
					}
				}
			})
		}
	}
}

// TestRun_Untried: the list of untried points must have each point once, and
// no point that was measured. When Run explores a model, it may leave out a
// level, and try it later.
func TestRun_Untried(t *testing.T) {
	for _, task := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 400 * time.Millisecond} {
		for _, share := range []float64{0.02, 0.5} {
			synctest.Test(t, func(t *testing.T) {
				report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) { time.Sleep(task); return 0, nil }, []int{1},
					[]choose.Model{choose.Sequential(), onGoroutines(), underLock()}, &choose.Options{Budget: time.Second, Profile: alone(task, share)})
				if err != nil {
					t.Fatal(err)
				}
				if once := slices.Compact(slices.Sorted(slices.Values(report.Untried))); len(once) != len(report.Untried) {
					t.Errorf("tasks of %v with a share of %v: %q", task, share, report.Untried)
				}
				for _, p := range report.Points {
					if name := (choose.Step{Model: p.Model, Concurrency: p.Concurrency}).String(); slices.Contains(report.Untried, name) {
						t.Errorf("tasks of %v with a share of %v: %s was measured, and is in %q", task, share, name, report.Untried)
					}
				}
			})
		}
	}
}

// TestRun_UnequalInputs: if some inputs cost much more than those of the
// profile, Run must not conclude from few measurements that a higher
// concurrency gains nothing.
func TestRun_UnequalInputs(t *testing.T) {
	for _, share := range []float64{0.02, 0.3} {
		synctest.Test(t, func(t *testing.T) {
			inputs := []time.Duration{100, 100, 100, 100, 100, 2500, 100, 100, 100, 2500, 100, 100} // milliseconds
			cpu := make(slots, runtime.GOMAXPROCS(0))
			split := func(ms time.Duration) (wall, computes time.Duration) {
				return ms * time.Millisecond, time.Duration(share * float64(ms*time.Millisecond))
			}
			report, err := choose.Run(t.Context(), func(_ context.Context, ms time.Duration) (int, error) {
				wall, computes := split(ms)
				cpu.use(computes)
				time.Sleep(wall - computes)
				return 0, nil
			}, inputs, []choose.Model{choose.Sequential(), onGoroutines()}, &choose.Options{
				Budget: 5 * time.Second,
				Profile: func(_ context.Context, i int) (usage.Usage, error) {
					wall, computes := split(inputs[i])
					time.Sleep(wall)
					return usage.Usage{Wall: wall, CPU: computes, Sources: []usage.Source{{What: usage.CPUTime, From: "this test"}}}, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			checkFormats(t, report)
			if v := report.Verdict; (v.Certainty == choose.Clear || v.Certainty == choose.Tie) && v.Concurrency < 8 {
				t.Errorf("a share of %v: %s\n%s", share, v.Certainty, report)
			}
		})
	}
}
