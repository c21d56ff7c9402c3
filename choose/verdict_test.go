package choose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/choose"
	"concert/goroutines"
	"concert/internal/race"
)

// The tests of this file run work that is hard to measure. A verdict may be
// Unclear or Likely, but a verdict that is Clear or Tie must be right.

// certain reports whether a verdict is Clear or Tie.
func certain(v choose.Verdict) bool {
	return v.Certainty == choose.Clear || v.Certainty == choose.Tie
}

// nap returns a function that waits.
func nap(d time.Duration) func(context.Context, int) (int, error) {
	return func(context.Context, int) (int, error) {
		time.Sleep(d)
		return 0, nil
	}
}

// twoModels returns sequential execution and goroutines.
func twoModels() []choose.Model { return []choose.Model{choose.Sequential(), onGoroutines()} }

// checkFormats fails the test if a report cannot be written as JSON or HTML.
func checkFormats(t *testing.T, r *choose.Report) {
	t.Helper()
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if err := r.HTML(&bytes.Buffer{}, "work"); err != nil {
		t.Error(err)
	}
	_ = r.String()
}

// TestVerdict_SomeInputsFail: if the same input fails at each level, Run must
// still recommend a high level, or the verdict must not be certain.
func TestVerdict_SomeInputsFail(t *testing.T) {
	bad := errors.New("bad input")
	counts := []int{2, 3, 5, 10, 20, 50}
	if race.Enabled {
		counts = []int{3, 20} // the race detector makes this test slow
	}
	for _, n := range counts {
		for _, d := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
			t.Run(fmt.Sprintf("%d inputs, %v", n, d), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					inputs := make([]int, n)
					for i := range inputs {
						inputs[i] = i
					}
					report, err := choose.Run(t.Context(), func(_ context.Context, i int) (int, error) {
						if i == n/2 {
							return 0, bad
						}
						time.Sleep(d)
						return 0, nil
					}, inputs, twoModels(), &choose.Options{MaxConcurrency: 64})
					if err != nil {
						t.Fatal(err)
					}
					checkFormats(t, report)
					if a := report.Verdict; a.Concurrency < 32 && certain(a) {
						t.Errorf("1 of %d inputs fails, tasks take %v: %s", n, d, report)
					}
				})
			})
		}
	}
}

// TestVerdict_RandomTimes: if the durations of tasks differ much, the mean of a
// few tasks is not reliable. Even then, at most 10% of the verdicts may be
// wrong. Unclear and likely verdicts do not count as wrong.
func TestVerdict_RandomTimes(t *testing.T) {
	for _, mean := range []time.Duration{30 * time.Millisecond, 200 * time.Millisecond, time.Second} {
		t.Run(mean.String(), func(t *testing.T) {
			wrong := 0
			repeats := 10
			if race.Enabled {
				repeats = 2
			}
			for seed := range uint64(repeats) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					random := rand.New(rand.NewPCG(seed, 1))
					report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) {
						mu.Lock()
						d := time.Duration(random.ExpFloat64() * float64(mean))
						mu.Unlock()
						time.Sleep(d)
						return 0, nil
					}, []int{1}, twoModels(), &choose.Options{MaxConcurrency: 64})
					if err != nil {
						t.Fatal(err)
					}
					checkFormats(t, report)
					if a := report.Verdict; a.Concurrency < 54 && certain(a) {
						wrong++
						t.Logf("mean %v, seed %d: %s", mean, seed, a.Sentence)
					}
				})
			}
			if wrong > repeats/10 {
				t.Errorf("mean %v: %d of %d verdicts are wrong and certain", mean, wrong, repeats)
			}
		})
	}
}

// TestVerdict_EqualPoints: if there are more equally good points than fit into
// one round, Run must still have measured the recommended point in rounds.
func TestVerdict_EqualPoints(t *testing.T) {
	all := []choose.Model{{Name: "sequential execution"}}
	for _, name := range []string{"a", "b", "c", "d"} {
		all = append(all, choose.Model{Name: name, Open: func(n int, o concert.Observer) (concert.Executor, error) {
			return goroutines.New(n, &goroutines.Options{Observer: o}), nil
		}})
	}
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(seed, 3))
			server := make(slots, 8)
			report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) {
				mu.Lock()
				d := time.Duration((0.7 + 0.6*random.Float64()) * float64(20*time.Millisecond))
				mu.Unlock()
				server.use(d)
				return 0, nil
			}, []int{1}, all, &choose.Options{MaxConcurrency: 256, Budget: 3 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if v := report.Verdict; v.Gain.Confidence == 0 {
				t.Errorf("seed %d, after %v of %v: the recommended point was measured once:\n%s", seed, report.Took, report.Budget, report)
			}
		})
	}
}

// TestVerdict_ColdInputs: if inputs take longer the first time, Run must
// recommend a high level, or the verdict must not be certain.
func TestVerdict_ColdInputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inputs := make([]int, 3000)
		for i := range inputs {
			inputs[i] = i
		}
		var seen sync.Map
		report, err := choose.Run(t.Context(), func(_ context.Context, i int) (int, error) {
			d := 20 * time.Millisecond
			if _, ok := seen.LoadOrStore(i, true); !ok {
				d *= 10
			}
			time.Sleep(d)
			return 0, nil
		}, inputs, twoModels(), &choose.Options{MaxConcurrency: 64})
		if err != nil {
			t.Fatal(err)
		}
		if a := report.Verdict; a.Concurrency < 54 && certain(a) {
			t.Errorf("%s", report)
		}
	})
}

// TestVerdict_BeginsToFail: if the work succeeds alone, and fails from the 41st
// run on, Run must return ErrFails or an Unclear verdict.
func TestVerdict_BeginsToFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran atomic.Int64
		bad := errors.New("disk full\x1b[2J")
		report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) {
			time.Sleep(30 * time.Millisecond)
			if ran.Add(1) > 40 {
				return 0, bad
			}
			return 0, nil
		}, []int{1}, twoModels(), nil)
		if report == nil {
			if !errors.Is(err, choose.ErrFails) {
				t.Errorf("Run() = %v, want ErrFails", err)
			}
			return
		}
		checkFormats(t, report)
		if report.Verdict.Certainty != choose.Unclear {
			t.Errorf("%s", report)
		}
	})
}

// TestVerdict_FirstModelFails: if the work succeeds alone, but always fails
// with the first model, Run must return no report. A report would say that
// Run was interrupted.
func TestVerdict_FirstModelFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("cannot be encoded")
		report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) {
			time.Sleep(30 * time.Millisecond)
			return 0, bad
		}, []int{1}, twoModels(), &choose.Options{Profile: alone(30*time.Millisecond, 0.02)})
		if !errors.Is(err, choose.ErrFails) || report != nil {
			t.Errorf("Run() = %v, %v; want ErrFails", report, err)
		}
	})
}

// TestVerdict_FewRuns: if MaxRuns is so low that each point is measured at most
// once, the verdict must not be certain.
func TestVerdict_FewRuns(t *testing.T) {
	for runs := 1; runs < 15; runs++ {
		synctest.Test(t, func(t *testing.T) {
			report, err := choose.Run(t.Context(), nap(30*time.Millisecond), []int{1}, twoModels(), &choose.Options{MaxRuns: runs})
			if report == nil {
				if err == nil {
					t.Error("neither a report nor an error")
				}
				return
			}
			checkFormats(t, report)
			if report.Runs > runs || certain(report.Verdict) {
				t.Errorf("MaxRuns %d: %d runs: %s", runs, report.Runs, report.Verdict.Sentence)
			}
		})
	}
}

// TestVerdict_MaxConcurrencyOne: if the maximum concurrency is 1, the
// verdict must not be Unclear, even on a machine whose speed changes,
// because only one concurrency can be recommended.
func TestVerdict_MaxConcurrencyOne(t *testing.T) {
	for seed := range uint64(10) {
		for _, share := range []float64{0.02, 0.5, 1} {
			synctest.Test(t, func(t *testing.T) {
				machine := &busyMachine{random: rand.New(rand.NewPCG(seed, 5))}
				many := onGoroutines()
				many.Levels = []int{2, 4}
				report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) {
					time.Sleep(time.Duration(20e6 * machine.factor()))
					return 0, nil
				}, []int{1}, []choose.Model{choose.Sequential(), underLock(), many}[:1+seed%3], &choose.Options{
					Budget: time.Second, MaxConcurrency: 1, Profile: alone(20*time.Millisecond, share),
				})
				if err != nil {
					t.Fatal(err)
				}
				checkFormats(t, report)
				if v := report.Verdict; v.Certainty == choose.Unclear || v.Concurrency != 1 || v.Model == "sequential execution" && !strings.Contains(v.Sentence, "the maximum concurrency is 1") {
					t.Errorf("seed %d, share %v: %s", seed, share, report)
				}
			})
		}
	}
}

// TestVerdict_WholeWaves: if few runs are left, a measurement must not have an
// incomplete wave, in which some workers are idle.
func TestVerdict_WholeWaves(t *testing.T) {
	for runs := 5; runs < 20; runs++ {
		synctest.Test(t, func(t *testing.T) {
			report, err := choose.Run(t.Context(), nap(30*time.Millisecond), []int{1}, twoModels(), &choose.Options{
				MaxRuns: runs, Budget: 3 * time.Second, Profile: alone(30*time.Millisecond, 0.02),
			})
			if err != nil {
				t.Fatal(err)
			}
			checkFormats(t, report)
			if v := report.Verdict; v.Gain.Median < 0.9*float64(v.Concurrency) {
				t.Errorf("MaxRuns %d: the gain is too low:\n%s", runs, report)
			}
		})
	}
}

// TestVerdict_RunsForConcurrency: if MaxRuns is lower than the usual first
// level of I/O-bound work, Run must begin at a lower level.
func TestVerdict_RunsForConcurrency(t *testing.T) {
	for runs := 6; runs < 20; runs++ {
		synctest.Test(t, func(t *testing.T) {
			report, err := choose.Run(t.Context(), nap(30*time.Millisecond), []int{1}, twoModels(), &choose.Options{
				MaxRuns: runs, Profile: alone(30*time.Millisecond, 0.02),
			})
			if err != nil {
				t.Fatal(err)
			}
			checkFormats(t, report)
			if v := report.Verdict; v.Concurrency < 4 || v.Gain.Median < 0.9*float64(v.Concurrency) {
				t.Errorf("MaxRuns %d: no concurrency was measured, or its gain is too low:\n%s", runs, report)
			}
		})
	}
}

// TestVerdict_MoreRunsOrTime: if more measurements would help, the caveat
// must say whether more runs or more time are needed. After an interruption
// it must say neither.
func TestVerdict_MoreRunsOrTime(t *testing.T) {
	for _, c := range []struct {
		name      string
		runs      int
		budget    time.Duration
		interrupt time.Duration
		advice    string
	}{
		{"runs", 25, 20 * time.Second, time.Hour, "more than 25 runs measure more often"},
		{"time", 0, 5 * time.Second, time.Hour, "a budget over 5 s measures more often"},
		{"interrupted", 0, 20 * time.Second, 4 * time.Second, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), c.interrupt)
				defer stop()
				report, _ := choose.Run(ctx, nap(700*time.Millisecond), []int{1}, twoModels(), &choose.Options{
					MaxRuns: c.runs, Budget: c.budget, Profile: alone(700*time.Millisecond, 0.02),
				})
				if report == nil {
					t.Fatal("no report")
				}
				checkFormats(t, report)
				if s := report.Verdict.Sentence; !strings.Contains(s, c.advice) || c.advice == "" && strings.Contains(s, "more often") {
					t.Errorf("want %q in: %s", c.advice, s)
				}
			})
		})
	}
}

// TestVerdict_InterruptedUnmeasured: if Run is interrupted before a concurrency
// was measured, the sentence must say that the best guess was not measured.
func TestVerdict_InterruptedUnmeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		report, _ := choose.Run(ctx, nap(2*time.Second), []int{1}, twoModels(), &choose.Options{
			Budget: 9 * time.Second, Profile: alone(2*time.Second, 0.02),
		})
		if report == nil {
			t.Fatal("no report")
		}
		checkFormats(t, report)
		if s := report.Verdict.Sentence; !strings.Contains(s, "Best guess: goroutines with concurrency 16, which was not measured.") {
			t.Error(s)
		}
	})
}

// TestVerdict_RunsOfTinyTasks: a measurement of tiny tasks must leave runs for
// other points.
func TestVerdict_RunsOfTinyTasks(t *testing.T) {
	report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) { return 0, nil }, []int{1}, twoModels(), &choose.Options{
		Budget: 5 * time.Second, MaxRuns: 10_000, MaxConcurrency: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Points) < 2 || report.Runs > 10_000 {
		t.Errorf("%d runs, and not all models were measured:\n%s", report.Runs, report)
	}
}

// checkAgreement fails the test if the parts of a report contradict each other:
// the sentence, the verdict and the points.
func checkAgreement(t *testing.T, r *choose.Report) {
	t.Helper()
	v, maxGain, maxRounds := r.Verdict, 0.0, 0
	var chosen choose.Point
	for _, p := range r.Points {
		maxGain, maxRounds = max(maxGain, p.Gain.Median), max(maxRounds, p.Rounds)
		if p.Model == v.Model && p.Concurrency == v.Concurrency {
			chosen = p
		}
		// In simulated work the base has the same throughput in all rounds.
		if want := p.Rate.Median / r.Points[0].Rate.Median; math.Abs(p.Gain.Median-want) > 0.05*want {
			t.Errorf("%s with concurrency %d: gain %.1f, but %.0f tasks per second are a gain of %.1f", p.Model, p.Concurrency, p.Gain.Median, p.Rate.Median, want)
		}
	}
	if chosen.Gain != v.Gain {
		t.Errorf("the verdict has gain %v, and its point %v", v.Gain, chosen.Gain)
	}
	if measured := chosen.Model != ""; measured && chosen.Gain.Median < 0.9*maxGain {
		t.Errorf("the recommended point has a gain of %.1f, another one %.1f", chosen.Gain.Median, maxGain)
	}
	if maxRounds != r.Rounds {
		t.Errorf("%d rounds, but a point was measured in %d", r.Rounds, maxRounds)
	}
	if once := strings.Contains(r.String(), "ach level was measured once"); once && r.Rounds > 0 {
		t.Errorf("after %d rounds the report says that each level was measured once", r.Rounds)
	}
	if t.Failed() {
		t.Log(r)
	}
}

// outlier is simulated work on goroutines whose first measurement at
// concurrency 64 is far too high.
type outlier struct {
	duration atomic.Int64 // the duration of a task, in nanoseconds
	steps    int
	seen64   bool
}

// call is the work.
func (o *outlier) call(context.Context, int) (int, error) {
	time.Sleep(time.Duration(o.duration.Load()))
	return 0, nil
}

// onStep sets the duration of the tasks of a measurement.
func (o *outlier) onStep(s choose.Step) {
	o.steps++
	const rate = 18 // the throughput of one worker
	total := map[int]float64{0: rate, 45: 339, 64: 176, 91: 400, 128: 430}[s.Concurrency]
	if total == 0 {
		total = rate * float64(min(s.Concurrency, 16))
	}
	if s.Concurrency == 64 && !o.seen64 {
		o.seen64, total = true, 620
	}
	o.duration.Store(int64(float64(max(1, s.Concurrency)) / total * 1e9))
}

// TestVerdict_FirstMeasurementTooHigh: the first measurement of one point is
// too high, so that better points seem worse. If there is enough time, Run must
// measure the better points in rounds and recommend the best of them. With any
// budget, and after a cancellation at any step, the parts of the report must
// agree.
func TestVerdict_FirstMeasurementTooHigh(t *testing.T) {
	run := func(t *testing.T, budget time.Duration, steps int) (report *choose.Report) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var work outlier
			report, _ = choose.Run(ctx, work.call, []int{1}, twoModels(), &choose.Options{
				Budget: budget, MaxConcurrency: 128,
				OnStep: func(s choose.Step) {
					if work.onStep(s); work.steps == steps {
						cancel()
					}
				},
			})
			if report != nil {
				checkAgreement(t, report)
			}
		})
		return report
	}
	t.Run("enough time", func(t *testing.T) {
		if v := run(t, time.Minute, 0).Verdict; v.Concurrency != 128 || v.Gain.Confidence < 0.95 {
			t.Errorf("verdict: concurrency %d, gain %+v: %s", v.Concurrency, v.Gain, v.Sentence)
		}
	})
	for _, budget := range []time.Duration{2, 3, 4, 5, 6, 8, 10, 12, 15} {
		t.Run(fmt.Sprintf("budget %ds", budget), func(t *testing.T) { run(t, budget*time.Second, 0) })
	}
	for steps := 2; steps < 40; steps++ {
		t.Run(fmt.Sprintf("canceled at step %d", steps), func(t *testing.T) { run(t, 0, steps) })
	}
}
