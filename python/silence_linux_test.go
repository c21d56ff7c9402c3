package python_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/python"
)

const stuck = `
import ctypes, os, re, threading, time

def sleep(path): # holds the interpreter lock when the file exists
    while not os.path.exists(path):
        time.sleep(0.001)
    ctypes.PyDLL(None).system(("touch %s.in; exec sleep 1000" % path).encode())

def match(path): # holds the interpreter lock soon after the file exists
    while not os.path.exists(path):
        time.sleep(0.001)
    open(path + ".in", "w").close()
    re.match("(a*)*$", "a" * 60 + "b")

def leaves_sleep(path):
    threading.Thread(target=sleep, args=(path,), daemon=True).start()
    return os.getpid()

def leaves_match(path):
    threading.Thread(target=match, args=(path,), daemon=True).start()
    return os.getpid()

def stays(path):
    return os.getpid()

def idles(path):
    return os.getpid()

def holds(path):
    sleep(path)
`

var getpid = python.Func[python.None, int]("os:getpid")

// stick blocks or stops an interpreter, and returns its process id. The
// parameter name says how stick does this. If name is "idles", the
// interpreter continues.
func stick(t *testing.T, p *processes.Pool, name string) (pid int) {
	t.Helper()
	for range 100 { // after short calls, the pool sends several calls to a worker at once
		if _, err := call(t, p, getpid, python.None{}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "go")
	pid, err := call(t, p, python.Source[string, int](name, stuck), path)
	if err != nil {
		t.Fatal(err)
	}
	switch name {
	case "stays":
		syscall.Kill(pid, syscall.SIGSTOP)
		return pid
	case "idles":
		return pid
	}
	write(t, path, "")
	awaitFile(t, path+".in")
	return pid
}

func awaitFile(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not exist after a minute", path)
		}
	}
}

// TestPool_InterpreterStuck: if an interpreter cannot begin the calls that
// it has received, another interpreter must run them.
func TestPool_InterpreterStuck(t *testing.T) {
	for name, threads := range map[string]int{"leaves_sleep": 1, "leaves_match": 2, "stays": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, 2, &python.Options{Threads: threads, Timeout: time.Minute, Grace: 100 * time.Millisecond})
			pid := stick(t, p, name)
			var futures []*concert.Future[int]
			for range 50 {
				futures = append(futures, concert.Submit(t.Context(), p, getpid, python.None{}))
			}
			for i, f := range futures {
				if _, err := f.Result(t.Context()); err != nil {
					t.Errorf("call %d: %v; process %d is stuck", i, err, pid)
				}
			}
		})
	}
}

// TestPool_OnlyInterpreterStuck: if the only interpreter stays stopped, the
// pool must replace it, and the next interpreter must run the call.
func TestPool_OnlyInterpreterStuck(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{Timeout: time.Minute})
	pid := stick(t, p, "stays")
	if by, err := call(t, p, getpid, python.None{}); by == pid || err != nil {
		t.Errorf("by process %d, %v; %d is stopped", by, err, pid)
	}
}

// TestCancel_InterpreterStuck: an interpreter is blocked, and has a call
// that it has not begun. After Cancel of this call, or the end of its
// context, the call must settle at once.
func TestCancel_InterpreterStuck(t *testing.T) {
	t.Parallel()
	for _, how := range []struct {
		name    string
		threads int
	}{{"leaves_sleep", 1}, {"leaves_sleep", 2}, {"stays", 1}, {"stays", 2}, {"holds", 2}} {
		name, threads := how.name, how.threads
		t.Run(fmt.Sprint(name, threads), func(t *testing.T) {
			p := newPool(t, 1, &python.Options{Threads: threads, Grace: 100 * time.Millisecond, Queue: 1})
			var holder *concert.Future[int]
			if name == "holds" { // this call runs, and prevents later calls from beginning
				stick(t, p, "idles")
				path := filepath.Join(t.TempDir(), "go")
				started := make(chan struct{}, 1)
				stop := p.Watch(func(e concert.Event) {
					if e.Kind == concert.TaskStarted {
						started <- struct{}{}
					}
				})
				holder = concert.Submit(t.Context(), p, python.Source[string, int](name, stuck), path)
				write(t, path, "")
				awaitFile(t, path+".in")
				<-started // the pool notices the start of the call a moment later
				stop()
			} else {
				stick(t, p, name)
			}
			for range 5 {
				why := errors.New("why")
				ctx, cancel := context.WithCancelCause(t.Context())
				first := concert.Submit(t.Context(), p, getpid, python.None{})
				second := concert.Submit(ctx, p, getpid, python.None{}) // waits for room in the queue, until the worker has received the first call
				if !first.Cancel() || first.State() != concert.Canceled {
					t.Errorf("Cancel() of a call that has not begun = false, or its state is %v", first.State())
				}
				third := concert.Submit(t.Context(), p, getpid, python.None{}) // waits until the worker has received the second call
				cancel(why)
				if _, err := second.Result(t.Context()); !errors.Is(err, why) || second.State() != concert.Canceled {
					t.Errorf("%v, %v; want the cause of the context", second.State(), err)
				}
				if !third.Cancel() {
					t.Error("Cancel() of the last call = false")
				}
			}
			if holder != nil {
				if holder.State() != concert.Running {
					t.Errorf("the running call is %v", holder.State())
				}
				holder.Cancel()
				holder.Result(t.Context())
			}
		})
	}
}

const noting = `
import os

files = {}

def note(path, i):
    if path not in files:
        files[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(files[path], b"%d\n" % i)
    return i
`

// TestCancel_BeforeBeginNeverRuns: if a call was canceled before it began,
// it must never run. No call may run twice, even if many calls are withdrawn
// while interpreters begin other calls.
func TestCancel_BeforeBeginNeverRuns(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 3} {
		t.Run(fmt.Sprint(threads, " threads"), func(t *testing.T) {
			p := newPool(t, 2, &python.Options{Threads: threads})
			note := python.Source[python.Args, int]("note", noting)
			path := filepath.Join(t.TempDir(), "notes")
			canceled := make(map[int]bool)
			for round := range 20 {
				var futures []*concert.Future[int]
				for i := range 100 {
					futures = append(futures, concert.Submit(t.Context(), p, note, python.Args{Args: []any{path, 100*round + i}}))
				}
				for i := range 100 {
					if rand.IntN(2) == 0 && futures[i].Cancel() {
						canceled[100*round+i] = true
					}
				}
				for i, f := range futures {
					if got, err := f.Result(t.Context()); canceled[100*round+i] != (f.State() == concert.Canceled) || err == nil && got != 100*round+i {
						t.Errorf("call %d: %d, %v, %v; canceled before it began: %v", 100*round+i, got, err, f.State(), canceled[100*round+i])
					}
				}
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			ran := make(map[int]int)
			for _, line := range strings.Fields(string(b)) {
				i, err := strconv.Atoi(line)
				if err != nil {
					t.Fatal(err)
				}
				if ran[i]++; ran[i] > 1 || canceled[i] {
					t.Errorf("call %d ran %d times; canceled before it began: %v", i, ran[i], canceled[i])
				}
			}
			if len(canceled) == 0 {
				t.Error("no call was canceled before it began")
			}
			t.Logf("%d threads: %d calls ran, %d were canceled before they began", threads, len(ran), len(canceled))
		})
	}
}
