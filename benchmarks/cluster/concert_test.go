package cluster

import (
	"context"
	"iter"
	"sync"
	"testing"

	"concert"
	"concert/cluster"
	"concert/goroutines"
)

var nop = concert.Register("nop", func(_ context.Context, n int) (int, error) { return n, nil })

var ctx = context.Background()

// newConcert returns a client with one worker of two slots.
func newConcert(b *testing.B) *cluster.Executor {
	b.Helper()
	url := start(b, "server")
	pool := goroutines.New(2, nil)
	life, stop := context.WithCancel(ctx)
	var serving sync.WaitGroup
	serving.Go(func() { check(cluster.Serve(life, url, pool, nil)) })
	b.Cleanup(func() {
		stop()
		serving.Wait()
		pool.Close()
	})
	return dial(b, url)
}

func dial(b *testing.B, url string) *cluster.Executor {
	b.Helper()
	ex, err := cluster.Dial(ctx, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ex.Close() })
	return ex
}

// BenchmarkConcert measures tasks until their results have been returned. asynq
// and River return no results.
func BenchmarkConcert(b *testing.B) {
	b.Run("outstanding/Map", func(b *testing.B) {
		ex := newConcert(b)
		timed(b, *tasks, func(n int) {
			for _, err := range concert.Map(ctx, ex, nop, numbers(n)) {
				check(err)
			}
		})
	})
	// The client and the servers accept a limited number of tasks, so most
	// calls of Submit wait for room.
	b.Run("outstanding/Submit, then all results", func(b *testing.B) {
		ex := newConcert(b)
		timed(b, *tasks, func(n int) {
			futures := make([]*concert.Future[int], n)
			for i := range futures {
				futures[i] = concert.Submit(ctx, ex, nop, i)
			}
			for _, f := range futures {
				_, err := f.Result(ctx)
				check(err)
			}
		})
	})
	b.Run("one at a time", func(b *testing.B) {
		ex := newConcert(b)
		timed(b, *tasks/10, func(n int) {
			for i := range n {
				_, err := concert.Submit(ctx, ex, nop, i).Result(ctx)
				check(err)
			}
		})
	})
}

// numbers yields the numbers below n.
func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}
