package looptest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"concert"
	"concert/loop"
	"concert/loop/looptest"
)

// semaphore has a typical error: its method acquire awaits after it has
// checked s.free, and before it has registered its event.
type semaphore struct {
	free    int
	waiting []*loop.Event
}

func (s *semaphore) acquire(ctx context.Context) error {
	if s.free == 0 {
		if err := loop.Yield(ctx); err != nil { // a release during this await is lost
			return err
		}
		e := new(loop.Event)
		s.waiting = append(s.waiting, e)
		return e.Wait(ctx)
	}
	s.free--
	return nil
}

func (s *semaphore) release() {
	if len(s.waiting) > 0 {
		s.waiting[0].Set()
		s.waiting = s.waiting[1:]
		return
	}
	s.free++
}

// inside returns a test in which three coroutines share one permit.
func inside(acquire func(context.Context) error, release func()) func(context.Context, *loop.Group) error {
	return func(ctx context.Context, g *loop.Group) error {
		in := 0
		for range 3 {
			g.Go(func(ctx context.Context) error {
				if err := acquire(ctx); err != nil {
					return err
				}
				if in++; in > 1 {
					return errors.New("two are inside")
				}
				if err := loop.Yield(ctx); err != nil {
					return err
				}
				in--
				release()
				return nil
			})
		}
		return nil
	}
}

// TestFind_Semaphore: Find must find the lost wake-up of the naive semaphore,
// and must find it again with the same seed. It must find no error in the
// semaphore of package loop.
func TestFind_Semaphore(t *testing.T) {
	naive := func(ctx context.Context, g *loop.Group) error {
		s := semaphore{free: 1}
		return inside(s.acquire, s.release)(ctx, g)
	}
	found := looptest.Find(t.Context(), 1000, naive)
	if !errors.Is(found.Err, concert.ErrDeadlock) {
		t.Fatalf("Find() = %v, want a deadlock", found)
	}
	t.Setenv(looptest.SeedVariable, fmt.Sprint(found.Seed))
	again := looptest.Find(t.Context(), 1000, naive)
	if again.Seed != found.Seed || !errors.Is(again.Err, concert.ErrDeadlock) {
		t.Errorf("seed %d again: %v", found.Seed, again)
	}
	t.Setenv(looptest.SeedVariable, "")
	looptest.Explore(t, 1000, func(ctx context.Context, g *loop.Group) error {
		s := loop.NewSemaphore(1)
		return inside(s.Acquire, s.Release)(ctx, g)
	})
}

// TestFind_Queue: a queue loses an item if the consumer of the item is
// canceled. Find must find this error.
func TestFind_Queue(t *testing.T) {
	found := looptest.Find(t.Context(), 1000, func(ctx context.Context, g *loop.Group) error {
		q := loop.NewQueue[int](0)
		got := 0
		consume := func(ctx context.Context) error {
			if _, err := q.Get(ctx); err != nil {
				return err
			}
			if err := loop.Yield(ctx); err != nil { // a cancellation during this await loses the item
				return err
			}
			got++
			return nil
		}
		first := g.Go(consume)
		q.TryPut(1)
		loop.Yield(ctx)
		first.Cancel()
		first.Wait(ctx)
		if q.Len()+got != 1 {
			return errors.New("an item is lost")
		}
		return nil
	})
	if found.Err == nil || found.Err.Error() != "an item is lost" {
		t.Errorf("Find() = %v", found)
	}
}

// recorder records the failure of a test.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Name() string                      { return "TestOfUser" }
func (r *recorder) Errorf(format string, args ...any) { r.failure = fmt.Sprintf(format, args...) }

// TestExplore_ReportsSeed: if the function fails, Explore must report the seed,
// and how to repeat the run. A panic must count as a failure.
func TestExplore_ReportsSeed(t *testing.T) {
	r := &recorder{TB: t}
	if looptest.Explore(r, 10, func(ctx context.Context, g *loop.Group) error { panic("boom") }) {
		t.Error("Explore() = true")
	}
	for _, want := range []string{"seed 1 failed:", "boom", "CONCERT_SEED=1 go test -run '^TestOfUser$'"} {
		if !strings.Contains(r.failure, want) {
			t.Errorf("Explore() reports %q, want it to contain %q", r.failure, want)
		}
	}
	if !looptest.Explore(t, 0, func(ctx context.Context, g *loop.Group) error { return errors.New("never run") }) {
		t.Error("Explore() of no seeds = false")
	}
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "looptest: Rand") {
			t.Errorf("Rand: %s", v)
		}
	}()
	looptest.Rand(t.Context())
}
