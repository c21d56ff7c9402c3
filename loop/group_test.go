package loop_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/loop"
)

var errTest = errors.New("test")

func sleeps(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		if slept := loop.Sleep(ctx, d); slept != nil {
			return fmt.Errorf("sleeping: %w", slept)
		}
		return err
	}
}

// TestGroup_Waits: WithGroup must return when all children have ended,
// including children that other children have started.
func TestGroup_Waits(t *testing.T) {
	ok(t, func(ctx context.Context, _ *loop.Group) error {
		start := time.Now()
		err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error {
				loop.Sleep(ctx, time.Hour)
				g.Go(sleeps(time.Hour, nil))
				return nil
			})
			return nil
		})
		if took := time.Since(start); took != 2*time.Hour {
			t.Errorf("the group took %v", took)
		}
		return err
	})
}

// TestGroup_FirstErrorCancels: the first error must cancel the siblings.
// WithGroup must omit cancellation-only errors, and join other errors.
func TestGroup_FirstErrorCancels(t *testing.T) {
	other := errors.New("other")
	ok(t, func(ctx context.Context, _ *loop.Group) error {
		start := time.Now()
		err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
			g.Go(sleeps(time.Hour, nil))
			g.Go(func(ctx context.Context) error {
				loop.Sleep(ctx, time.Hour)
				return other // the cleanup failed
			})
			g.Go(sleeps(time.Second, errTest)).SetName("the third")
			g.Go(func(ctx context.Context) error {
				<-ctx.Done() // this is not an await, so it does not return the cancellation as an error
				return nil
			}).Cancel()
			err := loop.Sleep(ctx, time.Hour)
			if want := "loop: canceled because the third failed: test"; !errors.Is(err, context.Canceled) || err.Error() != want || errors.Is(err, errTest) {
				t.Errorf("Sleep() in body = %v, want %s", err, want)
			}
			return err
		})
		if took := time.Since(start); took != time.Second {
			t.Errorf("the group took %v", took)
		}
		if want := "test\nother"; err == nil || err.Error() != want || !errors.Is(err, errTest) || !errors.Is(err, other) {
			t.Errorf("WithGroup() = %v, want %s", err, want)
		}
		return nil
	})
}

// TestGroup_CauseIsNotError: if a child fails with io.EOF, the errors of its
// canceled siblings must not be io.EOF.
func TestGroup_CauseIsNotError(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(sleeps(time.Second, io.EOF))
		if err := loop.Sleep(ctx, time.Hour); errors.Is(err, io.EOF) {
			t.Errorf("Sleep() = %v, which is io.EOF", err)
		}
		return nil
	})
	if err == nil || err.Error() != "EOF" {
		t.Errorf("Run() = %v, want EOF", err)
	}
}

// TestGroup_NotStarted: if a child fails, siblings that have not started must
// never run. Children that are started later must never run, either.
func TestGroup_NotStarted(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(context.Context) error { return errTest })
		never := func(context.Context) error { t.Error("a canceled child ran"); return nil }
		a := g.Go(never)
		loop.Yield(ctx)
		b := g.Go(never)
		c := g.After(0, never)
		for _, task := range []*loop.Task{a, b, c} {
			if err := task.Wait(loop.Shield(ctx)); !errors.Is(err, context.Canceled) {
				t.Errorf("Wait() = %v", err)
			}
		}
		return nil
	})
	if err == nil || err.Error() != "test" {
		t.Errorf("Run() = %v", err)
	}
}

// TestGroup_Timeout: if the context of a group ends, and body or a child
// returns the cause, WithGroup must return this cause, too.
func TestGroup_Timeout(t *testing.T) {
	ok(t, func(ctx context.Context, _ *loop.Group) error {
		for name, make := range map[string]func(context.Context) (context.Context, func()){
			"loop": func(ctx context.Context) (context.Context, func()) {
				c, f := loop.WithTimeout(ctx, time.Second)
				return c, f
			},
			"context": func(ctx context.Context) (context.Context, func()) {
				c, f := context.WithTimeout(ctx, time.Second)
				return c, f
			},
		} {
			inner, cancel := make(ctx)
			err := loop.WithGroup(inner, func(ctx context.Context, g *loop.Group) error {
				g.Go(sleeps(time.Hour, nil))
				g.Go(func(ctx context.Context) error { loop.Sleep(ctx, time.Hour); return nil })
				return nil
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: WithGroup() = %v", name, err)
			}
			cancel()
			inner, cancel = make(ctx)
			err = loop.WithGroup(inner, func(ctx context.Context, g *loop.Group) error {
				g.Go(func(ctx context.Context) error { loop.Sleep(ctx, time.Hour); return nil })
				return nil
			})
			if err != nil {
				t.Errorf("%s: WithGroup() without a child that reports the cancellation = %v", name, err)
			}
			cancel()
		}
		return nil
	})
}

// TestGroup_Cancel: Cancel must end the children, and WithGroup must return no
// error.
func TestGroup_Cancel(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(sleeps(time.Hour, nil))
		g.After(time.Second, func(context.Context) error { g.Cancel(); return nil })
		return loop.Sleep(ctx, time.Hour)
	})
}

// TestTask_Cancel: if Task.Cancel cancels a child, the group must not fail,
// unless the child returns another error.
func TestTask_Cancel(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		a := g.Go(sleeps(time.Hour, nil))
		never := g.Go(func(context.Context) error { t.Error("a canceled child ran"); return nil })
		never.Cancel()
		loop.Yield(ctx)
		a.Cancel()
		for _, task := range []*loop.Task{a, never} {
			if err := task.Wait(ctx); !errors.Is(err, context.Canceled) || !task.Done() {
				t.Errorf("Wait() = %v, Done() = %v", err, task.Done())
			}
		}
		b := g.Go(func(ctx context.Context) error {
			loop.Sleep(ctx, time.Hour)
			return errTest
		})
		loop.Yield(ctx)
		b.Cancel()
		return loop.Sleep(ctx, time.Second)
	})
	if err == nil || err.Error() != "test" {
		t.Errorf("Run() = %v, want test", err)
	}
}

// TestGroup_Background: background children must run as long as the other
// children. Then they must be canceled, and the group must wait for them.
func TestGroup_Background(t *testing.T) {
	ticks, cleaned := 0, false
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Background(func(ctx context.Context) error {
			defer func() {
				loop.Sleep(loop.Shield(ctx), time.Second)
				cleaned = true
			}()
			for {
				if err := loop.Sleep(ctx, time.Minute); err != nil {
					return err
				}
				ticks++
			}
		})
		g.Go(sleeps(90*time.Second, nil))
		return nil
	})
	if ticks != 1 || !cleaned {
		t.Errorf("%d ticks, want 1; cleaned up: %v", ticks, cleaned)
	}
}

// TestGroup_After: After must start coroutines in the order of their times,
// even if the group has no other children. Cancel must prevent the start.
func TestGroup_After(t *testing.T) {
	var got []string
	start := time.Now()
	ok(t, func(ctx context.Context, g *loop.Group) error {
		start = time.Now()
		note := func(what string) func(context.Context) error {
			return func(ctx context.Context) error {
				got = append(got, fmt.Sprint(what, " ", time.Since(start)))
				return nil
			}
		}
		g.After(2*time.Second, note("b"))
		g.After(time.Second, note("a"))
		g.After(-time.Second, note("at once"))
		canceled := g.After(time.Second, note("canceled"))
		canceled.Cancel()
		if err := canceled.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait() for a canceled After = %v", err)
		}
		return nil
	})
	if want := []string{"at once 0s", "a 1s", "b 2s"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestSpawn_SeveralWaiters: if several coroutines wait for one result, all
// of them must get the result. A canceled wait must not affect the other
// waits.
func TestSpawn_SeveralWaiters(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		f := loop.Spawn(g, func(ctx context.Context) (int, error) { return 7, loop.Sleep(ctx, time.Hour) })
		short, cancel := loop.WithTimeout(ctx, time.Minute)
		defer cancel()
		if n, err := f.Result(short); n != 0 || err != context.DeadlineExceeded {
			t.Errorf("Result() within a minute = %d, %v", n, err)
		}
		for range 2 {
			if n, err := f.Result(ctx); n != 7 || err != nil {
				t.Errorf("Result() = %d, %v", n, err)
			}
		}
		own := g.Go(func(ctx context.Context) error { return loop.Current(ctx).Wait(ctx) })
		if err := own.Wait(loop.Shield(ctx)); !errors.Is(err, concert.ErrDeadlock) {
			t.Errorf("Wait() of a coroutine for itself = %v", err)
		}
		return nil
	})
	if !errors.Is(err, concert.ErrDeadlock) {
		t.Errorf("Run() = %v", err)
	}
}

// TestGather_Values: Gather must return values in order, and the first error
// must cancel the other functions. Outcomes must return all errors. First must
// return the first result.
func TestGather_Values(t *testing.T) {
	after := func(d time.Duration, v int, err error) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			if slept := loop.Sleep(ctx, d*time.Second); slept != nil {
				return 0, slept
			}
			return v, err
		}
	}
	ok(t, func(ctx context.Context, g *loop.Group) error {
		start := time.Now()
		if got, err := loop.Gather(ctx, after(3, 1, nil), after(1, 2, nil), after(2, 3, nil)); !slices.Equal(got, []int{1, 2, 3}) || err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("Gather() = %v, %v after %v", got, err, time.Since(start))
		}
		start = time.Now()
		if got, err := loop.Gather(ctx, after(3, 1, nil), after(1, 2, errTest)); got != nil || err.Error() != "test" || time.Since(start) != time.Second {
			t.Errorf("Gather() with an error = %v, %v after %v", got, err, time.Since(start))
		}
		if got, err := loop.Gather[int](ctx); len(got) != 0 || err != nil {
			t.Errorf("Gather() without functions = %v, %v", got, err)
		}

		outcomes := loop.Outcomes(ctx, after(3, 1, nil), after(1, 2, errTest), func(context.Context) (int, error) { panic("boom") })
		if o := outcomes[0]; o.Value != 1 || o.Err != nil {
			t.Errorf("the first of Outcomes: %v", o)
		}
		if o := outcomes[1]; o.Err != errTest {
			t.Errorf("the second of Outcomes: %v", o)
		}
		if _, ok := errors.AsType[*concert.PanicError](outcomes[2].Err); !ok {
			t.Errorf("the third of Outcomes: %v", outcomes[2])
		}

		start = time.Now()
		if i, v, err := loop.First(ctx, after(3, 1, nil), after(1, 2, nil), after(2, 3, errTest)); i != 1 || v != 2 || err != nil || time.Since(start) != time.Second {
			t.Errorf("First() = %d, %d, %v after %v", i, v, err, time.Since(start))
		}
		if i, _, err := loop.First(ctx, after(3, 1, nil), after(1, 2, errTest)); i != 1 || err != errTest {
			t.Errorf("First() with an error = %d, %v", i, err)
		}
		short, cancel := loop.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if _, _, err := loop.First(short, after(3, 1, nil), after(1, 2, errTest)); err != context.DeadlineExceeded {
			t.Errorf("First() in a context that ends = %v", err)
		}
		if _, _, err := loop.First(short, after(3, 1, nil)); err != context.DeadlineExceeded {
			t.Errorf("First() in a context that has ended = %v", err)
		}
		for _, o := range loop.Outcomes(short, after(3, 1, nil)) {
			if o.Err != context.DeadlineExceeded {
				t.Errorf("Outcomes() in a context that has ended = %v", o)
			}
		}
		if text := panics(func() { loop.First[int](ctx) }); !strings.Contains(text, "First called without functions") {
			t.Errorf("First() without functions: %s", text)
		}
		return nil
	})
}

// TestGroup_EndedFromOutside: if a group is ended from outside, its
// WithGroup must return an error, even if the outer group succeeds.
func TestGroup_EndedFromOutside(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Background(func(ctx context.Context) error {
			long := func(ctx context.Context) (int, error) { return 42, loop.Sleep(ctx, time.Hour) }
			if v, err := loop.Gather(ctx, long, long); v != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("Gather() = %v, %v", v, err)
			}
			for _, cancels := range []bool{false, true} {
				err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
					err := loop.Sleep(ctx, time.Hour)
					if cancels {
						g.Cancel() // has no effect: the context has already ended
					}
					return err
				})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("WithGroup() = %v; body calls Cancel: %v", err, cancels)
				}
			}
			return nil
		})
		return loop.Sleep(ctx, time.Second)
	})
}

// TestGroup_ConcurrentUse: the functions that other goroutines may call must
// have no data races. The race detector checks this.
func TestGroup_ConcurrentUse(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		for range 200 {
			loop.WithGroup(ctx, func(_ context.Context, g *loop.Group) error { go g.Cancel(); return nil })
		}
		ended := make(chan struct{})
		l, fn := loop.Of(ctx), func(context.Context) (int, error) { return 1, nil }
		go func() {
			for range 200 {
				l.Tree()
			}
			close(ended)
		}()
		for range 200 {
			loop.Gather(ctx, fn, fn)
		}
		<-ended
		return nil
	})
	run(t, func(ctx context.Context, g *loop.Group) error {
		var e loop.Event
		for range 50 {
			g.Go(func(ctx context.Context) error {
				err := e.Wait(ctx)
				go func() { _ = err.Error() }()
				return err
			})
		}
		return nil
	})
}
