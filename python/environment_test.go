package python_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"concert/processes"
	"concert/python"
)

var (
	getenv = python.Func[string, any]("os:getenv")
	put    = python.Source[string, any]("put", "import builtins\ndef put(v):\n    builtins.kept = v\n")
	kept   = python.Source[python.None, string]("get", "import builtins\ndef get():\n    return builtins.kept\n")
	prefix = python.Source[python.None, string]("prefix", "import sys\ndef prefix():\n    return sys.prefix\n")
)

// TestEnvironment_OfWorkers: tasks must see the directory and the
// environment of the options, and the effect of the initializer. They must
// not see the variables for the worker itself.
func TestEnvironment_OfWorkers(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, 2, &python.Options{
		Init: processes.Initialize(put, "prepared"),
		Dir:  dir,
		Env:  append(os.Environ(), "CONCERT_TEST=there", "OPENBLAS_NUM_THREADS=7"),
	})
	if got, err := call(t, p, kept, python.None{}); got != "prepared" || err != nil {
		t.Errorf("what the initializer kept is %q, %v", got, err)
	}
	if got, err := call(t, p, python.Func[python.None, string]("os:getcwd"), python.None{}); got != dir || err != nil {
		t.Errorf("working directory %q, %v; want %q", got, err, dir)
	}
	for name, want := range map[string]any{
		"CONCERT_TEST":         "there",
		"OPENBLAS_NUM_THREADS": "7", // from Options.Env
		"OMP_NUM_THREADS":      fmt.Sprint(max(1, runtime.GOMAXPROCS(0)/2)),
		"CONCERT_WORKER":       nil, // otherwise a program that a task starts could run as a worker
		"CONCERT_PYTHON_TUNED": nil,
		"GLIBC_TUNABLES":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := call(t, p, getenv, name); got != want || err != nil {
				t.Errorf("%s = %v, %v; want %v", name, got, err, want)
			}
		})
	}
	_, err = python.New(1, &python.Options{Init: processes.Initialize(python.Func[string, any]("json:loads"), "no JSON")})
	if !errors.Is(err, python.Type("ValueError")) {
		t.Errorf("New() with an initializer that fails = %v, want its exception", err)
	}
}

// TestInterpreter_VirtualEnvironment: a pool must use the virtual
// environment that Options.Interpreter names. If this option is empty, it
// must use the activated environment, whose path is in VIRTUAL_ENV.
func TestInterpreter_VirtualEnvironment(t *testing.T) {
	newPool(t, 1, nil).Close() // skips the test without Python
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("python3", "-m", "venv", "--without-pip", dir).CombinedOutput(); err != nil {
		t.Fatalf("venv: %v: %s", err, out)
	}
	p := newPool(t, 1, &python.Options{Interpreter: dir})
	if got, err := call(t, p, prefix, python.None{}); got != dir || err != nil {
		t.Errorf("by Options: sys.prefix = %q, %v; want %q", got, err, dir)
	}
	t.Setenv("VIRTUAL_ENV", dir)
	p = newPool(t, 1, nil)
	if got, err := call(t, p, prefix, python.None{}); got != dir || err != nil {
		t.Errorf("by VIRTUAL_ENV: sys.prefix = %q, %v; want %q", got, err, dir)
	}
}

const aborts = `
import os

def aborts(text):
    os.write(2, text.encode())
    os.abort()
`

// TestMemory_Abort: a C or C++ library aborts because it cannot allocate
// memory. If the pool has a memory limit, the error must wrap ErrMemory.
// Without a limit, or if the library aborts for another reason, it must not.
func TestMemory_Abort(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux limits the memory of a process")
	}
	const noMemory = "terminate called after throwing an instance of 'std::bad_alloc'\n"
	for _, row := range []struct {
		name, text string
		memory     int64
		want       bool
	}{
		{"limit", noMemory, 512 << 20, true},
		{"limit and another text", "assertion failed\n", 512 << 20, false},
		{"no limit", noMemory, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPool(t, 1, &python.Options{Memory: row.memory})
			_, err := call(t, p, python.Source[string, python.None]("aborts", aborts), row.text)
			if errors.Is(err, processes.ErrMemory) != row.want {
				t.Errorf("error %v, ErrMemory %t; want %t", err, !row.want, row.want)
			}
			if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.Signal != syscall.SIGABRT {
				t.Errorf("error %v, want a WorkerError with SIGABRT", err)
			}
		})
	}
}

// TestMemory_Limit: if a task needs more memory than Options.Memory, it must
// fail with MemoryError, and the next task must run.
func TestMemory_Limit(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux limits the memory of a process")
	}
	p := newPool(t, 1, &python.Options{Memory: 512 << 20})
	hoard := python.Source[int, int]("hoard", "def hoard(n):\n    return len(bytearray(n))\n")
	if _, err := call(t, p, hoard, 2<<30); !errors.Is(err, python.Type("MemoryError")) {
		t.Errorf("2 GiB within 512 MiB: %v", err)
	}
	if n, err := call(t, p, hoard, 1<<20); n != 1<<20 || err != nil {
		t.Errorf("1 MiB afterwards: %d, %v", n, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestOptions_PathWithSeparator: a directory of Options.Path can have any name,
// even one with the character that separates the directories of PYTHONPATH.
func TestOptions_PathWithSeparator(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var path []string
	for i, name := range []string{"a:b", "a;b", "%3A", "50%", "%253A:", "two words", "a,b=c", "line\nend", "é"} {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("named%d.py", i)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		path = append(path, dir)
	}
	p := newPool(t, 1, &python.Options{Path: path})
	for i, dir := range path {
		got, err := call(t, p, python.Source[string, string]("where", "import importlib, os\ndef where(name):\n    return os.path.dirname(importlib.import_module(name).__file__)\n"), fmt.Sprint("named", i))
		if got != dir || err != nil {
			t.Errorf("the module in %q was found in %q, %v", dir, got, err)
		}
	}
	all, err := call(t, p, python.Source[python.None, []string]("head", fmt.Sprintf("import sys\ndef head():\n    return sys.path[:%d]\n", len(path))), python.None{})
	if !slices.Equal(all, path) || err != nil {
		t.Errorf("sys.path begins with %q, %v; want %q", all, err, path)
	}
}
