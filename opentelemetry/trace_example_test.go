package opentelemetry_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"concert"
	"concert/goroutines"
	"concert/opentelemetry"
)

var square = concert.Register("square", func(ctx context.Context, n int) (int, error) {
	_, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("example").Start(ctx, "multiply")
	defer span.End()
	return n * n, nil
})

// A program has its own provider, with an exporter such as OTLP. The provider
// of this example keeps the spans in memory.
func ExampleTrace() {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	ctx := context.Background()
	defer provider.Shutdown(ctx)

	pool := goroutines.New(4, nil)
	stop := opentelemetry.Trace(provider, "squares", pool)

	ctx, request := provider.Tracer("example").Start(ctx, "request")
	fmt.Println(concert.Submit(ctx, pool, square, 7).Result(ctx))
	request.End()
	pool.Close()
	stop()

	for _, s := range exporter.GetSpans() {
		for _, parent := range exporter.GetSpans() {
			if s.Parent.SpanID() == parent.SpanContext.SpanID() {
				fmt.Println(s.Name, "in", parent.Name)
			}
		}
	}
	// Output:
	// 49 <nil>
	// multiply in square
	// square in request
}

// A program that does not use Trace calls Propagate, and so does each worker.
// A worker can call it in the initializer of its pool.
func ExamplePropagate() {
	opentelemetry.Propagate()
	fmt.Println("calls have the span of their submitter")
	// Output: calls have the span of their submitter
}
