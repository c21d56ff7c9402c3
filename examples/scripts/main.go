// Scripts runs scripts in Starlark, a dialect of Python, in many goroutines.
// All scripts count words in one dictionary:
//
//	go run ./examples/scripts               counts the words of 24 pages, from its own server
//	go run ./examples/scripts URL...        counts the words of your pages
//
// Two goroutines must not use the values of a Starlark program at the same
// time. So the scripts hold a lock with the rules of Python's interpreter lock.
// One script computes, while any number of scripts wait for pages. A script
// that computes for long hands the lock over every five milliseconds.
//
// Exit codes: 0 if all pages were counted, 1 if some were not, 2 if the program
// cannot work.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"concert"
	"concert/goroutines"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scripts:", err)
	}
	os.Exit(code)
}

// run prints the most frequent words, and returns the exit code.
func run(ctx context.Context, urls []string) (code int, err error) {
	if len(urls) == 0 {
		site, stop, err := serve()
		if err != nil {
			return 2, err
		}
		defer stop()
		for i := range 24 {
			urls = append(urls, fmt.Sprintf("%s/%d", site, i))
		}
	}
	e, err := newEngine()
	if err != nil {
		return 2, err
	}
	count := func(ctx context.Context, url string) (int, error) { return e.count(ctx, url) }
	ex := goroutines.New(len(urls), nil)
	defer ex.Close()
	begin := time.Now()
	i := 0
	for _, err := range concert.Map(ctx, ex, count, slices.Values(urls)) {
		if ctx.Err() != nil {
			return 1, context.Cause(ctx)
		}
		if err != nil {
			code = 1
			fmt.Fprintf(os.Stderr, "%s: %v\n", urls[i], err)
		}
		i++
	}
	took := time.Since(begin)
	for _, w := range e.frequent(5) {
		fmt.Printf("%6d  %s\n", w.n, w.text)
	}
	s := e.lock.Stats()
	fmt.Printf("%d pages in %v; the lock was handed over %d times, %d times at a checkpoint, and was held for %v\n",
		len(urls), took.Round(time.Millisecond), s.Switches, s.Forced, s.Held.Round(time.Millisecond))
	return code, nil
}

// delay is the time after which the server answers a request.
const delay = 50 * time.Millisecond

// serve starts a server of pages on loopback.
func serve() (site string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(delay):
				fmt.Fprint(w, page)
			case <-r.Context().Done():
			}
		}),
	}
	go server.Serve(l)
	return "http://" + l.Addr().String(), func() { server.Close() }, nil
}

// page is the text that the server sends for each URL: 5,000 words.
var page = strings.Repeat("one holds the lock and the others wait\nuntil it is let go of\n", 5000/14+1)
