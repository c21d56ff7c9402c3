// Package metricstest has the common part of the tests of the metrics for
// Prometheus and for OpenTelemetry. Each test collects the metrics in its own
// way, and compares the numbers with the tasks that have run.
package metricstest

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"concert"
	"concert/executor"
	"concert/goroutines"
	"concert/processes"
)

// Main is for the TestMain of a package whose tests have worker processes.
func Main(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // without this option, workers sleep for a second when they exit
	processes.Main()
	os.Exit(m.Run())
}

// Run ends in the way that its argument names.
var Run = concert.Register("metricstest.Run", func(ctx context.Context, how string) (int, error) {
	switch how {
	case "error":
		return 0, errors.New("a plain error")
	case "panic":
		panic("out of cheese")
	case "crash":
		os.Exit(3)
	case "hold":
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	return len(how), nil
})

// Numbers are the metrics of an executor. The key is the name of the metric,
// followed by the values of its labels except for the name of the executor. The
// number of a histogram is its number of durations.
type Numbers map[string]float64

// Check fails the test unless n has the numbers in want. It ignores other
// numbers.
func (n Numbers) Check(t *testing.T, want Numbers) {
	t.Helper()
	for key, v := range want {
		if got, ok := n[key]; !ok || got != v {
			t.Errorf("%s is %v, want %v", key, got, v)
		}
	}
}

// ByExecutor has the numbers of a collection, by the name of the executor.
type ByExecutor map[string]Numbers

// Add adds a number of an executor.
func (b ByExecutor) Add(executor, key string, v float64) {
	if b[executor] == nil {
		b[executor] = Numbers{}
	}
	b[executor][key] = v
}

// Each runs a test with an executor of each of two kinds, "goroutines" and
// "processes".
func Each(t *testing.T, test func(t *testing.T, kind string, ex concert.Executor)) {
	pool, err := processes.New(2, nil)
	if err != nil {
		t.Fatal(err)
	}
	for kind, ex := range map[string]concert.Executor{"goroutines": goroutines.New(2, nil), "processes": pool} {
		t.Run(kind, func(t *testing.T) {
			defer ex.Close()
			test(t, kind, ex)
		})
	}
}

// Hold submits a task that runs until it is canceled, and returns when the task
// has started. No other task may start at this time.
func Hold(ctx context.Context, ex concert.Executor) *concert.Future[int] {
	started := make(chan struct{}, 1)
	stop := ex.Watch(func(e concert.Event) {
		if e.Kind == concert.TaskStarted {
			started <- struct{}{}
		}
	})
	defer stop()
	held := concert.Submit(ctx, ex, Run, "hold")
	<-started
	return held
}

// RunTen runs ten tasks, half of them in a Map: 4 succeed, 2 return an error,
// and 4 panic.
func RunTen(ctx context.Context, ex concert.Executor) {
	hows := []string{"a", "b", "error", "panic", "panic"}
	for _, how := range hows {
		concert.Submit(ctx, ex, Run, how).Result(ctx)
	}
	for range concert.Map(ctx, ex, Run, slices.Values(hows)) {
	}
}

// Close closes an executor while many tasks run, and while the collectors call
// collect. It fails the test if a number that isCounter selects decreases. It
// returns the number of tasks that succeeded.
func Close(t *testing.T, ex concert.Executor, collectors int, collect func() Numbers, isCounter func(key string) bool) (succeeded int) {
	t.Helper()
	var over atomic.Bool
	var all sync.WaitGroup
	for range collectors {
		all.Go(func() {
			for before := collect(); !over.Load(); {
				got := collect()
				for key, v := range got {
					if v < before[key] && isCounter(key) {
						t.Errorf("%s decreased from %v to %v", key, before[key], v)
					}
				}
				before = got
			}
		})
	}
	var futures []*concert.Future[int]
	for i := range 5000 {
		futures = append(futures, concert.Submit(t.Context(), ex, Run, []string{"a", "error"}[i%2]))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	ex.Shutdown(ended)
	over.Store(true)
	all.Wait()
	for _, f := range futures {
		if _, err := f.Result(t.Context()); err == nil {
			succeeded++
		}
	}
	return succeeded
}

// odd is an executor whose Stats is a function of the test.
type odd struct {
	executor.Executor
	stats func() executor.Stats
}

func (o odd) Stats() executor.Stats { return o.stats() }

// WithStats returns an executor whose method Stats is the function.
func WithStats(ex executor.Executor, stats func() executor.Stats) executor.Executor {
	return odd{ex, stats}
}

// Panics returns an executor whose method Stats panics.
func Panics(ex executor.Executor) executor.Executor {
	return odd{ex, func() executor.Stats { panic("no") }}
}

// Hangs returns an executor whose method Stats does not return before the test
// ends.
func Hangs(t *testing.T, ex executor.Executor) executor.Executor {
	return odd{ex, func() executor.Stats { <-t.Context().Done(); panic("late") }}
}
