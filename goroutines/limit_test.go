package goroutines_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

func endless(yield func(int) bool) {
	for i := 0; yield(i); i++ {
	}
}

// raise sets v to n if v is smaller.
func raise(v *atomic.Int64, n int64) {
	for old := v.Load(); n > old && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}

// TestMap_PoolGrows: when a pool gets many more workers during a Map, all
// workers get inputs.
func TestMap_PoolGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, nil)
		defer ex.Close()
		var in, most atomic.Int64
		nap := func(context.Context, int) (int, error) {
			raise(&most, in.Add(1))
			time.Sleep(time.Second)
			in.Add(-1)
			return 0, nil
		}
		n := 0
		for range concert.MapUnordered(t.Context(), ex, nap, iter.Seq[int](endless)) {
			switch n++; n {
			case 10:
				ex.Resize(100)
			case 1000:
				if most.Load() != 100 {
					t.Errorf("%d tasks at a time, on 100 workers", most.Load())
				}
				return
			}
		}
	})
}

// ladder is a Limit that grows with each finished task, up to a maximum.
type ladder struct {
	top   int64
	steps atomic.Int64
}

func (l *ladder) Limit(e concert.Event) int {
	if e.Kind == concert.TaskFinished {
		return int(min(l.top, 1+l.steps.Add(1)))
	}
	return int(min(l.top, 1+l.steps.Load()))
}

func TestLimit_Rises(t *testing.T) {
	for _, c := range []struct{ n, top, want int64 }{{0, 7, 7}, {5, 7, 5}, {20, 7, 7}, {0, -3, 1}} {
		t.Run(fmt.Sprint(c.n, " workers, top ", c.top), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := 0
				ex := goroutines.New(int(c.n), &goroutines.Options{Limit: &ladder{top: c.top}, Observer: func(e concert.Event) {
					if e.Kind == concert.TaskSubmitted {
						seen++ // in this goroutine
					}
				}})
				defer ex.Close()
				if ex.Width() != 1 {
					t.Errorf("the pool begins with %d workers, want 1, as the limit returns", ex.Width())
				}
				var in, most atomic.Int64
				var all []*concert.Future[int]
				for range 50 {
					all = append(all, concert.Submit(t.Context(), ex, func(context.Context, int) (int, error) {
						raise(&most, in.Add(1))
						time.Sleep(time.Second)
						in.Add(-1)
						return 0, nil
					}, 0))
				}
				if _, err := concert.Gather(t.Context(), all...); err != nil {
					t.Error(err)
				}
				if most.Load() != c.want || ex.Width() != int(c.want) {
					t.Errorf("New(%d) with a limit that climbs to %d ran %d tasks concurrently, and has the width %d; want %d", c.n, c.top, most.Load(), ex.Width(), c.want)
				}
				if seen != 50 {
					t.Errorf("the observer saw %d tasks, not 50", seen)
				}
			})
		})
	}
}

// TestMap_PoolShrinksAndGrows: if a pool shrinks and grows again during a Map,
// the Map uses all workers again, even after batches of quick items.
func TestMap_PoolShrinksAndGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(100, nil)
		defer ex.Close()
		var in, most atomic.Int64
		work := func(_ context.Context, i int) (int, error) {
			if i <= 500 || i >= 5000 {
				raise(&most, in.Add(1))
				time.Sleep(time.Second)
				in.Add(-1)
			}
			return 0, nil
		}
		n := 0
		for range concert.MapUnordered(t.Context(), ex, work, iter.Seq[int](endless)) {
			switch n++; n {
			case 400:
				ex.Resize(1)
			case 6000:
				ex.Resize(100)
				most.Store(0)
			case 12_000:
				if most.Load() != 100 {
					t.Errorf("%d tasks at a time, on 100 workers", most.Load())
				}
				return
			}
		}
	})
}

// wheel is a Limit that returns a different number at each event.
type wheel struct{ last atomic.Int64 }

func (w *wheel) Limit(e concert.Event) int {
	if e.Kind == concert.TaskFinished {
		return int(w.last.Add(1)%50) + 1
	}
	return int(w.last.Load()%50) + 1
}

// TestLimit_LastValueCounts: after the last event, the pool has the last number
// that its limit returned.
func TestLimit_LastValueCounts(t *testing.T) {
	for range 100 {
		w := &wheel{}
		ex := goroutines.New(0, &goroutines.Options{Limit: w})
		for range concert.Map(t.Context(), ex, func(context.Context, int) (int, error) { return 0, nil }, func(yield func(int) bool) {
			for i := 0; i < 300 && yield(i); i++ {
			}
		}) {
		}
		ex.Close() // waits for the last event
		if got, want := ex.Width(), int(w.last.Load()%50)+1; got != want {
			t.Fatalf("the pool has %d workers, and its limit returned %d", got, want)
		}
	}
}

// limitFunc is a Limit.
type limitFunc func(concert.Event) int

func (l limitFunc) Limit(e concert.Event) int { return l(e) }

// TestLimit_Misbehaves: a Limit that fails at an event of one task delays other
// tasks by at most a second, and Shutdown returns.
func TestLimit_Misbehaves(t *testing.T) {
	for _, kind := range []concert.EventKind{concert.TaskSubmitted, concert.TaskStarted, concert.TaskFinished} {
		for _, how := range []string{"panics", "exits", "hangs"} {
			t.Run(kind.String()+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					before := slog.Default()
					slog.SetDefault(slog.New(slog.DiscardHandler))
					defer slog.SetDefault(before)
					release := make(chan struct{})
					failed := false
					ex := goroutines.New(2, &goroutines.Options{Grace: -1, Limit: limitFunc(func(e concert.Event) int {
						if e.Kind != kind || failed {
							return 2
						}
						failed = true
						switch how {
						case "panics":
							panic("out of cheese")
						case "exits":
							runtime.Goexit()
						}
						<-release
						return 2
					})})
					square := func(_ context.Context, n int) (int, error) { return n * n, nil }
					go concert.Submit(t.Context(), ex, square, 1)
					synctest.Wait()
					begin := time.Now()
					for n := range 10 {
						if got, err := concert.Submit(t.Context(), ex, square, n).Result(t.Context()); got != n*n || err != nil {
							t.Errorf("another task = %d, %v; want %d", got, err, n*n)
						}
					}
					if took := time.Since(begin); took > time.Second {
						t.Errorf("other tasks took %v", took)
					}
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					ex.Shutdown(ctx)
					close(release)
					ex.Close()
				})
			})
		}
	}
}
