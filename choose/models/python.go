package models

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"concert"
	"concert/choose"
	"concert/choose/usage"
	"concert/python"
)

// Python returns the models for a Python function, from the simplest to the
// least simple: one interpreter, one interpreter with threads, several
// interpreters, and one interpreter with threads for each processor. The last
// model is missing if GOMAXPROCS is 1. All models use opts, but set the fields
// Threads and Observer themselves. A nil opts means the zero value. If
// opts.Output is nil, the output of functions is discarded.
func Python(opts *python.Options) []choose.Model {
	var o python.Options
	if opts != nil {
		o = *opts
	}
	o.Output = cmp.Or(o.Output, slog.New(slog.DiscardHandler))
	open := func(n, threads int, observer concert.Observer) (concert.Executor, error) {
		with := o
		with.Threads, with.Observer = threads, observer
		return python.New(n, &with)
	}
	n := runtime.GOMAXPROCS(0)
	all := []choose.Model{
		{
			Name: "one interpreter", Levels: []int{1},
			Open: func(_ int, o concert.Observer) (concert.Executor, error) { return open(1, 1, o) },
			Code: func(int) string { return pythonLine(1, 1) }, PythonCode: line("ThreadPoolExecutor(%d)"),
		},
		{
			Name: "threads", Locked: true, Levels: doubling(2, maxThreads),
			Open: func(k int, o concert.Observer) (concert.Executor, error) { return open(1, k, o) },
			Code: func(k int) string { return pythonLine(1, k) }, PythonCode: line("ThreadPoolExecutor(%d)"),
			Note: "Only one thread of an interpreter can hold its lock, the GIL, unless Python is built without it. So threads help only work that releases the lock, such as I/O.",
		},
		{
			Name: "interpreters", Levels: doubling(2, max(4*n, 4)),
			Open: func(k int, o concert.Observer) (concert.Executor, error) { return open(k, 1, o) },
			Code: func(k int) string { return pythonLine(k, 1) }, PythonCode: line("ProcessPoolExecutor(%d)"),
		},
	}
	if n > 1 {
		all = append(all, choose.Model{
			Name: fmt.Sprintf("threads of %d interpreters", n), Levels: doubling(2*n, maxThreads),
			Open: func(k int, o concert.Observer) (concert.Executor, error) { return open(n, k/n, o) },
			Code: func(k int) string { return pythonLine(n, k/n) },
			PythonCode: func(k int) string {
				return fmt.Sprintf("ProcessPoolExecutor(%d), and in each process ThreadPoolExecutor(%d)", n, k/n)
			},
		})
	}
	return all
}

// PythonAsync returns the models for a Python function that is defined with
// "async def". They are the models of Python, but PythonCode has the
// corresponding calls of asyncio.
func PythonAsync(opts *python.Options) []choose.Model {
	all := Python(opts)
	n := runtime.GOMAXPROCS(0)
	for i := range all {
		m := &all[i]
		switch i {
		case 0:
			m.PythonCode = func(int) string { return "asyncio.run, with one await after the other" }
		case 1:
			m.PythonCode = line("asyncio.gather, with asyncio.Semaphore(%d)")
			m.Note = "The function is a coroutine function. It was measured with an event loop in each thread. With asyncio, one event loop runs all coroutines, so a coroutine that computes delays all others."
		case 2:
			m.PythonCode = line("ProcessPoolExecutor(%d), whose tasks call asyncio.run")
		case 3:
			m.PythonCode = func(k int) string {
				return fmt.Sprintf("ProcessPoolExecutor(%d), and in each process asyncio.gather with asyncio.Semaphore(%d)", n, k/n)
			}
		}
	}
	return all
}

// IsAsync reports whether a Python function is defined with "async def", or
// has returned a coroutine when PythonProfile called it in the same
// interpreter. A plain function returns a coroutine if it returns the call
// of a coroutine function. ex is a pool of package python. The parameter
// where is the name of the function, as for PythonProfile.
func IsAsync(ctx context.Context, ex concert.Executor, where string) (bool, error) {
	return concert.Submit(ctx, ex, isAsync, where).Result(ctx)
}

const maxThreads = 1024

// doubling returns lowest, 2 lowest, 4 lowest, ... up to highest.
func doubling(lowest, highest int) (all []int) {
	for k := lowest; k <= highest; k *= 2 {
		all = append(all, k)
	}
	return all
}

// pythonLine returns the line of Go that creates a pool.
func pythonLine(n, threads int) string {
	if threads == 1 {
		return fmt.Sprintf("ex, err := python.New(%d, nil)", n)
	}
	return fmt.Sprintf("ex, err := python.New(%d, &python.Options{Threads: %d})", n, threads)
}

// PythonProfile returns a function for choose.Options.Profile. The returned
// function calls a Python function with an element of args, in an
// interpreter of ex, which is a pool of package python. It reads the clocks
// of the interpreter before and after the call. The parameter where is the
// name of the Python function, as for python.Func. For a function of
// python.Source, it is ":NAME", a newline and the source.
func PythonProfile[In any](ex concert.Executor, where string, args []In) func(ctx context.Context, input int) (usage.Usage, error) {
	how := "1"
	switch any((*In)(nil)).(type) {
	case *python.None:
		how = "0"
	case *python.Args:
		how = "*"
	}
	return func(ctx context.Context, input int) (usage.Usage, error) {
		used, err := concert.Submit(ctx, ex, measured, pythonCall{how, where, args[input]}).Result(ctx)
		if err != nil {
			return usage.Usage{}, err // the result does not have the usage of a call that fails
		}
		return used.toUsage(), nil
	}
}

//go:embed measured.py
var measuredSource string

// isAsync is a Python function of the same source as measured, so that both
// import a module, and make an instance of a class, only once.
var isAsync = python.Source[string, bool]("is_async", measuredSource)

// measured is a Python function that calls another function, and reads the
// clocks before and after the call.
var measured = python.Source[pythonCall, pythonUsage]("measured", measuredSource)

type pythonCall struct {
	How   string `json:"how"` // how the function is called: "1" with one argument, "0" with none, "*" with python.Args
	Where string `json:"where"`
	Arg   any    `json:"arg"`
}

// pythonUsage is what measured.py returns; times are in nanoseconds.
type pythonUsage struct {
	Wall     int64             `json:"wall"`
	CPU      int64             `json:"cpu"`
	Delay    int64             `json:"delay"`
	Read     int64             `json:"read"`
	Written  int64             `json:"written"`
	Memory   int64             `json:"memory"`
	Switches int64             `json:"switches"`
	Forced   int64             `json:"forced"`
	Threads  bool              `json:"threads"`  // whether CPU is the CPU time of the process and not of the thread
	Children int64             `json:"children"` // the part of CPU that is of child processes
	Missing  map[string]string `json:"missing"`  // why a quantity is missing; the key is a usage.Quantity
}

// toUsage converts the result of measured.py.
func (u pythonUsage) toUsage() usage.Usage {
	used := usage.Usage{
		Wall: time.Duration(u.Wall), CPU: time.Duration(u.CPU), RunDelay: time.Duration(u.Delay),
		Read: u.Read, Written: u.Written, Memory: u.Memory, Switches: u.Switches, Forced: u.Forced,
	}
	if !u.Threads && u.Children == 0 { // otherwise CPU is the time of several threads, and Delay is the delay of one thread
		used.RunDelay = min(used.RunDelay, max(0, used.Wall-used.CPU))
	}
	clock := "time.thread_time"
	if u.Threads {
		clock = "time.process_time: the process used more than the thread"
	}
	if u.Children > 0 {
		clock += ", and getrusage(RUSAGE_CHILDREN)"
	}
	for _, s := range []usage.Source{
		{What: usage.CPUTime, From: clock},
		{What: usage.RunDelay, From: "/proc/thread-self/schedstat"},
		{What: usage.Bytes, From: "/proc/thread-self/io"},
		{What: usage.PeakMemory, From: "VmHWM of /proc/self/status, its increase"},
		{What: usage.Switches, From: "getrusage(RUSAGE_THREAD)"},
	} {
		if why := u.Missing[string(s.What)]; why != "" {
			s = usage.Source{What: s.What, Why: strings.TrimSpace(why)}
		}
		used.Sources = append(used.Sources, s)
	}
	return used
}
