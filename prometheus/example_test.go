package prometheus_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"concert"
	"concert/goroutines"
	concertprom "concert/prometheus"
)

// A program serves the metrics of a pool at /metrics.
func ExampleNewCollector() {
	pool := goroutines.New(8, nil)
	defer pool.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(concertprom.NewCollector("squares", pool))
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	ctx := context.Background()
	square := func(_ context.Context, n int) (int, error) { return n * n, nil }
	for i := range 3 {
		concert.Submit(ctx, pool, square, i).Result(ctx)
	}

	reply := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(reply, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(reply.Body.String()) {
		if strings.HasPrefix(line, "concert_tasks_finished_total") && strings.Contains(line, "success") {
			fmt.Print(line)
		}
	}
	// Output: concert_tasks_finished_total{executor="squares",outcome="success"} 3
}
