//go:build unix

package dashboard_test

import (
	"context"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/dashboard"
	"concert/goroutines"
)

// processorTime returns the processor time of this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPool measures what a page costs a pool of two workers that runs
// about 100,000 tasks a second: without a Dashboard, with one that no page
// uses, and with an open page. Compare the processor time, cpu-ns/op, of
// interleaved runs.
func BenchmarkPool(b *testing.B) {
	block := make([]byte, 600<<10) // its checksum takes about 20 us
	work := func(context.Context, int) (uint32, error) { return crc32.ChecksumIEEE(block), nil }
	modes := []string{"none", "closed", "open"}
	for _, kind := range []string{"Submit", "Map"} {
		for _, mode := range modes {
			b.Run(kind+"/"+mode, func(b *testing.B) {
				ex := goroutines.New(2, nil)
				defer ex.Close()
				if mode != "none" {
					d := dashboard.New(nil)
					d.Add("pool", ex)
					defer d.Close()
					if mode == "open" {
						server := httptest.NewServer(d)
						defer server.Close()
						defer openPage(b, server.URL)()
					}
				}
				ctx := context.Background()
				begin := processorTime()
				b.ResetTimer()
				if kind == "Map" {
					for range concert.Map(ctx, ex, work, func(yield func(int) bool) {
						for i := 0; i < b.N && yield(i); i++ {
						}
					}) {
					}
				} else {
					var last *concert.Future[uint32]
					for i := range b.N {
						last = concert.Submit(ctx, ex, work, i)
					}
					last.Result(ctx)
				}
				b.StopTimer()
				b.ReportMetric(float64(processorTime()-begin)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
			})
		}
	}
}

// openPage reads the events of a page, as a browser does, and returns when the
// first one has arrived.
func openPage(b *testing.B, url string) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", url+"/events", nil)
	if err != nil {
		b.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := reply.Body.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, reply.Body)
		reply.Body.Close()
	}()
	return func() {
		cancel()
		<-done
	}
}
