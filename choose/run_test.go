package choose_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/choose"
	"concert/gil"
	"concert/goroutines"
)

// onGoroutines returns the model of a pool of goroutines.
func onGoroutines() choose.Model {
	return choose.Model{Name: "goroutines", Open: func(n int, o concert.Observer) (concert.Executor, error) {
		return goroutines.New(n, &goroutines.Options{Observer: o}), nil
	}}
}

// underLock returns the model of a pool of goroutines under a lock.
func underLock() choose.Model {
	return choose.Model{Name: "goroutines under a lock", Open: func(n int, o concert.Observer) (concert.Executor, error) {
		return goroutines.New(n, &goroutines.Options{Observer: o, Lock: gil.New(nil)}), nil
	}}
}

// slots is a semaphore. Its capacity is the maximum number of tasks that can
// use it concurrently.
type slots chan struct{}

func (p slots) use(d time.Duration) {
	p <- struct{}{}
	time.Sleep(d)
	<-p
}

// TestRun_SimulatedWork: the throughput of simulated work in virtual time is
// known. Run must recommend the best model and concurrency, and the measured
// throughput must be within 4% of the true throughput.
func TestRun_SimulatedWork(t *testing.T) {
	processors := runtime.GOMAXPROCS(0)
	for _, c := range []struct {
		name   string
		budget time.Duration
		work   func() func(context.Context, int) (int, error)
		rate   func(level int) float64 // the true throughput on goroutines, in tasks per second
		model  string
		min    int // the bounds of the recommended concurrency
		max    int
	}{
		{
			"wait", 0,
			func() func(context.Context, int) (int, error) {
				return func(context.Context, int) (int, error) { time.Sleep(20 * time.Millisecond); return 0, nil }
			},
			func(n int) float64 { return float64(n) / 0.02 }, "goroutines", 256, 256,
		},
		{
			"long waits", 0,
			func() func(context.Context, int) (int, error) {
				return func(context.Context, int) (int, error) { time.Sleep(time.Second); return 0, nil }
			},
			func(n int) float64 { return float64(n) }, "goroutines", 128, 256,
		},
		{
			"compute", 0,
			func() func(context.Context, int) (int, error) {
				cpu := make(slots, processors)
				return func(context.Context, int) (int, error) {
					for range 10 {
						cpu.use(time.Millisecond)
					}
					return 0, nil
				}
			},
			func(n int) float64 { return float64(min(n, processors)) / 0.01 }, "goroutines", processors, processors,
		},
		{
			"a server of six", 0,
			func() func(context.Context, int) (int, error) {
				server := make(slots, 6)
				return func(context.Context, int) (int, error) { server.use(30 * time.Millisecond); return 0, nil }
			},
			func(n int) float64 { return float64(min(n, 6)) / 0.03 }, "goroutines", 6, 6,
		},
		{
			"one lock", 0,
			func() func(context.Context, int) (int, error) {
				lock := make(slots, 1)
				return func(context.Context, int) (int, error) { lock.use(10 * time.Millisecond); return 0, nil }
			},
			func(int) float64 { return 100 }, "sequential execution", 1, 1,
		},
		{
			"half compute, half wait", 0,
			func() func(context.Context, int) (int, error) {
				cpu := make(slots, processors)
				return func(context.Context, int) (int, error) {
					cpu.use(5 * time.Millisecond)
					time.Sleep(5 * time.Millisecond)
					return 0, nil
				}
			},
			func(n int) float64 { return min(float64(n)/0.01, float64(processors)/0.005) }, "goroutines", 2 * processors, 2 * processors,
		},
		{
			"a server that thrashes beyond ten", 0,
			func() func(context.Context, int) (int, error) {
				var in atomic.Int64
				return func(context.Context, int) (int, error) {
					time.Sleep(20 * time.Millisecond * time.Duration(max(1, in.Add(1)-10)))
					in.Add(-1)
					return 0, nil
				}
			},
			nil, "goroutines", 8, 11,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				report, err := choose.Run(t.Context(), c.work(), []int{1, 2, 3}, []choose.Model{choose.Sequential(), onGoroutines(), underLock()}, nil)
				if err != nil {
					t.Fatal(err)
				}
				a := report.Verdict
				t.Log(a.Sentence)
				if a.Model != c.model || a.Concurrency < c.min || a.Concurrency > c.max {
					t.Errorf("verdict: %s with concurrency %d; want %s, %d to %d\n%s", a.Model, a.Concurrency, c.model, c.min, c.max, report)
				}
				if c.rate != nil {
					if want := c.rate(a.Concurrency) / c.rate(1); a.Gain.Median < 0.96*want || a.Gain.Median > 1.04*want {
						t.Errorf("gain %.2f, want %.2f", a.Gain.Median, want)
					}
				}
				if text := strings.Join(a.Reasons, "\n"); c.name == "wait" && strings.Contains(text, "tasks per second, and ran") {
					t.Errorf("the processors do not limit I/O-bound work, but a reason mentions them:\n%s", text)
				}
				if c.name == "one lock" && !strings.Contains(a.Sentence, "But use sequential execution") {
					t.Errorf("the sentence does not say that the recommendation differs from the kind: %s", a.Sentence)
				}
				if report.Took > 20*time.Second {
					t.Errorf("Run took %v, want at most 20s", report.Took)
				}
				for _, p := range report.Points {
					if p.Model == "goroutines" && c.rate != nil {
						if want := c.rate(p.Concurrency); p.Rate.Median < 0.96*want || p.Rate.Median > 1.04*want {
							t.Errorf("concurrency %d: %.1f tasks per second, want %.1f", p.Concurrency, p.Rate.Median, want)
						}
					}
				}
			})
		})
	}
}

// TestRun_Overload: if a server runs at most eight tasks concurrently, and all
// tasks beyond eight fail, Run must recommend concurrency 8.
func TestRun_Overload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in atomic.Int64
		refuses := errors.New("too many tasks")
		work := func(context.Context, int) (int, error) {
			defer in.Add(-1)
			if in.Add(1) > 8 {
				return 0, refuses
			}
			time.Sleep(20 * time.Millisecond)
			return 0, nil
		}
		report, err := choose.Run(t.Context(), work, []int{1}, []choose.Model{choose.Sequential(), onGoroutines()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := report.Verdict; a.Concurrency != 8 {
			t.Errorf("verdict: concurrency %d, want 8\n%s", a.Concurrency, report)
		}
	})
}

// TestRun_OptionLimits: Run must accept the largest integers as options. If
// an option is negative, Run must panic with a text that contains the name
// of the option.
func TestRun_OptionLimits(t *testing.T) {
	work := func(context.Context, int) (int, error) { time.Sleep(20 * time.Millisecond); return 0, nil }
	models := []choose.Model{{Name: "plain loop"}, onGoroutines()}
	for _, c := range []struct {
		name string
		opts choose.Options
		want string
	}{
		{"largest concurrency", choose.Options{MaxConcurrency: math.MaxInt, MaxRuns: 100}, ""},
		{"longest budget", choose.Options{Budget: math.MaxInt64, MaxConcurrency: 4, MaxRuns: 100}, ""},
		{"largest number of runs", choose.Options{MaxRuns: math.MaxInt, MaxConcurrency: 4}, ""},
		{"negative concurrency", choose.Options{MaxConcurrency: -1}, "Options.MaxConcurrency is -1;"},
		{"negative budget", choose.Options{Budget: math.MinInt64}, "Options.Budget is -"},
		{"negative runs", choose.Options{MaxRuns: math.MinInt}, "Options.MaxRuns is -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer func() {
					if got := fmt.Sprint(recover()); c.want == "" && got != "<nil>" || !strings.Contains(got, c.want) {
						t.Errorf("panic text %q, want %q in it", got, c.want)
					}
				}()
				if r, err := choose.Run(t.Context(), work, []int{1, 2, 3}, models, &c.opts); err != nil || r == nil {
					t.Errorf("Run() = %v, %v", r, err)
				}
			})
		})
	}
}

// TestRun_UnusableLevels: if every level of every model is above
// Options.MaxConcurrency, Run must return an error. If a model cannot be opened
// at some levels, Run must recommend another level.
func TestRun_UnusableLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := onGoroutines()
		m.Levels = []int{2, 4}
		if _, err := choose.Run(t.Context(), nap(time.Millisecond), []int{1}, []choose.Model{m}, &choose.Options{MaxConcurrency: 1}); err == nil {
			t.Error("Run() = nil error for models without levels")
		}
		refusing := choose.Model{Name: "goroutines", Open: func(n int, o concert.Observer) (concert.Executor, error) {
			if n&(n-1) != 0 {
				return nil, errors.New("only powers of two")
			}
			return goroutines.New(n, &goroutines.Options{Observer: o}), nil
		}}
		server := make(slots, 6)
		report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) { server.use(10 * time.Millisecond); return 0, nil },
			[]int{1}, []choose.Model{choose.Sequential(), refusing}, nil)
		if err != nil || report.Verdict.Concurrency != 8 {
			t.Errorf("%v: %s", err, report)
		}
	})
}

// TestRun_Canceled: if Run is canceled at any moment, it must return an error.
// If it also returns a report, the verdict must be Unclear.
func TestRun_Canceled(t *testing.T) {
	for ms := 1; ms < 2000; ms = ms*5/4 + 1 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(ms)*time.Millisecond)
			defer cancel()
			report, err := choose.Run(ctx, nap(20*time.Millisecond), []int{1, 2}, twoModels(), &choose.Options{Budget: 2 * time.Second})
			if err == nil && ctx.Err() == nil {
				return // the verdict was clear earlier
			}
			if err == nil {
				t.Errorf("Run() = nil error after %d ms", ms)
			}
			if report != nil {
				checkFormats(t, report)
				if report.Verdict.Certainty != choose.Unclear {
					t.Errorf("verdict after %d ms is certain: %s", ms, report.Verdict.Sentence)
				}
			}
		})
	}
}
