package processes_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// The descriptors of a worker's pipes; see docs/wire.md.
const (
	tasksFile   = 3
	resultsFile = 4
	controlFile = 5
)

// closePipes closes pipes of its worker, while the process continues to run.
var closePipes = concert.Register("processes_test.closePipes", func(_ context.Context, m waitArg) (int, error) {
	var after sync.WaitGroup
	if how, later := strings.CutSuffix(m.How, ", after the task"); later {
		after.Add(1)
		go func() {
			for {
				if _, err := os.Stat(m.Met); err == nil {
					break
				}
				time.Sleep(time.Millisecond)
			}
			hangUpBy(how)
		}()
		return os.Getpid(), nil
	}
	for { // wait until the worker has other calls, too
		if _, err := os.Stat(m.Met); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	hangUpBy(m.How)
	return 0, nil
})

func hangUpBy(how string) {
	switch how {
	case "exec":
		panic(syscall.Exec("/bin/sleep", []string{"sleep", "1000"}, nil))
	case "close":
		syscall.Close(resultsFile)
	case "close all":
		for _, file := range []int{tasksFile, resultsFile, controlFile} {
			syscall.Close(file)
		}
	case "replace":
		null, err := syscall.Open("/dev/null", syscall.O_RDWR, 0)
		if err != nil {
			panic(err)
		}
		syscall.Dup2(null, resultsFile)
	}
	time.Sleep(time.Hour)
}

// TestPool_WorkerClosesPipes: if a worker closes its pipes and continues to
// run, the pool must kill the worker. The running task must fail with an
// error that names the pipe, and the calls that the worker had not begun
// must run in another worker. Each case takes about a second, so the cases
// run in parallel.
func TestPool_WorkerClosesPipes(t *testing.T) {
	t.Parallel()
	sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
		leftovers(t)
		for _, how := range []string{"exec", "close", "close all", "replace"} {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				hangsUpInTask(t, how, memory)
			})
		}
		for _, how := range []string{"exec", "close"} {
			how += ", after the task"
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				p := newPool(t, 1, nil, memory)
				met := pathIn(t.TempDir(), "met")
				pid, err := submit(t, p, closePipes, waitArg{how, met}).Result(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				leave(met, "")
				eventually(t, "the worker is killed", func() bool { return !alive(pid) })
				works(t, p)
			})
		}
		t.Run("in the initializer", func(t *testing.T) {
			t.Parallel()
			p, err := processes.NewWith(1, &processes.Options{Init: processes.Initialize(closePipes, waitArg{"exec", os.Args[0]})}, memory)
			if err == nil || !strings.Contains(err.Error(), "closed the pipe") {
				t.Errorf("New() = %v, %v; want an error that names the pipe", p, err)
			}
		})
	})
}

// hangsUpInTask submits a task that closes the pipes of its worker, and then
// five other tasks, and checks the outcomes of all tasks.
func hangsUpInTask(t *testing.T, how string, memory processes.Setting) {
	p := newPool(t, 1, nil, memory)
	met := pathIn(t.TempDir(), "met")
	f := submit(t, p, closePipes, waitArg{how, met})
	eventually(t, "the task runs", func() bool { return f.State() == concert.Running })
	var others []*concert.Future[int]
	for i := range 5 {
		others = append(others, submit(t, p, nop, i))
	}
	// If the pool still sent calls, it could notice first that the pipe of
	// calls is closed. Then the error would not name the pipe of results.
	eventually(t, "the pool has sent all calls for which the worker has room", func() bool {
		_, room, asleep := p.Calls()
		return asleep[0] && room[0] == 0
	})
	leave(met, "")
	_, err := f.Result(t.Context())
	if e := died(t, err); e.Signal != syscall.SIGKILL || e.Err == nil || !strings.Contains(e.Error(), "closed the pipe of its results") {
		t.Errorf("error %v, want one that names the pipe", e)
	}
	for i, f := range others {
		if got, err := f.Result(t.Context()); got != i || err != nil {
			t.Errorf("task %d after it: %d, %v", i, got, err)
		}
	}
}
