package executor_test

import (
	"context"
	"fmt"

	"concert"
	"concert/executor"
	"concert/internal/loopback"
)

type requestKey struct{}

// requests sends the ID of a request with each call. A library for distributed
// tracing sends its own texts in the same way.
type requests struct{}

func (requests) Within(ctx context.Context, task uint64) context.Context { return ctx }

func (requests) Inject(ctx context.Context, task uint64) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

func (requests) Extract(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, requestKey{}, trace)
}

var handle = concert.Register("handle", func(ctx context.Context, n int) (string, error) {
	return fmt.Sprint(n, " for ", ctx.Value(requestKey{})), nil
})

// A worker calls each function with the context that ExtractTrace returns.
func ExampleExtractTrace() {
	executor.SetTracing(requests{})
	defer executor.SetTracing(nil)
	ctx := executor.ExtractTrace(context.Background(), "request 7")
	fmt.Println(ctx.Value(requestKey{}))

	ex := loopback.New(1, loopback.Options{}) // its workers call ExtractTrace
	defer ex.Close()
	fmt.Println(concert.Submit(ctx, ex, handle, 1).Result(ctx))
	// Output:
	// request 7
	// 1 for request 7 <nil>
}
