package loop_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/loop"
)

type testKey struct{}

// run runs main in a loop in a synctest bubble, which also sees to it that no
// goroutine is left.
func run(t *testing.T, main func(ctx context.Context, g *loop.Group) error) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { err = loop.Run(t.Context(), nil, main) })
	return err
}

// ok is run for a main that must not fail.
func ok(t *testing.T, main func(ctx context.Context, g *loop.Group) error) {
	t.Helper()
	if err := run(t, main); err != nil {
		t.Errorf("Run() = %v", err)
	}
}

// panics calls fn and returns the text of its panic.
func panics(fn func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	fn()
	return "no panic"
}

// TestOneAtATime: between two awaits no other coroutine runs, and the race
// detector agrees.
func TestOneAtATime(t *testing.T) {
	counts := map[int]int{}
	ok(t, func(ctx context.Context, g *loop.Group) error {
		for range 20 {
			g.Go(func(ctx context.Context) error {
				for i := range 100 {
					n := counts[i%7]
					runtime.Gosched()
					counts[i%7] = n + 1
					if err := loop.Yield(ctx); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return nil
	})
	sum := 0
	for _, n := range counts {
		sum += n
	}
	if sum != 2000 {
		t.Errorf("2,000 increments came to %d", sum)
	}
}

// TestTurns: coroutines run in the order in which they were started, and take
// turns.
func TestTurns(t *testing.T) {
	var got []string
	ok(t, func(ctx context.Context, g *loop.Group) error {
		for _, name := range []string{"a", "b", "c"} {
			g.Go(func(ctx context.Context) error {
				for i := range 3 {
					got = append(got, fmt.Sprint(name, i))
					loop.Yield(ctx)
				}
				return nil
			})
		}
		got = append(got, "main")
		return nil
	})
	if want := []string{"main", "a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// TestSleep: sleepers wake by their time, and those with the same time in the
// order in which they began.
func TestSleep(t *testing.T) {
	var got []int
	ok(t, func(ctx context.Context, g *loop.Group) error {
		start := time.Now()
		for i, d := range []time.Duration{3, 1, 2, 1, 0, -5} {
			g.Go(func(ctx context.Context) error {
				err := loop.Sleep(ctx, d*time.Hour)
				if slept := time.Since(start); slept != max(d, 0)*time.Hour || loop.Now(ctx) != time.Now() {
					t.Errorf("Sleep(%d h) took %v; it is %v, by the loop %v", d, slept, time.Now(), loop.Now(ctx))
				}
				got = append(got, i)
				return err
			})
		}
		return nil
	})
	if want := []int{4, 5, 1, 3, 2, 0}; !slices.Equal(got, want) {
		t.Errorf("woke in the order %v, want %v", got, want)
	}
}

// TestSleepForEver: a time beyond all times is no time in the past.
func TestSleepForEver(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		g.Background(func(ctx context.Context) error { return loop.Sleep(ctx, 1<<63-1) })
		g.After(1<<63-1, func(context.Context) error { t.Error("it began"); return nil }).Cancel()
		ctx, cancel := loop.WithTimeout(ctx, 1<<63-1)
		defer cancel()
		return loop.Sleep(ctx, time.Second)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRunContext: the end of Run's context reaches all coroutines, with its
// cause, and Run waits for them.
func TestRunContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), testKey{}, "value"))
		time.AfterFunc(time.Minute, func() { cancel(why) })
		cleaned := 0
		err := loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error {
			for range 3 {
				g.Go(func(ctx context.Context) error {
					if v := ctx.Value(testKey{}); v != "value" {
						t.Errorf("value %v in a coroutine", v)
					}
					defer func() {
						ctx, cancel := loop.WithTimeout(loop.Shield(ctx), time.Hour)
						defer cancel()
						if loop.Sleep(ctx, time.Second) == nil {
							cleaned++
						}
					}()
					err := loop.Sleep(ctx, time.Hour)
					if !errors.Is(err, why) || ctx.Err() != context.Canceled || context.Cause(ctx) != why {
						t.Errorf("Sleep() = %v, Err() = %v, Cause() = %v", err, ctx.Err(), context.Cause(ctx))
					}
					return err
				})
			}
			return nil
		})
		if err != why || cleaned != 3 {
			t.Errorf("Run() = %v, want %v; %d of 3 cleaned up", err, why, cleaned)
		}
	})
}

// TestRunEnded: in a loop whose context has ended main runs, and awaits
// nothing.
func TestRunEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	err := loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(context.Context) error { t.Error("a child ran"); return nil })
		ran = true
		return loop.Sleep(ctx, time.Hour)
	})
	if !ran || !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v; main ran: %v", err, ran)
	}
}

// TestPanics: a panic or a Goexit in a coroutine is its error, with the stack,
// and ends nobody but its siblings' waits.
func TestPanics(t *testing.T) {
	for name, c := range map[string]struct {
		fn    func()
		check func(error) bool
	}{
		"panic": {func() { explode() }, func(err error) bool {
			e, ok := errors.AsType[*concert.PanicError](err)
			return ok && e.Value == "boom" && strings.Contains(e.Stack(), "explode")
		}},
		"Goexit": {runtime.Goexit, func(err error) bool { return errors.Is(err, concert.ErrGoexit) }},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t, func(ctx context.Context, g *loop.Group) error {
				sibling := g.Go(func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) })
				g.Go(func(ctx context.Context) error {
					loop.Yield(ctx)
					c.fn()
					return nil
				})
				err := sibling.Wait(loop.Shield(ctx))
				if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "because loop_test.TestPanics") {
					t.Errorf("the sibling: %v", err)
				}
				return err
			})
			if !c.check(err) {
				t.Errorf("Run() = %+v", err)
			}
		})
	}
}

func explode() { panic("boom") }

// TestMainPanics: a panic in main, or in the body of a group, goes on in its
// caller when the children have ended.
func TestMainPanics(t *testing.T) {
	ended := 0
	child := func(ctx context.Context) error {
		defer func() { ended++ }()
		return loop.Sleep(ctx, time.Hour)
	}
	text := panics(func() {
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			g.Go(child)
			inner := panics(func() {
				loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
					g.Go(child)
					loop.Yield(ctx)
					panic("inner")
				})
			})
			if inner != "inner" || ended != 1 {
				t.Errorf("WithGroup panicked with %q when %d children had ended", inner, ended)
			}
			panic("outer")
		})
	})
	if text != "outer" || ended != 2 {
		t.Errorf("Run panicked with %q when %d children had ended", text, ended)
	}
}

// TestMainGoexit: main may end its goroutine, as t.FailNow does; the children
// are ended first.
func TestMainGoexit(t *testing.T) {
	ended, returned := false, false
	done := make(chan struct{})
	go func() {
		defer close(done)
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error {
				defer func() { ended = true }()
				return loop.Sleep(ctx, time.Hour)
			})
			loop.Yield(ctx)
			runtime.Goexit()
			return nil
		})
		returned = true
	}()
	<-done
	if !ended || returned {
		t.Errorf("the child ended: %v; Run returned: %v", ended, returned)
	}
}

// TestMany: coroutines that are started in turn, end, and use each other's
// goroutines.
func TestMany(t *testing.T) {
	sum := 0
	ok(t, func(ctx context.Context, g *loop.Group) error {
		var add func(depth int) func(ctx context.Context) error
		add = func(depth int) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				sum++
				if depth == 0 {
					return nil
				}
				return loop.WithGroup(ctx, func(ctx context.Context, inner *loop.Group) error {
					for i := range 3 {
						child := inner.Go(add(depth - 1))
						switch i {
						case 0:
							child.Wait(ctx)
						case 1:
							g.Go(add(0)) // in another's group
						}
					}
					return nil
				})
			}
		}
		g.Go(add(6))
		return nil
	})
	if want := 1093 + 364; sum != want {
		t.Errorf("%d coroutines ran, want %d", sum, want)
	}
}

// TestNested: a loop in a coroutine panics, and says what to do; in Block it
// works.
func TestNested(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inner := func() error {
			return loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error { return loop.Sleep(ctx, time.Second) })
		}
		if text := panics(func() { inner() }); !strings.Contains(text, "WithGroup") {
			t.Errorf("Run in a coroutine: %s", text)
		}
		return loop.Block(ctx, inner)
	})
}
