package python_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"concert/processes"
	"concert/python"
)

const hangups = `
import os, time

def execs():
    os.execv("/bin/sleep", ["sleep", "1000"])

def execs_in_thread():
    import threading
    threading.Thread(target=execs).start()
    time.sleep(1000)

def closes():
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

// TestHangUp: a task that replaces its interpreter by another program, or closes the
// worker's files, costs itself only.
func TestHangUp(t *testing.T) {
	for _, threads := range []int{1, 2} {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			t.Parallel()
			p := newPool(t, 1, &python.Options{Threads: threads})
			for _, name := range []string{"execs", "execs_in_thread", "closes", "replaces"} {
				_, err := call(t, p, python.Source[python.None, int](name, hangups), python.None{})
				e, ok := errors.AsType[*processes.WorkerError](err)
				killed := ok && e.Err != nil && strings.Contains(e.Error(), "closed the pipe of its results")
				// With threads, the one that reads from the pool can fail before the pool kills the interpreter.
				failed := ok && name == "closes" && threads > 1 && strings.Contains(e.Error(), "Bad file descriptor")
				if !killed && !failed {
					t.Errorf("%s: %v, want a WorkerError that names the pipe", name, err)
				}
				if n, err := call(t, p, python.Func[int, int]("builtins:abs"), -1); n != 1 || err != nil {
					t.Errorf("after %s: %d, %v", name, n, err)
				}
			}
		})
	}
}
