// Squares is the program of the README for a cluster. There are two changes: a
// different line makes the executor, and the function is registered, so that
// the workers find it.
//
// With "concertd dev" in another terminal:
//
//	go run ./examples/squares -work     a worker
//	go run ./examples/squares           the client
//
// With servers on other machines:
//
//	go run ./examples/squares -cluster tls://one.example:4222 -key box.key -work
//	go run ./examples/squares -cluster tls://one.example:4222 -key ann.key
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"

	"concert"
	"concert/cluster"
	"concert/goroutines"
)

// A function that runs in other processes needs a name.
var square = concert.Register("squares.square", func(_ context.Context, n int) (int, error) { return n * n, nil })

func main() {
	url := flag.String("cluster", "", "URL of the servers (default: the server of concertd dev)")
	key := flag.String("key", "", "key file for these servers")
	work := flag.Bool("work", false, "run as a worker")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	access := cluster.Access{Key: *key}
	if *work {
		if err := cluster.Serve(ctx, *url, goroutines.New(8, nil), &cluster.ServeOptions{Access: access}); err != nil {
			log.Fatal(err)
		}
		return
	}

	ex, err := cluster.Dial(ctx, *url, &cluster.Options{Access: access}) // on goroutines, only this line would differ
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	for n, err := range concert.Map(ctx, ex, square, slices.Values([]int{1, 2, 3})) {
		fmt.Println(n, err)
	}
}
