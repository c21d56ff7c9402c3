package python_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/python"
)

// sabotage has a function that executes Python code which breaks the
// interpreter.
const sabotage = `
import array, builtins, gc, importlib, marshal, os, signal, struct, sys, threading, time

def hang(*args, **kwargs):
    while True:
        sleep(1000)

sleep = time.sleep

def lie(fd, b):
    return len(b)

class Hanging:
    def __getattr__(self, name):
        if name == "write" or name == "flush":
            return hang
        raise AttributeError(name)

class Raising:
    def flush(self):
        raise KeyboardInterrupt
    def write(self, text):
        raise SystemExit(3)

def files():
    return sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2)

def nth(n):
    all = files()
    return all[n] if n < len(all) else -1

def smallest_limit():
    for limit in range(1, 1000):
        try:
            sys.setrecursionlimit(limit)
            return
        except RecursionError:
            pass

def sabotage(what):
    exec(what, globals())
    return "done"

def square(n):
    return n * n

def run_until_canceled(path):
    open(path, "w").close()
    while True:
        sleep(0.01)
`

// sabotages has code that breaks an interpreter. The keys say what the code
// changes.
var sabotages = map[string][]string{
	"builtins": {
		"builtins.len = None", "builtins.len = hang",
		"sleep(0.1); builtins.len = hang", // only after the thread that flushes outcomes has become idle
		"del builtins.type", "builtins.memoryview = hang",
		"builtins.BaseException = None", "vars(builtins).clear()",
	},
	"modules": {
		"sys.modules.clear()", "sys.modules = None", "sys.modules['concert.values'] = None", "sys.modules['concert.errors'] = None; 1 / 0", "importlib.import_module = None",
		"import asyncio; asyncio.new_event_loop = None; asyncio.set_event_loop = hang",
	},
	"standard streams": {
		"sys.stdout = None", "sys.stdout = sys.stderr = Hanging()", "sys.stdout = sys.stderr = Raising()", "sys.stdout.close()", "os.close(1); os.close(2)",
	},
	"hooks": {
		"sys.excepthook = hang; os.closerange(3, 1000)", "import atexit; atexit.register(hang)",
		"threading.settrace(hang)", "sys.settrace(lambda *args: 1 / 0)",
		"gc.disable()",
	},
	"functions": {
		"os.read = None", "os.read = hang", "os.write = None", "os.write = hang", "os.write = lie", "os._exit = hang; os.close(nth(0))",
		"struct.pack = None", "struct.unpack = hang", "marshal.dumps = None", "array.array = None",
		"time.sleep = hang", "time.perf_counter_ns = hang",
		"threading.get_ident = None", "threading.Thread = None", "threading._active.clear()",
	},
	"limits": {
		"smallest_limit()", "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))", "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))",
	},
	"signals": {
		"for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD): signal.signal(s, hang)",
		"signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))",
	},
	"files": {
		"os.dup2(os.open(os.devnull, os.O_RDWR), nth(0))", "os.dup2(os.open(os.devnull, os.O_RDWR), nth(1))", "os.dup2(os.open(os.devnull, os.O_RDWR), nth(2))",
		"os.close(nth(0))", "os.close(nth(2))", "os.closerange(3, 1000)",
		"a, b = os.pipe(); os.dup2(b, nth(1))",
	},
	"itself": {"sys.settrace(hang)", "sys.setprofile(hang)", "signal.signal(signal.SIGINT, hang); os.kill(os.getpid(), signal.SIGINT)"},
}

// TestSabotage_EndsAtMostWorker: if a task breaks its interpreter, only this
// task may fail, and only its worker may end. The tasks before and after it
// must get their results, from the same worker or from the next worker, and
// Close must return. All tasks are plain functions: if they were coroutines,
// more tasks could fail, because package asyncio itself calls functions of
// builtins.
func TestSabotage_EndsAtMostWorker(t *testing.T) {
	square, breaks := python.Source[int, int]("square", sabotage), python.Source[string, string]("sabotage", sabotage)
	for kind, all := range sabotages {
		for _, what := range all {
			t.Run(kind+"/"+what, func(t *testing.T) {
				t.Parallel()
				o := &python.Options{Grace: time.Second}
				n := 1
				switch {
				case kind == "itself": // the task hangs, as in an endless loop
					o.Timeout = 5 * time.Second
				case strings.Contains(what, "Hanging"): // the worker hangs; after a second, another worker gets its calls
					n = 2
				}
				p := newPool(t, n, o)
				var futures []*concert.Future[int]
				for i := range 5 {
					futures = append(futures, concert.Submit(t.Context(), p, square, i))
				}
				f := concert.Submit(t.Context(), p, breaks, what)
				for i := range 20 {
					futures = append(futures, concert.Submit(t.Context(), p, square, 5+i))
				}
				for i, f := range futures {
					if got, err := f.Result(t.Context()); got != i*i || err != nil {
						t.Errorf("task %d: %d, %v; want %d", i, got, err, i*i)
					}
				}
				if text, err := f.Result(t.Context()); text != "done" && err == nil {
					t.Errorf("the task that breaks the interpreter: %q, %v", text, err)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestSabotage_Exit: after a task has broken builtins.len, the worker must
// still end by itself, and functions of atexit must run.
func TestSabotage_Exit(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"builtins.len = hang", "builtins.len = None"} {
		t.Run(what, func(t *testing.T) {
			p := newPool(t, 1, &python.Options{Grace: time.Minute})
			path := filepath.Join(t.TempDir(), "atexit")
			code := fmt.Sprintf("import atexit; atexit.register(os.mkdir, %q); %s", path, what)
			if text, err := call(t, p, python.Source[string, string]("sabotage", sabotage), code); text != "done" || err != nil {
				t.Fatalf("the task that breaks the interpreter: %q, %v", text, err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the function of atexit did not run: %v", err)
			}
		})
	}
}

// TestSabotage_Cancel: after a task has broken builtins.len, the worker
// cannot import ctypes, so it cannot interrupt a task. A canceled task must
// still fail with ErrCanceled after the grace period, and the next task must
// run.
func TestSabotage_Cancel(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{Grace: 500 * time.Millisecond})
	if text, err := call(t, p, python.Source[string, string]("sabotage", sabotage), "builtins.len = None"); text != "done" || err != nil {
		t.Fatalf("the task that breaks the interpreter: %q, %v", text, err)
	}
	path := filepath.Join(t.TempDir(), "running")
	f := concert.Submit(t.Context(), p, python.Source[string, any]("run_until_canceled", sabotage), path)
	await(t, path, 1)
	f.Cancel()
	if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
		t.Errorf("Result() = %v, want a cancellation", err)
	}
	if got, err := call(t, p, python.Source[int, int]("square", sabotage), 3); got != 9 || err != nil {
		t.Errorf("the next task: %d, %v", got, err)
	}
}

// TestSabotage_Modules: after a task has removed the worker's modules from
// sys.modules, functions that are called for the first time must work.
// Coroutines that ran before must work, too.
func TestSabotage_Modules(t *testing.T) {
	t.Parallel()
	co := python.Source[int, int]("co", "async def co(n):\n    return n + 1\n")
	stream := python.StreamSource[int, int]("count", "async def count(n):\n    for i in range(n):\n        yield i\n")
	for i, what := range []string{
		"sys.modules.clear()", "del sys.modules['concert']", "sys.modules['concert'] = None", "sys.modules['concert.coroutines'] = None",
		"for name in list(sys.modules):\n    if name.startswith('concert'):\n        del sys.modules[name]",
	} {
		t.Run(what, func(t *testing.T) {
			p := newPool(t, 1, nil)
			if n, err := call(t, p, co, 1); n != 2 || err != nil {
				t.Fatalf("before: %d, %v", n, err)
			}
			if text, err := call(t, p, python.Source[string, string]("sabotage", sabotage), what); text != "done" || err != nil {
				t.Errorf("the task that removes modules: %q, %v", text, err)
			}
			if n, err := call(t, p, co, 2); n != 3 || err != nil {
				t.Errorf("a coroutine that ran before: %d, %v", n, err)
			}
			fresh := python.Source[int, int]("fresh", fmt.Sprintf("import concert\ndef fresh(n):\n    concert.progress(1)\n    return n + %d\n", i))
			if n, err := call(t, p, fresh, 1); n != i+1 || err != nil {
				t.Errorf("a function that did not run before: %d, %v", n, err)
			}
			n := 0
			for got, err := range stream(t.Context(), p, 3) {
				if got != n || err != nil {
					t.Errorf("value %d of a stream: %d, %v", n, got, err)
				}
				n++
			}
			if n != 3 {
				t.Errorf("the stream has %d values", n)
			}
		})
	}
}
