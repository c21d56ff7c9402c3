package python_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/python"
)

const forks = `
import asyncio, concurrent.futures, ctypes, multiprocessing, os, signal, subprocess, sys, threading, time

def status(pid):
    code = os.waitpid(pid, 0)[1]
    return "parent %d" % os.WEXITSTATUS(code) if os.WIFEXITED(code) else "parent, signal %d" % os.WTERMSIG(code)

def returns():
    pid = os.fork()
    return "child" if pid == 0 else status(pid)

def not_awaited():
    return "child" if os.fork() == 0 else "parent 0"

def exits():
    pid = os.fork()
    if pid == 0:
        sys.exit(3)
    return status(pid)

def exits_with_text():
    pid = os.fork()
    if pid == 0:
        sys.exit("the reason of the child")
    return status(pid)

def raises():
    pid = os.fork()
    if pid == 0:
        raise ValueError("of the child")
    return status(pid)

def returns_nonsense():
    pid = os.fork()
    return threading.Lock() if pid == 0 else status(pid)

def reports():
    import concert
    pid = os.fork()
    concert.progress(1, 2)
    return "child" if pid == 0 else status(pid)

def in_c():
    # Python does not handle this fork, so the child may wait for the interpreter lock forever.
    return "child" if ctypes.PyDLL(None).fork() == 0 else "parent 0"

def terminal():
    pid, fd = os.forkpty()
    if pid == 0:
        print("words")
        return "child"
    text = b""
    while b"words" not in text:
        text += os.read(fd, 100)
    said = status(pid)
    os.close(fd)
    return said

def in_thread():
    found = []
    def fork():
        pid = os.fork()
        if pid:
            found.append(status(pid))
    t = threading.Thread(target=fork)
    t.start()
    t.join()
    return found[0]

def twice():
    pid = os.fork()
    if pid == 0:
        return "child" if os.fork() == 0 else "middle"
    return status(pid)

def in_generator():
    def numbers():
        yield os.fork()
    for pid in numbers():
        return "child" if pid == 0 else status(pid)

async def in_coroutine():
    pid = os.fork()
    await asyncio.sleep(0)
    return "child" if pid == 0 else status(pid)

async def coroutine_returns():
    pid = os.fork()
    return "child" if pid == 0 else status(pid)

async def coroutine_raises():
    pid = os.fork()
    if pid == 0:
        raise ValueError("of the child")
    return status(pid)

async def coroutine_exits():
    pid = os.fork()
    if pid == 0:
        sys.exit(3)
    return status(pid)

async def coroutine_is_canceled():
    pid = os.fork()
    if pid == 0:
        raise asyncio.CancelledError()
    return status(pid)

async def coroutine_continues():
    pid = os.fork()
    if pid == 0:
        for i in range(3):
            await asyncio.sleep(i / 1000)
        p = await asyncio.create_subprocess_exec("true")
        sys.exit(4 + await p.wait())
    return status(pid)

async def coroutine_fails_later():
    pid = os.fork()
    if pid == 0:
        await asyncio.sleep(0)
        raise ValueError("of the child")
    return status(pid)

async def of_task():
    async def forks():
        await asyncio.sleep(0)
        return os.fork()
    pid = await asyncio.create_task(forks())
    if pid == 0:
        os._exit(9)  # this is for the parent only
    return status(pid)

async def of_task_later():
    async def forks():
        pid = os.fork()
        await asyncio.sleep(0)
        return pid
    pid = await asyncio.create_task(forks())
    if pid == 0:
        os._exit(9)  # this is for the parent only
    return status(pid)

async def of_callback():
    found = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: found.set_result(os.fork()))
    pid = await found
    if pid == 0:
        os._exit(9)
    return status(pid)

async def beside_others():
    ran = []
    async def other():
        while True:
            ran.append(os.getpid())
            await asyncio.sleep(0)
    async def sleeper():
        await asyncio.sleep(0.001)
        ran.append(os.getpid())
    r, w = os.pipe()
    others = [asyncio.create_task(other()), asyncio.create_task(sleeper())]
    asyncio.get_running_loop().add_reader(r, lambda: ran.append(os.getpid()))
    await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        os.write(w, b"x")
        for _ in range(5):
            await asyncio.sleep(0)
        await asyncio.sleep(0.002)
        sys.exit(9 if os.getpid() in ran else 0)
    said = status(pid)
    asyncio.get_running_loop().remove_reader(r)
    await others[1]
    os.close(r)
    os.close(w)
    others[0].cancel()
    return said if os.getpid() in ran else "nothing ran"

async def quick(n):
    await asyncio.sleep(0.001)
    return n

async def own_loop():
    pid = os.fork()
    if pid == 0:
        sys.exit(asyncio.run(quick(7)))
    return status(pid)

def uses_asyncio():
    sys.exit(asyncio.run(quick(7)))

async def process_with_loop():
    p = multiprocessing.get_context("fork").Process(target=uses_asyncio)
    p.start()
    p.join()
    return "parent %d" % p.exitcode

def square(n):
    return n * n

def pool():
    with multiprocessing.get_context("fork").Pool(2) as p:
        return "parent %d" % (sum(p.map(square, range(4))) - 14)

def executor():
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as p:
        return "parent %d" % (sum(p.map(square, range(4))) - 14)

def process():
    p = multiprocessing.get_context("fork").Process(target=square, args=(2,))
    p.start()
    p.join()
    return "parent %d" % p.exitcode

def program():
    return "parent %d" % subprocess.run([sys.executable, "-c", "pass"], preexec_fn=os.getpid).returncode

def interrupted():
    p = subprocess.Popen(["sleep", "3600"])
    p.send_signal(signal.SIGINT)
    return "parent, signal %d" % -p.wait()
`

// TestFork_ChildEnds: if a task forks, the child must end when the function
// of the task ends in the child. The worker, and not the child, must send
// the results of this task and of later tasks.
func TestFork_ChildEnds(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 3} {
		p := newPool(t, 1, &python.Options{Threads: threads})
		pid := python.Func[python.None, int]("os:getpid")
		before, err := call(t, p, pid, python.None{})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"returns": "parent 0", "not_awaited": "parent 0", "exits": "parent 3", "exits_with_text": "parent 1", "raises": "parent 1",
			"returns_nonsense": "parent 0", "reports": "parent 0", "in_c": "parent 0", "terminal": "parent 0", "in_thread": "parent 0",
			"twice": "parent 0", "in_generator": "parent 0", "in_coroutine": "parent 0",
			"coroutine_returns": "parent 0", "coroutine_raises": "parent 1", "coroutine_exits": "parent 3", "coroutine_is_canceled": "parent 1",
			"coroutine_continues": "parent 4", "coroutine_fails_later": "parent 1", "of_task": "parent 0", "of_task_later": "parent 0", "of_callback": "parent 0",
			"beside_others": "parent 0", "own_loop": "parent 7", "process_with_loop": "parent 7", "pool": "parent 0", "executor": "parent 0",
			"process": "parent 0", "program": "parent 0", "interrupted": "parent, signal 2",
		} {
			t.Run(name, func(t *testing.T) {
				for range 2 {
					if got, err := call(t, p, python.Source[python.None, string](name, forks), python.None{}); got != want || err != nil {
						t.Errorf("%d threads: %s() = %q, %v; want %q", threads, name, got, err, want)
					}
					if got, err := call(t, p, pid, python.None{}); got != before || err != nil {
						t.Errorf("%d threads: the process after %s() is %d, %v; want %d", threads, name, got, err, before)
					}
				}
			})
		}
		p.Close()
	}
}

// TestFork_BufferAndAtexitOnce: a task forks while there is text in a
// buffer. The text must be written only once. A handler of atexit must also
// run only once, in the worker.
func TestFork_BufferAndAtexitOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	p := newPool(t, 1, nil)
	f := python.Source[string, int]("f", `
import atexit, os, sys

def say(path, text):
    with open(path, "a") as f:
        f.write(text + "\n")

def f(path):
    sys.stdout = open(path, "a")
    sys.stdout.write("before ")
    atexit.register(say, path, "atexit")
    pid = os.fork()
    if pid == 0:
        sys.stdout.write("child ")
        return 0
    os.waitpid(pid, 0)
    sys.stdout.write("parent\n")
    sys.stdout.flush()
    return 1
`)
	if got, err := call(t, p, f, path); got != 1 || err != nil {
		t.Fatalf("f() = %d, %v", got, err)
	}
	p.Close()
	text, err := os.ReadFile(path)
	if want := "before child parent\natexit\n"; string(text) != want || err != nil {
		t.Errorf("written: %q, %v; want %q", text, err, want)
	}
}

// TestFork_ChildKeepsNoPipe: if a child continues in its own session, it
// must have no pipe of the pool open, so that the pool immediately notices
// the death of the worker.
func TestFork_ChildKeepsNoPipe(t *testing.T) {
	others := pipes(t)
	p := newPool(t, 1, nil)
	gate := filepath.Join(t.TempDir(), "gate")
	f := python.Source[string, []string]("f", `
import os, time

def f(gate):
    pipe = os.pipe()
    if os.fork() == 0:
        os.setsid()
        files = [os.readlink("/proc/self/fd/" + n) for n in os.listdir("/proc/self/fd") if int(n) > 2 and int(n) not in pipe and os.path.lexists("/proc/self/fd/" + n)]
        os.write(pipe[1], "\n".join(files).encode())
        os.close(pipe[0])
        os.close(pipe[1])
        while os.path.exists(os.path.dirname(gate)) and not os.path.exists(gate):
            time.sleep(0.005)
        os._exit(0)
    os.close(pipe[1])
    text = b""
    while True:
        b = os.read(pipe[0], 10000)
        if not b:
            break
        text += b
    return [f for f in text.decode().split("\n") if f]
`)
	defer touch(t, gate)
	files, err := call(t, p, f, gate)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasPrefix(file, "pipe:") && !slices.Contains(others, file) {
			t.Errorf("the child has %s open", file)
		}
	}
	_, err = call(t, p, python.Func[int, any]("os:_exit"), 7)
	if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.ExitCode != 7 {
		t.Errorf("_exit(7): %v, want a WorkerError", err)
	}
	same(t, p, 5)
}

// pipes returns the pipes that this process has open. The process may have
// inherited some of these pipes.
func pipes(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name, err := os.Readlink(file); err == nil && strings.HasPrefix(name, "pipe:") {
			names = append(names, name)
		}
	}
	return names
}

// TestFork_Import: if the import of a module forks, or if a constructor
// forks, the results of the calls must come from the worker.
func TestFork_Import(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := "import os\nif os.fork() == 0:\n    raise SystemExit\ndef f():\n    return 'parent'\nclass C:\n    def __init__(self):\n        os.fork()\n    def f(self):\n        return 'parent'\n"
	for _, name := range []string{"forking", "forking_first"} {
		if err := os.WriteFile(filepath.Join(dir, name+".py"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := newPool(t, 1, &python.Options{Path: []string{dir}, Import: []string{"forking_first"}, StartTimeout: time.Minute})
	for _, where := range []string{"forking_first:f", "forking:f", "forking:C().f"} {
		t.Run(where, func(t *testing.T) {
			for range 2 {
				if got, err := concert.Submit(t.Context(), p, python.Func[python.None, string](where), python.None{}).Result(t.Context()); got != "parent" || err != nil {
					t.Errorf("%s() = %q, %v", where, got, err)
				}
			}
		})
	}
	same(t, p, 5)
}

// TestFork_MultiprocessingPool: Python's own process pool must work in a
// task.
func TestFork_MultiprocessingPool(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	if got, err := call(t, p, python.Func[int, int]("tasks:pool_inside"), 10); got != 285 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	same(t, p, 5)
}
