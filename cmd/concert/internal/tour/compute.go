package tour

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"concert"
	"concert/goroutines"
)

// sumOfSquares is the reference function of the guide for work that computes.
func sumOfSquares(_ context.Context, n int) (uint64, error) {
	sum := uint64(0)
	for i := range uint64(n) {
		sum += i * i
	}
	return sum, nil
}

func showCompute(ctx context.Context, t *tour) error {
	const tasks, size = 8, 60_000_000
	inputs := slices.Repeat([]int{size}, tasks)
	want, _ := sumOfSquares(ctx, size)

	run := func(workers int) (time.Duration, error) {
		ex := goroutines.New(workers, nil)
		defer ex.Close()
		begin := time.Now()
		for got, err := range concert.Map(ctx, ex, sumOfSquares, slices.Values(inputs)) {
			if err != nil {
				return 0, err
			}
			if got != want {
				return 0, fmt.Errorf("the sum is %d, not %d", got, want)
			}
		}
		return time.Since(begin), nil
	}
	alone, err := run(1)
	if err != nil {
		return err
	}
	t.measured("1 goroutine", alone, "one processor")
	n := runtime.GOMAXPROCS(0)
	all, err := run(n)
	if err != nil {
		return err
	}
	t.compared(fmt.Sprintf("%d goroutines", n), alone, all, onProcessors(n), "one for each processor")
	over, err := run(8 * n)
	if err != nil {
		return err
	}
	t.compared(fmt.Sprintf("%d goroutines", 8*n), all, over, noSpeedup, "there are no more processors")
	return nil
}
