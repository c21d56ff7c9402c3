// Package python calls Python functions from Go, in a pool of CPython processes: a
// Python function becomes a Go function.
//
//	var fmean = python.Func[[]float64, float64]("statistics:fmean")
//
//	ex, err := python.New(4, nil)
//	...
//	defer ex.Close()
//	mean, err := concert.Submit(ctx, ex, fmean, []float64{1, 2, 4}).Result(ctx)
//
// # The model
//
// The workers are interpreters, each with its own memory, and its own interpreter lock:
// n of them compute on n processors. Everything else is as package
// concert/processes has it: a worker that crashes, hangs or uses up its memory costs the
// task that it ran and is replaced, tasks are cancelled and timed out by force, what workers
// print is collected, and they die with this program. This program needs no
// [processes.Main] for it. Python is 3.8 or later, and needs nothing but its
// standard library.
//
// # Values
//
//	Go                                    Python
//	bool, string, float64, ...            bool, str, float
//	int, uint64, *big.Int, ...            int, of any size
//	[]byte, [4]byte                       bytes
//	nil pointer, slice, map, any          None
//	[]float64, [3]int32, ... (not []int)  array.array
//	other slices and arrays               list
//	map, struct                           dict
//	Array                                 numpy.ndarray
//	time.Time, time.Duration              datetime.datetime, datetime.timedelta
//	big.Rat                               fractions.Fraction
//	Date, TimeOfDay                       datetime.date, datetime.time
//	Decimal, UUID, Path                   decimal.Decimal, uuid.UUID, pathlib.Path
//
// The Python type of an argument follows from its Go type alone, at any depth. It
// does not depend on what the interpreter has imported: a []float64 is an
// array.array also where numpy is loaded, and numpy.asarray has an ndarray of the
// same memory. An [Array] is an ndarray at once.
//
// Results follow the same table in reverse. Tuples, sets and frozensets fit into
// slices, tuples also into arrays and into structs with as many fields. A
// dataclass is a dict, a member of an Enum its value, and a number of numpy the
// number. Arrays of numpy, array.array and memoryview keep their type of number
// and their shape: one of two dimensions fits into a [][]float64, an image into a
// [][][3]uint8, and each into an Array. numpy's datetime64 is a time.Time in UTC, its timedelta64
// a time.Duration. An any is given bool, int64 or *big.Int, float64, complex128, string,
// []byte, []any, map[string]any, or map[any]any where keys are not all str; a
// slice of numbers for an array of one dimension, an Array for other arrays, and
// otherwise the types of the table.
//
// Numbers in slices of a sized type, in arrays and in an Array cost about as much
// as a copy, at any depth. Large values pass through shared memory (on Linux).
//
// Fields have the names that encoding/json gives them, and its tags omitempty and
// omitzero leave fields out. A value arrives exactly, or there is an error that says where in
// the value the cause is, as in result[3].price: an int that is too large for its Go type, a
// float where an int is expected, keys that are one in Python, a datetime without a zone that
// has fold=1, an object that is not plain data. Only this is lost:
//
//   - unexported fields, and keys of a dict that a struct has no field for, as with
//     encoding/json
//   - the monotonic clock of a time.Time
//   - the rules of a zone: a time keeps its offset and the name of its zone, a TimeOfDay the
//     offset
//   - the class of a result, beyond the table: an instance of a derived class is one of its
//     base, a namedtuple and a structure of numpy a tuple, a dataclass the dict of its fields,
//     a member of an Enum its value
//   - the order of a dict, and that of a set
//   - how an array is in memory: its strides, the order of its bytes, and that it was read-only
//   - JSON between the values: the order of keys, and how numbers and texts are written; a
//     json.RawMessage that is nil comes back as null
//
// A Go string that is not UTF-8, such as the name of a file in Latin-1, is the str that
// os.fsdecode makes of its bytes: each byte that is not UTF-8 is a surrogate, U+DC80 to
// U+DCFF. It comes back as the same bytes, and open finds the file. A str with other
// surrogates cannot be a Go string.
//
// A time.Time arrives with the offset and the name of its zone; see [Naive] for
// datetimes without one. Nanoseconds that a datetime or a timedelta has no room
// for are in the attribute nanosecond (nanoseconds) of a subclass, as in pandas,
// and come back from there.
//
// # Conversions
//
// A Go type with MarshalText is sent as a str, and received by UnmarshalText; one
// with MarshalJSON is sent as what that JSON is, and received by UnmarshalJSON. A
// type that has only the first of a pair can only be sent.
//
// A Python class is sent as what a function returns that is registered for it, in
// a module that the tasks import:
//
//	import concert
//
//	@concert.converts(Money)
//	def plain_money(m):
//	    return {"amount": m.amount, "currency": m.currency}
//
// The function is also called for classes that are derived from it, at any depth of
// a result. It may return what another such function converts.
//
// # Errors
//
// A Python exception is an [*Error], with its traceback; [errors.Is] finds it by the name of
// its type or of a base of that, see [Type]. Under %+v, the error of the task prints the
// traceback as well. SystemExit and KeyboardInterrupt are exceptions like others. What ends
// the interpreter, such as os._exit or a crash of an extension, is a
// [*processes.WorkerError], which names the line in Python where an extension crashed.
//
// # The end of a task
//
// A task ends early by Cancel, by Options.Timeout or with its context. Its function is then
// interrupted by the exception concert.Cancelled at its next step in Python. The exception
// derives from BaseException: "except Exception" does not catch it, and "finally" runs. A
// coroutine that waits gets asyncio.CancelledError at its await instead. C code, or an
// import, that runs for longer than Options.Grace is killed.
//
// The error of the task is [context.Canceled] after a Cancel, and [context.DeadlineExceeded]
// after a deadline or Options.Timeout; the latter is also [processes.ErrTimeout]. A function
// that catches the exception and returns has its result instead. One that raises another
// exception has that one.
//
// C code that keeps the interpreter lock also keeps the worker from reading what the pool
// sends. Calls that wait in that worker stay there, and cannot be canceled, until the code
// releases the lock. Options.Timeout bounds that.
//
// # What a task can use
//
// Tasks can import the module concert. It exists in workers only, and has
//
//	concert.progress(done, total=0)    reports how far the task is, to Options.Observer
//	concert.Cancelled                  the exception that interrupts a task
//
// Coroutines run on an event loop that stays. A connection that one call has opened serves
// the next one, and a task of asyncio that a call leaves continues while the next coroutine
// runs. Each thread of Options.Threads has its own loop. When the worker ends, the tasks of
// the loop are canceled, and the loop is closed.
//
// A task may start processes by subprocess, multiprocessing or os.fork. A child of os.fork
// ends where the task's function ends: with code 0 when that returns, and as a program would
// when it raises an exception. If a coroutine forks, only its own task of asyncio continues in
// the child. Only the parent answers for the task. Children die with their
// worker unless they begin a session of their own. The start methods "spawn" and
// "forkserver" work for functions of modules, and not for those of [Source].
//
// A task can change shared state of its interpreter, such as builtins, functions of modules
// or sys.stdout. Tasks that run in the same worker after it see the change. The worker itself
// does not depend on this state, or it exits if such a change breaks it. So it does not hold
// back results of other tasks.
//
// # The end of a worker
//
// When the pool is closed, or replaces a worker, the interpreter ends as after a program:
// it closes event loops, waits for threads that tasks have left (half of Options.Grace at
// most), runs the functions of atexit, removes temporary directories, shared memory and
// semaphores, and writes what is in buffers, of C as well. After Options.Grace it is killed.
//
// A worker that is killed, or dies, does none of this. Temporary files and directories stay,
// as do segments of multiprocessing.shared_memory and named semaphores (files in /dev/shm on
// Linux). What was not flushed is lost. Its children are killed with it.
package python

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"concert"
	"concert/internal/frame"
	"concert/internal/option"
	"concert/internal/pyname"
	"concert/processes"
)

// New starts n interpreters, waits until they are ready, and returns their pool. For n of
// 0 there are GOMAXPROCS, and New panics if n is negative. The error says why it cannot be: no such interpreter, a Python
// that is too old, a module that cannot be imported. Close the pool when done with it.
//
// Libraries that have threads of their own for computing (BLAS, OpenMP) are told, by
// their environment variables, to use as many as leave room for n workers, and all tasks
// that each of them runs at a time, unless the environment says something itself.
func New(n int, opts *Options) (*processes.Pool, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	option.NotNegative("python: New", "n", n)
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	all, err := o.pool()
	if err != nil {
		return nil, err
	}
	program, err := interpreter(o.Interpreter)
	if err != nil {
		return nil, err
	}
	for _, name := range o.Import {
		if err := pyname.CheckModule(name); err != nil {
			return nil, fmt.Errorf("python: Options.Import: %q: %w", name, err)
		}
	}
	var path []string
	for _, folder := range o.Path {
		absolute, err := filepath.Abs(folder)
		if err != nil {
			return nil, fmt.Errorf("python: Options.Path: %w", err)
		}
		path = append(path, absolute)
	}
	env := all.Env
	if env == nil {
		env = os.Environ()
	}
	if runtime.GOOS == "linux" && !has(env, "GLIBC_TUNABLES") {
		// Memory for large values comes in large pages, in half the time.
		env = append(slices.Clip(env), tunables, "CONCERT_PYTHON_TUNED=1")
	}
	if !has(env, "PYTHONSAFEPATH") {
		env = append(slices.Clip(env), "PYTHONSAFEPATH=1", "CONCERT_PYTHON_UNSAFE=1")
	}
	all.Command, all.Check = []string{program, "-c", loader}, validate
	all.Env = append(threadCaps(env, n*max(1, all.Threads)),
		"CONCERT_PYTHON_WORKER="+workerSource,
		fmt.Sprintf("CONCERT_PYTHON_PATIENCE=%g", patience(all.Grace).Seconds()),
		"CONCERT_PYTHON_PATH="+strings.Join(path, string(filepath.ListSeparator)),
		"CONCERT_PYTHON_IMPORT="+strings.Join(o.Import, " "))
	pool, err := processes.New(n, &all)
	if err != nil {
		return nil, fmt.Errorf("python: %s: %w", program, err)
	}
	return pool, nil
}

// None is the argument of a Python function that takes none, and the result of one
// that returns None.
type None struct{}

// Args is the argument of a Python function that takes several, by position and by
// name.
type Args struct {
	Args   []any
	Kwargs map[string]any
}

// Func returns a Python function as a Go function, for Submit and Map on a pool
// of New. Where says which: the name of a module, a colon, and what it has there, with
// dots: "statistics:fmean", "numpy:linalg.norm". A name with () after it is called first, once
// in each worker, and what it returns is kept: "models:Model().predict" loads the model
// once. Between the parentheses there may be literals of Python, by position and by name:
// "models:Model('large', layers=3).predict". Each list of arguments makes another instance. The
// module is imported when a worker first needs it, see Options.Import.
//
// The function is called with one argument, the value of type In; with none if In is
// [None], and with those that it holds if In is [Args]. What it returns is awaited if it is a
// coroutine or another awaitable.
//
// Func may be called at any time and from any goroutine; for the same types and place it
// returns the same function. It panics if where does not have that form: if there is no
// colon, if a name is empty, or if the name of the function is not an identifier, with or
// without dots. It does not check whether the function exists: if it does not, each call
// fails.
func Func[In, Out any](where string) func(context.Context, In) (Out, error) {
	check("Func", where)
	return declare[In, Out](where)
}

// check panics if where is not of the form that Func wants.
func check(caller, where string) {
	if err := pyname.Check(where); err != nil {
		panic(fmt.Sprintf("python: %s(%q): want \"module:function\", as in \"statistics:fmean\": %v", caller, where, err))
	}
}

// Names returns the names that the function has in programs that call it by Func: one for each form of its argument. A program that
// runs it for others, as a worker of a cluster, offers it by these. Where is as for Func, which panics if it is not.
func Names(where string) []string {
	Func[any, any](where)
	Func[None, any](where)
	Func[Args, any](where)
	return []string{nameOf("1", where), nameOf("0", where), nameOf("*", where)}
}

// nameOf is the name of a function in the registry.
func nameOf(how, where string) string { return "python:" + how + ":" + where }

// Source is [Func] for a function in source text, which defines it by name. The text is a
// module that runs once in each worker, and functions of the same text share it. It may be
// indented as a whole. Errors, events and logs name the function and the module, whose name
// is a digest of the text: "python:1:source_4f2a91c3:name". Calls carry the text, so this is
// for a few lines. Source panics if name is not that of a function, or if both have more than
// 32 KiB.
func Source[In, Out any](name, text string) func(context.Context, In) (Out, error) {
	where, text := checkSource("Source", name, text)
	return declareText[In, Out](howOf[In](), where, text)
}

// checkSource returns the place of a function in source text, and the text as it is sent.
// It panics if they are not what Source wants.
func checkSource(caller, name, text string) (where, sent string) {
	if err := pyname.CheckFunction(name); err != nil {
		panic(fmt.Sprintf("python: %s(%q): want the name of a function, as in \"fmean\": %v", caller, name, err))
	}
	if len(name)+len(text) > 32<<10 {
		panic(fmt.Sprintf("python: %s(%q): %d bytes of text are more than %d: make it a module", caller, name, len(text), 32<<10))
	}
	if text == "" {
		text = "\n" // which defines nothing, as Python will say
	}
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("source_%x:%s", sum[:4], name), text
}

// declared holds the functions, by their names in the registry.
var declared struct {
	mu        sync.Mutex
	functions map[string]any // guarded by mu: by type and place
}

func declare[In, Out any](where string) func(context.Context, In) (Out, error) {
	return declareText[In, Out](howOf[In](), where, "")
}

// howOf says how a function is called with an argument of a type.
func howOf[In any]() string {
	switch any((*In)(nil)).(type) {
	case *None:
		return "0"
	case *Args:
		return "*"
	}
	return "1"
}

// declareText declares a function whose module goes along with its calls, unless text is empty.
func declareText[In, Out any](how, where, text string) func(context.Context, In) (Out, error) {
	var f func(context.Context, In) (Out, error)
	name := nameOf(how, where)
	key := fmt.Sprintf("%T %s", f, name)
	declared.mu.Lock()
	defer declared.mu.Unlock()
	if known, ok := declared.functions[key]; ok {
		return known.(func(context.Context, In) (Out, error))
	}
	if declared.functions == nil {
		declared.functions = make(map[string]any)
	}
	if text != "" {
		frame.SetWireName(name, name+"\n"+text)
	}
	f = concert.Declare[In, Out](name, codec{})
	declared.functions[key] = f
	return f
}
