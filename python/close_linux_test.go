package python_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concert/internal/logtest"
	"concert/python"
)

const finishing = `
import atexit, concurrent.futures, ctypes, multiprocessing, os, tempfile, threading, time, weakref

def say(path, text):
    with open(path, "a") as f:
        f.write(text + "\n")

def at_exit(path):
    atexit.register(say, path, "atexit")

def finalizer(path):
    finalizer.held = held = type("Held", (), {})()
    weakref.finalize(held, say, path, "finalizer")

def directory(path):
    directory.held = tempfile.TemporaryDirectory(dir=os.path.dirname(path))
    return directory.held.name

def shared_memory(path):
    from multiprocessing.shared_memory import SharedMemory
    shared_memory.held = SharedMemory(create=True, size=10)
    return "/dev/shm/" + shared_memory.held.name.lstrip("/")

def semaphore(path):
    from multiprocessing import resource_tracker
    resource_tracker.ensure_running()
    name = "/concert-test-%d" % os.getpid()
    import _multiprocessing
    semaphore.held = _multiprocessing.SemLock(1, 1, 1, name, False)
    resource_tracker.register(name, "semaphore")
    return "/dev/shm/sem." + name[1:]

def child_lives(path):
    at_exit(path)
    from multiprocessing import resource_tracker
    resource_tracker.ensure_running()
    if os.fork() == 0:
        os.setsid()
        while os.path.exists(os.path.dirname(path)):
            time.sleep(0.005)
        os._exit(0)

def prints_in_c(path):
    ctypes.CDLL(None).printf(b"words of C")

def executor(path):
    executor.held = concurrent.futures.ThreadPoolExecutor(1)
    executor.held.submit(len, ()).result()
    atexit.register(say, path, "atexit")

def thread_ends(path):
    at_exit(path)
    def end():
        say(path + ".in", "")
        while not os.path.exists(path + ".gate"):
            time.sleep(0.001)
        say(path, "thread")
    threading.Thread(target=end).start()

def thread_stays(path):
    at_exit(path)
    prints_in_c(path)
    threading.Thread(target=time.sleep, args=(3600,)).start()

def at_exit_fails(path):
    at_exit(path)
    atexit.register(int, "none")

def file_not_closed(path):
    global file
    file = open(path, "w")
    file.write("left\n")
`

// TestClose_CleansUp: when a pool is closed, an interpreter must end as it
// does after a program: it runs functions of atexit and finalizers of tasks,
// flushes buffers, and removes temporary directories, shared memory and
// semaphores.
func TestClose_CleansUp(t *testing.T) {
	for name, want := range map[string]struct {
		text    string // the content of the file after Close
		printed string // a part of the output after Close
	}{
		"at_exit": {text: "atexit\n"}, "finalizer": {text: "finalizer\n"}, "directory": {}, "shared_memory": {}, "semaphore": {},
		"prints_in_c": {printed: "words of C"}, "executor": {text: "atexit\n"}, "at_exit_fails": {text: "atexit\n", printed: "ValueError"},
		"file_not_closed": {text: "left\n"}, "child_lives": {text: "atexit\n"}, "thread_stays": {text: "atexit\n", printed: "words of C"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out logtest.Buffer
			grace := 2 * time.Minute
			if name == "thread_stays" || name == "child_lives" {
				grace = 4 * time.Second // Close returns after a part of this time
			}
			p := newPool(t, 1, &python.Options{Grace: grace, Output: slog.New(slog.NewTextHandler(&out, nil))})
			path := filepath.Join(t.TempDir(), "x")
			result, err := call(t, p, python.Source[string, any](name, finishing), path)
			if err != nil {
				t.Fatal(err)
			}
			left, _ := result.(string) // the name of a file that Close must remove, or ""
			if left != "" {
				if _, err := os.Stat(left); err != nil {
					t.Fatal(err)
				}
			}
			p.Close()
			if text, err := os.ReadFile(path); string(text) != want.text || err != nil && want.text != "" {
				t.Errorf("written: %q, %v; want %q", text, err, want.text)
			}
			if !strings.Contains(out.String(), want.printed) {
				t.Errorf("printed: %q, want %q", out.String(), want.printed)
			}
			if left != "" {
				if _, err := os.Stat(left); !os.IsNotExist(err) {
					t.Errorf("%s still exists: %v", left, err)
				}
			}
		})
	}
}

// TestClose_WaitsForThread: if a thread of a task still runs, Close must
// wait until the thread has ended. The functions of atexit must run after
// that.
func TestClose_WaitsForThread(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{Grace: 2 * time.Minute})
	path := filepath.Join(t.TempDir(), "x")
	if _, err := call(t, p, python.Source[string, any]("thread_ends", finishing), path); err != nil {
		t.Fatal(err)
	}
	await(t, path+".in", 1)
	closed := make(chan struct{})
	go func() {
		p.Close()
		close(closed)
	}()
	touch(t, path+".gate")
	<-closed
	if text, err := os.ReadFile(path); string(text) != "thread\natexit\n" || err != nil {
		t.Errorf("written: %q, %v", text, err)
	}
}

// TestMaxTasks_CleansUp: if the pool replaces a worker because of MaxTasks,
// the functions of atexit must run in this worker, as at Close.
func TestMaxTasks_CleansUp(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{MaxTasks: 1})
	path := filepath.Join(t.TempDir(), "x")
	if _, err := call(t, p, python.Source[string, any]("at_exit", finishing), path); err != nil {
		t.Fatal(err)
	}
	same(t, p, 5)
	p.Close()
	if text, err := os.ReadFile(path); string(text) != "atexit\n" || err != nil {
		t.Errorf("written: %q, %v", text, err)
	}
}

// TestClose_KillsAfterGrace: if an interpreter does not end within
// Options.Grace, Close must kill the interpreter, and return.
func TestClose_KillsAfterGrace(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{Grace: 200 * time.Millisecond})
	hangs := python.Source[python.None, any]("f", "import atexit, time\ndef f():\n    atexit.register(time.sleep, 3600)\n")
	if _, err := call(t, p, hangs, python.None{}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestThread_LeftByTask: if a thread of a task still runs after the task,
// the worker must run other tasks, and Close must return.
func TestThread_LeftByTask(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	if n, err := call(t, p, python.Func[string, int]("tasks:leave_a_thread"), ""); n < 2 || err != nil {
		t.Errorf("%d threads, %v", n, err)
	}
	same(t, p, 5)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
