package executor_test

import (
	"context"
	"iter"
	"math"
	"sync"
	"testing"

	"concert"
	"concert/goroutines"
	"concert/internal/race"
)

// TestSubmit_Allocations: a Submit makes one allocation, which contains its
// future, argument and context. An item of a Map makes almost none.
func TestSubmit_Allocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	ex := goroutines.New(2, nil)
	defer ex.Close()
	ctx := context.Background()
	futures := make([]*concert.Future[int], 1000)
	if got := fewestAllocations(20, func() {
		for i := range futures {
			futures[i] = concert.Submit(ctx, ex, square, i)
		}
		if _, err := concert.Gather(ctx, futures...); err != nil {
			t.Fatal(err)
		}
	}); got > 1100 { // the waits and the segments of the queue need a few more
		t.Errorf("1,000 Submits made %v allocations, want one each", got)
	}
	const items = 10_000
	if got := fewestAllocations(5, func() {
		for range concert.Map(ctx, ex, square, count(items)) {
		}
	}); got > items/20 {
		t.Errorf("a Map of %d items made %v allocations, want less than one for 20 items", items, got)
	}
}

// fewestAllocations calls a function several times, and returns the number of
// allocations of the call with the fewest. On a busy machine, goroutines wait
// for each other more often, and some of these waits allocate.
func fewestAllocations(calls int, f func()) float64 {
	fewest := math.Inf(1)
	for range calls {
		fewest = min(fewest, testing.AllocsPerRun(1, f))
	}
	return fewest
}

func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// The benchmarks below have counterparts that do the same without concert.

func BenchmarkSubmit(b *testing.B) {
	ex := goroutines.New(4, nil)
	defer ex.Close()
	ctx := context.Background()
	b.ReportAllocs()
	b.Run("concert", func(b *testing.B) {
		futures := make([]*concert.Future[int], 0, 1000)
		for i := range b.N {
			if futures = append(futures, concert.Submit(ctx, ex, square, i)); len(futures) == cap(futures) || i == b.N-1 {
				if _, err := concert.Gather(ctx, futures...); err != nil {
					b.Fatal(err)
				}
				futures = futures[:0]
			}
		}
	})
	b.Run("goroutine and channel", func(b *testing.B) {
		results := make([]chan int, 0, 1000)
		for i := range b.N {
			c := make(chan int, 1)
			go func() {
				v, _ := square(ctx, i)
				c <- v
			}()
			if results = append(results, c); len(results) == cap(results) || i == b.N-1 {
				for _, c := range results {
					<-c
				}
				results = results[:0]
			}
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	ex := goroutines.New(4, nil)
	defer ex.Close()
	ctx := context.Background()
	b.Run("concert", func(b *testing.B) {
		for i := range b.N {
			if _, err := concert.Submit(ctx, ex, square, i).Result(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("worker and channels", func(b *testing.B) {
		in, out := make(chan int), make(chan int)
		go func() {
			for n := range in {
				v, _ := square(ctx, n)
				out <- v
			}
		}()
		for i := range b.N {
			in <- i
			<-out
		}
		close(in)
	})
}

func BenchmarkMap(b *testing.B) {
	ctx := context.Background()
	b.Run("concert", func(b *testing.B) {
		ex := goroutines.New(4, nil)
		defer ex.Close()
		for _, err := range concert.Map(ctx, ex, square, count(b.N)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("chunks and WaitGroup", func(b *testing.B) { // not lazy: it keeps all results in memory
		results := make([]int, b.N)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := w * b.N / 4; i < (w+1)*b.N/4; i++ {
					results[i], _ = square(ctx, i)
				}
			})
		}
		wg.Wait()
	})
}
