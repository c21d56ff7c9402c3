package goroutines_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"concert"
	"concert/goroutines"
)

func ExampleNew() {
	ctx := context.Background()
	ex := goroutines.New(4, nil)
	defer ex.Close()
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	for n, err := range concert.Map(ctx, ex, double, slices.Values([]int{1, 2, 3})) {
		fmt.Println(n, err)
	}
	// Output:
	// 2 <nil>
	// 4 <nil>
	// 6 <nil>
}

// In these examples, a server on the loopback interface replaces the
// network.
func server() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "this is %s", r.URL.Path)
	}))
}

func fetch(ctx context.Context, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return len(body), err
}

// Go corresponds to starting a thread for I/O-bound work, and Gather to
// joining threads. Five fetches run at the same time.
func Example_threads() {
	site := server()
	defer site.Close()
	ctx := context.Background()

	var threads []*concert.Future[int]
	for range 5 {
		threads = append(threads, concert.Go(ctx, func(ctx context.Context) (int, error) {
			return fetch(ctx, site.URL+"/page")
		}))
	}
	results, err := concert.Gather(ctx, threads...)
	fmt.Println(results, err)
	// Output: [13 13 13 13 13] <nil>
}

// Data that tasks share needs a lock, as in Python.
func Example_lock() {
	ctx := context.Background()
	ex := goroutines.New(8, nil)
	var (
		mu      sync.Mutex
		counter int
	)
	increment := func(context.Context, int) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		counter++
		return counter, nil
	}
	for i := range 1000 {
		concert.Submit(ctx, ex, increment, i)
	}
	ex.Close() // waits for all of them
	fmt.Println(counter)
	// Output: 1000
}

// Functions for I/O-bound and CPU-bound work have the same type. Only the
// number of workers differs.
func Example_executors() {
	ctx := context.Background()
	ioTask := func(_ context.Context, n int) (int, error) {
		time.Sleep(time.Millisecond)
		return n, nil
	}
	cpuTask := func(_ context.Context, n int) (int, error) {
		sum := 0
		for i := range n {
			sum += i * i
		}
		return sum, nil
	}
	many := goroutines.New(32, nil) // the number of tasks that may wait at the same time
	defer many.Close()
	for n := range concert.Map(ctx, many, ioTask, slices.Values([]int{1, 2})) {
		fmt.Println(n)
	}
	few := goroutines.New(2, nil) // the number of processors
	defer few.Close()
	for n := range concert.Map(ctx, few, cpuTask, slices.Values([]int{1000, 1000})) {
		fmt.Println(n)
	}
	// Output:
	// 1
	// 2
	// 332833500
	// 332833500
}

// Downloads are reported as they finish, with a map from each future to its
// URL.
func Example_downloads() {
	site := server()
	defer site.Close()
	ctx := context.Background()
	ex := goroutines.New(3, nil)
	defer ex.Close()

	futures := map[*concert.Future[int]]string{}
	var all []*concert.Future[int]
	for _, page := range []string{"/a", "/bb", "/ccc"} {
		f := concert.Submit(ctx, ex, fetch, site.URL+page)
		futures[f] = page
		all = append(all, f)
	}
	total := 0
	for f := range concert.AsCompleted(ctx, all...) {
		size, err := f.Result(ctx)
		if err != nil {
			fmt.Println(futures[f], "failed:", err)
			continue
		}
		total += size
	}
	fmt.Println(len(futures), "pages,", total, "bytes")
	// Output: 3 pages, 33 bytes
}

// Each worker makes one connection, buffer or random source. No two tasks
// use it at the same time.
func ExampleState() {
	type scratch struct{ buf []byte }
	ctx := context.Background()
	ex := goroutines.New(2, &goroutines.Options{Init: func(context.Context) (any, error) {
		return &scratch{make([]byte, 0, 1024)}, nil
	}})
	defer ex.Close()
	format := func(ctx context.Context, n int) (string, error) {
		s, _ := goroutines.State[*scratch](ctx)
		s.buf = fmt.Appendf(s.buf[:0], "%04d", n)
		return string(s.buf), nil
	}
	for s := range concert.Map(ctx, ex, format, slices.Values([]int{7, 42})) {
		fmt.Println(s)
	}
	// Output:
	// 0007
	// 0042
}

// The error of Shutdown names the tasks that still run.
func ExamplePool_Shutdown() {
	ex := goroutines.New(1, nil)
	wait := func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
	concert.Submit(context.Background(), ex, wait, 0)
	concert.Submit(context.Background(), ex, wait, 0)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(ex.Shutdown(ctx))
	// Output: concert: shutdown: context deadline exceeded; 1 waiting canceled
}

func ExamplePool_Resize() {
	ex := goroutines.New(2, nil)
	defer ex.Close()
	ex.Resize(8)
	fmt.Println(ex.Width())
	// Output: 8
}

func ExamplePool_Stats() {
	ctx := context.Background()
	ex := goroutines.New(1, nil)
	concert.Submit(ctx, ex, square, 2)
	concert.Submit(ctx, ex, square, 3)
	ex.Close()
	fmt.Println(ex.Stats().Done)
	// Output: 2
}

// Ctrl-C ends the work in order: running tasks are canceled, and queued ones
// never start.
func ExamplePool_Shutdown_interrupt() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ex := goroutines.New(2, nil)
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	for n, err := range concert.Map(ctx, ex, double, slices.Values([]int{1, 2, 3})) {
		if err != nil {
			fmt.Println("stopped:", err) // after Ctrl-C
			break
		}
		fmt.Println(n)
	}
	if err := ex.Shutdown(ctx); err != nil { // waits for running tasks, until ctx ends
		fmt.Println(err)
	}
	// Output:
	// 2
	// 4
	// 6
}
