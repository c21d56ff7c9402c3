// Package python calls Python functions from Go, in a pool of CPython
// processes. It turns a Python function into a Go function.
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
// The workers are interpreters. Each has its own memory and its own interpreter
// lock, so n of them compute on n processors. Package concert/processes manages
// them: if a worker crashes, hangs or uses too much memory, only its task
// fails, and the worker is replaced. Tasks can be canceled, and can have time
// limits. If necessary, the pool kills the worker of such a task. The pool
// collects what workers print. Workers end when this program ends. The program
// need not call [processes.Main]. Python must be version 3.8 or later; it needs
// only its standard library.
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
// The Python type of an argument depends only on its Go type, at any depth,
// and not on the modules that the interpreter has imported: a []float64 is
// an array.array even if numpy is loaded. An ndarray that numpy.asarray
// makes from it uses the same memory. An [Array] is sent as an ndarray.
//
// Results follow the same table in reverse. A tuple, set or frozenset can
// become a slice or an array. A tuple can also become a struct that has a
// field for each item. A dataclass counts as a dict, a member of an Enum as
// its value, and a number of numpy as a number of Python. Arrays of numpy,
// array.array and memoryview keep their type of number and their shape: an
// array of two dimensions can become a [][]float64, an image can become a
// [][][3]uint8, and any array can become an Array. numpy's datetime64 is a
// time.Time in UTC, and its timedelta64 a time.Duration. If the Go type is
// any, the result is a bool, int64, *big.Int, float64, complex128, string,
// []byte, []any or map[string]any. A dict is a map[any]any if at least one
// of its keys is not a str. An array is a slice of numbers if it has one
// dimension, and otherwise an Array. Other values have the Go type of the
// table.
//
// Numbers in an Array take about the time of a copy of their memory, at any
// depth. The same holds for a slice or an array whose numbers have a fixed
// size, such as []float64. On Linux, large values pass through shared
// memory.
//
// Fields of structs have the names that encoding/json gives them. The
// options omitempty and omitzero of the tag json omit fields. A value
// arrives exactly. If it cannot, the task fails with an error that names the
// part of the value, as in result[3].price. Examples of errors are an int
// that is too large for its Go type, a float for a Go int, two keys that are
// equal in Python, a datetime without a zone that has fold=1, and an object
// that is not plain data. "What values lose", below, lists the exceptions.
//
// # Shared values
//
// [concert.Share] stores a value once for all interpreters of a pool. A
// function receives the value in place of its handle. On Linux, these parts of
// the value are read-only views of memory that all interpreters share:
//
//	Go                                    Python
//	Array                                 numpy.ndarray, read-only
//	[]float64, [3]int32, ... (not []int)  memoryview, read-only
//	[]byte, if it is the whole value      memoryview, read-only
//
// A write to a view raises an exception. The ndarray that numpy.asarray
// makes from a memoryview is read-only, and uses the same memory. Everything
// else has the types of the table above: each call decodes its own object
// from the shared memory, so a function can change this object, and other
// calls do not see the change. For a large dict or list, the decoding takes
// time, as for an argument. A str is decoded once in each interpreter.
//
// These types depend only on the Go type. So there are views even if another
// executor stores the value, or the system has no sealed shared memory. In
// these cases, a view refers to a copy. After [concert.Shared.Close], or
// when the handle is unreachable, an interpreter finishes the calls that it
// has already received, and then releases the memory. If a function keeps a
// view, the memory stays until the view is deleted. Before Python 3.13, each
// large shared value uses one file descriptor of each interpreter that uses
// the value.
//
// # Mapped results
//
// If the result of a function is a *[concert.Mapped] in Go, this process maps
// the memory of the interpreter, and does not copy a large array: see
// [concert.NewMapped]. The Python function returns bytes, a bytearray, an
// array.array, or an ndarray or a memoryview of one dimension. The function
// needs no change for this. All other results are converted as for a slice.
//
// # Conversions
//
// If a Go type has the method MarshalText, its values are sent as a str, and
// received by UnmarshalText. If it has MarshalJSON, its values are sent as
// the value of their JSON, and received by UnmarshalJSON. If a type has only
// the first method of a pair, its values can only be sent.
//
// To send objects of a Python class, register a function that converts them to
// plain data, in a module that the tasks import:
//
//	import concert
//
//	@concert.converts(Money)
//	def plain_money(m):
//	    return {"amount": m.amount, "currency": m.currency}
//
// The function is also called for derived classes, at any depth of a result. It
// may return objects that another such function converts. Objects of str, int,
// list and the other builtin types of plain data are always sent as they are,
// so converts raises TypeError for these types.
//
// # Errors
//
// A Python exception becomes an [*Error] with its traceback. [errors.Is]
// matches an exception by the name of its type or of a base class, see
// [Type]. If the error of the task is printed by %+v, the text includes the
// traceback. SystemExit and KeyboardInterrupt are handled like other
// exceptions. If the interpreter ends, by os._exit or by a crash of an
// extension, the error is a [*processes.WorkerError]. After a crash, this
// error names the line of Python code that ran at that moment.
//
// # The end of a task
//
// A task ends early if it is canceled, if it exceeds Options.Timeout, or if
// its context ends. At the next step in Python, the exception
// concert.Canceled interrupts the function of the task. This exception
// derives from BaseException: "except Exception" does not catch it, and
// "finally" runs. If the task is a coroutine that waits, its await raises
// asyncio.CancelledError instead. If C code or an import runs for longer
// than Options.Grace, the process is killed.
//
// The error of the task is [context.Canceled] after a Cancel, and
// [context.DeadlineExceeded] after a deadline or Options.Timeout. After
// Options.Timeout, it is also [processes.ErrTimeout]. If the function catches
// the exception and returns, its result is the outcome of the task. If the
// function raises another exception, this exception is the outcome.
//
// While C code holds the interpreter lock, the worker cannot read what the
// pool sends. On Linux, the pool can still cancel the calls that wait in
// this worker, or move them to other workers. On other systems, it can do
// this only after the C code has released the lock. Options.Timeout limits
// the time for which the C code can hold the lock.
//
// # What a task can use
//
// Tasks can import the module concert. It exists in workers only, and has
//
//	concert.progress(done, total=0) reports progress to Options.Observer
//	concert.traceparent()              returns the W3C traceparent of the span of the call, or None
//	concert.tracestate()               returns the W3C tracestate of this span, or None
//	concert.Canceled                   the exception that interrupts a task
//
// The span is the span of the task. For an item of a Map, it is the span of the
// caller of Map. If Python can import the package opentelemetry, the span is
// the current span of this package during the call. See package opentelemetry
// of concert.
//
// An interpreter runs the coroutines of all calls on the same event loop, which
// stays open between the calls. So a call can use a connection that an earlier
// call has opened. If a task of asyncio is still running when its call returns,
// this task continues while the next coroutine runs. Each thread of
// Options.Threads has its own loop. When the worker ends, the tasks of the loop
// are canceled, and the loop is closed.
//
// A task may start processes by subprocess, multiprocessing or os.fork. A
// child of os.fork ends when the function of the task ends in the child. If
// the function returns, the exit code is 0. If the function raises an
// exception, the child ends like a program that raises this exception. If a
// coroutine calls os.fork, only its own task of asyncio continues in the
// child. Only the parent sends the outcome of the task to the pool. Children
// die with their worker, unless they begin a new session or a new process
// group. The start methods "spawn" and "forkserver" work for functions of
// modules, but not for functions of [Source].
//
// A task can change shared state of its interpreter, such as builtins,
// functions of modules or sys.stdout. Later tasks in the same worker see the
// change. The worker itself uses copies of this state where it can. If a
// change still breaks the worker, the worker exits, so that it does not
// delay the results of other tasks.
//
// # The end of a worker
//
// When the pool is closed, or replaces a worker, the interpreter ends in the
// same way as after a program: it closes event loops, waits for threads of
// tasks that still run (for at most half of Options.Grace), runs the
// functions of atexit, removes temporary directories, shared memory and
// semaphores, and flushes all buffers, also the buffers of C. If this takes
// longer than Options.Grace, the pool kills the interpreter.
//
// A worker that is killed, or dies, does none of this. Temporary files and
// directories stay, as do segments of multiprocessing.shared_memory and
// named semaphores (files in /dev/shm on Linux). Data in buffers that were
// not flushed is lost. The children of the worker are killed, too.
//
// # What values lose
//
// Values arrive exactly. Only the following is lost:
//
//   - as with encoding/json: unexported fields, fields with the tag json:"-",
//     fields of an embedded struct if a less deeply embedded field has the same
//     name, and entries of a dict for which a struct has no field
//   - the monotonic clock of a time.Time
//   - the rules of a zone: a time keeps only its offset and the name of its
//     zone, and a TimeOfDay keeps only its offset
//   - the class of a result, unless the table has this class: an instance of a
//     derived class becomes an instance of the base class, a namedtuple or a
//     structure of numpy becomes a tuple, a dataclass becomes the dict of its
//     fields, and a member of an Enum becomes its value
//   - the order of a dict, and the order of a set
//   - the memory layout of an array: its strides, its byte order, and whether
//     it was read-only
//   - the format of JSON: white space, the order of keys, and how numbers and
//     texts are written; a json.RawMessage that is nil comes back as null
//
// A Go string that is not UTF-8, such as the name of a file in Latin-1,
// becomes the str that os.fsdecode makes of its bytes: each byte that is not
// UTF-8 becomes a surrogate, U+DC80 to U+DCFF. If Python returns this str,
// Go receives the same bytes. The function open of Python finds the file by
// this str. A str with other surrogates cannot be a Go string.
//
// A time.Time arrives with the offset and the name of its zone. For
// datetimes without a zone, see [Naive]. A datetime or a timedelta cannot
// hold nanoseconds. If a value has nanoseconds, it arrives as an instance of
// a subclass with the attribute nanosecond (datetime) or nanoseconds
// (timedelta), as in pandas. A result with this attribute has these
// nanoseconds in Go.
package python

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"concert/executor"
	"concert/internal/frame"
	"concert/internal/option"
	"concert/internal/pyname"
	"concert/processes"
)

// New starts n interpreters, waits until they are ready, and returns their
// pool. If n is 0, New starts GOMAXPROCS interpreters. The error gives the
// reason: for example, there is no such interpreter, Python is too old, or a
// module cannot be imported. New panics if n is negative. Close the pool when
// it is no longer needed.
//
// Some libraries use their own threads to compute (BLAS, OpenMP). New sets
// the environment variables of these libraries. As a result, all tasks that
// run concurrently in the n workers together have about one thread for each
// processor. Variables that are set already are not changed.
func New(n int, opts *Options) (*processes.Pool, error) {
	o := *cmp.Or(opts, &Options{})
	option.NotNegative("python: New", "n", n)
	n = cmp.Or(n, runtime.GOMAXPROCS(0))
	all := o.pool()
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
	for _, dir := range o.Path {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("python: Options.Path: %w", err)
		}
		path = append(path, separators.Replace(absolute))
	}
	env := all.Env
	if env == nil {
		env = os.Environ()
	}
	if runtime.GOOS == "linux" && !has(env, "GLIBC_TUNABLES") {
		// If the C library uses large pages, it allocates memory for large
		// values in half the time.
		env = append(slices.Clip(env), tunables, "CONCERT_PYTHON_TUNED=1")
	}
	if !has(env, "PYTHONSAFEPATH") {
		env = append(slices.Clip(env), "PYTHONSAFEPATH=1", "CONCERT_PYTHON_UNSAFE=1")
	}
	all.Command, all.Check, all.CheckShared, all.SharedCodec = []string{program, "-c", loader}, validate, validateShared, codec{}
	all.Env = append(threadCaps(env, n*max(1, all.Threads)),
		fmt.Sprintf("CONCERT_PYTHON_THREAD_TIME=%g", threadTime(all.Grace).Seconds()),
		"CONCERT_PYTHON_PATH="+strings.Join(path, ":"),
		"CONCERT_PYTHON_IMPORT="+strings.Join(o.Import, " "))
	all.Env = append(all.Env, workerVariables()...)
	source, code := all.Env, compiledVariables(program, n, all.Env, all.Dir)
	all.Env = append(slices.Clip(source), code...)
	pool, err := processes.New(n, &all)
	if code != nil && errors.Is(err, syscall.E2BIG) {
		all.Env = source
		pool, err = processes.New(n, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("python: %s: %w", program, err)
	}
	return pool, nil
}

// separators escapes the colons in directories, because a colon separates the
// directories in CONCERT_PYTHON_PATH.
var separators = strings.NewReplacer("%", "%25", ":", "%3A")

// None is the argument of a Python function that has no parameters, and the
// result of a Python function that returns None.
type None struct{}

// Args holds the arguments of a Python function with several parameters, by
// position and by name.
type Args struct {
	Args   []any
	Kwargs map[string]any
}

// Func returns a Python function as a Go function. Use it for Submit and Map
// on a pool that New has made, or on a cluster whose workers offer the
// function, such as the workers of the command "concert worker". The
// parameter where consists of the name of a module, a colon, and a name in
// the module, which may contain dots: "statistics:fmean",
// "numpy:linalg.norm". If () follows a name, each worker calls the named
// object once and keeps the result: "models:Model().predict" loads the model
// once in each worker. The parentheses may contain Python literals, by
// position and by name: "models:Model('large', layers=3).predict". For each
// list of arguments, there is a separate instance. A worker imports the
// module before the first call of the function, or when it starts if
// Options.Import has the module.
//
// The function is called with one argument, the value of type In. If In is
// [None], the function is called without arguments. If In is [Args], it is
// called with the arguments in the value. If the function returns a coroutine
// or another awaitable, the worker awaits this object.
//
// Func may be called at any time and from any goroutine. For the same types and
// the same text, Func returns the same function. Func panics if the text does
// not have the form above: if there is no colon, if a name is empty, or if a
// name is not an identifier. Func does not check whether the function exists.
// If the function does not exist, each call fails.
func Func[In, Out any](where string) func(context.Context, In) (Out, error) {
	check("Func", where)
	return declare[In, Out](where)
}

// check panics if the parameter where does not have the form that Func
// requires.
func check(caller, where string) {
	if err := pyname.Check(where); err != nil {
		panic(fmt.Sprintf("python: %s(%q): want \"module:function\", as in \"statistics:fmean\": %v", caller, where, err))
	}
}

// Names returns the names that [Func] gives to a Python function: one name
// for each form of a call's argument. The parameter where is the same as for
// Func. Programs call the function by these names, and errors, events and
// logs show them. The names for "statistics:fmean" are
// "python:1:statistics:fmean" for one argument, "python:0:statistics:fmean"
// for [None], and "python:*:statistics:fmean" for [Args]. If a program runs
// the function for other programs, it must offer these names. An example is
// a worker of a cluster. Names panics in the same cases as Func.
func Names(where string) []string {
	Func[any, any](where)
	Func[None, any](where)
	Func[Args, any](where)
	return []string{nameOf("1", where), nameOf("0", where), nameOf("*", where)}
}

// nameOf returns the name of a function in the registry.
func nameOf(how, where string) string { return "python:" + how + ":" + where }

// Source is like [Func], for a function in source text. The parameter name
// is the name of a function that the text defines. The text is a module that
// runs once in each worker, and functions of the same text share this
// module. The whole text may be indented. In errors, events and logs, the
// name of the module stands before the name of the function. It contains a
// digest of the text: "python:1:source_4f2a91c3:name". The 1 stands for one
// argument, see [Names]. Each call sends the text, so Source is meant for a
// few lines. Source panics if name does not have the form of a name in
// [Func], or if name and text together have more than 32 KiB.
func Source[In, Out any](name, text string) func(context.Context, In) (Out, error) {
	where, text := checkSource("Source", name, text)
	return declareText[In, Out](howOf[In](), where, text)
}

// checkSource returns the full name of a function in source text
// (source_DIGEST:name), and the text to send with each call. It panics if name
// or text does not have the form that Source needs.
func checkSource(caller, name, text string) (where, sent string) {
	if err := pyname.CheckFunction(name); err != nil {
		panic(fmt.Sprintf("python: %s(%q): want the name of a function, as in \"fmean\": %v", caller, name, err))
	}
	if len(name)+len(text) > 32<<10 {
		panic(fmt.Sprintf("python: %s(%q): %d bytes of text are more than %d: make it a module", caller, name, len(text), 32<<10))
	}
	if text == "" {
		text = "\n" // this text defines no function, so each call fails
	}
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("source_%x:%s", sum[:4], name), text
}

// declared holds the functions that declareText has made.
var declared struct {
	mu        sync.Mutex
	functions map[string]any // guarded by mu; by type and name
}

func declare[In, Out any](where string) func(context.Context, In) (Out, error) {
	return declareText[In, Out](howOf[In](), where, "")
}

// howOf returns the part of a function's name that shows the form of the
// argument; see Names.
func howOf[In any]() string {
	switch any((*In)(nil)).(type) {
	case *None:
		return "0"
	case *Args:
		return "*"
	}
	return "1"
}

// declareText declares a function. If text is not empty, it is the source text
// of the module, and each call sends it to the worker.
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
	f = executor.Declare[In, Out](name, codec{})
	declared.functions[key] = f
	return f
}
