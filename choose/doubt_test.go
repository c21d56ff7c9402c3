package choose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
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

// What has led to answers that were wrong and sure of themselves, or to worse.

func nap(d time.Duration) func(context.Context, int) (int, error) {
	return func(context.Context, int) (int, error) {
		time.Sleep(d)
		return 0, nil
	}
}

func twoModels() []choose.Model { return []choose.Model{choose.Sequential(), onGoroutines()} }

// sound fails the test if a report cannot be written down.
func sound(t *testing.T, r *choose.Report) {
	t.Helper()
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if err := r.HTML(&bytes.Buffer{}, "work"); err != nil {
		t.Error(err)
	}
	_ = r.String()
}

// TestSomeInputsFail: inputs that fail do so at each level; that is no reason
// to leave levels out.
func TestSomeInputsFail(t *testing.T) {
	bad := errors.New("bad input")
	counts := []int{2, 3, 5, 10, 20, 50}
	if race.Enabled {
		counts = []int{3, 20} // the race detector is slow, and these are about other things
	}
	for _, n := range counts {
		for _, d := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
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
				sound(t, report)
				if a := report.Verdict; a.Concurrency < 32 && a.Certainty != choose.Unclear {
					t.Errorf("with 1 of %d inputs that fail, tasks of %v: %s", n, d, report)
				}
			})
		}
	}
}

// TestRandomTimes: tasks whose times differ so much that few say nothing.
func TestRandomTimes(t *testing.T) {
	for _, mean := range []time.Duration{30 * time.Millisecond, 200 * time.Millisecond, time.Second} {
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
				sound(t, report)
				if a := report.Verdict; a.Concurrency < 54 && a.Certainty != choose.Unclear {
					wrong++
					t.Logf("mean %v, seed %d: %s", mean, seed, a.Sentence)
				}
			})
		}
		if wrong > repeats/10 {
			t.Errorf("with times of %v on average, %d of %d answers are wrong and sure", mean, wrong, repeats)
		}
	}
}

// TestColdInputs: inputs that take longer the first time.
func TestColdInputs(t *testing.T) {
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
		if a := report.Verdict; a.Concurrency < 54 && a.Certainty != choose.Unclear {
			t.Errorf("%s", report)
		}
	})
}

// TestBeginsToFail: the work is fine alone, and then fails for good.
func TestBeginsToFail(t *testing.T) {
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
		sound(t, report)
		if report.Verdict.Certainty != choose.Unclear {
			t.Errorf("%s", report)
		}
	})
}

// TestFewRuns: what was measured once is no more than a guess.
func TestFewRuns(t *testing.T) {
	for runs := 1; runs < 15; runs++ {
		synctest.Test(t, func(t *testing.T) {
			report, err := choose.Run(t.Context(), nap(30*time.Millisecond), []int{1}, twoModels(), &choose.Options{MaxRuns: runs})
			if report == nil {
				if err == nil {
					t.Error("neither a report nor an error")
				}
				return
			}
			sound(t, report)
			if report.Runs > runs || report.Verdict.Certainty != choose.Unclear {
				t.Errorf("with %d runs, %d were made: %s", runs, report.Runs, report.Verdict.Sentence)
			}
		})
	}
}

// TestNoLevels: models that have no level as low as that, and such as cannot be
// opened at some.
func TestNoLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := onGoroutines()
		m.Levels = []int{2, 4}
		if _, err := choose.Run(t.Context(), nap(time.Millisecond), []int{1}, []choose.Model{m}, &choose.Options{MaxConcurrency: 1}); err == nil {
			t.Error("no error where no level could be tried")
		}
		refusing := choose.Model{Name: "goroutines", Open: func(n int, o concert.Observer) (concert.Executor, error) {
			if n&(n-1) != 0 {
				return nil, errors.New("only powers of two")
			}
			return goroutines.New(n, &goroutines.Options{Observer: o}), nil
		}}
		server := make(places, 6)
		report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) { server.use(10 * time.Millisecond); return 0, nil },
			[]int{1}, []choose.Model{choose.Sequential(), refusing}, nil)
		if err != nil || report.Verdict.Concurrency != 8 {
			t.Errorf("%v: %s", err, report)
		}
	})
}

// TestInterrupted ends Run at any moment.
func TestInterrupted(t *testing.T) {
	for ms := 1; ms < 2000; ms = ms*5/4 + 1 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(ms)*time.Millisecond)
			defer cancel()
			report, err := choose.Run(ctx, nap(20*time.Millisecond), []int{1, 2}, twoModels(), &choose.Options{Budget: 2 * time.Second})
			if err == nil {
				t.Errorf("no error after %d ms", ms)
			}
			if report != nil {
				sound(t, report)
				if report.Verdict.Certainty != choose.Unclear {
					t.Errorf("after %d ms it is sure: %s", ms, report.Verdict.Sentence)
				}
			}
		})
	}
}
