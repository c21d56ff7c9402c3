// Package goroutines runs tasks on a bounded number of goroutines: what
// threading and ThreadPoolExecutor are in Python.
//
//	ex := goroutines.New(8, nil)
//	defer ex.Close()
//	for page, err := range concert.Map(ctx, ex, fetch, slices.Values(urls)) { ... }
//
// # The model
//
//	Submit --> room? --> queue, first in first out --> worker 1..n --> future
//	             |
//	             +-- no: waits in line, until its context ends
//
// A [Pool] has up to n workers, goroutines that it starts as tasks come and
// keeps until it is closed. The queue is bounded, so that whoever submits
// faster than the workers work is slowed down and not memory filled.
// Goroutines are cheap; what a pool bounds is what tasks use meanwhile: connections,
// files, memory, a server's patience. CPU-bound work gains nothing from more
// workers than GOMAXPROCS; work that waits does.
//
// # The rules
//
//   - Tasks share memory with their submitter and with each other: what they
//     share needs a [sync.Mutex], as ever in Go. Arguments and results are
//     passed as they are, never copied.
//   - Tasks start in the order in which they were submitted, except that a task which
//     waits for another of its own pool may run that one itself (see package concert).
//   - A panic is the task's error, and so is a runtime.Goexit; the pool goes on.
//   - A goroutine cannot be killed: a task that ignores its context holds its
//     worker until it returns. Package processes is for work that must be
//     stopped, or may crash.
//
// A single goroutine, started and joined, is [concert.Go]; it needs no pool.
package goroutines

import (
	"context"
	"math"
	"runtime"
	"time"

	"concert"
	"concert/internal/option"
)

// Options tunes a Pool. The zero value, and nil, are ready to use.
type Options struct {
	// Name is how the pool is called in profiles, where its goroutines carry
	// the label "concert". Empty means "goroutines".
	Name string

	// Queue bounds the tasks that wait for a worker; Submit blocks while so
	// many do. Zero means 1024, Unbounded no bound.
	Queue int

	// Init, if set, is called by each worker before its first task; what it returns
	// is the worker's state, which tasks find through State: a connection, a
	// buffer, a random source, that no two tasks use at the same time. An
	// error or a panic breaks the pool: all tasks that wait, and all that are
	// submitted later, fail with it. ctx ends when Shutdown cancels. An Init that
	// does not return keeps its worker, as a task's function would.
	Init func(ctx context.Context) (state any, err error)

	// LockOSThread gives each worker an operating system thread of its own,
	// for C libraries that keep state per thread. It ends with the worker.
	// While a task of such a pool waits for another, tasks that the worker is
	// lent to are on another thread; those with state should not wait.
	LockOSThread bool

	// Lock, if set, is held by each task while it runs, and let go of while it waits through
	// package concert: with one of concert/gil, the pool's tasks are threads under an
	// interpreter lock. Tasks let go of it around other things that block by gil.Release.
	Lock concert.Lock

	// Limit, if set, decides how many workers there are, and may decide anew whenever a task starts or
	// ends; n is then their largest number, if it is not 0. With the one of concert/choose
	// their number follows what is gained.
	Limit Limit

	// Grace is how long Shutdown waits for tasks whose context it has
	// cancelled. Zero means 5 seconds; negative, not at all.
	Grace time.Duration

	// Observer, if set, is told what happens to each task.
	Observer concert.Observer
}

// Unbounded, as Options.Queue, lets any number of tasks wait.
const Unbounded = -1

const (
	defaultQueue = 1024
	defaultGrace = 5 * time.Second
)

// New returns a pool of n workers. For n of 0 it has GOMAXPROCS + 4, at most
// 32, as Python's ThreadPoolExecutor, since it is meant for tasks that wait.
// No goroutine is started before the first task, and more than there are tasks
// to run are never started, so any n may be given: math.MaxInt for as many
// as there are tasks. Width then says 1<<31 - 1. New panics if n is negative.
//
// Close the pool when done with it, or its idle goroutines stay.
func New(n int, opts *Options) *Pool {
	option.NotNegative("goroutines: New", "n", n)
	if n == 0 && (opts == nil || opts.Limit == nil) {
		n = min(32, runtime.GOMAXPROCS(0)+4)
	}
	p := &Pool{gone: make(chan struct{}), goroutines: make(map[uint64]struct{})}
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.Name == "" {
		p.opts.Name = "goroutines"
	}
	switch {
	case p.opts.Queue == 0:
		p.opts.Queue = defaultQueue
	case p.opts.Queue < 0:
		p.opts.Queue = int(^uint(0) >> 1)
	}
	if p.opts.Grace == 0 {
		p.opts.Grace = defaultGrace
	}
	if p.opts.Limit != nil {
		n = p.limited(n)
	}
	p.group = concert.NewWorkerGroup((*groupQueue)(p), p.opts.Observer)
	p.group.Lock = p.opts.Lock
	p.queue.init()
	p.target.Store(clampWorkers(n))
	p.initCtx, p.cancelInit = context.WithCancelCause(context.Background())
	return p
}

// clampWorkers returns the number of workers as a pool keeps it.
func clampWorkers(n int) int32 { return int32(min(n, math.MaxInt32)) }

// State returns the state of the worker that runs the task to which ctx
// belongs, as Options.Init returned it. It reports false when ctx belongs to
// no task of a pool with Init, or the state has another type.
//
// A task has the state for itself until it returns, except that while it
// waits for another task, its worker may run others.
func State[T any](ctx context.Context) (T, bool) {
	if w := concert.WorkerOf(ctx); w != nil {
		s, ok := w.State.(T)
		return s, ok
	}
	var zero T
	return zero, false
}
