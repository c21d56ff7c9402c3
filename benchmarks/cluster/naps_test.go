package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"concert"
)

// nap says how long it really took.
var nap = concert.Register("nap", func(_ context.Context, d time.Duration) (time.Duration, error) {
	begin := time.Now()
	time.Sleep(d)
	return time.Since(begin), nil
})

// BenchmarkNaps is a Map of tasks that wait for a millisecond, over workers in
// processes of their own with one place each. The ideal is that no worker ever
// waits for its next task. It reports how many times as long it took:
//
//	x-ideal    compared with naps of exactly a millisecond
//	x-sleep    compared with what time.Sleep takes for a millisecond on the idle machine
//
// and what the naps took in the workers, which is more if these wait for a
// processor to wake up on.
func BenchmarkNaps(b *testing.B) {
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprint("workers ", workers), func(b *testing.B) {
			url := start(b, "server")
			for range workers {
				start(b, "worker", url)
			}
			ex := dial(b, url)
			for ex.Width() < 2*workers { // twice the places that it knows of
				time.Sleep(time.Millisecond)
			}
			n := *tasks / 10 * workers
			naps(ex, n/10+1)
			alone := sleeps(max(1, *tasks/50))
			var slept time.Duration
			for b.Loop() {
				slept += naps(ex, n)
			}
			places := float64(b.N*n) / float64(workers) // in each of them so many naps
			b.ReportMetric(float64(b.Elapsed())/(places*float64(time.Millisecond)), "x-ideal")
			b.ReportMetric(float64(b.Elapsed())/(places*float64(alone)), "x-sleep")
			b.ReportMetric(float64(slept.Microseconds())/float64(b.N*n), "us/nap")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// naps has n of them, and returns what they took together.
func naps(ex concert.Executor, n int) (slept time.Duration) {
	inputs := func(yield func(time.Duration) bool) {
		for range n {
			if !yield(time.Millisecond) {
				return
			}
		}
	}
	for d, err := range concert.Map(ctx, ex, nap, inputs) {
		check(err)
		slept += d
	}
	return slept
}

// sleeps is what time.Sleep takes for a millisecond, of n the mean.
func sleeps(n int) time.Duration {
	begin := time.Now()
	for range n {
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin) / time.Duration(n)
}
