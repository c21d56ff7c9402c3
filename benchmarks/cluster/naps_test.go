package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"concert"
)

// nap returns how long it really took.
var nap = concert.Register("nap", func(_ context.Context, d time.Duration) (time.Duration, error) {
	begin := time.Now()
	time.Sleep(d)
	return time.Since(begin), nil
})

// BenchmarkNaps runs a Map of tasks that sleep for a millisecond, on workers in
// processes of their own with one slot each. In the ideal case no worker ever
// waits for its next task. The benchmark reports the time as a multiple:
//
//	x-ideal    of naps of exactly a millisecond
//	x-sleep    of the real time of time.Sleep(time.Millisecond) on the idle machine
//
// It also reports the time of the naps in the workers, which is longer if they
// wait for a processor when they wake up.
func BenchmarkNaps(b *testing.B) {
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprint("workers ", workers), func(b *testing.B) {
			url := start(b, "server")
			for range workers {
				start(b, "worker", url)
			}
			ex := dial(b, url)
			for ex.Width() < 2*workers { // twice the slots that it knows
				time.Sleep(time.Millisecond)
			}
			n := *tasks / 10 * workers
			naps(ex, n/10+1)
			alone := sleeps(max(1, *tasks/50))
			var slept time.Duration
			for b.Loop() {
				slept += naps(ex, n)
			}
			places := float64(b.N*n) / float64(workers) // the number of naps in each of them
			b.ReportMetric(float64(b.Elapsed())/(places*float64(time.Millisecond)), "x-ideal")
			b.ReportMetric(float64(b.Elapsed())/(places*float64(alone)), "x-sleep")
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

// sleeps returns the mean time of n calls of time.Sleep.
func sleeps(n int) time.Duration {
	begin := time.Now()
	for range n {
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin) / time.Duration(n)
}
