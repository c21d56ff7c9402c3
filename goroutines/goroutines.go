// Package goroutines runs tasks on a bounded number of goroutines. It
// corresponds to threading and ThreadPoolExecutor in Python.
//
//	ex := goroutines.New(8, nil)
//	defer ex.Close()
//	for page, err := range concert.Map(ctx, ex, fetch, slices.Values(urls)) { ... }
//
// # The model
//
//	Submit --> room? --> queue, first in first out --> worker 1..n --> future
//	             |
//	             +-- no: blocks, until its context ends
//
// A [Pool] has up to n workers. A worker is a goroutine that the pool starts
// when there is a task for it, and keeps until the pool is closed. The queue is
// bounded: a submitter that is faster than the workers waits, so the queue does
// not fill the memory. Goroutines are cheap. A pool limits what tasks use while
// they run: connections, files, memory, the load on a server. More workers than
// GOMAXPROCS help I/O-bound work, but not CPU-bound work.
//
// # The rules
//
//   - Tasks share memory with their submitter and with each other. Shared data
//     needs a [sync.Mutex]. Arguments and results are passed as they are, never
//     copied.
//   - Tasks start in the order in which they were submitted. There is one
//     exception: a task that waits for another task of its pool may run that
//     task itself (see package concert).
//   - A panic becomes the task's error, and so does runtime.Goexit. The pool
//     continues.
//   - A goroutine cannot be killed: a task that ignores its context keeps its
//     worker until it returns. Use package processes for work that must be
//     stopped, or may crash.
//
// To run a single function on a goroutine, use [concert.Go]; it needs no pool.
package goroutines

import (
	"cmp"
	"context"
	"runtime"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/option"
)

// Options tunes a Pool. The zero value, and nil, are ready to use.
type Options struct {
	// Name is the name of the pool in profiles: the goroutines of the pool have
	// the label "concert" with this value. Empty means "goroutines".
	Name string

	// Queue is the maximum number of tasks that wait for a worker. Submit
	// blocks while the queue is full. Zero means 1024, and Unbounded means no
	// limit.
	Queue int

	// Init, if set, is called by each worker before its first task. It
	// returns the state of the worker, for example a connection, a buffer or
	// a random source. Tasks get the state by the function State. No two
	// tasks use the same state at the same time. If Init returns an error or
	// panics, the pool is broken: all waiting tasks, and all tasks that are
	// submitted later, fail with this error. The context of Init ends when
	// Shutdown cancels the tasks. If Init does not return, its worker is
	// blocked, as with the function of a task.
	Init func(ctx context.Context) (state any, err error)

	// LockOSThread gives each worker an operating system thread of its own,
	// for C libraries that keep state per thread. The thread ends with the
	// worker. While a task waits for another task, its worker may run further
	// tasks on another thread. So tasks that use state of the thread should
	// not wait.
	LockOSThread bool

	// Lock, if set, is a lock that each task holds while it runs. The waits
	// of package concert release the lock. If it is a lock of concert/gil,
	// the tasks behave like threads under an interpreter lock. Tasks call
	// gil.Release around other blocking calls.
	Lock executor.Lock

	// Limit, if set, decides the number of workers. It may change the number
	// whenever a task starts or ends. If the argument n of New is not 0, n is
	// the maximum. The limit of concert/adaptive adds workers as long as this
	// increases throughput.
	Limit Limit

	// Grace is the time that Shutdown waits for tasks whose context it has
	// canceled. Zero means 5 seconds, and negative means no time.
	Grace time.Duration

	// Observer, if set, is called for each step of each task.
	Observer concert.Observer
}

// Unbounded is a value of Options.Queue: any number of tasks may wait.
const Unbounded = -1

const defaultGrace = 5 * time.Second

// New returns a pool of n workers. If n is 0, there are GOMAXPROCS + 4 workers,
// but at most 32, as in Python's ThreadPoolExecutor. This number is meant for
// I/O-bound tasks. A pool starts a goroutine only if there is a task for it. So
// n may be any number: with math.MaxInt, there are as many workers as tasks,
// and Width returns 1<<31 - 1. New panics if n is negative.
//
// Close the pool when it is no longer needed; otherwise its idle goroutines
// stay.
func New(n int, opts *Options) *Pool {
	option.NotNegative("goroutines: New", "n", n)
	if n == 0 && (opts == nil || opts.Limit == nil) {
		n = min(32, runtime.GOMAXPROCS(0)+4)
	}
	p := &Pool{gone: make(chan struct{})}
	if opts != nil {
		p.opts = *opts
	}
	p.opts.Name = cmp.Or(p.opts.Name, "goroutines")
	p.opts.Grace = cmp.Or(p.opts.Grace, defaultGrace)
	if p.opts.Limit != nil {
		n = p.limited(n)
	}
	p.queue = executor.NewTaskQueue(&p.mu, p.opts.Queue, p.wakeLocked)
	p.group = executor.NewWorkerGroup(p.queue, p.opts.Observer)
	p.group.Lock = p.opts.Lock
	p.target.Store(clampWorkers(n))
	p.initCtx, p.cancelInit = context.WithCancelCause(context.Background())
	return p
}
