package python_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert/processes"
	"concert/python"
)

// TestInterpreter_Found: Options.Interpreter may be a name, a path, or the
// directory of a virtual environment. For other values, New must fail, and
// the error must give the reason.
func TestInterpreter_Found(t *testing.T) {
	newPool(t, 1, nil).Close() // skips the test without Python
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable, end='')").Output()
	if err != nil {
		t.Fatal(err)
	}
	python3 := string(out) // the interpreter itself, because python3 may be a script that starts the interpreter
	dir := t.TempDir()
	if out, err := exec.Command(python3, "-m", "venv", "--without-pip", filepath.Join(dir, "env")).CombinedOutput(); err != nil {
		t.Fatalf("venv: %v: %s", err, out)
	}
	t.Chdir(dir)
	for _, name := range []string{"python3", "elsewhere/python3", "empty"} {
		if err := os.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(python3, "link"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(dir, "elsewhere")+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for name, wantPrefix := range map[string]string{
		"": "", "python3": "", "./link": "", python3: "", "env": "env", "./env/": "env", "env/bin/python3": "env", filepath.Join(dir, "env", "bin", "python"): "env",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, 1, &python.Options{Interpreter: name, Dir: "/"})
			got, err := call(t, p, prefix, python.None{})
			if inEnv := filepath.Base(got) == "env"; inEnv != (wantPrefix == "env") || err != nil {
				t.Errorf("Interpreter %q: sys.prefix = %q, %v; want %q", name, got, err, wantPrefix)
			}
			p.Close()
		})
	}
	for name, want := range map[string]string{"empty": "not a virtual environment", "no/such": "no/such", "./python3": "not a virtual environment"} {
		t.Run(name, func(t *testing.T) {
			if p, err := python.New(1, &python.Options{Interpreter: name}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Interpreter %q: %v, want %q", name, err, want)
				if err == nil {
					p.Close()
				}
			}
		})
	}
}

// TestInterpreter_TooOld: if an interpreter is too old, the error of New
// must say this, even if the interpreter cannot parse newer syntax.
func TestInterpreter_TooOld(t *testing.T) {
	t.Parallel()
	newPool(t, 1, nil).Close()
	pretender := filepath.Join(t.TempDir(), "python")
	write(t, pretender, "#!/bin/sh\nexec python3 -c \"import sys; sys.version, sys.version_info = '3.7.16 (of a test)', (3, 7, 16); exec(sys.argv[1])\" \"$2\"\n")
	programs := map[string]string{pretender: "3.7.16"}
	for _, name := range []string{"python2", "python2.7", "python3.6", "python3.7"} { // the test uses those that are installed
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-V").Run() == nil {
			programs[path] = strings.TrimPrefix(name, "python")
		}
	}
	for path, version := range programs {
		_, err := python.New(1, &python.Options{Interpreter: path})
		if err == nil || !strings.Contains(err.Error(), "python "+version) || !strings.Contains(err.Error(), "is too old: 3.8 or later is needed") {
			t.Errorf("%s: New() error = %v, want that it is too old", path, err)
		}
	}
}

// TestImport_ShadowedModules: if files in a directory of the path have the
// names of modules of the standard library, workers must still work. Tasks
// must be able to import other modules from this directory.
func TestImport_ShadowedModules(t *testing.T) {
	newPool(t, 1, nil).Close()
	names := []string{"ast", "asyncio", "atexit", "ctypes", "dataclasses", "datetime", "decimal", "faulthandler", "importlib", "inspect", "linecache", "mmap", "queue", "socket", "struct", "threading", "traceback", "types", "_queue"}
	shadows := func(t *testing.T, names ...string) string {
		dir := t.TempDir()
		for _, name := range names {
			write(t, filepath.Join(dir, name+".py"), "raise RuntimeError('it is the wrong "+name+"')\n")
		}
		write(t, filepath.Join(dir, "mine.py"), "import os, sys\ndef where():\n    return [os.path.dirname(os.path.abspath(__file__)), sys.path[0]]\n")
		return dir
	}
	for what, prepare := range map[string]func(t *testing.T) (dir string, o python.Options){
		"working directory": func(t *testing.T) (string, python.Options) {
			dir := shadows(t, names...)
			t.Chdir(dir)
			return dir, python.Options{}
		},
		"Dir": func(t *testing.T) (string, python.Options) {
			dir := shadows(t, names...)
			return dir, python.Options{Dir: dir}
		},
		"Path": func(t *testing.T) (string, python.Options) {
			dir := shadows(t, names...)
			return dir, python.Options{Path: []string{dir}}
		},
		"PYTHONPATH": func(t *testing.T) (string, python.Options) {
			dir := shadows(t, "ctypes", "mmap", "queue", "struct", "traceback", "_queue") // except those that Python itself needs
			t.Setenv("PYTHONPATH", dir)
			return dir, python.Options{}
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir, o := prepare(t)
			p, err := python.New(1, &o)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			got, err := call(t, p, python.Func[python.None, []string]("mine:where"), python.None{})
			if err != nil || len(got) != 2 || got[0] != dir {
				t.Errorf("where() = %q, %v; want %q", got, err, dir)
			}
			if want := map[string]string{"Path": dir}[what]; len(got) == 2 && got[1] != want {
				t.Errorf("sys.path[0] = %q, want %q", got[1], want)
			}
			if got, err := call(t, p, getenv, "PYTHONSAFEPATH"); got != nil || err != nil {
				t.Errorf("PYTHONSAFEPATH = %v, %v", got, err)
			}
			// The worker itself imports modules to convert times, to parse
			// names, to format tracebacks, and to cancel tasks.
			at := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
			if got, err := call(t, p, python.Source[time.Time, time.Time]("f", "def f(v):\n    return v\n"), at); !got.Equal(at) || err != nil {
				t.Errorf("a time returned as %v, %v", got, err)
			}
			if got, err := call(t, p, python.Source[python.None, int]("C(5).f", "class C:\n    def __init__(self, n):\n        self.f = lambda: n\n"), python.None{}); got != 5 || err != nil {
				t.Errorf("C(5).f() = %d, %v", got, err)
			}
			_, err = call(t, p, python.Source[python.None, any]("f", "def f():\n    raise ValueError('x')\n"), python.None{})
			if e, ok := errors.AsType[*python.Error](err); !ok || !strings.Contains(e.Traceback, "in f") {
				t.Errorf("a traceback: %v", err)
			}
			path := filepath.Join(t.TempDir(), "x")
			f := submit(t, p, python.Source[string, any]("computes", "def computes(path):\n    open(path + '.in', 'w').close()\n    while True:\n        pass\n"), path)
			await(t, path+".in", 1)
			f.Cancel()
			if _, err := f.Result(t.Context()); !errors.Is(err, python.Type("concert.Canceled")) {
				t.Errorf("a task that is canceled: %v", err)
			}
		})
	}
}

// TestWorkerError_NamesPythonFunction: if a task crashes the interpreter,
// the error must name the Python function and the line that ran at this
// moment.
func TestWorkerError_NamesPythonFunction(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	const text = `
import ctypes, os, signal

def f(what):
    if what == "read":
        ctypes.string_at(1)
    if what == "own":
        inner()
    os.abort()

def inner():
    os.kill(os.getpid(), signal.SIGSEGV)
`
	crash := python.Source[string, any]("f", text)
	for what, want := range map[string]string{
		"read":  "in f (<source_%s>:6), calling string_at (__init__.py:",
		"own":   "in inner (<source_%s>:12)",
		"abort": "in f (<source_%s>:9)",
	} {
		t.Run(what, func(t *testing.T) {
			_, err := call(t, p, crash, what)
			e, ok := errors.AsType[*processes.WorkerError](err)
			if !ok || e.Signal != syscall.SIGSEGV && e.Signal != syscall.SIGABRT {
				t.Errorf("%s: %v, want a crash", what, err)
				return
			}
			_, digest, _ := strings.Cut(e.Task, "source_")
			digest, _, _ = strings.Cut(digest, ":")
			if want = fmt.Sprintf(want, digest); !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "concert.") {
				t.Errorf("%s: %v; want %q and nothing of the worker", what, err, want)
			}
		})
	}
}

// TestWorker_OwnThreadFails: if a thread of the worker itself fails, the
// process must end and the task must fail, even if threads of tasks still
// run.
func TestWorker_OwnThreadFails(t *testing.T) {
	p := newPool(t, 1, nil)
	_, err := call(t, p, python.Func[int, any]("tasks:end_later"), 1)
	if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.ExitCode != 1 {
		t.Errorf("Result() = %v, want a WorkerError with exit code 1", err)
	}
}
