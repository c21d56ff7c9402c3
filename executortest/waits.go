package executortest

import (
	"context"
	"errors"
	"slices"
	"time"

	"concert"
)

var waitCases = []testCase{
	{"AsCompleted", "AsCompleted yields futures in the order in which they settle", func(s *suite) {
		ex := s.executor(Config{Workers: 3})
		gates := []gate{s.gate(), s.gate(), s.gate()}
		var futures []*concert.Future[string]
		for _, g := range gates {
			futures = append(futures, concert.Submit(s.ctx, ex, hold, g))
		}
		order := []int{2, 0, 1}
		gates[order[0]].open()
		var got []int
		for f := range concert.AsCompleted(s.ctx, futures...) {
			got = append(got, slices.Index(futures, f))
			if len(got) < 3 {
				gates[order[len(got)]].open()
			}
		}
		if !slices.Equal(got, order) {
			s.Errorf("AsCompleted() order = %v, want %v", got, order)
		}
	}},

	{"AsCompletedCorners", "AsCompleted yields each future once, and begins with those that have settled or are canceled", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		g := s.gate()
		done := concert.Submit(s.ctx, ex, hold, openGate(s))
		must[string](s)(done.Result(s.ctx))
		held := concert.Submit(s.ctx, ex, hold, g)
		dropped := concert.Submit(s.ctx, ex, hold, g)
		dropped.Cancel()
		var got []*concert.Future[string]
		for f := range concert.AsCompleted(s.ctx, held, done, held, dropped, done) {
			got = append(got, f)
			if len(got) == 2 {
				g.open()
			}
		}
		if want := []*concert.Future[string]{done, dropped, held}; !slices.Equal(got, want) {
			s.Errorf("AsCompleted() = %v, want %v", got, want)
		}
		for range concert.AsCompleted[int](s.ctx) {
			s.Error("AsCompleted() of nothing yields something")
		}
	}},

	{"AsCompletedEnds", "AsCompleted ends when its loop is left or its context ends, and affects no later wait", func(s *suite) {
		ex := s.executor(Config{Workers: 1})
		g := s.gate()
		quick := concert.Submit(s.ctx, ex, hold, openGate(s))
		slow := concert.Submit(s.ctx, ex, hold, g)
		for range 3 {
			ctx, cancel := context.WithTimeout(s.ctx, 20*time.Millisecond)
			var got []*concert.Future[string]
			for f := range concert.AsCompleted(ctx, slow, quick) {
				got = append(got, f)
			}
			if len(got) > 1 || len(got) == 1 && got[0] != quick || ctx.Err() == nil {
				s.Errorf("AsCompleted() with an expiring context = %v, want at most the quick one", got)
			}
			cancel()
			must[string](s)(quick.Result(s.ctx))
			for range concert.AsCompleted(s.ctx, slow, quick) {
				break
			}
		}
		g.open()
		must[string](s)(slow.Result(s.ctx))
	}},

	{"WaitAll", "Wait with AllCompleted returns all futures, each once, in the order given", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		bad := concert.Submit(s.ctx, ex, fail, "error")
		good := concert.Submit(s.ctx, ex, fail, "not at all")
		done, rest := concert.Wait(s.ctx, concert.AllCompleted, bad, good, bad)
		if !slices.Equal(done, []*concert.Future[string]{bad, good}) || len(rest) != 0 {
			s.Errorf("Wait(AllCompleted) = %v, %v; want both, each once, in the order given", done, rest)
		}
	}},

	{"WaitFirst", "Wait with FirstCompleted returns when one future has settled, or when its context ends", func(s *suite) {
		ex := s.executor(Config{Workers: 2})
		g := s.gate()
		slow := concert.Submit(s.ctx, ex, hold, g)
		quick := concert.Submit(s.ctx, ex, hold, openGate(s))
		done, rest := concert.Wait(s.ctx, concert.FirstCompleted, slow, quick)
		if !slices.Equal(done, []*concert.Future[string]{quick}) || !slices.Equal(rest, []*concert.Future[string]{slow}) {
			s.Errorf("Wait(FirstCompleted) = %v, %v; want the quick one, the slow one", done, rest)
		}
		ctx, cancel := context.WithTimeout(s.ctx, 20*time.Millisecond)
		defer cancel()
		if done, rest := concert.Wait(ctx, concert.FirstCompleted, slow); len(done) != 0 || len(rest) != 1 {
			s.Errorf("Wait() with an expiring context = %v, %v; want nothing done", done, rest)
		}
		g.open()
		must[string](s)(slow.Result(s.ctx))
	}},

	{"WaitError", "Wait with FirstError returns when a task has failed, or when all have settled", func(s *suite) {
		ex := s.executor(Config{Workers: 3})
		g := s.gate()
		slow := concert.Submit(s.ctx, ex, hold, g)
		quick := concert.Submit(s.ctx, ex, hold, openGate(s))
		must[string](s)(quick.Result(s.ctx))
		bad := concert.Submit(s.ctx, ex, fail, "error")
		done, rest := concert.Wait(s.ctx, concert.FirstError, slow, quick, bad)
		if !slices.Equal(done, []*concert.Future[string]{quick, bad}) || !slices.Equal(rest, []*concert.Future[string]{slow}) {
			s.Errorf("Wait(FirstError) = %v, %v; want quick and bad, slow", done, rest)
		}
		g.open()
		if done, rest := concert.Wait(s.ctx, concert.FirstError, slow, quick); len(done) != 2 || len(rest) != 0 {
			s.Errorf("Wait(FirstError) without an error = %v, %v; want all", done, rest)
		}
	}},

	{"Gather", "Gather returns all values in order, and every error", func(s *suite) {
		ex := s.executor(Config{})
		got, err := concert.Gather(s.ctx,
			concert.Submit(s.ctx, ex, fail, "one"),
			concert.Submit(s.ctx, ex, fail, "sentinel"),
			concert.Submit(s.ctx, ex, fail, "three"),
			concert.Submit(s.ctx, ex, fail, "goexit"))
		want := []string{"no failure: one", "", "no failure: three", ""}
		if !slices.Equal(got, want) || !errors.Is(err, errOurs) || !errors.Is(err, concert.ErrGoexit) {
			s.Errorf("Gather() = %q, %v; want %q and both errors", got, err, want)
		}
		g := s.gate()
		slow := concert.Submit(s.ctx, ex, hold, g)
		ctx, cancel := context.WithTimeout(s.ctx, 20*time.Millisecond)
		defer cancel()
		if got, err := concert.Gather(ctx, slow); len(got) != 1 || !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("Gather() with an expiring context = %q, %v; want DeadlineExceeded", got, err)
		}
		g.open()
		must[string](s)(slow.Result(s.ctx))
	}},

	{"WaitOnManyAtOnce", "AsCompleted yields all futures, even if many settle at the same time", func(s *suite) {
		ex := s.executor(Config{Workers: 2, Queue: 200})
		for range 20 {
			futures := make([]*concert.Future[int], 100)
			for i := range futures {
				futures[i] = concert.Submit(s.ctx, ex, square, i)
			}
			n := 0
			for f := range concert.AsCompleted(s.ctx, futures...) {
				must[int](s)(f.Result(s.ctx))
				n++
			}
			if n != 100 {
				s.Fatalf("AsCompleted() yielded %d of 100", n)
			}
		}
	}},
}

// openGate returns a gate that is open.
func openGate(s *suite) gate {
	g := s.gate()
	g.open()
	return g
}
