package tour

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concert"
	"concert/cmd/concert/internal/cli"
	"concert/goroutines"
)

const (
	counters  = 4
	eachOne   = 10_000
	countedTo = counters * eachOne
)

func showLock(ctx context.Context, t *tour) error {
	ex := goroutines.New(counters, nil)
	defer ex.Close()
	together := func(count func(context.Context, int) (int, error)) (time.Duration, error) {
		begin := time.Now()
		for _, err := range concert.Map(ctx, ex, count, slices.Values(slices.Repeat([]int{eachOne}, counters))) {
			if err != nil {
				return 0, err
			}
		}
		return time.Since(begin), nil
	}

	// Read, add, write back: between these steps any other goroutine may run,
	// and then the update of that goroutine is lost. There is no data race,
	// because each step is atomic.
	var bare atomic.Int64
	took, err := together(func(_ context.Context, n int) (int, error) {
		for i := range n {
			v := bare.Load()
			if i%64 == 0 {
				runtime.Gosched() // the scheduler may switch to another goroutine at any time
			}
			bare.Store(v + 1)
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	t.measured("without a lock: "+cli.Thousands(bare.Load()), took, cli.Thousands(countedTo-bare.Load())+" lost")

	var mu sync.Mutex
	counter := 0
	took, err = together(func(_ context.Context, n int) (int, error) {
		for range n {
			mu.Lock()
			counter++
			mu.Unlock()
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	if counter != countedTo {
		return fmt.Errorf("the locked counter is %d, not %d", counter, countedTo)
	}
	t.measured("with sync.Mutex: "+cli.Thousands(int64(counter)), took, "all there")
	return nil
}
