package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
)

var cube = concert.Register("cluster_test.cube", func(_ context.Context, n int) (int, error) { return n * n * n, nil })

// machine starts a server and a worker in this process. A program that uses
// servers on other machines passes their URL instead of this access.
func machine() (access cluster.Access, stop func()) {
	s, err := server.New(nil)
	if err != nil {
		panic(err)
	}
	access = cluster.Access{InProcess: s}
	ctx, cancel := context.WithCancel(context.Background())
	worker := concert.Go(ctx, func(ctx context.Context) (struct{}, error) {
		pool := goroutines.New(2, nil)
		defer pool.Close()
		if err := cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access}); err != nil {
			log.Fatal(err) // otherwise callers that wait for the worker would wait forever
		}
		return struct{}{}, nil
	})
	return access, func() {
		cancel()
		worker.Result(context.Background())
		s.Close()
	}
}

func quiet(string) {}

// Only the line with Dial determines where tasks run.
func ExampleDial() {
	access, stop := machine()
	defer stop()
	ctx := context.Background()
	ex, err := cluster.Dial(ctx, "", &cluster.Options{Access: access, Notice: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	for n, err := range concert.Map(ctx, ex, cube, slices.Values([]int{1, 2, 3})) {
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 8 <nil>
	// 27 <nil>
}

// Serve runs a worker until its context ends. In this example, the context ends
// at once.
func ExampleServe() {
	s, err := server.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	pool := goroutines.New(8, nil) // or processes, or Python
	defer pool.Close()
	ctx, stop := context.WithCancel(context.Background())
	stop()
	fmt.Println(cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: cluster.Access{InProcess: s}}))
	// Output: <nil>
}

// If a program is started again, it finds the results of the tasks that ran
// before.
func ExampleWithID() {
	access, stop := machine()
	defer stop()
	ctx := cluster.WithID(context.Background(), "cubes of 2026-11-23")
	for range 2 { // runs of the program
		ex, err := cluster.Dial(ctx, "", &cluster.Options{Access: access, Notice: quiet})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(concert.Submit(ctx, ex, cube, 4).Result(ctx))
		ex.Close()
	}
	// Output:
	// 64 <nil>
	// 64 <nil>
}

var flaky = concert.Register("cluster_test.flaky", func(_ context.Context, name string) (string, error) {
	if calls.Add(1) < 3 {
		return "", errors.New("the server it asks is busy")
	}
	return "at last: " + name, nil
})

var calls atomic.Int32

// Between two attempts, the servers store the task, and no worker waits for it.
func ExampleWithRetry() {
	access, stop := machine()
	defer stop()
	ctx := context.Background()
	ex, err := cluster.Dial(ctx, "", &cluster.Options{Access: access, Notice: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	again := cluster.WithRetry(ctx, &concert.RetryOptions{Attempts: 5, Delay: 10 * time.Millisecond})
	fmt.Println(concert.Submit(again, ex, flaky, "flaky").Result(ctx))
	// Output: at last: flaky <nil>
}

func ExampleInspect() {
	access, stop := machine()
	defer stop()
	ctx := context.Background()
	in, err := cluster.Inspect(ctx, "", &access)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer in.Close()
	letters, err := in.DeadLetters(ctx, 0, 100)
	fmt.Println(len(letters), "dead letters", err)
	for _, l := range letters {
		fmt.Println(l.Number, l.Function, l.Reason)
		in.Replay(ctx, l.Number)
	}
	// Output: 0 dead letters <nil>
}

// Setup creates the streams on NATS servers. With three servers, the number of
// replicas is 3.
func ExampleSetup() {
	s, err := server.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	access := &cluster.Access{InProcess: s}
	fmt.Println(cluster.Setup(context.Background(), "", 1, access))
	// Output: <nil>
}

// If one cluster cannot handle all tasks, two clusters can share the work: see
// docs/scale.md. A worker serves both clusters with one pool, and a client
// divides its tasks between the clusters.
func Example_shards() {
	ctx, stop := context.WithCancel(context.Background())
	pool := goroutines.New(2, nil)
	var shards []*cluster.Executor
	var serving sync.WaitGroup
	for range 2 {
		s, err := server.New(nil)
		if err != nil {
			log.Fatal(err)
		}
		defer s.Close()
		access := cluster.Access{InProcess: s}
		serving.Go(func() {
			if err := cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access}); err != nil {
				log.Fatal(err)
			}
		})
		ex, err := cluster.Dial(ctx, "", &cluster.Options{Access: access, Notice: quiet})
		if err != nil {
			log.Fatal(err)
		}
		shards = append(shards, ex)
	}

	var cubes []*concert.Future[int]
	for n := range 6 {
		cubes = append(cubes, concert.Submit(ctx, shards[n%len(shards)], cube, n))
	}
	fmt.Println(concert.Gather(ctx, cubes...))

	for _, ex := range shards {
		ex.Close()
	}
	stop()
	serving.Wait()
	pool.Close()
	// Output: [0 1 8 27 64 125] <nil>
}
