package python_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"concert/processes"
	"concert/python"
)

const closesPipes = `
import os, threading, time

def execs():
    os.execv("/bin/sleep", ["sleep", "1000"])

def execs_in_thread():
    threading.Thread(target=execs).start()
    time.sleep(1000)

def reads(fd):
    for thread in os.listdir("/proc/self/task"):
        with open("/proc/self/task/%s/syscall" % thread) as f:
            if f.read().split()[1:2] == [hex(fd)]:
                return True
    return False

def closes():
    # Wait until the threads of the worker block in reading from the pool. If they
    # began to read from a closed file, the interpreter would end by itself.
    while not reads(5) or not reads(3) and threading.current_thread() is not threading.main_thread():
        time.sleep(0.001)
    os.closerange(3, 64)
    time.sleep(1000)

def replaces():
    null = os.open("/dev/null", os.O_RDWR)
    for fd in os.listdir("/proc/self/fd"):
        if int(fd) > 2 and int(fd) != null:
            try:
                os.dup2(null, int(fd))
            except OSError:
                pass
    time.sleep(1000)
`

// TestWorker_ClosesPipes: if a task replaces its interpreter by another
// program, or closes the files of the worker, only this task may fail.
func TestWorker_ClosesPipes(t *testing.T) {
	for _, threads := range []int{1, 2} {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			t.Parallel()
			p := newPool(t, 1, &python.Options{Threads: threads})
			for _, name := range []string{"execs", "execs_in_thread", "closes", "replaces"} {
				t.Run(name, func(t *testing.T) {
					_, err := call(t, p, python.Source[python.None, int](name, closesPipes), python.None{})
					if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.Err == nil || !strings.Contains(e.Error(), "closed the pipe of its results") {
						t.Errorf("%s: %v, want a WorkerError that names the pipe", name, err)
					}
					if n, err := call(t, p, python.Func[int, int]("builtins:abs"), -1); n != 1 || err != nil {
						t.Errorf("after %s: %d, %v", name, n, err)
					}
				})
			}
		})
	}
}
