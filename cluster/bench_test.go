package cluster_test

import (
	"context"
	"testing"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

func BenchmarkMap(b *testing.B) {
	s, err := server.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	access := cluster.Access{InProcess: s}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	pool := goroutines.New(2, nil)
	defer pool.Close()
	done := make(chan error)
	go func() { done <- cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access, Places: 2}) }()
	defer func() { stop(); <-done }()
	ex, err := cluster.Dial(ctx, "", &cluster.Options{Access: access})
	if err != nil {
		b.Fatal(err)
	}
	defer ex.Close()
	concert.Submit(ctx, ex, square, 1).Result(ctx)
	b.ResetTimer()
	for _, err := range concert.Map(ctx, ex, square, func(yield func(int) bool) {
		for i := range b.N {
			if !yield(i) {
				return
			}
		}
	}) {
		if err != nil {
			b.Fatal(err)
		}
	}
}

var square = concert.Register("cluster_test.square", func(_ context.Context, n int) (int, error) { return n * n, nil })
