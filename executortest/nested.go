package executortest

import (
	"context"
	"errors"
	"slices"
	"time"

	"concert"
)

// nested returns a case with tasks that submit to their own executor. Such
// tasks are closures. If tasks do not share memory, the case checks that they
// fail with ErrNotRegistered.
func nested(run func(s *suite, ex concert.Executor)) func(*suite) {
	return func(s *suite) {
		for _, queue := range []int{1, 64} {
			ex := s.executor(Config{Workers: 1, Queue: queue})
			if s.Shared {
				run(s, ex)
				continue
			}
			f := concert.Submit(s.ctx, ex, func(context.Context, int) (int, error) { return 0, nil }, 1)
			if _, err := f.Result(s.ctx); !errors.Is(err, concert.ErrNotRegistered) {
				s.Errorf("Result() of a closure = %v, want ErrNotRegistered", err)
			}
		}
	}
}

const depth = 200

var nestedCases = []testCase{
	{"NestedResult", "tasks can wait for tasks of their own executor, in more levels than there are workers", nested(func(s *suite, ex concert.Executor) {
		var fib func(ctx context.Context, n int) (int, error)
		fib = func(ctx context.Context, n int) (int, error) {
			if n < 2 {
				return n, nil
			}
			a := concert.Submit(ctx, ex, fib, n-1)
			b := concert.Submit(ctx, ex, fib, n-2)
			x, err := a.Result(ctx)
			if err != nil {
				return 0, err
			}
			y, err := b.Result(ctx)
			return x + y, err
		}
		if got := must[int](s)(concert.Submit(s.ctx, ex, fib, 12).Result(s.ctx)); got != 144 {
			s.Errorf("fib(12) = %d, want 144", got)
		}
		var deep func(ctx context.Context, n int) (int, error)
		deep = func(ctx context.Context, n int) (int, error) {
			if n == 0 {
				return 0, nil
			}
			got, err := concert.Submit(ctx, ex, deep, n-1).Result(ctx)
			return got + 1, err
		}
		if got := must[int](s)(concert.Submit(s.ctx, ex, deep, depth).Result(s.ctx)); got != depth {
			s.Errorf("depth = %d, want %d", got, depth)
		}
	})},

	{"NestedWait", "in a task, Wait, AsCompleted and Gather are free of deadlock, as Result is", nested(func(s *suite, ex concert.Executor) {
		ways := map[string]func(context.Context, []*concert.Future[int]) int{
			"Wait": func(ctx context.Context, futures []*concert.Future[int]) int {
				done, _ := concert.Wait(ctx, concert.AllCompleted, futures...)
				return len(done)
			},
			"AsCompleted": func(ctx context.Context, futures []*concert.Future[int]) (n int) {
				for range concert.AsCompleted(ctx, futures...) {
					n++
				}
				return n
			},
			"Gather": func(ctx context.Context, futures []*concert.Future[int]) int {
				got, err := concert.Gather(ctx, futures...)
				if err != nil {
					return -1
				}
				return len(got)
			},
		}
		for name, wait := range ways {
			var tree func(ctx context.Context, levels int) (int, error)
			tree = func(ctx context.Context, levels int) (int, error) {
				if levels == 0 {
					return 0, nil
				}
				var futures []*concert.Future[int]
				for range 4 {
					futures = append(futures, concert.Submit(ctx, ex, tree, levels-1))
				}
				return wait(ctx, futures), nil
			}
			if got := must[int](s)(concert.Submit(s.ctx, ex, tree, 4).Result(s.ctx)); got != 4 {
				s.Errorf("%s in a task: %d of 4 settled", name, got)
			}
		}
	})},

	{"NestedMap", "a task can run a Map on its own executor", nested(func(s *suite, ex concert.Executor) {
		var tree func(ctx context.Context, levels int) (int, error)
		tree = func(ctx context.Context, levels int) (int, error) {
			if levels == 0 {
				return 1, nil
			}
			sum := 0
			for got, err := range concert.Map(ctx, ex, tree, slices.Values([]int{levels - 1, levels - 1, levels - 1})) {
				if err != nil {
					return 0, err
				}
				sum += got
			}
			return sum, nil
		}
		if got := must[int](s)(concert.Submit(s.ctx, ex, tree, 4).Result(s.ctx)); got != 81 {
			s.Errorf("leaves = %d, want 81", got)
		}
		var taken int
		count := func(ctx context.Context, n int) (int, error) {
			for _, err := range concert.MapUnordered(ctx, ex, square, upTo(n)) {
				if err != nil {
					return 0, err
				}
				taken++
			}
			return taken, nil
		}
		if got := must[int](s)(concert.Submit(s.ctx, ex, count, 1000).Result(s.ctx)); got != 1000 {
			s.Errorf("results = %d, want 1000", got)
		}
	})},

	{"NestedFullQueue", "a task can submit more tasks to its own executor than the queue has room for", nested(func(s *suite, ex concert.Executor) {
		many := func(ctx context.Context, n int) (int, error) {
			futures := make([]*concert.Future[int], n)
			for i := range futures {
				futures[i] = concert.Submit(ctx, ex, square, i)
			}
			got, err := concert.Gather(ctx, futures...)
			return len(got), err
		}
		if got := must[int](s)(concert.Submit(s.ctx, ex, many, 1000).Result(s.ctx)); got != 1000 {
			s.Errorf("settled = %d, want 1000", got)
		}
	})},

	{"NestedFailures", "a nested task that panics or calls Goexit settles, and the executor continues", nested(func(s *suite, ex concert.Executor) {
		outer := func(ctx context.Context, how string) (string, error) {
			_, err := concert.Submit(ctx, ex, fail, how).Result(ctx)
			return "went on", err
		}
		got, err := concert.Submit(s.ctx, ex, outer, "panic").Result(s.ctx)
		var p *concert.PanicError
		if got != "went on" || !errors.As(err, &p) {
			s.Errorf("Result() of a task whose nested task panics = %q, %v; want \"went on\" and a PanicError", got, err)
		}
		if _, err := concert.Submit(s.ctx, ex, outer, "goexit").Result(s.ctx); !errors.Is(err, concert.ErrGoexit) {
			s.Errorf("Result() of a task whose nested task calls Goexit = %v, want ErrGoexit", err)
		}
		must[int](s)(concert.Submit(s.ctx, ex, square, 1).Result(s.ctx))
	})},

	{"NestedCircle", "a task that waits for itself gets ErrDeadlock, or the error of the wait's own deadline", nested(func(s *suite, ex concert.Executor) {
		self := make(chan *concert.Future[int], 1)
		own := func(ctx context.Context, _ int) (int, error) { return (<-self).Result(ctx) }
		f := concert.Submit(context.WithoutCancel(s.ctx), ex, own, 0) // the task must not have the deadline of s.ctx
		self <- f
		if _, err := f.Result(s.ctx); !errors.Is(err, concert.ErrDeadlock) {
			s.Errorf("Result() of the task itself = %v, want ErrDeadlock", err)
		}

		soon := func(ctx context.Context, _ int) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			return (<-self).Result(ctx)
		}
		f = concert.Submit(context.WithoutCancel(s.ctx), ex, soon, 0)
		self <- f
		if _, err := f.Result(s.ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, concert.ErrDeadlock) {
			s.Errorf("Result() of the task itself, with a deadline = %v, want DeadlineExceeded", err)
		}
	})},
}
