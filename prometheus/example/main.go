// Example is a program with a pool whose metrics Prometheus can scrape.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"concert"
	"concert/goroutines"
	concertprom "concert/prometheus"
)

func main() {
	address := flag.String("listen", "localhost:9464", "the address of the metrics")
	flag.Parse()

	pool := goroutines.New(4, nil)
	prometheus.MustRegister(concertprom.NewCollector("requests", pool))
	go work(pool)

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s/metrics\n", listener.Addr())
	log.Fatal(http.Serve(listener, promhttp.Handler()))
}

// work submits a task every 10 milliseconds. One of ten tasks fails.
func work(pool *goroutines.Pool) {
	request := func(ctx context.Context, n int) (int, error) {
		time.Sleep(time.Duration(n%7) * 10 * time.Millisecond)
		if n%10 == 0 {
			return 0, fmt.Errorf("request %d has failed", n)
		}
		return n, nil
	}
	for n := 1; ; n++ {
		concert.Submit(context.Background(), pool, request, n)
		time.Sleep(10 * time.Millisecond)
	}
}
