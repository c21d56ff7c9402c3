//go:build unix

// Package observation measures the cost of observing an executor.
package observation

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"concert"
	"concert/dashboard"
	"concert/goroutines"
	"concert/opentelemetry"
	concertprom "concert/prometheus"
)

// modes are the ways to observe an executor. Each returns a function that ends
// the observation.
var modes = []struct {
	name    string
	observe func(b *testing.B, ex concert.Executor) (end func())
}{
	{"none", func(*testing.B, concert.Executor) func() { return func() {} }},
	{"stats", func(b *testing.B, ex concert.Executor) func() {
		return eachSecond(func() { ex.Stats() })
	}},
	{"prometheus", scrape},
	{"opentelemetry", collect},
	{"page", openPage},
	{"traces", func(_ *testing.B, ex concert.Executor) func() {
		return opentelemetry.Trace(sdktrace.NewTracerProvider(), "pool", ex) // records all spans, and exports none
	}},
	{"watch", func(b *testing.B, ex concert.Executor) func() {
		var finished atomic.Int64
		return ex.Watch(func(e concert.Event) {
			if e.Kind == concert.TaskFinished {
				finished.Add(1)
			}
		})
	}},
}

// BenchmarkObservation measures a pool of two goroutines whose tasks do
// nothing, while it is observed. Run the whole benchmark several times, and
// compare the processor time, cpu-ns/op. The flag -count would repeat each mode
// before the next one.
func BenchmarkObservation(b *testing.B) {
	nothing := func(_ context.Context, n int) (int, error) { return n, nil }
	for _, kind := range []string{"Submit", "Map"} {
		for _, mode := range modes {
			b.Run(kind+"/"+mode.name, func(b *testing.B) {
				ex := goroutines.New(2, nil)
				defer ex.Close()
				defer mode.observe(b, ex)()
				ctx := context.Background()
				begin := processorTime()
				b.ResetTimer()
				if kind == "Map" {
					for range concert.Map(ctx, ex, nothing, func(yield func(int) bool) {
						for i := 0; i < b.N && yield(i); i++ {
						}
					}) {
					}
				} else {
					var last *concert.Future[int]
					for i := range b.N {
						last = concert.Submit(ctx, ex, nothing, i)
					}
					last.Result(ctx)
				}
				b.StopTimer()
				b.ReportMetric(float64(processorTime()-begin)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// processorTime returns the processor time of this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// eachSecond calls a function now and then each second, until end is called.
func eachSecond(f func()) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var caller sync.WaitGroup
	caller.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			f()
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		caller.Wait()
	}
}

// scrape reads the metrics as Prometheus does, by HTTP.
func scrape(b *testing.B, ex concert.Executor) (end func()) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(concertprom.NewCollector("pool", ex))
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	stop := eachSecond(func() {
		reply, err := http.Get(server.URL)
		if err != nil {
			b.Error(err)
			return
		}
		io.Copy(io.Discard, reply.Body)
		reply.Body.Close()
	})
	return func() {
		stop()
		server.Close()
	}
}

// collect collects the metrics as an SDK of OpenTelemetry does.
func collect(b *testing.B, ex concert.Executor) (end func()) {
	reader := sdk.NewManualReader()
	remove, err := opentelemetry.RegisterMetrics(sdk.NewMeterProvider(sdk.WithReader(reader)), "pool", ex)
	if err != nil {
		b.Fatal(err)
	}
	stop := eachSecond(func() {
		var all metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &all); err != nil {
			b.Error(err)
		}
	})
	return func() {
		stop()
		remove()
	}
}

// openPage reads the events of a live page, as a browser does, and returns when
// the first one has arrived.
func openPage(b *testing.B, ex concert.Executor) (end func()) {
	d := dashboard.New(nil)
	d.Add("pool", ex)
	server := httptest.NewServer(d)
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/events", nil)
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
	var browser sync.WaitGroup
	browser.Go(func() {
		io.Copy(io.Discard, reply.Body)
		reply.Body.Close()
	})
	return func() {
		cancel()
		browser.Wait()
		d.Close()
		server.Close()
	}
}
