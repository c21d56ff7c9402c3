package python_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
)

// newPool returns a pool that is closed at the end of the test. If the
// machine has no Python, newPool skips the test.
func newPool(t testing.TB, n int, o *python.Options) *processes.Pool {
	t.Helper()
	pythontest.Need(t)
	if o == nil {
		o = &python.Options{}
	}
	o.Path = append(o.Path, "testdata")
	p, err := python.New(n, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func call[In, Out any](t testing.TB, p *processes.Pool, f func(context.Context, In) (Out, error), in In) (Out, error) {
	t.Helper()
	return concert.Submit(t.Context(), p, f, in).Result(t.Context())
}

// same calls a Python function that returns its argument, and compares the
// result with the argument.
func same[T any](t *testing.T, p *processes.Pool, values ...T) {
	t.Helper()
	echo := python.Func[T, T]("tasks:echo")
	for _, v := range values {
		got, err := call(t, p, echo, v)
		if err != nil || !reflect.DeepEqual(got, v) && fmt.Sprint(got) != "NaN" {
			t.Errorf("%T %v returned as %v, %v", v, v, got, err)
		}
	}
}

type point struct {
	X, Y  int
	Label string `json:"label,omitempty"`
	Next  *point `json:"next"`
}

// TestValues_RoundTrip: values must arrive in Python, and must return
// unchanged.
func TestValues_RoundTrip(t *testing.T) {
	p := newPool(t, 1, nil)
	same(t, p, 0, -1, 1<<40, math.MaxInt64, math.MinInt64)
	same[int8](t, p, -128, 127)
	same[uint16](t, p, 65535)
	same[uint64](t, p, math.MaxUint64, 1<<63, 0)
	same(t, p, 0.5, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1))
	same[float32](t, p, 0.25)
	same(t, p, complex(1, -2))
	same(t, p, true, false)
	same(t, p, "", "héllo \x00 ☃ 𝄞")
	same(t, p, []byte("a\xff\x00"), []byte{}, nil)
	same(t, p, []float64{1, math.Inf(1), -2.5}, []float64{}, nil)
	same(t, p, []float32{1.5}, nil)
	same(t, p, []int64{math.MinInt64}, []int64{})
	same(t, p, []int32{-5, 5})
	same(t, p, []int16{-5})
	same(t, p, []int8{-5})
	same(t, p, []uint16{5})
	same(t, p, []uint32{5})
	same(t, p, []uint64{math.MaxUint64})
	same(t, p, []int{1, 1 << 50}, []int{}, nil)
	same(t, p, []string{"a", ""}, nil)
	same(t, p, [3]int{1, 2, 3})
	same(t, p, [4]byte{1, 2, 3, 255})
	same(t, p, map[string]int{"a": 1, "b": -1}, map[string]int{}, nil)
	same(t, p, map[int]string{1: "a"})
	same(t, p, map[string]any{"n": nil, "i": int64(5), "f": 1.5, "s": "x", "b": []byte("y"), "l": []any{int64(1), "z"}, "m": map[string]any{}})
	same(t, p, point{X: 1, Y: -2, Next: &point{Label: "end"}}, point{})
	same(t, p, &point{X: 1}, nil)
	same(t, p, new(big.Int).Lsh(big.NewInt(-3), 1000), big.NewInt(0), new(big.Int).SetUint64(math.MaxUint64))
	same(t, p, time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC))
	same[any](t, p, "x", int64(7), nil, []any{})
	same(t, p, strings.Repeat("long", 1<<20))
	big := make([]float64, 1<<20)
	for i := range big {
		big[i] = float64(i)
	}
	same(t, p, big)
}

// TestMismatch_Errors: if a part of a value cannot be sent, or does not fit
// into its Go type, the call must fail. The error must name this part, and
// the pool must continue.
func TestMismatch_Errors(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	fails := func(what string, err error, want ...string) {
		t.Helper()
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v; want an error with %q", what, err, w)
			}
		}
	}
	_, err := call(t, p, python.Func[int, int8]("tasks:echo"), 300)
	fails("a large int", err, "the int 300", "int8")
	_, err = call(t, p, python.Func[uint64, int64]("tasks:echo"), 1<<63)
	fails("a larger int", err, "the int 9223372036854775808", "int64")
	_, err = call(t, p, python.Func[float64, int]("tasks:echo"), 3)
	fails("a float for an int", err, "the float 3", "int")
	_, err = call(t, p, python.Func[float64, float32]("tasks:echo"), 0.1)
	fails("a precise float", err, "float32")
	_, err = call(t, p, python.Func[int, float64]("tasks:echo"), 1<<53+1)
	fails("an int that no float64 is", err, "9007199254740993")
	_, err = call(t, p, python.Func[string, []byte]("tasks:echo"), "x")
	fails("str for bytes", err, "a str", "[]uint8")
	_, err = call(t, p, python.Func[python.None, int]("tasks:nothing"), python.None{})
	fails("None for an int", err, "None", "int")
	_, err = call(t, p, python.Func[map[string]any, map[string]point]("tasks:echo"), map[string]any{"a": map[string]any{"Y": "text"}})
	fails("deep inside", err, `result["a"].Y: a str`, "int")
	_, err = call(t, p, python.Func[python.None, string]("tasks:surrogate"), python.None{})
	fails("text that is no Unicode", err, `result: a str with surrogates that os.fsdecode does not make, "\ud800",`)
	_, err = call(t, p, python.Func[map[string]any, int]("tasks:echo"), map[string]any{"f": func() {}})
	fails("a function", err, `argument["f"]: a Go func() cannot be sent`)
	type loop struct{ Next *loop }
	l := &loop{}
	l.Next = l
	_, err = call(t, p, python.Func[*loop, int]("tasks:echo"), l)
	fails("a value in a circle", err, "contains itself")
	_, err = call(t, p, python.Func[python.None, []any]("tasks:circle"), python.None{})
	fails("a list in a circle", err, "contains itself")
	_, err = call(t, p, python.Func[python.None, any]("tasks:an_object"), python.None{})
	fails("an object", err, `the result['inside'][1] cannot be sent`, "tasks.Thing")
	_, err = call(t, p, python.Func[python.None, any]("tasks:generator"), python.None{})
	fails("a generator", err, "generator", "return plain data")
	same(t, p, 5)
}

// TestResult_OtherPythonTypes: some Python types occur only in results, and
// not in arguments. Such results must arrive as the expected Go values.
func TestResult_OtherPythonTypes(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	one := func(where string, want any) {
		t.Helper()
		got, err := call(t, p, python.Func[python.None, any](where), python.None{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %#v, %v; want %#v", where, got, err, want)
		}
	}
	one("tasks:a_tuple", []any{int64(1), "two", 3.0})
	one("tasks:a_frozenset", []any{int64(7)})
	one("tasks:a_dataclass", map[string]any{"x": int64(1), "name": "n"})
	one("tasks:an_enum", int64(2))
	one("tasks:ordered", map[string]any{"a": int64(1)})
	one("tasks:keys", map[any]any{int64(1): "a", "b": int64(2)})
	one("tasks:huge", new(big.Int).Lsh(big.NewInt(1), 100))
	one("tasks:nothing", nil)
	one("tasks:nested_array", []any{[]float64{1.5, 2.5}})
	one("tasks:view", []byte("bc"))
	type pair struct {
		N int
		S string
		F float64
	}
	if got, err := call(t, p, python.Func[python.None, pair]("tasks:a_tuple"), python.None{}); got != (pair{1, "two", 3}) || err != nil {
		t.Errorf("a tuple into a struct: %+v, %v", got, err)
	}
	if got, err := call(t, p, python.Func[python.None, []int32]("tasks:int_array"), python.None{}); !slices.Equal(got, []int32{1, -2}) || err != nil {
		t.Errorf("an array of int: %v, %v", got, err)
	}
	if got, err := call(t, p, python.Func[python.None, python.None]("tasks:nothing"), python.None{}); err != nil {
		t.Errorf("None: %v, %v", got, err)
	}
}

// TestFunc_Forms: a call must be possible by each form of a function's name,
// and with each form of argument. If a function does not exist, the error
// must say which part of the name is missing.
func TestFunc_Forms(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{Import: []string{"json", "tasks"}})
	if got, err := call(t, p, python.Func[[]float64, float64]("statistics:fmean"), []float64{1, 2, 6}); got != 3 || err != nil {
		t.Errorf("fmean() = %v, %v", got, err)
	}
	args := python.Args{Args: []any{1, 2}, Kwargs: map[string]any{"c": "x"}}
	if got, err := call(t, p, python.Func[python.Args, string]("tasks:several"), args); got != "1 2 x" || err != nil {
		t.Errorf("several() = %q, %v", got, err)
	}
	count := python.Func[python.None, int]("tasks:Counter().next")
	for want := 1; want <= 3; want++ {
		if got, err := call(t, p, count, python.None{}); got != want || err != nil {
			t.Errorf("Counter().next() = %d, %v; want %d", got, err, want)
		}
	}
	// This call, which has Args as its argument, must use the same instance
	// of Counter.
	if got, err := call(t, p, python.Func[python.Args, int]("tasks:Counter().next"), python.Args{}); got != 4 || err != nil {
		t.Errorf("Counter().next() with Args = %d, %v; want 4", got, err)
	}
	if got, err := call(t, p, python.Func[int, int]("tasks:Counter.twice"), 4); got != 8 || err != nil {
		t.Errorf("a static method: %d, %v", got, err)
	}
	if got, err := call(t, p, python.Func[int, int]("tasks:later"), 4); got != 5 || err != nil {
		t.Errorf("a coroutine: %d, %v", got, err)
	}
	source := python.Source[int, int]("f", "import math\ndef f(n):\n    return math.factorial(n)\n")
	if got, err := call(t, p, source, 5); got != 120 || err != nil {
		t.Errorf("of source text: %d, %v", got, err)
	}
	if a, b := fmt.Sprintf("%p", python.Func[int, int]("tasks:echo")), fmt.Sprintf("%p", python.Func[int, int]("tasks:echo")); a != b {
		t.Error("Func returns different functions for the same name")
	}
	n := 0
	for got, err := range concert.Map(t.Context(), p, python.Func[int, int]("tasks:square"), slices.Values([]int{0, 1, 2, 3, 4})) {
		if got != n*n || err != nil {
			t.Errorf("square(%d) = %d, %v", n, got, err)
		}
		n++
	}
	for where, want := range map[string]string{
		"no_such_module:f":       "ModuleNotFoundError: cannot import the module of python:1:no_such_module:f: No module named 'no_such_module'",
		"no_such_module.child:f": "ModuleNotFoundError: cannot import the module of python:1:no_such_module.child:f: No module named 'no_such_module'",
		"tasks:no_such_function": "AttributeError: module 'tasks' has no attribute 'no_such_function'",
		"tasks:NUMBER":           "TypeError: tasks:NUMBER is no function",
	} {
		t.Run(where, func(t *testing.T) {
			if _, err := call(t, p, python.Func[int, int](where), 1); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %s", where, err, want)
			}
		})
	}
	if _, err := python.Func[int, int]("tasks:echo")(t.Context(), 1); !errors.Is(err, concert.ErrElsewhere) || !strings.Contains(err.Error(), "tasks:echo: submit it to an executor whose workers have this function") {
		t.Errorf("called here: %v, want ErrElsewhere", err)
	}
}

var goFunction = concert.Register("python_test.goFunction", func(_ context.Context, n int) (int, error) { return n, nil })

// TestError_Exceptions: if a function raises an exception, the error must
// have the class, the base classes and the text of this exception. The
// worker must continue.
func TestError_Exceptions(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	pid := python.Func[python.None, int]("os:getpid")
	before, err := call(t, p, pid, python.None{})
	if err != nil {
		t.Fatal(err)
	}
	fails := python.Func[string, any]("tasks:fail")
	for what, want := range map[string]struct{ kind, base, text string }{
		"value":     {"ValueError", "Exception", "ValueError: not this"},
		"own":       {"tasks.Mine", "LookupError", "tasks.Mine: of my own"},
		"file":      {"FileNotFoundError", "OSError", "No such file"},
		"exit":      {"SystemExit", "BaseException", "SystemExit: 3"},
		"interrupt": {"KeyboardInterrupt", "BaseException", "KeyboardInterrupt"},
		"recursion": {"RecursionError", "RuntimeError", "maximum recursion"},
		"dumb":      {"tasks.Dumb", "Exception", "whose __str__ raised"},
		"noted":     {"ValueError", "Exception", "ValueError"},
		"stdin":     {"EOFError", "Exception", "EOF"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := call(t, p, fails, what)
			var e *python.Error
			if !errors.As(err, &e) || e.Type != want.kind || !errors.Is(err, python.Type(want.kind)) || !errors.Is(err, python.Type(want.base)) || !strings.Contains(err.Error(), want.text) {
				t.Errorf("%s: %v (%+v); want %+v", what, err, e, want)
				return
			}
			if !strings.Contains(e.Traceback, "in fail") || !strings.Contains(e.Traceback, "tasks.py") {
				t.Errorf("%s: traceback\n%s", what, e.Traceback)
			}
			if strings.Contains(e.Traceback, "concert worker") {
				t.Errorf("%s: the traceback shows the worker:\n%s", what, e.Traceback)
			}
			if got, want := fmt.Sprintf("%+v", err), err.Error()+"\n"+strings.TrimSuffix(e.Traceback, "\n"); got != want {
				t.Errorf("%s: %%+v of the task's error is\n%s\nwant\n%s", what, got, want)
			}
		})
	}
	if _, err := call(t, p, goFunction, 1); err == nil || !strings.Contains(err.Error(), "only functions of python.Func run here") {
		t.Errorf("a function of Go: %v", err)
	}
	if after, err := call(t, p, pid, python.None{}); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
}

// TestWorkerError_Deaths: if a task ends its interpreter, only this task may
// fail.
func TestWorkerError_Deaths(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	ends := python.Func[string, any]("tasks:end")
	for what, want := range map[string]func(*processes.WorkerError) bool{
		"exit": func(e *processes.WorkerError) bool { return e.ExitCode == 7 },
		"crash": func(e *processes.WorkerError) bool {
			return e.Signal == syscall.SIGSEGV && strings.Contains(e.Stderr, "tasks.py")
		},
		"kill": func(e *processes.WorkerError) bool { return e.Signal == syscall.SIGKILL },
	} {
		t.Run(what, func(t *testing.T) {
			_, err := call(t, p, ends, what)
			if e, ok := errors.AsType[*processes.WorkerError](err); !ok || !want(e) {
				t.Errorf("%s: %v", what, err)
			}
			same(t, p, 5)
		})
	}
}

// TestTimeout_InterruptsOrKills: a task exceeds Options.Timeout. If it runs
// Python code, the worker must interrupt the task. If it runs C code, the
// pool must kill the worker.
func TestTimeout_InterruptsOrKills(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{
		Timeout: 500 * time.Millisecond, Grace: 2 * time.Second,
		Import: []string{"tasks"}, // on a busy machine, the import would exceed the timeout of a call
	})
	pid := python.Func[python.None, int]("os:getpid")
	before, err := call(t, p, pid, python.None{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = call(t, p, python.Func[string, any]("tasks:spin"), "")
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a loop in Python: %v", err)
	}
	if after, err := call(t, p, pid, python.None{}); after != before || err != nil {
		t.Errorf("a loop in Python is interrupted, and the worker lives: %d, then %d, %v", before, after, err)
	}
	f := concert.Submit(t.Context(), p, python.Func[float64, any]("time:sleep"), 3600)
	_, err = f.Result(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a long call of C: %v, want ErrTimeout", err)
	}
	same(t, p, 5)
}

// TestNew_Refused: if the interpreter or a module does not work, New must
// return an error.
func TestNew_Refused(t *testing.T) {
	t.Parallel()
	newPool(t, 1, nil) // skips the test without Python
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "broken.py"), []byte("import nothing_like_it\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		o    python.Options
		want []string
	}{
		"no such interpreter":       {python.Options{Interpreter: "/no/such/python"}, []string{"/no/such/python"}},
		"not a virtual environment": {python.Options{Interpreter: t.TempDir()}, []string{"not a virtual environment"}},
		"no such module":            {python.Options{Import: []string{"no_such_module"}}, []string{"ModuleNotFoundError", "no_such_module"}},
		"a broken module":           {python.Options{Import: []string{"broken"}, Path: []string{broken}}, []string{"nothing_like_it"}},
		"another program":           {python.Options{Interpreter: "/bin/true"}, []string{"before it was ready"}},
	} {
		t.Run(what, func(t *testing.T) {
			p, err := python.New(1, &c.o)
			if err == nil {
				p.Close()
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v; want an error with %q", what, err, want)
				}
			}
		})
	}
}

// TestCancel_AnyTime: the test cancels tasks at any moment while they report
// progress. Each task must settle with its result or with ErrCanceled. A
// cancellation must not interrupt the writing of a frame, so the worker must
// continue.
func TestCancel_AnyTime(t *testing.T) {
	t.Parallel()
	var reports atomic.Int64
	p := newPool(t, 1, &python.Options{Observer: func(e concert.Event) {
		if e.Kind == concert.TaskProgress {
			reports.Add(1)
		}
	}})
	pid := python.Func[python.None, int]("os:getpid")
	before, err := call(t, p, pid, python.None{})
	if err != nil {
		t.Fatal(err)
	}
	busy := python.Func[float64, int]("tasks:busy")
	for i := range 300 {
		f := concert.Submit(t.Context(), p, busy, 0.002)
		time.Sleep(time.Duration(i%30) * 100 * time.Microsecond)
		f.Cancel()
		if got, err := f.Result(t.Context()); err != nil && !errors.Is(err, concert.ErrCanceled) || err == nil && got != 7 {
			t.Fatalf("task %d: %d, %v", i, got, err)
		}
	}
	if after, err := call(t, p, pid, python.None{}); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
	if reports.Load() == 0 {
		t.Error("no task reported progress")
	}
}

// TestProgress_ReachesWatch: if Watch has added an observer, the observer
// must receive the progress of tasks.
func TestProgress_ReachesWatch(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	busy := python.Func[float64, int]("tasks:busy")
	if _, err := call(t, p, busy, 0.001); err != nil {
		t.Fatal(err)
	}
	var reports atomic.Int64
	defer p.Watch(func(e concert.Event) {
		if e.Kind == concert.TaskProgress {
			reports.Add(1)
		}
	})()
	for reports.Load() == 0 { // more than once, because the first task may begin before the worker knows that there is an observer
		if _, err := call(t, p, busy, 0.002); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProgress_AfterTaskEnd: if a thread reports progress after its task has
// ended, the worker must continue, and must run other tasks.
func TestProgress_AfterTaskEnd(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{Observer: func(concert.Event) {}})
	pid := python.Func[python.None, int]("os:getpid")
	before, err := call(t, p, pid, python.None{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := call(t, p, python.Func[int, int]("tasks:progress_late"), i); err != nil {
			t.Error(err)
		}
		if _, err := call(t, p, python.Func[float64, float64]("tasks:nap"), 0.1); err != nil {
			t.Errorf("the next: %v", err)
		}
	}
	if after, err := call(t, p, pid, python.None{}); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
}
