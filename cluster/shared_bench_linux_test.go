package cluster_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

// copying is an executor that stores no values, so each call copies them.
type copying struct{ concert.Executor }

// processorTime returns the processor time of this process.
func processorTime() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkShare measures 1,000 calls that use a shared value of 64 MiB. For
// comparison, it measures calls that copy the value: only 20, because each
// of them takes long. There are one or two workers, with two slots each. The
// times include the first upload.
func BenchmarkShare(b *testing.B) {
	const n = 8 << 20
	for _, workers := range []int{1, 2} {
		for _, c := range []struct {
			name  string
			calls int
		}{{"stored", 1000}, {"copied", 20}} {
			b.Run(fmt.Sprintf("%s/workers=%d", c.name, workers), func(b *testing.B) {
				s, err := server.New(nil)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				access := cluster.Access{InProcess: s}
				ctx, stop := context.WithCancel(context.Background())
				done := make(chan error)
				for range workers {
					pool := goroutines.New(2, nil)
					defer pool.Close()
					go func() { done <- cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access}) }()
				}
				ex, err := cluster.Dial(ctx, "", &cluster.Options{Access: access})
				if err != nil {
					b.Fatal(err)
				}
				for range 10 * workers { // until the workers are known
					concert.Submit(ctx, ex, square, 1).Result(ctx)
				}
				begin, used := time.Now(), processorTime()
				calls := 0
				for b.Loop() {
					var on concert.Executor = ex
					if c.name == "copied" {
						on = copying{ex}
					}
					h, err := concert.Share(ctx, on, numbers(n))
					if err != nil {
						b.Fatal(err)
					}
					for got, err := range concert.Map(ctx, ex, pick, func(yield func(grid) bool) {
						for i := range c.calls {
							if !yield(grid{h, i}) {
								return
							}
						}
					}) {
						if err != nil || got < 0 {
							b.Fatal(got, err)
						}
						calls++
					}
					h.Close()
				}
				b.ReportMetric(time.Since(begin).Seconds()*1000/float64(calls), "ms/call")
				b.ReportMetric((processorTime()-used).Seconds()*1000/float64(calls), "cpu-ms/call")
				ex.Close()
				stop()
				for range workers {
					<-done
				}
			})
		}
	}
}
