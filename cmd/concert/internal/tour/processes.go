package tour

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"time"

	"concert"
	"concert/processes"
)

// What the tour runs in worker processes.
var (
	sumTask    = concert.Register("sumOfSquares", sumOfSquares)
	squareTask = concert.Register("square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	globalTask = concert.Register("setGlobal", func(_ context.Context, n int) (int, error) { global += n; return global, nil })
	crashTask  = concert.Register("crash", func(_ context.Context, n int) (int, error) {
		if n == 7 {
			os.Exit(1) // the worker process ends without a result
		}
		return n, nil
	})
	hangTask = concert.Register("hang", func(context.Context, int) (int, error) {
		for n := uint64(1); n != 0; n += 2 {
		}
		return 0, nil
	})
	hoardTask = concert.Register("hoard", func(context.Context, int) (int, error) {
		var all [][]byte
		for len(all) < 10_000 { // up to 10 GB
			all = append(all, slices.Repeat([]byte{1}, 1<<20))
		}
		return len(all), nil
	})
)

var global int

// showMemoryLimit reports whether the tour shows a memory limit. The tour shows
// the limit only on Linux. Tests set showMemoryLimit to false under the race
// detector, whose own memory exceeds the limit.
var showMemoryLimit = runtime.GOOS == "linux"

func showProcesses(ctx context.Context, t *tour) error {
	quiet := slog.New(slog.DiscardHandler) // the Go runtime prints a long text when it is out of memory
	o := &processes.Options{Output: quiet, Timeout: 10 * time.Second, Grace: 100 * time.Millisecond}
	n := runtime.GOMAXPROCS(0)
	begin := time.Now()
	ex, err := processes.New(n, o)
	if err != nil {
		return err
	}
	defer ex.Close()
	squares, err := collect(concert.Map(ctx, ex, squareTask, slices.Values([]int{1, 2, 3, 4})))
	if err != nil {
		return err
	}
	t.measured(fmt.Sprintf("squares %v", squares), time.Since(begin), fmt.Sprintf("%d workers, from start to result", n))

	there, err := concert.Submit(ctx, ex, globalTask, 42).Result(ctx)
	if err != nil {
		return err
	}
	t.noted("a global variable", fmt.Sprintf("%d in a worker that set it, %d here", there, global))

	if err := crashOne(ctx, ex, crashTask); err != nil {
		return err
	}
	t.noted("20 tasks, one of which exits", "19 results, 1 error: only one task fails")

	if err := stopped(ctx, t, "a task that hangs", processes.Options{Output: quiet, Timeout: 200 * time.Millisecond, Grace: 50 * time.Millisecond}, hangTask, processes.ErrTimeout, "stopped: it ran for too long"); err != nil {
		return err
	}
	if showMemoryLimit {
		if err := stopped(ctx, t, "a task that hoards memory", processes.Options{Output: quiet, Memory: 256 << 20}, hoardTask, processes.ErrMemory, "stopped: out of memory"); err != nil {
			return err
		}
	}

	const tasks, size = 8, 60_000_000
	inputs := slices.Repeat([]int{size}, tasks)
	one, err := processes.New(1, o)
	if err != nil {
		return err
	}
	defer one.Close()
	times := make([]time.Duration, 2)
	for i, pool := range []*processes.Pool{one, ex} {
		begin := time.Now()
		if _, err := collect(concert.Map(ctx, pool, sumTask, slices.Values(inputs))); err != nil {
			return err
		}
		times[i] = time.Since(begin)
	}
	t.measured("sums of squares on 1 process", times[0], "one processor")
	t.compared(fmt.Sprintf("on %d processes", n), times[0], times[1], onProcessors(n), "one for each processor")
	return nil
}

// stopped runs a task that the pool has to stop, and checks the error of the
// task.
func stopped(ctx context.Context, t *tour, what string, o processes.Options, task func(context.Context, int) (int, error), want error, note string) error {
	ex, err := processes.New(1, &o)
	if err != nil {
		return err
	}
	defer ex.Close()
	begin := time.Now()
	_, err = concert.Submit(ctx, ex, task, 0).Result(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("%s ended with %v, not with %v", what, err, want)
	}
	t.measured(what, time.Since(begin), note)
	return nil
}

// crashOne runs 20 tasks, one of which crashes its worker. It returns an error
// unless all other tasks succeed.
func crashOne(ctx context.Context, ex concert.Executor, task func(context.Context, int) (int, error)) error {
	failed := 0
	for _, err := range concert.MapUnordered(ctx, ex, task, upTo(20)) {
		if _, died := errors.AsType[*processes.WorkerError](err); died {
			failed++
		} else if err != nil {
			return err
		}
	}
	if failed != 1 {
		return fmt.Errorf("%d tasks failed because of one crash, want 1", failed)
	}
	return nil
}

// collect returns all results, or the first error.
func collect[T any](results func(yield func(T, error) bool)) (all []T, err error) {
	for v, err := range results {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// upTo yields 0 to n-1.
func upTo(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}
