package adaptive_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/adaptive"
	"concert/goroutines"
	"concert/internal/race"
)

// throughputOf runs tasks on a server. It returns the number of successful
// tasks per second. The given number of first tasks does not count. If after
// is not nil, throughputOf calls it after each result, with the number of
// results so far.
func throughputOf(t *testing.T, s *server, tasks, first int, ex concert.Executor, after func(n int)) float64 {
	var begin time.Time
	good, n := 0, 0
	for _, err := range concert.MapUnordered(t.Context(), ex, s.task, numbers(tasks)) {
		if n++; n == first {
			begin = time.Now()
		} else if n > first && err == nil {
			good++
		}
		if after != nil {
			after(n)
		}
	}
	return float64(good) / time.Since(begin).Seconds()
}

const highestLimit = 128

// TestLimit: with an adaptive limit, throughput must be at least 90% of the
// throughput with the best fixed limit, or 80% if the durations of tasks are
// exponential. The first 4,000 tasks, during which the Limit searches, do not
// count. Later tries of other limits count. The durations of tasks are exact,
// vary by half, or are exponential, which is the worst case in practice.
func TestLimit(t *testing.T) {
	for _, times := range []struct {
		name  string
		draw  func(*rand.Rand) float64
		tasks int
		min   float64 // throughput, as a share of the best
	}{
		{"exact", func(*rand.Rand) float64 { return 1 }, 20_000, 0.9},
		{"uniform", func(r *rand.Rand) float64 { return 0.5 + r.Float64() }, 20_000, 0.9},
		{"exponential", (*rand.Rand).ExpFloat64, 40_000, 0.8},
	} {
		for _, c := range []struct {
			kind     string
			capacity int
		}{
			{"waits", 1}, {"slots", 1}, {"slots", 3}, {"slots", 6}, {"slots", 20}, {"slots", 100},
			{"thrashes", 4}, {"thrashes", 10}, {"thrashes", 40}, {"contention", 5}, {"contention", 20}, {"refuses", 12},
		} {
			t.Run(fmt.Sprintf("%s %s %d", times.name, c.kind, c.capacity), func(t *testing.T) {
				if (testing.Short() || race.Enabled) && times.name != "exact" {
					t.Skip("skipped with -short and under the race detector, because all durations together take most of a minute there")
				}
				synctest.Test(t, func(t *testing.T) {
					const start = 4000
					random := rand.New(rand.NewPCG(1, 2))
					s := newServer(c.kind, c.capacity, func() float64 { return times.draw(random) })
					limit := adaptive.New(&adaptive.Options{Max: highestLimit, Start: 2, CPU: idle})
					ex := goroutines.New(0, &goroutines.Options{Limit: limit})
					got := throughputOf(t, s, start+times.tasks, start, ex, nil)
					ex.Close()
					best := s.bestRate(highestLimit)
					t.Logf("%.0f tasks per second, %.2f of the best; limit %d at the end", got, got/best, limit.Current())
					if got < times.min*best {
						t.Errorf("%.0f tasks per second are %.2f of the best, %.0f", got, got/best, best)
						for _, d := range limit.Decisions() {
							t.Log(d)
						}
					}
				})
			})
		}
	}
}

// TestLimit_CapacityChanges: 3,000 tasks after the capacity of a server has
// changed, throughput must again be at least 90% of the best.
func TestLimit_CapacityChanges(t *testing.T) {
	const within = 3000 // tasks
	for _, kind := range []string{"slots", "thrashes"} {
		for _, change := range []struct{ from, to int }{{16, 32}, {32, 16}, {6, 12}, {12, 6}, {40, 20}} {
			t.Run(fmt.Sprintf("%s %d to %d", kind, change.from, change.to), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer(kind, change.from, exactly)
					limit := adaptive.New(&adaptive.Options{Max: highestLimit, Start: 2, CPU: idle})
					ex := goroutines.New(0, &goroutines.Options{Limit: limit})
					defer ex.Close()
					const before, after = 6000, 6000
					got := throughputOf(t, s, before+within+after, before+within, ex, func(n int) {
						if n == before {
							s.resize(change.to)
						}
					})
					if best := s.bestRate(highestLimit); got < 0.9*best {
						t.Errorf("%d tasks after the change, %.0f tasks per second are %.2f of the best, %.0f", within, got, got/best, best)
						for _, d := range limit.Decisions() {
							t.Log(d)
						}
					}
				})
			})
		}
	}
}

// TestLimit_Bounds: tasks with random durations and errors run in bursts of
// random lengths. The limit must stay between Options.Min and Options.Max,
// and must not rise while all processors are busy.
func TestLimit_Bounds(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			lowest := 1 + random.IntN(5)
			highest := lowest + random.IntN(60)
			full := random.IntN(3) == 0
			var cpu atomic.Int64
			begin := time.Now()
			opts := &adaptive.Options{Min: lowest, Max: highest, Start: random.IntN(80), CPU: func() time.Duration {
				if full { // all processors are always busy
					return time.Since(begin) * 1000
				}
				return time.Duration(cpu.Load())
			}}
			grown := false
			opts.OnDecision = func(d adaptive.Decision) {
				if d.To < lowest || d.To > highest {
					t.Errorf("seed %d: decision %v, want a limit from %d to %d", seed, d, lowest, highest)
				}
				grown = grown || d.To > d.From
			}
			limit := adaptive.New(opts)
			start := limit.Current()
			ex := goroutines.New(0, &goroutines.Options{Limit: limit})
			defer ex.Close()
			var mu sync.Mutex
			in, mostAtOnce := 0, 0
			work := func(context.Context, int) (int, error) {
				mu.Lock()
				in++
				mostAtOnce = max(mostAtOnce, in)
				d, fails := time.Duration(random.ExpFloat64()*1e7), random.IntN(4) == 0
				mu.Unlock()
				time.Sleep(d)
				mu.Lock()
				defer mu.Unlock()
				in--
				if fails {
					return 0, errBusy
				}
				return 0, nil
			}
			for range 20 {
				burst := random.IntN(400)
				for range concert.MapUnordered(t.Context(), ex, work, numbers(burst)) {
				}
				time.Sleep(time.Duration(random.IntN(1e9)))
			}
			if mostAtOnce > highest {
				t.Errorf("seed %d: %d tasks ran concurrently; the highest limit is %d", seed, mostAtOnce, highest)
			}
			if now := limit.Current(); now < lowest || now > highest {
				t.Errorf("seed %d: Current() = %d, want %d to %d", seed, now, lowest, highest)
			}
			if full && (grown && limit.Current() > start) {
				t.Errorf("seed %d: the limit rose from %d to %d while all processors were busy", seed, start, limit.Current())
			}
		})
	}
}

// TestLimit_OneTaskAtATime: if each task is submitted after the result of the
// previous task, the limit must stay at Options.Start.
func TestLimit_OneTaskAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := adaptive.New(&adaptive.Options{Start: 4, CPU: idle})
		ex := goroutines.New(0, &goroutines.Options{Limit: limit})
		defer ex.Close()
		s := newServer("waits", 1, exactly)
		for i := range 500 {
			if _, err := concert.Submit(t.Context(), ex, s.task, i).Result(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if limit.Current() != 4 {
			t.Errorf("Current() = %d after tasks that came one by one, want 4: %v", limit.Current(), limit.Decisions())
		}
	})
}

// TestLimit_Overload: a server fails a task if more tasks run than its
// capacity. After the capacity has fallen to 4, at least 80% of the last 10,000
// tasks must succeed.
func TestLimit_Overload(t *testing.T) {
	for _, start := range []int{2, 64} {
		t.Run(fmt.Sprint("start ", start), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var in, count, capacity atomic.Int64
				capacity.Store(12)
				limit := adaptive.New(&adaptive.Options{Start: start, CPU: idle})
				ex := goroutines.New(0, &goroutines.Options{Limit: limit})
				defer ex.Close()
				work := func(context.Context, int) (int, error) {
					n := in.Add(1)
					defer in.Add(-1)
					time.Sleep(20*time.Millisecond + time.Duration(count.Add(1)*7919%1000)*time.Microsecond)
					if n > capacity.Load() {
						return 0, errBusy
					}
					return 0, nil
				}
				n, good := 0, 0
				for _, err := range concert.MapUnordered(t.Context(), ex, work, numbers(40_000)) {
					switch n++; {
					case n == 20_000:
						capacity.Store(4)
					case n > 30_000 && err == nil:
						good++
					}
				}
				if good < 8000 {
					t.Errorf("start %d: %d of the last 10,000 tasks succeeded, at limit %d", start, good, limit.Current())
				}
			})
		})
	}
}

// TestLimit_AllTasksFail: while all tasks fail, the limit must not rise. It may
// only try one more task than Options.Start.
func TestLimit_AllTasksFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := adaptive.New(&adaptive.Options{Start: 2, CPU: idle, OnDecision: func(d adaptive.Decision) {
			if d.To > 3 {
				t.Errorf("the limit rises while all tasks fail: %v", d)
			}
		}})
		ex := goroutines.New(0, &goroutines.Options{Limit: limit})
		defer ex.Close()
		for range concert.MapUnordered(t.Context(), ex, func(context.Context, int) (int, error) {
			time.Sleep(20 * time.Millisecond)
			return 0, errBusy
		}, numbers(5000)) {
		}
	})
}

// TestLimit_FewTasks: few workers or few clients bound the number of running
// tasks. After the capacity of the server has fallen to 3, throughput must be
// at least 80% of the best, even if the limit was far above the number of
// running tasks.
func TestLimit_FewTasks(t *testing.T) {
	for _, c := range []struct{ start, workers, clients int }{{2, 8, 0}, {2, 0, 5}, {2, 0, 20}, {128, 0, 5}, {128, 0, 20}} {
		t.Run(fmt.Sprintf("start %d, %d workers, %d clients", c.start, c.workers, c.clients), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer("thrashes", 30, exactly)
				limit := adaptive.New(&adaptive.Options{Start: c.start, Max: 128, CPU: idle})
				ex := goroutines.New(c.workers, &goroutines.Options{Limit: limit})
				defer ex.Close()
				const change, settled, tasks = 6000, 9000, 14_000
				clients := c.clients
				if clients == 0 {
					clients = 1000
				}
				// Each client submits its next task after the result of its
				// previous task.
				free := make(chan struct{}, clients)
				var begin time.Time
				n := 0
				for range concert.MapUnordered(t.Context(), ex, s.task, func(yield func(int) bool) {
					for i := range tasks {
						free <- struct{}{}
						if !yield(i) {
							return
						}
					}
				}) {
					<-free
					switch n++; n {
					case change:
						s.resize(3)
					case settled:
						begin = time.Now()
					}
				}
				got, best := (tasks-settled)/time.Since(begin).Seconds(), s.bestRate(128)
				if got < 0.8*best {
					t.Errorf("start %d, %d workers, %d clients: %.0f tasks per second are %.2f of the best", c.start, c.workers, c.clients, got, got/best)
					for _, d := range limit.Decisions() {
						t.Log(d)
					}
				}
			})
		})
	}
}

// TestLimit_Bursts: if there are pauses between bursts of tasks, the pauses
// must not lower the limit.
func TestLimit_Bursts(t *testing.T) {
	for _, pause := range []time.Duration{50 * time.Millisecond, 5 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer("slots", 12, exactly)
				limit := adaptive.New(&adaptive.Options{Start: 2, CPU: idle})
				ex := goroutines.New(0, &goroutines.Options{Limit: limit})
				defer ex.Close()
				for range 300 {
					for range concert.MapUnordered(t.Context(), ex, s.task, numbers(100)) {
					}
					time.Sleep(pause)
				}
				if limit.Current() < 9 {
					t.Errorf("Current() = %[2]d with pauses of %[1]v, on a server with capacity 12", pause, limit.Current())
					for _, d := range limit.Decisions() {
						t.Log(d)
					}
				}
			})
		})
	}
}

// TestNew_LargeNumbers: New must accept the largest integers as options, and
// all tasks must run.
func TestNew_LargeNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := func(context.Context, int) (int, error) { time.Sleep(time.Millisecond); return 0, nil }
		for _, opts := range []adaptive.Options{
			{Max: math.MaxInt}, {Max: math.MaxInt, Start: math.MaxInt}, {Max: math.MaxInt, Min: math.MaxInt},
		} {
			opts.CPU = idle
			limit := adaptive.New(&opts)
			ex := goroutines.New(0, &goroutines.Options{Limit: limit})
			n := 0
			for _, err := range concert.MapUnordered(t.Context(), ex, work, numbers(2000)) {
				if n++; err != nil {
					t.Error(err)
				}
			}
			if n != 2000 || limit.Current() < 1 || ex.Width() < 1 {
				t.Errorf("%d results, limit %d, width %d", n, limit.Current(), ex.Width())
			}
			ex.Close()
		}
	})
}

// TestLimit_Lull: while only few tasks run, the limit must stay above half of
// its earlier value, because there may be more tasks soon.
func TestLimit_Lull(t *testing.T) {
	for _, clients := range []int{3, 10} {
		t.Run(fmt.Sprint(clients, " clients"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer("waits", 1, exactly)
				limit := adaptive.New(&adaptive.Options{Max: highestLimit, CPU: idle})
				ex := goroutines.New(0, &goroutines.Options{Limit: limit})
				defer ex.Close()
				for range concert.MapUnordered(t.Context(), ex, s.task, numbers(6000)) {
				}
				before := limit.Current()
				free := make(chan struct{}, clients)
				for range concert.MapUnordered(t.Context(), ex, s.task, func(yield func(int) bool) {
					for i := range 6000 {
						free <- struct{}{}
						if !yield(i) {
							return
						}
					}
				}) {
					<-free
				}
				if after := limit.Current(); after < before/2 {
					t.Errorf("%d clients: the limit is %d, and was %d before", clients, after, before)
				}
			})
		})
	}
}
