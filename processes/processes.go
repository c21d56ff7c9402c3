// Package processes runs tasks in worker processes. It corresponds to
// multiprocessing and ProcessPoolExecutor in Python. But if a worker dies, only
// one task fails, not the whole pool.
//
//	func main() {
//		processes.Main() // in a worker, Main does not return
//		ex, err := processes.New(4, nil)
//		...
//		defer ex.Close()
//		for img, err := range concert.Map(ctx, ex, thumbnail, slices.Values(photos)) { ... }
//	}
//
//	var thumbnail = concert.Register("thumbnail", makeThumbnail)
//
// # The model
//
//	             queue, first in first out                 this program again, n times
//	Submit --> [ task, task, ... ] --dispatch--> pipe --> worker: runs tasks sequentially
//	Future <--------- settle <-------receive---- pipe <-- its results
//	                    ^
//	                    +-- when a worker dies: tasks that it has finished settle,
//	                        the task that it runs fails, its other tasks go to other workers
//
// A [Pool] starts this program n+1 times: n workers and, half a second later, a
// standby worker, which replaces a worker that dies. Each worker has its own
// memory and its own Go runtime. If a worker changes a global variable, the
// other workers and this process do not see the change. The pool sends copies
// of arguments and results, and the names of functions. So functions must be
// registered by [concert.Register].
//
// # The rules
//
//   - A worker runs one task at a time, unless Options.Threads is set. The
//     pool sends a few more tasks in advance, so that the worker can begin
//     the next task at once. It sends one task in advance if tasks are long,
//     and up to 255 if they are quick. These tasks are pending: they can be
//     canceled, and if another worker is idle, the pool gives them to that
//     worker.
//   - If a task crashes, exits, is killed or uses too much memory, it fails
//     with a [*WorkerError], which describes the death of the worker. No
//     other task is affected.
//   - If the context of a task ends, or the task runs for longer than
//     Options.Timeout, the context of its function ends. If the function does
//     not return within Options.Grace, its process is killed, with all
//     processes that the worker has started.
//   - A task never runs twice, unless Options.Retry allows it. If five workers
//     in a row die before they can begin a task, the task fails with a
//     [*WorkerError].
//   - If a worker begins none of its tasks for a second, other workers get
//     these tasks. If the worker still begins none, the pool kills it: after 5
//     seconds if its process is stopped, and otherwise after 10 seconds.
//   - The pool replaces a worker that ends. It does so at once if the worker
//     had finished a task, or had been ready for ten seconds. Otherwise it
//     pauses first. The pause is 20 ms, and doubles with each such death in a
//     row, up to a second. If all these deaths were in tasks, the maximum is
//     160 ms. If eight workers in a row die outside of tasks, and no worker is
//     left, the pool is broken: its tasks fail with [ErrBroken] and the reason.
//     The pool logs each death.
//   - Options.Sandbox confines workers, for tasks that process untrusted input.
//   - Workers end when the pool is closed, and when this process dies.
//
// # Details
//
// A worker has no standard input. The pool collects the lines that a worker
// prints, see Options.Output. A task cannot submit to the pool that runs it,
// because the pool is in another process. A task can make its own pool.
// Pools can be nested three levels deep.
//
// An argument or a result of more than 16 KiB is passed in memory that the pool
// shares with the worker. The pool returns this memory to the system when the
// worker has been idle for a second. Options.Memory does not include this
// memory. A worker that has been idle for five seconds collects garbage, and
// returns unused memory to the system, unless it is a program of
// Options.Command.
//
// A large value that many calls use can be stored once, by [concert.Share].
// The memory of the value exists only once, and all workers map it. It uses
// one file descriptor of this process. Options.Memory does not include it.
//
// A function can return a large slice of numbers by a handle, see
// [concert.NewMapped]. This process then maps the memory that the worker has
// written, and does not copy it. Options.MaxResult limits such a slice, too,
// and Options.Memory does not include it.
//
// This description is complete for Linux. Other systems have no sealed
// shared memory. On these systems, workers write results one by one, large
// values go through pipes, each worker has a copy of each shared value that
// it uses, the pool sends fewer tasks in advance, and Cancel reports these
// tasks as running. A worker notices the death of this process by the end of
// a pipe, so a worker whose process is stopped does not end. On Windows,
// processes that a task has started outlive the worker.
package processes

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"time"

	"concert/internal/frame"
	"concert/processes/internal/child"
	"concert/processes/internal/confine"
	"concert/processes/internal/osproc"
)

const (
	defaultQueue         = 1024
	defaultGrace         = 5 * time.Second
	defaultStartTimeout  = 30 * time.Second
	defaultSandboxResult = 16 << 20 // Options.MaxResult with a Sandbox

	maxDepth      = 3
	maxThreads    = 1000    // of Options.Threads
	maxWorkers    = 1 << 16 // of a pool
	maxCallDeaths = 5       // maximum number of deaths of workers because of one call; then the call fails
)

// New starts n workers, waits until they are ready, and returns their pool. If
// n is 0, it starts GOMAXPROCS workers, because processes are meant for
// CPU-bound tasks. If a worker cannot be started or prepared, New ends the
// other workers and returns the reason. In a program that does not call [Main],
// New returns [ErrNoMain].
//
// New panics if n is negative, or if a number in the options other than Grace
// is negative. When you no longer need the pool, call Close.
func New(n int, opts *Options) (*Pool, error) { return newWith(n, opts, defaultConfig()) }

func newWith(n int, opts *Options, settings config) (*Pool, error) {
	o := *cmp.Or(opts, &Options{})
	o.check(n)
	if o.Command == nil && !mainCalled.Load() {
		return nil, ErrNoMain
	}
	if o.Command != nil && (len(o.Command) == 0 || o.Command[0] == "") {
		return nil, errors.New("processes: Options.Command has no program: its first element must be the name or the path of a program")
	}
	if o.Command != nil && o.Sandbox != nil {
		return nil, fmt.Errorf("processes: Options.Sandbox: workers of another program cannot be confined: %w", errors.ErrUnsupported)
	}
	if o.Command == nil && o.SharedCodec != nil {
		return nil, fmt.Errorf("processes: Options.SharedCodec requires Options.Command, because workers of this program use its own encoding: %w", errors.ErrUnsupported)
	}
	if o.Command == nil && o.Threads > 1 {
		return nil, fmt.Errorf("processes: Options.Threads above 1 requires Options.Command, because a worker of this program runs one task at a time: %w", errors.ErrUnsupported)
	}
	if o.Threads > maxThreads {
		return nil, fmt.Errorf("processes: Options.Threads is %d, more than %d", o.Threads, maxThreads)
	}
	if o.MaxResult > frame.MaxPayload {
		return nil, fmt.Errorf("processes: Options.MaxResult is %d bytes, more than %d", o.MaxResult, frame.MaxPayload)
	}
	if n > maxWorkers {
		return nil, fmt.Errorf("processes: New: n is %d; at most %d workers are allowed", n, maxWorkers)
	}
	if child.Depth() >= maxDepth {
		return nil, ErrNested
	}
	if o.MaxResident > 0 && !osproc.CanLimitMemory {
		return nil, fmt.Errorf("processes: Options.MaxResident: this system does not report how much memory a process has: %w", errors.ErrUnsupported)
	}
	if o.Memory > 0 {
		if !osproc.CanLimitMemory {
			return nil, fmt.Errorf("processes: Options.Memory: this system cannot limit the memory of a process: %w", errors.ErrUnsupported)
		}
		if o.Memory < MinMemory {
			return nil, fmt.Errorf("processes: Options.Memory is %d bytes, and a worker needs at least %d", o.Memory, MinMemory)
		}
	}
	if o.Init != nil && o.Init.err != nil {
		return nil, fmt.Errorf("processes: initializer: %w", o.Init.err)
	}
	if i := o.Init; i != nil && len(i.arg.Bytes) > frame.MaxPayload {
		return nil, fmt.Errorf("processes: initializer: %w: the argument of %s has %d bytes, more than %d", ErrTooLarge, i.name, len(i.arg.Bytes), frame.MaxPayload)
	}
	var c *confine.Sandbox
	if o.Sandbox != nil {
		var err error
		if c, err = o.Sandbox.open(o.Memory > 0); err != nil {
			return nil, err
		}
	}
	n = cmp.Or(n, runtime.GOMAXPROCS(0))
	o.Queue = cmp.Or(o.Queue, defaultQueue)
	o.Threads = cmp.Or(o.Threads, 1)
	switch {
	case o.MaxResult > 0:
	case o.Sandbox != nil:
		o.MaxResult = defaultSandboxResult
	default:
		o.MaxResult = frame.MaxPayload
	}
	o.Grace = cmp.Or(o.Grace, defaultGrace)
	o.StartTimeout = cmp.Or(o.StartTimeout, defaultStartTimeout)
	o.Output = guardedLogger(o.Output, "the handler of Options.Output")
	p := newPool(n, o, c, settings)
	if o.Init != nil {
		if err := p.checkFunction(o.Init.name); err != nil {
			c.Close()
			return nil, fmt.Errorf("processes: initializer: %w", err)
		}
	}
	var err error
	if p.template, err = o.newTemplate(n); err != nil {
		c.Close()
		return nil, err
	}
	go func() { // workers may start, and need these files, until p.gone is closed
		<-p.gone
		c.Close()
		p.template.dir.Close()
	}()
	if err := p.startWorkers(); err != nil {
		return nil, err
	}
	return p, nil
}
