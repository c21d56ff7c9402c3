package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"concert"
	"concert/executor"
	"concert/goroutines"
)

// Package concert calls these functions, and documents them.
func Example_submit() {
	ctx := context.Background()
	pool := goroutines.New(2, &goroutines.Options{Observer: func(e executor.Event) {
		if e.Kind == executor.TaskProgress {
			fmt.Printf("%s: %d of %d steps done\n", e.Input.Label, e.Done, e.Total)
		}
	}})
	defer pool.Close()
	length := func(ctx context.Context, word string) (int, error) {
		executor.Progress(ctx, 1, 2)
		executor.Release(ctx, func() { time.Sleep(time.Millisecond) }) // the task holds no Lock, so Release only sleeps
		return len(word), nil
	}
	quiet := func(_ context.Context, word string) (int, error) { return len(word), nil }

	fmt.Println(executor.Submit(executor.WithLabel(ctx, "the gopher"), pool, length, "gopher").Result(ctx))
	if fut, ok := executor.TrySubmit(ctx, pool, quiet, "go"); ok {
		fmt.Println(fut.Result(ctx))
	}
	fmt.Println(executor.Go(ctx, func(context.Context) (string, error) { return "alone", nil }).Result(ctx))
	labeled := executor.WithInputLabels(ctx, strings.ToUpper)
	results := executor.Map(labeled, pool, quiet, slices.Values([]string{"a", "bb"}), true)
	results(func(index int64, n int, err error) bool {
		fmt.Println(index, n, err)
		return true
	})
	// Output:
	// the gopher: 1 of 2 steps done
	// 6 <nil>
	// 2 <nil>
	// alone <nil>
	// 0 1 <nil>
	// 1 2 <nil>
}

// lazyPool is a local executor that runs its tasks when it is closed, on the
// goroutine that calls Close.
type lazyPool struct {
	mu     sync.Mutex
	queue  *executor.TaskQueue
	worker *executor.Worker
}

func (p *lazyPool) Execute(ctx context.Context, t *executor.Task) error {
	p.worker.Group().Adopt(t)
	return p.queue.Push(ctx, p.worker.Group(), t)
}

func (p *lazyPool) Width() int { return 1 }

func (p *lazyPool) Stats() executor.Stats { return p.worker.Group().Stats() }

func (p *lazyPool) Watch(o executor.Observer) func() { return p.worker.Group().Watch(o) }

func (p *lazyPool) Close() error {
	p.queue.Close(executor.ErrClosed)
	p.worker.Serve(p.queue.Next)
	return nil
}

func (p *lazyPool) Shutdown(context.Context) error { return p.Close() }

// A worker of a group runs the tasks of a queue. Here, the worker runs them
// when the executor is closed. So the function that the queue calls for a
// new task does nothing.
func ExampleNewTaskQueue() {
	pool := new(lazyPool)
	pool.queue = executor.NewTaskQueue(&pool.mu, 16, func() { fmt.Println("queued") })
	pool.worker = executor.NewWorkerGroup(pool.queue, nil).Join(0)

	ctx := context.Background()
	fut := concert.Submit(ctx, pool, func(_ context.Context, n int) (int, error) {
		fmt.Println("runs")
		return n * n, nil
	}, 12)
	pool.Close()
	fmt.Println(fut.Result(ctx))
	// Output:
	// queued
	// runs
	// 144 <nil>
}

// The observer of a group is called with the events of its tasks.
func ExampleNewWorkerGroup() {
	pool := new(lazyPool)
	pool.queue = executor.NewTaskQueue(&pool.mu, 16, func() {})
	group := executor.NewWorkerGroup(pool.queue, func(e executor.Event) { fmt.Println(e.Kind) })
	pool.worker = group.Join(0)

	concert.Submit(context.Background(), pool, func(context.Context, int) (int, error) { return 0, nil }, 0)
	pool.Close()
	// Output:
	// submitted
	// started
	// finished
}

// byteExecutor is a remote executor. It has no queue, because it claims the
// calls of each task at once. Its "worker" is a goroutine that receives only
// the names of functions, and bytes.
type byteExecutor struct {
	group *executor.WorkerGroup
	tasks sync.WaitGroup
}

func (e *byteExecutor) Execute(_ context.Context, t *executor.Task) error {
	e.group.Adopt(t)
	e.Again(t)
	return nil
}

func (e *byteExecutor) Again(t *executor.Task) { e.tasks.Go(func() { e.run(t) }) }

func (e *byteExecutor) run(t *executor.Task) {
	for again := true; again; {
		var batch *executor.Batch
		if batch, again = t.Claim(4, 1<<20); batch == nil {
			return
		}
		for i, arg := range batch.Args {
			if batch.Start(i, 0) {
				result, err := executor.InvokeIsolated(batch.Context(), batch.Name, arg)
				batch.Settle(i, 0, result, err)
			} else {
				batch.Settle(i, -1, executor.Encoded{}, executor.ErrCanceled)
			}
		}
	}
}

func (e *byteExecutor) Dropped()                         {}
func (e *byteExecutor) Withdraw(*executor.Task) bool     { return true } // the method Start decides whether the call runs
func (e *byteExecutor) Width() int                       { return 1 }
func (e *byteExecutor) Stats() executor.Stats            { return e.group.Stats() }
func (e *byteExecutor) Watch(o executor.Observer) func() { return e.group.Watch(o) }
func (e *byteExecutor) Close() error                     { e.tasks.Wait(); return nil }
func (e *byteExecutor) Shutdown(context.Context) error   { return e.Close() }

var reverse = concert.Register("executor_test.reverse", func(_ context.Context, text []byte) ([]byte, error) {
	slices.Reverse(text)
	return text, nil
})

// A remote executor claims the calls of a task, and settles them with the
// results that its workers return.
func ExampleNewRemoteGroup() {
	ex := new(byteExecutor)
	ex.group = executor.NewRemoteGroup(ex, executor.Limits{Timeout: time.Second, Expired: errors.New("too slow")}, nil)
	defer ex.Close()

	ctx := context.Background()
	text, err := concert.Submit(ctx, ex, reverse, []byte("gopher")).Result(ctx)
	fmt.Println(string(text), err)
	// Output: rehpog <nil>
}

// Shutdown waits until all tasks have settled. When its context ends, Shutdown
// cancels the tasks, and waits for the grace period.
func ExampleShutdown() {
	task, cancelTask := context.WithCancelCause(context.Background())
	done := make(chan struct{})
	go func() {
		<-task.Done() // what the task does
		close(done)
	}()
	cancel := func(cause error) (notStarted int) {
		cancelTask(cause)
		return 0
	}
	running := func() []string { return []string{"task"} }

	ctx, stop := context.WithTimeout(context.Background(), time.Millisecond)
	defer stop()
	fmt.Println(executor.Shutdown(ctx, done, time.Minute, cancel, running))
	// Output: concert: shutdown: context deadline exceeded
}

// AsCompleted and Wait of package concert are loops over Arrivals.
func ExampleNewArrivals() {
	ctx := context.Background()
	pool := goroutines.New(2, nil)
	defer pool.Close()
	slow := make(chan struct{})
	first := executor.Submit(ctx, pool, func(context.Context, int) (int, error) { <-slow; return 0, nil }, 0)
	second := executor.Submit(ctx, pool, func(context.Context, int) (int, error) { return 0, nil }, 0)

	arrivals := executor.NewArrivals(ctx, []*executor.Task{first.Task(), second.Task()})
	defer arrivals.Stop()
	fmt.Println(arrivals.Next(ctx))
	close(slow)
	fmt.Println(arrivals.Next(ctx))
	// Output:
	// 1 <nil>
	// 0 <nil>
}

// A worker process receives the name of a function and an encoded argument, and
// sends the encoded result. Progress that the function reports is sent as well.
func ExampleInvoke() {
	name, arg, err := executor.Prepare(shorten, []byte("gopher")) // in the submitter
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := executor.WithProgress(context.Background(), func(done, total int64) { fmt.Println(done, "of", total) })
	result, err := executor.Invoke(ctx, name, arg)
	fmt.Println(string(result.Bytes), err)
	// Output:
	// 1 of 2
	// go <nil>
}

var shorten = concert.Register("executor_test.shorten", func(ctx context.Context, text []byte) ([]byte, error) {
	concert.Progress(ctx, 1, 2)
	return text[:2], nil
})

// WithProgress is for the worker's side of a call.
func ExampleWithProgress() {
	ctx := executor.WithProgress(context.Background(), func(done, total int64) { fmt.Println(done, "of", total) })
	concert.Progress(ctx, 3, 4)
	// Output: 3 of 4
}

// A worker that is a goroutine isolates the methods of arguments and results.
func ExampleInvokeIsolated() {
	name, arg, err := executor.Prepare(reverse, []byte("gopher"))
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := executor.InvokeIsolated(context.Background(), name, arg)
	fmt.Println(string(result.Bytes), err)
	// Output: rehpog <nil>
}

// A worker of a cluster passes the calls that it receives to a pool.
func ExampleRelay() {
	ctx := context.Background()
	pool := goroutines.New(1, nil)
	defer pool.Close()
	name, arg, err := executor.Prepare(reverse, []byte("gopher"))
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := executor.Relay(ctx, pool, executor.Call{Name: name, Arg: arg}).Result(ctx)
	fmt.Println(string(result.Bytes), err)
	// Output: rehpog <nil>
}

var _ = concert.Register("executor_test.countWords", func(_ context.Context, words concert.Shared[[]string]) (int, error) {
	return len(words.Value()), nil
})

// A program has some of the results already. It maps only the other inputs,
// and their results have the original indexes.
func ExampleMapIndexed() {
	pool := goroutines.New(1, nil)
	defer pool.Close()
	known := map[int64]string{1: "rehpog"}
	words := []string{"go", "gopher", "gone"}
	executor.MapIndexed(context.Background(), pool, reverse, func(yield func(int64, []byte) bool) {
		for i, word := range words {
			if known[int64(i)] == "" && !yield(int64(i), []byte(word)) {
				return
			}
		}
	})(func(index int64, out []byte, err error) bool {
		fmt.Println(index, string(out), err)
		return true
	})
	// Output:
	// 0 og <nil>
	// 2 enog <nil>
}

// A worker of a cluster receives a shared value, and a call whose argument
// refers to this value.
func ExampleRelayShared() {
	ctx := context.Background()
	pool := goroutines.New(1, nil)
	defer pool.Close()
	id := executor.SharedID{1, 2, 3}                                                           // chosen by the first executor
	value := executor.Encoded{Bytes: []byte("\x82\x63one\x63two")}                             // two words
	arg := executor.Encoded{Bytes: append([]byte{0x58, 24, 1, 0, 0, 0, 0, 0, 0, 0}, id[:]...)} // a handle with this ID

	stored, err := executor.RelayShared(ctx, pool, id, value)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stored.Release()
	call := executor.Call{Name: "executor_test.countWords", Arg: arg, Shared: []*executor.Stored{stored}}
	for range 2 {
		result, err := executor.Relay(ctx, pool, call).Result(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(result.Plain())
	}
	// Output:
	// 2 <nil>
	// 2 <nil>
}

// A pool that recovers a panic returns it as an error, with the stack.
func ExampleNewPanicError() {
	call := func(fn func()) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = executor.NewPanicError(v)
			}
		}()
		fn()
		return nil
	}
	fmt.Println(call(func() { panic("no gopher") }))
	// Output: concert: task panicked: no gopher
}

// WorkerOf returns the worker of a task. Its State is a value that the executor
// has stored.
func ExampleWorkerOf() {
	pool := goroutines.New(1, &goroutines.Options{Init: func(context.Context) (any, error) { return "a connection", nil }})
	defer pool.Close()
	ctx := context.Background()
	fmt.Println(executor.Submit(ctx, pool, func(ctx context.Context, _ int) (any, error) {
		return executor.WorkerOf(ctx).State, nil
	}, 0).Result(ctx))
	fmt.Println(executor.WorkerOf(ctx))
	// Output:
	// a connection <nil>
	// <nil>
}

// loudLock is a Releaser that prints what it does.
type loudLock struct{}

func (loudLock) Release(fn func()) {
	fmt.Println("release")
	defer fmt.Println("acquire")
	fn()
}

// A wait releases the lock of the Releaser that its context carries.
func ExampleWithReleaser() {
	ctx := executor.WithReleaser(context.Background(), loudLock{})
	fut := concert.Go(context.Background(), func(context.Context) (int, error) {
		time.Sleep(time.Millisecond)
		return 1, nil
	})
	fmt.Println(fut.Result(ctx))
	// Output:
	// release
	// acquire
	// 1 <nil>
}

// ReleaserOf is for executors that block outside of package concert.
func ExampleReleaserOf() {
	ctx := executor.WithReleaser(context.Background(), loudLock{})
	if r := executor.ReleaserOf(ctx); r != nil {
		r.Release(func() { fmt.Println("block") })
	}
	// Output:
	// release
	// block
	// acquire
}

// requestContext is a context of the program's own type.
type requestContext struct {
	context.Context
	closed bool
}

// Err panics after the request was closed.
func (c *requestContext) Err() error {
	if c.closed {
		panic("the request was closed")
	}
	return c.Context.Err()
}

// A server that calls methods of the contexts of many requests isolates these
// contexts first.
func ExampleIsolate() {
	request := &requestContext{Context: context.Background()}
	ctx, stop := executor.Isolate(request)
	defer stop()
	request.closed = true
	fmt.Println(ctx.Err())
	// Output: <nil>
}

// A Codec for a worker in another language encodes the value of a handle, and
// not the handle.
func ExampleShare() {
	ctx := context.Background()
	pool := goroutines.New(1, nil)
	defer pool.Close()
	text, err := executor.Share(ctx, pool, "a large text")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer text.Close()
	fmt.Println(executor.SharedValue(text))
	// Output: a large text true <nil>
}

// A handle of a mapped result has its slice until Close.
func ExampleNewMapped() {
	m := executor.NewMapped([]float64{1, 2, 3})
	defer m.Close()
	fmt.Println(m.Value())
	// Output: [1 2 3]
}
