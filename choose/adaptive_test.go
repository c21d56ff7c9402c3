package choose_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/choose"
	"concert/goroutines"
)

// server is something that tasks use, in virtual time. How long a task takes
// depends on how many there are.
type server struct {
	mu       sync.Mutex
	random   func() float64 // guarded by mu: a factor for the time of a task, 1 on average
	in       int            // guarded by mu
	capacity int            // guarded by mu
	queue    places         // for servers that have places; replaced when capacity changes
	kind     string
}

const service = 20 * time.Millisecond

var errBusy = errors.New("busy")

func newServer(kind string, capacity int, random func() float64) *server {
	s := &server{kind: kind, random: random}
	s.resize(capacity)
	return s
}

// resize changes the capacity. Who waits for a place at the old one gets it
// there.
func (s *server) resize(capacity int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity = capacity
	s.queue = make(places, capacity)
}

// task is one use of the server.
func (s *server) task(context.Context, int) (int, error) {
	s.mu.Lock()
	s.in++
	n, k, queue := float64(s.in), float64(s.capacity), s.queue
	d := time.Duration(float64(service) * s.random())
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.in--
		s.mu.Unlock()
	}()
	switch s.kind {
	case "waits":
		time.Sleep(d)
	case "places": // does k at a time, the others stand in line
		queue.use(d)
	case "thrashes": // the more there are above k, the slower are all
		time.Sleep(time.Duration(float64(d) * max(1, math.Pow(n/k, 2))))
	case "contention": // Amdahl's law, with a limit of k times
		time.Sleep(time.Duration(float64(d) * (1 + (n-1)/k)))
	case "refuses": // at once, what is above k
		if n > k {
			time.Sleep(time.Millisecond)
			return 0, errBusy
		}
		time.Sleep(d)
	default:
		panic(s.kind)
	}
	return 0, nil
}

// throughput has the server do so many tasks under a limit, and returns how
// many succeeded a second after the first part.
func throughput(t *testing.T, s *server, tasks, first int, ex concert.Executor, at func(n int)) float64 {
	var begin time.Time
	good, n := 0, 0
	for _, err := range concert.MapUnordered(t.Context(), ex, s.task, numbers(tasks)) {
		if n++; n == first {
			begin = time.Now()
		} else if n > first && err == nil {
			good++
		}
		if at != nil {
			at(n)
		}
	}
	return float64(good) / time.Since(begin).Seconds()
}

// numbers yields the numbers below n.
func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	}
}

// law is what a server does at a limit, tasks a second, if times are exact.
func (s *server) law(n int) float64 {
	one, k, x := 1/service.Seconds(), float64(s.capacity), float64(n)
	switch s.kind {
	case "waits":
		return x * one
	case "places":
		return min(x, k) * one
	case "thrashes":
		return x * one / max(1, math.Pow(x/k, 2))
	case "contention":
		return x * one / (1 + (x-1)/k)
	case "refuses":
		return min(x, k) * one
	}
	panic(s.kind)
}

func (s *server) bestLaw(most int) (best float64) {
	for n := 1; n <= most; n++ {
		best = max(best, s.law(n))
	}
	return best
}

const mostAtATime = 128

// TestAdaptive compares an adaptive limit to the best fixed one, after some
// tasks to find it, and with all that it tries from then on: with times that
// are exact, that vary by half, and that are exponential, as is the worst one
// sees of servers.
func TestAdaptive(t *testing.T) {
	for _, times := range []struct {
		name  string
		draw  func(*rand.Rand) float64
		tasks int
		least float64 // of the best
	}{
		{"exact", func(*rand.Rand) float64 { return 1 }, 20_000, 0.9},
		{"uniform", func(r *rand.Rand) float64 { return 0.5 + r.Float64() }, 20_000, 0.9},
		{"exponential", (*rand.Rand).ExpFloat64, 40_000, 0.8},
	} {
		for _, c := range []struct {
			kind     string
			capacity int
		}{
			{"waits", 1}, {"places", 1}, {"places", 3}, {"places", 6}, {"places", 20}, {"places", 100},
			{"thrashes", 4}, {"thrashes", 10}, {"thrashes", 40}, {"contention", 5}, {"contention", 20}, {"refuses", 12},
		} {
			t.Run(fmt.Sprintf("%s %s %d", times.name, c.kind, c.capacity), func(t *testing.T) {
				if (testing.Short() || raceEnabled) && times.name != "exact" {
					t.Skip("not with -short, nor under the race detector: all kinds together take most of a minute then")
				}
				synctest.Test(t, func(t *testing.T) {
					const start = 4000
					random := rand.New(rand.NewPCG(1, 2))
					s := newServer(c.kind, c.capacity, func() float64 { return times.draw(random) })
					limit := choose.Adaptive(&choose.AdaptiveOptions{Most: mostAtATime, Start: 2, CPU: idle})
					ex := goroutines.New(0, &goroutines.Options{Limit: limit})
					got := throughput(t, s, start+times.tasks, start, ex, nil)
					ex.Close()
					best := s.bestLaw(mostAtATime)
					t.Logf("%.0f a second, %.2f of the best; %d at the end", got, got/best, limit.Now())
					if got < times.least*best {
						t.Errorf("%.0f a second are %.2f of the best, %.0f", got, got/best, best)
						for _, d := range limit.Decisions() {
							t.Log(d)
						}
					}
				})
			})
		}
	}
}

func exactly() float64 { return 1 }

func idle() time.Duration { return 0 }

// TestAdaptiveRecovers changes what a server can do, and looks how many tasks
// it takes until the limit is right again.
func TestAdaptiveRecovers(t *testing.T) {
	const within = 3000 // tasks
	for _, kind := range []string{"places", "thrashes"} {
		for _, change := range []struct{ from, to int }{{16, 32}, {32, 16}, {6, 12}, {12, 6}, {40, 20}} {
			t.Run(fmt.Sprintf("%s %d to %d", kind, change.from, change.to), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer(kind, change.from, exactly)
					limit := choose.Adaptive(&choose.AdaptiveOptions{Most: mostAtATime, Start: 2, CPU: idle})
					ex := goroutines.New(0, &goroutines.Options{Limit: limit})
					defer ex.Close()
					const before, after = 6000, 6000
					got := throughput(t, s, before+within+after, before+within, ex, func(n int) {
						if n == before {
							s.resize(change.to)
						}
					})
					if best := s.bestLaw(mostAtATime); got < 0.9*best {
						t.Errorf("%d tasks after the change it does %.0f a second, %.2f of the best, %.0f", within, got, got/best, best)
						for _, d := range limit.Decisions() {
							t.Log(d)
						}
					}
				})
			})
		}
	}
}

// TestAdaptiveBounds gives it tasks of random lengths, errors and bursts, and
// looks that it stays within its bounds and does not grow when it must not.
func TestAdaptiveBounds(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			least := 1 + random.IntN(5)
			most := least + random.IntN(60)
			full := random.IntN(3) == 0
			var cpu atomic.Int64
			begin := time.Now()
			opts := &choose.AdaptiveOptions{Least: least, Most: most, Start: random.IntN(80), CPU: func() time.Duration {
				if full { // all processors, all the time
					return time.Since(begin) * 1000
				}
				return time.Duration(cpu.Load())
			}}
			grown := false
			opts.Decided = func(d choose.Decision) {
				if d.To < least || d.To > most {
					t.Errorf("seed %d: %v, of %d to %d", seed, d, least, most)
				}
				grown = grown || d.To > d.From
			}
			limit := choose.Adaptive(opts)
			start := limit.Now()
			ex := goroutines.New(0, &goroutines.Options{Limit: limit})
			defer ex.Close()
			var mu sync.Mutex
			in, highest := 0, 0
			work := func(context.Context, int) (int, error) {
				mu.Lock()
				in++
				highest = max(highest, in)
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
			if highest > most {
				t.Errorf("seed %d: %d ran at a time, of %d", seed, highest, most)
			}
			if now := limit.Now(); now < least || now > most {
				t.Errorf("seed %d: the limit is %d, of %d to %d", seed, now, least, most)
			}
			if full && (grown && limit.Now() > start) {
				t.Errorf("seed %d: it grew from %d to %d, with all processors full", seed, start, limit.Now())
			}
		})
	}
}

// TestAdaptiveIdle gives it tasks one by one: there is nothing to be learned,
// and it stays where it is.
func TestAdaptiveIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := choose.Adaptive(&choose.AdaptiveOptions{Start: 4, CPU: idle})
		ex := goroutines.New(0, &goroutines.Options{Limit: limit})
		defer ex.Close()
		s := newServer("waits", 1, exactly)
		for i := range 500 {
			if _, err := concert.Submit(t.Context(), ex, s.task, i).Result(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if limit.Now() != 4 {
			t.Errorf("the limit is %d after tasks that came one by one; it began at 4: %v", limit.Now(), limit.Decisions())
		}
	})
}
