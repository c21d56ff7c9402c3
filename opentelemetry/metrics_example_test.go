package opentelemetry_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"concert"
	"concert/goroutines"
	"concert/opentelemetry"
)

// A program registers a pool at the provider that exports its metrics.
func ExampleRegisterMetrics() {
	reader := sdk.NewManualReader() // a program has sdk.NewPeriodicReader(exporter)
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	pool := goroutines.New(8, nil)
	defer pool.Close()
	stop, err := opentelemetry.RegisterMetrics(provider, "squares", pool)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	ctx := context.Background()
	square := func(_ context.Context, n int) (int, error) { return n * n, nil }
	for i := range 3 {
		concert.Submit(ctx, pool, square, i).Result(ctx)
	}

	var collected metricdata.ResourceMetrics
	reader.Collect(ctx, &collected)
	for _, m := range collected.ScopeMetrics[0].Metrics {
		if m.Name != "concert.task.count" {
			continue
		}
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			if !p.Attributes.HasValue("error.type") {
				fmt.Println(m.Name, "is", p.Value)
			}
		}
	}
	// Output: concert.task.count is 3
}
