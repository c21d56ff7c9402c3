package gil_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"concert/gil"
)

// TestLock_OneHolder: two goroutines must never hold the lock at the same time,
// even if they use checkpoints and Release at random. Only the lock guards the
// counter, so the race detector checks this too.
func TestLock_OneHolder(t *testing.T) {
	l := gil.New(&gil.Options{Interval: 10 * time.Microsecond, Times: true})
	inside, count := 0, 0
	step := func() {
		inside++
		if inside != 1 {
			t.Errorf("%d are inside", inside)
		}
		count++
		inside--
	}
	const each = 2000
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 0))
			for n := 0; n < each; {
				err := l.Run(t.Context(), func(ctx context.Context) error {
					for range 1 + r.IntN(20) {
						if n++; n > each {
							break
						}
						step()
						switch r.IntN(4) {
						case 0:
							gil.Checkpoint(ctx)
						case 1:
							gil.Release(ctx, runtime.Gosched)
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if count != 8*each {
		t.Errorf("%d steps, want %d", count, 8*each)
	}
	if s := l.Stats(); s.Switches == 0 || s.Waiting != 0 || s.Held <= 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

// compute holds the lock for some time, with a checkpoint after each
// millisecond.
func compute(h gil.Held, d time.Duration) {
	for range d / time.Millisecond {
		time.Sleep(time.Millisecond) // virtual time, in which the goroutine holds the lock as if it computed
		h.Checkpoint()
	}
}

// clock is the time from which clock.since counts.
type clock time.Time

func (c clock) since() time.Duration { return time.Since(time.Time(c)) }

// TestLock_Interval: a waiter must acquire the lock at the first checkpoint
// after five milliseconds. The previous holder must acquire the lock again
// in the same way.
func TestLock_Interval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := gil.New(nil)
		begin := clock(time.Now())
		var got, back, done time.Duration
		go l.Do(func(h gil.Held) {
			compute(h, 20*time.Millisecond)
			done = begin.since()
		})
		time.Sleep(500 * time.Microsecond)
		l.Do(func(h gil.Held) {
			got = begin.since()
			compute(h, 7*time.Millisecond)
			back = begin.since()
		})
		time.Sleep(time.Second)
		synctest.Wait()
		// This goroutine is due at 5.5 ms, and acquires the lock at the
		// checkpoint at 6 ms. The other goroutine is due at 11 ms, and acquires
		// the lock then. This goroutine acquires it again at 16 ms, and
		// computes its last 2 ms. Then the other goroutine computes its last 9
		// ms.
		if got != 6*time.Millisecond || back != 18*time.Millisecond || done != 27*time.Millisecond {
			t.Errorf("this goroutine acquired the lock at %v and ended at %v, and the other goroutine ended at %v; want 6, 18 and 27 ms", got, back, done)
		}
		if s := l.Stats(); s.Forced != 3 || s.Switches != 5 {
			t.Errorf("Stats() = %+v; want 3 forced switches and 5 in all", s)
		}
	})
}

// TestRelease_ReturnsFirst: a goroutine that returns from the function of
// Release must acquire the lock again at the first checkpoint after 50
// microseconds, and not after five milliseconds.
func TestRelease_ReturnsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := gil.New(nil)
		go l.Do(func(h gil.Held) {
			for range 1000 {
				time.Sleep(20 * time.Microsecond)
				h.Checkpoint()
			}
		})
		var worst time.Duration
		l.Do(func(h gil.Held) {
			for range 20 {
				var ready time.Time
				h.Release(func() {
					time.Sleep(100 * time.Microsecond)
					ready = time.Now()
				})
				worst = max(worst, time.Since(ready))
			}
		})
		time.Sleep(time.Second) // by then the other goroutine has finished
		synctest.Wait()
		if worst > 80*time.Microsecond {
			t.Errorf("it took up to %v to get the lock back, want 50us and a step", worst)
		}
	})
}

// TestLock_NoStarvation: goroutines that return from Release all the time must
// not prevent another goroutine from acquiring the lock.
func TestLock_NoStarvation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := gil.New(nil)
		stop := false
		for range 4 {
			go l.Do(func(h gil.Held) {
				for !stop {
					time.Sleep(100 * time.Microsecond) // longer than 50 us, so a goroutine that returns from Release is always due
					h.Release(func() { time.Sleep(10 * time.Microsecond) })
				}
			})
		}
		time.Sleep(time.Millisecond)
		begin := clock(time.Now())
		l.Do(func(gil.Held) {
			if took := begin.since(); took > 6*time.Millisecond {
				t.Errorf("it took %v to get the lock, want 5 ms and a turn", took)
			}
			stop = true
		})
		time.Sleep(time.Second)
	})
}

// TestLock_Order: waiters must acquire the lock in the order in which they
// arrived.
func TestLock_Order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := gil.New(nil)
		var order []int
		l.Do(func(gil.Held) {
			for i := range 10 {
				go l.Do(func(gil.Held) { order = append(order, i) })
				synctest.Wait()
			}
			if n := l.Stats().Waiting; n != 10 {
				t.Errorf("%d wait, want 10", n)
			}
		})
		synctest.Wait()
		if fmt.Sprint(order) != "[0 1 2 3 4 5 6 7 8 9]" {
			t.Errorf("waiters acquired the lock in the order %v", order)
		}
	})
}

// isFree fails the test if the lock is held.
func isFree(t *testing.T, l *gil.Lock) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.Run(ctx, func(context.Context) error { return nil }); err != nil {
		t.Fatal("the lock is held")
	}
}

// TestRun_StateAfterFunction: if the function of Do or Release panics or calls
// runtime.Goexit, the lock must be free after Do, and held after Release.
func TestRun_StateAfterFunction(t *testing.T) {
	l := gil.New(nil)
	end := map[string]func(){"panic": func() { panic("on purpose") }, "Goexit": runtime.Goexit}
	for name, end := range end {
		for where, do := range map[string]func(h gil.Held){
			"Do":      func(gil.Held) { end() },
			"Release": func(h gil.Held) { h.Release(end) },
			"a recovered Release": func(h gil.Held) {
				defer h.Checkpoint() // panics unless the goroutine holds the lock
				h.Release(end)
			},
		} {
			t.Run(name+" in "+where, func(t *testing.T) {
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() {
						if v := recover(); v != nil && v != "on purpose" {
							t.Errorf("%s in %s: panic: %v", name, where, v)
						}
					}()
					l.Do(do)
				}()
				<-done
				isFree(t, l)
			})
		}
	}
}

// TestLock_Misuse: misuse that the lock can detect must panic, and the text
// must state the rule.
func TestLock_Misuse(t *testing.T) {
	l, other := gil.New(nil), gil.New(nil)
	var kept gil.Held
	l.Do(func(h gil.Held) { kept = h })
	for what, c := range map[string]struct {
		do   func()
		want string
	}{
		"a zero Held":        {func() { gil.Held{}.Checkpoint() }, "no Do or Run"},
		"after Do":           {func() { kept.Checkpoint() }, "until its Do returns"},
		"Release after Do":   {func() { kept.Release(func() {}) }, "until its Do returns"},
		"in a later Do":      {func() { l.Do(func(gil.Held) { kept.Checkpoint() }) }, "until its Do returns"},
		"inside Release":     {func() { l.Do(func(h gil.Held) { h.Release(func() { h.Checkpoint() }) }) }, "except within Release"},
		"Release in Release": {func() { l.Do(func(h gil.Held) { h.Release(func() { h.Release(func() {}) }) }) }, "except within Release"},
		"Run in Run": {func() {
			l.Run(t.Context(), func(ctx context.Context) error { return l.Run(ctx, nil) })
		}, "wait for itself"},
		"a negative interval": {func() { gil.New(&gil.Options{Interval: -1}) }, "negative"},
	} {
		t.Run(what, func(t *testing.T) {
			func() {
				defer func() {
					if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), c.want) {
						t.Errorf("%s: panic %v; want one with %q", what, v, c.want)
					}
				}()
				c.do()
			}()
			isFree(t, l)
		})
	}
	// A goroutine may hold two locks, and acquire a lock again within its
	// Release.
	if err := l.Run(t.Context(), func(ctx context.Context) error {
		return other.Run(ctx, func(inner context.Context) error {
			h, _ := gil.Of(ctx)
			h.Release(func() { isFree(t, l) })
			return nil
		})
	}); err != nil {
		t.Error(err)
	}
}

// TestRun_Canceled: if the context of Run ends while Run waits for the lock,
// Run must return the cause, and the next waiter must acquire the lock.
func TestRun_Canceled(t *testing.T) {
	why := errors.New("enough")
	synctest.Test(t, func(t *testing.T) {
		l := gil.New(nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		served := false
		l.Do(func(h gil.Held) {
			go func() {
				if err := l.Run(ctx, func(context.Context) error { t.Error("it ran"); return nil }); err != why {
					t.Errorf("Run() = %v, want the cause", err)
				}
			}()
			synctest.Wait()
			go l.Do(func(gil.Held) { served = true })
			synctest.Wait()
			cancel(why)
			synctest.Wait()
			if n := l.Stats().Waiting; n != 1 {
				t.Errorf("%d wait, want 1", n)
			}
		})
		synctest.Wait()
		if !served {
			t.Error("the waiter behind the canceled one did not acquire the lock")
		}
		l.Do(func(h gil.Held) { // the only waiter gives up
			ctx, cancel := context.WithCancelCause(t.Context())
			go l.Run(ctx, nil)
			synctest.Wait()
			cancel(why)
			synctest.Wait()
			time.Sleep(time.Second) // until the waiter would have been due
			h.Checkpoint()
		})
		l.Do(func(gil.Held) {})
	})
	l := gil.New(nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 500 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(30))*time.Microsecond)
				l.Run(ctx, func(ctx context.Context) error {
					gil.Release(ctx, runtime.Gosched)
					return nil
				})
				cancel()
			}
		})
	}
	all.Wait()
	isFree(t, l)
}

// TestStats_Times: Stats must have the time for which the lock was held, and
// the time that goroutines waited for it.
func TestStats_Times(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := gil.New(&gil.Options{Times: true})
		l.Do(func(h gil.Held) {
			go l.Do(func(gil.Held) { time.Sleep(2 * time.Second) })
			synctest.Wait()
			time.Sleep(time.Second)
		})
		time.Sleep(time.Minute)
		l.Do(func(h gil.Held) { h.Release(func() { time.Sleep(time.Hour) }) })
		if s := l.Stats(); s.Held != 3*time.Second || s.Waited != time.Second {
			t.Errorf("Stats() = %+v; want 3 s held, 1 s waited", s)
		}
	})
}

// TestStats_Switches: if a turn acquires the lock again, this must count as a
// switch only if another turn had the lock in the meantime.
func TestStats_Switches(t *testing.T) {
	l := gil.New(nil)
	l.Do(func(h gil.Held) {
		for _, c := range []struct {
			between func()
			want    uint64
		}{
			{func() {}, 1},
			{func() {}, 1},
			{func() { l.Do(func(gil.Held) {}) }, 3},
			{func() {}, 3},
			{func() { l.Do(func(h gil.Held) { h.Release(func() {}) }) }, 5},
		} {
			h.Release(c.between)
			if n := l.Stats().Switches; n != c.want {
				t.Errorf("%d switches, want %d", n, c.want)
			}
		}
	})
}

// TestNew_LongestInterval: with the longest interval, no checkpoint may hand
// over the lock.
func TestNew_LongestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := gil.New(&gil.Options{Interval: math.MaxInt64})
		time.Sleep(time.Hour)
		begin := clock(time.Now())
		var first, second time.Duration
		go l.Do(func(h gil.Held) {
			compute(h, 20*time.Millisecond)
			first = begin.since()
		})
		time.Sleep(500 * time.Microsecond)
		l.Do(func(gil.Held) { second = begin.since() })
		synctest.Wait()
		if s := l.Stats(); first != 20*time.Millisecond || second != first || s.Forced != 0 {
			t.Errorf("the first goroutine ended at %v, and the second began at %v: %+v; want both at 20 ms, and no forced switch", first, second, s)
		}
	})
}
