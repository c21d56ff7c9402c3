package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"concert"
)

// nap sleeps, and returns the real duration of the sleep.
var nap = concert.Register("nap", func(_ context.Context, d time.Duration) (time.Duration, error) {
	begin := time.Now()
	time.Sleep(d)
	return time.Since(begin), nil
})

// BenchmarkNaps runs a Map of tasks that sleep for a millisecond. Each worker
// has one slot, and runs in a process of its own. In the ideal case, no worker
// ever waits for its next task. The benchmark reports its time as a multiple of
// two ideal times:
//
//	x-ideal    if each nap took exactly a millisecond
//	x-sleep    if each nap took as long as time.Sleep(time.Millisecond) on the idle machine
//
// It also reports the real time of a nap in a worker (us/nap), which is longer
// if the worker waits for a processor when it wakes up.
func BenchmarkNaps(b *testing.B) {
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprint("workers ", workers), func(b *testing.B) {
			url := start(b, "server")
			for range workers {
				start(b, "worker", url)
			}
			ex := dial(b, url)
			for ex.Width() < 2*workers { // Width is twice the number of known slots
				time.Sleep(time.Millisecond)
			}
			n := *tasks / 10 * workers
			naps(ex, n/10+1)
			alone := sleeps(max(1, *tasks/50))
			var slept time.Duration
			for b.Loop() {
				slept += naps(ex, n)
			}
			perWorker := float64(b.N*n) / float64(workers) // the number of naps of each worker
			b.ReportMetric(float64(b.Elapsed())/(perWorker*float64(time.Millisecond)), "x-ideal")
			b.ReportMetric(float64(b.Elapsed())/(perWorker*float64(alone)), "x-sleep")
			b.ReportMetric(float64(slept.Microseconds())/float64(b.N*n), "us/nap")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// naps runs n naps, and returns their total time.
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

// sleeps returns the mean time of n calls of time.Sleep(time.Millisecond).
func sleeps(n int) time.Duration {
	begin := time.Now()
	for range n {
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin) / time.Duration(n)
}
