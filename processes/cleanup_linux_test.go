package processes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/processes/internal/shm"
)

// before has the numbers that leftovers compares at the end. They were
// counted at the first call of leftovers by the tests that now run in
// parallel.
var before struct {
	sync.Mutex
	tests, files, goroutines int
}

// leftovers makes the test fail if it leaves processes, open files, shared
// memory or goroutines at its end. A test must call leftovers before it does
// anything else. If tests run in parallel, the last one that ends checks for
// all of them.
func leftovers(t *testing.T) {
	t.Helper()
	before.Lock()
	defer before.Unlock()
	// The first pipe of a process opens the descriptors of the runtime's
	// poller, which stay open.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	if before.tests++; before.tests == 1 {
		before.files, before.goroutines = openFiles(t), runtime.NumGoroutine()
	}
	t.Cleanup(func() {
		t.Helper()
		before.Lock()
		defer before.Unlock()
		if before.tests--; before.tests > 0 {
			return
		}
		eventually(t, "no process is left", func() bool { return len(children(t)) == 0 })
		eventually(t, "no file is left open", func() bool { return openFiles(t) <= before.files })
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before.goroutines })
	})
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// children returns the processes whose parent is this process, including
// zombies.
func children(t *testing.T) []int {
	pids, err := childrenOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

func childrenOf(parent int) (pids []int, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // the process has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// state returns the state of a process as a letter, or an empty string if there
// is no such process.
func state(pid int) string {
	b, err := os.ReadFile(fmt.Sprint("/proc/", pid, "/stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

// alive reports whether a process exists and is not a zombie.
func alive(pid int) bool { return !strings.Contains("Z", state(pid)) }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// read waits until a task has written a file, and returns its content.
func read(t *testing.T, path string) string {
	t.Helper()
	var b []byte
	eventually(t, path+" is written", func() (ok bool) {
		var err error
		b, err = os.ReadFile(path)
		return err == nil
	})
	return string(b)
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// works checks that the pool still runs tasks. If the pool does not, works
// ends the test.
func works(t *testing.T, p *processes.Pool) {
	t.Helper()
	for i := range 10 {
		if got, err := concert.Submit(t.Context(), p, nop, i).Result(t.Context()); got != i || err != nil {
			t.Fatalf("the pool has not recovered: %d, %v; want %d", got, err, i)
		}
	}
}

// died returns the *WorkerError in err, and fails the test if there is none.
func died(t *testing.T, err error) *processes.WorkerError {
	t.Helper()
	e, ok := errors.AsType[*processes.WorkerError](err)
	if !ok {
		t.Fatalf("error %v (%T), want a *WorkerError", err, err)
	}
	if e.Pid <= 0 || !strings.HasPrefix(e.Task, "processes_test.") || !strings.Contains(e.Error(), e.Task) || !strings.Contains(e.Error(), strconv.Itoa(e.Pid)) {
		t.Errorf("%+v does not name the task and the process", e)
	}
	return e
}

func submit[In, Out any](t *testing.T, p *processes.Pool, f func(context.Context, In) (Out, error), in In) *concert.Future[Out] {
	return concert.Submit(t.Context(), p, f, in)
}

// sharedOrNot runs a test twice: with pools that share memory with their
// workers, and with pools that do not.
func sharedOrNot(t *testing.T, run func(t *testing.T, memory processes.Setting)) {
	t.Run("shared", func(t *testing.T) { run(t, processes.ShareMemory(shm.New)) })
	t.Run("unshared", func(t *testing.T) { run(t, processes.ShareMemory(nothingShared)) })
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}
