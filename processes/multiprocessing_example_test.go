package processes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"concert"
	"concert/processes"
)

// The examples of docs/from-python.md: common uses of multiprocessing.Pool.

// open returns a pool for an example.
func open(n int, o *processes.Options) *processes.Pool {
	ex, err := processes.New(n, o)
	if err != nil {
		panic(err)
	}
	return ex
}

// Pool.map: a list of results, or the first error.
func Example_poolMap() {
	ctx := context.Background()
	ex := open(2, nil)
	defer ex.Close()

	squares, err := concert.Collect(ctx, ex, square, slices.Values([]int{1, 2, 3}))
	fmt.Println(squares, err)
	// Output: [1 4 9] <nil>
}

// Pool.imap: results in input order, of an endless sequence of inputs.
func Example_imap() {
	ctx := context.Background()
	ex := open(2, nil)
	defer ex.Close()

	all := func(yield func(int) bool) {
		for i := 1; yield(i); i++ {
		}
	}
	for n, err := range concert.Map(ctx, ex, square, all) {
		if err != nil || n > 10 {
			break
		}
		fmt.Println(n)
	}
	// Output:
	// 1
	// 4
	// 9
}

// Pool.imap_unordered: results in the order in which they finish.
func Example_imapUnordered() {
	ctx := context.Background()
	ex := open(2, nil)
	defer ex.Close()

	sum := 0
	for n := range concert.MapUnordered(ctx, ex, square, slices.Values([]int{1, 2, 3})) {
		sum += n
	}
	fmt.Println(sum)
	// Output: 14
}

// Pool.starmap: several arguments are the fields of a struct.
type rectangle struct{ Width, Height int }

var area = concert.Register("area", func(_ context.Context, r rectangle) (int, error) { return r.Width * r.Height, nil })

func Example_starmap() {
	ctx := context.Background()
	ex := open(2, nil)
	defer ex.Close()

	for n := range concert.Map(ctx, ex, area, slices.Values([]rectangle{{2, 3}, {4, 5}})) {
		fmt.Println(n)
	}
	// Output:
	// 6
	// 20
}

// Pool.apply_async, with a callback.
func Example_applyAsync() {
	ctx := context.Background()
	ex := open(2, nil)
	defer ex.Close()

	told := make(chan int)
	fut := concert.Submit(ctx, ex, square, 7)
	fut.OnDone(ctx, func(ctx context.Context, fut *concert.Future[int]) {
		n, _ := fut.Result(ctx)
		told <- n
	})
	fmt.Println(<-told)
	// Output: 49
}

// Pool(maxtasksperchild=1): each task runs in a fresh process.
func Example_maxTasksPerChild() {
	ctx := context.Background()
	ex := open(1, &processes.Options{MaxTasks: 1})
	defer ex.Close()

	for range 3 {
		n, _ := concert.Submit(ctx, ex, count, 0).Result(ctx) // counts in a variable of the worker
		fmt.Println(n)
	}
	// Output:
	// 1
	// 1
	// 1
}

// Pool.terminate: if its context has already ended, Shutdown does not wait
// for tasks.
func Example_terminate() {
	ex := open(1, &processes.Options{Grace: -1})
	fut := concert.Submit(context.Background(), ex, nap, time.Hour)
	for fut.State() != concert.Running {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("time to go"))
	ex.Shutdown(ctx)

	_, err := fut.Result(context.Background())
	_, died := errors.AsType[*processes.WorkerError](err)
	fmt.Println(died)
	// Output: true
}
