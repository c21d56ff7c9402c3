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
// omitzero leave fields out. As with encoding/json, unexported fields are not
// sent, and keys of a dict that a struct has no field for are ignored. All else
// arrives exactly, or there is an error that says where in the value the cause is, as
// in result[3].price: an int that is too large for its Go type, a float where an
// int is expected, text that is not Unicode, keys that are one in Python, an object
// that is not plain data.
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
// its type or of a base of that, see [Type]. SystemExit and KeyboardInterrupt are exceptions
// like others. What ends the interpreter, such as os._exit or a crash of an extension, is
// a [*processes.WorkerError]. Of a task that is cancelled, by Cancel, a timeout or the end of
// its context, the function is interrupted by an exception at its next step in Python; C
// code, or an import, that goes on for longer than Options.Grace is killed.
//
// C code that keeps the interpreter lock also keeps the worker from hearing what the
// pool says: calls that wait behind it stay there, and cannot be cancelled, until it
// lets go. Options.Timeout bounds that.
package python

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"concert"
	"concert/processes"
)

// Options tunes a pool of interpreters. The zero value, and nil, are ready to use.
type Options struct {
	// Options are those of the pool; of Init the function is one of Func. Command, Check
	// and Sandbox cannot be set.
	processes.Options

	// Interpreter is the program, or the folder of a virtual environment. Empty
	// means the environment variable VIRTUAL_ENV's if it is set, and else python3.
	Interpreter string

	// Path lists folders in which modules are looked for first, as PYTHONPATH
	// does. The working directory comes after them.
	Path []string

	// Import lists modules that each worker imports before its first task. One that
	// cannot be imported fails New, with Python's error.
	Import []string
}

//go:embed worker/*.py
var workerFiles embed.FS

// workerSource is the worker's modules, in the order in which one needs the other: the name
// of each, a line's end, its text, and separator.
var workerSource = func() string {
	var b strings.Builder
	for _, name := range []string{"errors", "forms", "values", "results", "functions", "worker"} {
		text, err := workerFiles.ReadFile("worker/" + name + ".py")
		if err != nil {
			panic(err) // it is embedded
		}
		fmt.Fprintf(&b, "%s\n%s\x1e", name, text)
	}
	return b.String()
}()

// loader has the worker's source out of the environment, where it does not fill the
// listings of processes. Its modules are in a package that tasks can import, too.
const loader = `import os, sys
concert = sys.modules["concert"] = type(sys)("concert", "What a task can say to the pool that it runs in.")
concert.__path__ = []
for part in os.environ.pop("CONCERT_PYTHON_WORKER").split("\x1e")[:-1]:
    name, text = part.split("\n", 1)
    module = type(sys)("concert." + name)
    sys.modules[module.__name__] = module
    setattr(concert, name, module)
    exec(compile(text, "<%s>" % module.__name__, "exec"), module.__dict__)
`

// New starts n interpreters, waits until they are ready, and returns their pool. For n of
// 0 there are GOMAXPROCS. The error says why it cannot be: no such interpreter, a Python
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
	if o.Command != nil || o.Sandbox != nil || o.Check != nil {
		return nil, fmt.Errorf("python: Command, Check and Sandbox cannot be set: %w", errors.ErrUnsupported)
	}
	o.Check = validate
	if n < 0 {
		panic(fmt.Sprintf("python: New(%d)", n))
	}
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	program, err := interpreter(o.Interpreter)
	if err != nil {
		return nil, err
	}
	for _, name := range o.Import {
		if name == "" || strings.ContainsAny(name, " \t\n\x00") {
			return nil, fmt.Errorf("python: Options.Import: %q is no name of a module", name)
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
	o.Options.Command = []string{program, "-c", loader}
	env := o.Env
	if env == nil {
		env = os.Environ()
	}
	if runtime.GOOS == "linux" && !has(env, "GLIBC_TUNABLES") {
		// Memory for large values comes in large pages, in half the time.
		env = append(slices.Clip(env), tunables, "CONCERT_PYTHON_TUNED=1")
	}
	o.Env = append(threadCaps(env, n*max(1, o.Threads)),
		"CONCERT_PYTHON_WORKER="+workerSource,
		"CONCERT_PYTHON_PATH="+strings.Join(path, string(filepath.ListSeparator)),
		"CONCERT_PYTHON_IMPORT="+strings.Join(o.Import, " "))
	pool, err := processes.New(n, &o.Options)
	if err != nil {
		return nil, fmt.Errorf("python: %s: %w", program, err)
	}
	return pool, nil
}

// interpreter returns the program that a name stands for.
func interpreter(name string) (string, error) {
	if name == "" {
		name = os.Getenv("VIRTUAL_ENV")
	}
	if info, err := os.Stat(name); name != "" && err == nil && info.IsDir() {
		for _, program := range []string{filepath.Join(name, "bin", "python3"), filepath.Join(name, "bin", "python"), filepath.Join(name, "Scripts", "python.exe")} {
			if _, err := os.Stat(program); err == nil {
				return filepath.Abs(program)
			}
		}
		return "", fmt.Errorf("python: %s is a folder without an interpreter in it: no virtual environment", name)
	}
	if name == "" {
		name = "python3"
	}
	program, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("python: no interpreter: %w", err)
	}
	return program, nil
}

// threadCaps adds to an environment what keeps n tasks from having n times as many
// threads as there are processors.
func threadCaps(env []string, n int) []string {
	each := max(1, runtime.GOMAXPROCS(0)/n)
	env = append([]string(nil), env...)
	for _, name := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"} {
		if !has(env, name) {
			env = append(env, fmt.Sprintf("%s=%d", name, each))
		}
	}
	return env
}

// has reports whether an environment has a variable.
func has(env []string, name string) bool {
	return slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
}

// tunables is for the C library of the workers, which takes it out of what their tasks start.
const tunables = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"

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
// once. The module is imported when a worker first needs it, see Options.Import.
//
// The function is called with one argument, the value of type In; with none if In is
// [None], and with those that it holds if In is [Args]. A coroutine function is run to
// its end.
//
// Func may be called at any time and from any goroutine; for the same types and place it
// returns the same function. It panics if where is not of that form.
func Func[In, Out any](where string) func(context.Context, In) (Out, error) {
	module, name, ok := strings.Cut(where, ":")
	if !ok || module == "" || name == "" || strings.ContainsAny(where, " \t\n") {
		panic(fmt.Sprintf("python: Func(%q): want \"module:function\"", where))
	}
	return declare[In, Out](where)
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

// Source is [Func] for a function in source text, which defines it by name. The text goes
// along with the calls, so this is for a few lines.
func Source[In, Out any](name, text string) func(context.Context, In) (Out, error) {
	if name == "" || strings.ContainsAny(name, ": \t\n") {
		panic(fmt.Sprintf("python: Source(%q): want the name of a function", name))
	}
	if len(text) > 32<<10 {
		panic(fmt.Sprintf("python: Source(%q): %d bytes of text are more than %d: make it a module", name, len(text), 32<<10))
	}
	return declare[In, Out](":" + name + "\n" + text)
}

// declared holds the functions, by their names in the registry.
var declared struct {
	mu        sync.Mutex
	functions map[string]any // guarded by mu: by type and place
}

func declare[In, Out any](where string) func(context.Context, In) (Out, error) {
	how := "1"
	var in *In
	switch any(in).(type) {
	case *None:
		how = "0"
	case *Args:
		how = "*"
	}
	var f func(context.Context, In) (Out, error)
	key := fmt.Sprintf("%T %s", f, where)
	declared.mu.Lock()
	defer declared.mu.Unlock()
	if known, ok := declared.functions[key]; ok {
		return known.(func(context.Context, In) (Out, error))
	}
	if declared.functions == nil {
		declared.functions = make(map[string]any)
	}
	f = concert.Declare[In, Out](nameOf(how, where), codec{})
	declared.functions[key] = f
	return f
}
