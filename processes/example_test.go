package processes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"concert"
	"concert/processes"
)

// Each process finds the functions by name, so they are registered at package
// level, which runs in every process.
var (
	square = concert.Register("square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	nap    = concert.Register("nap", func(_ context.Context, d time.Duration) (string, error) { time.Sleep(d); return "awake", nil })
	crash  = concert.Register("crash", func(context.Context, int) (int, error) { os.Exit(3); return 0, nil })
	cat    = concert.Register("cat", func(_ context.Context, path string) ([]byte, error) { return os.ReadFile(path) })
	count  = concert.Register("count", func(context.Context, int) (int, error) { counted++; return counted, nil })
)

var counted int // each process has its own variable

// This is Pool(4).map(square, ...) of Python. A program must call
// processes.Main() first in main; the program of these examples calls it in
// TestMain.
func Example() {
	ex, err := processes.New(4, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	for n, err := range concert.Map(context.Background(), ex, square, slices.Values([]int{1, 2, 3, 4})) {
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 4 <nil>
	// 9 <nil>
	// 16 <nil>
}

// New starts workers of this program, and returns when they are ready.
func ExampleNew() {
	ex, err := processes.New(2, &processes.Options{Timeout: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	fmt.Println(ex.Width(), "workers")
	// Output: 2 workers
}

// Processes share no memory: other processes do not see what a worker changes.
func Example_memory() {
	ctx := context.Background()
	ex, err := processes.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	for range 3 {
		n, _ := concert.Submit(ctx, ex, count, 0).Result(ctx)
		fmt.Println("in the worker:", n)
	}
	fmt.Println("here:", counted)
	// Output:
	// in the worker: 1
	// in the worker: 2
	// in the worker: 3
	// here: 0
}

// All workers use one copy of a large value. Without Share, each call would
// receive its own copy.
func Example_sharedValue() {
	ctx := context.Background()
	ex, err := processes.New(2, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	grid, err := concert.Share(ctx, ex, make([]float64, 1000*1000))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer grid.Close()
	rows := []row{{grid, 0}, {grid, 500}, {grid, 999}}
	fmt.Println(concert.Collect(ctx, ex, sumRow, slices.Values(rows)))
	// Output: [0 0 0] <nil>
}

// row is a row of a grid with 1,000 columns.
type row struct {
	Grid *concert.Shared[[]float64]
	N    int
}

var sumRow = concert.Register("sum row", func(_ context.Context, r row) (sum float64, err error) {
	for _, v := range r.Grid.Value()[1000*r.N : 1000*(r.N+1)] {
		sum += v
	}
	return sum, nil
})

// A worker returns a large slice. This process maps the memory of the slice,
// and does not copy it.
func Example_mappedResult() {
	ctx := context.Background()
	ex, err := processes.New(2, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	grid, err := concert.Submit(ctx, ex, makeGrid, 1000).Result(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer grid.Close() // releases the memory; after that, Value must not be used
	fmt.Println(len(grid.Value()), grid.Value()[999_999])
	// Output: 1000000 999999
}

var makeGrid = concert.Register("make grid", func(_ context.Context, side int) (*concert.Mapped[float64], error) {
	v := make([]float64, side*side)
	for i := range v {
		v[i] = float64(i)
	}
	return concert.NewMapped(v), nil
})

// If a worker dies, only the task that it ran fails.
func ExampleWorkerError() {
	ctx := context.Background()
	ex, err := processes.New(2, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	bad := concert.Submit(ctx, ex, crash, 0)
	good := concert.Submit(ctx, ex, square, 7)

	_, err = bad.Result(ctx)
	if e, ok := errors.AsType[*processes.WorkerError](err); ok {
		fmt.Println(e.Task, "exited with code", e.ExitCode)
	}
	fmt.Println(good.Result(ctx))
	// Output:
	// crash exited with code 3
	// 49 <nil>
}

// A task that hangs is stopped; if necessary, its process is killed.
func ExampleOptions_timeout() {
	ctx := context.Background()
	ex, err := processes.New(1, &processes.Options{Timeout: 50 * time.Millisecond, Grace: 10 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	_, err = concert.Submit(ctx, ex, nap, time.Hour).Result(ctx)
	fmt.Println(errors.Is(err, processes.ErrTimeout))
	fmt.Println(concert.Submit(ctx, ex, nap, time.Millisecond).Result(ctx))
	// Output:
	// true
	// awake <nil>
}

// An initializer runs once in each worker, and prepares data for all tasks.
func ExampleInitialize() {
	ctx := context.Background()
	ex, err := processes.New(1, &processes.Options{Init: processes.Initialize(prepare, "ok")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	fmt.Println(concert.Submit(ctx, ex, whatIsPrepared, 0).Result(ctx))
	// Output: prepared <nil>
}

// Output receives the lines that workers print, with the worker and the task.
func ExampleOptions_output() {
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "time" || a.Key == "pid" || a.Key == "task" || a.Key == "level" {
			return slog.Attr{}
		}
		return a
	}}))
	ex, err := processes.New(1, &processes.Options{Output: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	concert.Submit(ctx, ex, greet, "world").Result(ctx)
	ex.Close()
	// Output: msg="hello world" worker=0 stream=stdout
}

var greet = concert.Register("greet", func(_ context.Context, name string) (int, error) { return fmt.Println("hello", name) })

// A sandbox confines tasks that parse hostile input. Even if an input takes
// control of the worker, the worker can only write to one directory.
func ExampleSandbox() {
	ex, err := processes.New(2, &processes.Options{
		Sandbox: &processes.Sandbox{Read: []string{}, Write: []string{os.TempDir()}},
		Timeout: 10 * time.Second,
		Memory:  512 << 20,
	})
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("this system cannot confine, so nothing runs:", err)
		return
	}
	defer ex.Close()
	_, err = concert.Submit(context.Background(), ex, cat, "/etc/passwd").Result(context.Background())
	fmt.Println(err) // open /etc/passwd: permission denied
}
