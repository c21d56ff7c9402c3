package python_test

import (
	"context"
	"errors"
	"fmt"
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

const endings = `
import asyncio, os, time

def computes(path):
    open(path + ".in", "w").close()
    while True:
        pass

def cleans_up(path):
    try:
        open(path + ".in", "w").close()
        while True:
            time.sleep(0.001)
    finally:
        open(path + ".out", "w").close()

def wraps(path):
    try:
        open(path + ".in", "w").close()
        while True:
            time.sleep(0.001)
    except BaseException as e:
        raise ValueError("of my own") from e

async def awaits(path):
    try:
        open(path + ".in", "w").close()
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0)
        open(path + ".out", "w").close()

async def awaits_others(path):
    open(path + ".in", "w").close()
    await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(3600))

async def computes_in_coroutine(path):
    open(path + ".in", "w").close()
    while True:
        pass
`

// expiring is a context. Its deadline passes when the test closes the
// channel expiring.done.
type expiring struct {
	context.Context
	done chan struct{}
}

func (c *expiring) Done() <-chan struct{}       { return c.done }
func (c *expiring) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (c *expiring) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestDeadline_Error: if a deadline, Options.Timeout or Cancel ends a task,
// the error of the task must be the error for this cause, independent of
// what the task does. Unless the pool must kill the worker, the worker must
// continue.
func TestDeadline_Error(t *testing.T) {
	t.Parallel()
	slow := t.TempDir()
	write(t, filepath.Join(slow, "slow_import.py"), `
import os, time
path = os.environ["CONCERT_TEST_GATE"]
open(path + ".in", "w").close()
while not os.path.exists(path):
    time.sleep(0.001)
def f(_):
    while True:
        pass
`)
	type want struct{ deadline, timeout, canceled bool }
	for why, want := range map[string]want{
		"deadline": {deadline: true},
		"timeout":  {deadline: true, timeout: true},
		"cancel":   {canceled: true},
	} {
		gate := filepath.Join(t.TempDir(), "gate")
		o := python.Options{Grace: time.Minute, Env: append(os.Environ(), "CONCERT_TEST_GATE="+gate)}
		if why == "timeout" {
			o.Timeout = 500 * time.Millisecond
		}
		patient, hasty := o, o
		patient.Path, hasty.Grace = []string{slow}, 100*time.Millisecond
		lives, dies := newPool(t, 1, &patient), newPool(t, 1, &hasty)
		for _, name := range []string{"computes", "cleans_up", "awaits", "awaits_others", "computes_in_coroutine", "stuck", "import"} {
			t.Run(why+"/"+name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "x")
				in := path + ".in"
				f := python.Source[string, any](name, endings)
				p, killed := lives, false
				switch name {
				case "stuck": // in C
					f, in = python.Func[string, any]("tasks:stuck"), path+".in.*"
					p, killed = dies, true
				case "import":
					f, in = python.Func[string, any]("slow_import:f"), gate+".in"
				}
				pid := python.Func[python.None, int]("os:getpid")
				before, err := call(t, p, pid, python.None{})
				if err != nil {
					t.Fatal(err)
				}
				ctx := &expiring{Context: t.Context(), done: make(chan struct{})}
				future := concert.Submit[string, any](ctx, p, f, path)
				switch why {
				case "deadline":
					await(t, in, 1)
					close(ctx.done)
				case "cancel":
					await(t, in, 1)
					future.Cancel()
				case "timeout":
					touch(t, gate)
					<-future.Done() // this case cannot wait for the file, because the timeout may pass before the function creates it
				}
				touch(t, gate) // lets the import end, because an import is not interrupted
				_, err = future.Result(t.Context())
				got := want
				got.deadline, got.timeout, got.canceled = errors.Is(err, context.DeadlineExceeded), errors.Is(err, processes.ErrTimeout), errors.Is(err, context.Canceled)
				if got != want {
					t.Errorf("Result() error = %v: %+v, want %+v", err, got, want)
				}
				if _, ok := errors.AsType[*processes.WorkerError](err); ok != killed {
					t.Errorf("Result() error = %v, a WorkerError: %t, want %t", err, ok, killed)
				}
				if _, err := os.Stat(in); err == nil && (name == "awaits" || name == "cleans_up") {
					await(t, path+".out", 1)
				}
				if after, err := call(t, p, pid, python.None{}); (after == before) == killed || err != nil {
					t.Errorf("the worker was %d and is %d, %v; killed: %t", before, after, err, killed)
				}
			})
		}
		lives.Close()
		dies.Close()
	}
}

// TestDeadline_TaskReturnsOwnError: if a canceled task raises another
// exception, the error of the task must be that other exception.
func TestDeadline_TaskReturnsOwnError(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	path := filepath.Join(t.TempDir(), "x")
	f := concert.Submit(t.Context(), p, python.Source[string, any]("wraps", endings), path)
	await(t, path+".in", 1)
	f.Cancel()
	if _, err := f.Result(t.Context()); !errors.Is(err, python.Type("ValueError")) || errors.Is(err, context.Canceled) {
		t.Errorf("Result() error = %v, want the ValueError", err)
	}
}

// TestDeadline_TaskRaisesCancellation: if a task itself raises
// concert.Canceled, the error of the task is context.Canceled, but not
// context.DeadlineExceeded. If the task raises asyncio.CancelledError, the
// error is only this exception.
func TestDeadline_TaskRaisesCancellation(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	_, err := call(t, p, python.Source[python.None, any]("f", "import concert\ndef f():\n    raise concert.Canceled('by myself')\n"), python.None{})
	if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("concert.Canceled: %v, want Canceled", err)
	}
	_, err = call(t, p, python.Source[python.None, any]("f", "import asyncio\nasync def f():\n    raise asyncio.CancelledError()\n"), python.None{})
	if !errors.Is(err, python.Type("asyncio.exceptions.CancelledError")) || errors.Is(err, context.Canceled) {
		t.Errorf("asyncio.CancelledError: %v, want that exception", err)
	}
}

// TestCancel_EachCallHasItsCause: two canceled calls run in one worker, and
// the pool kills the worker. The error of each call must contain the cause
// of this call.
func TestCancel_EachCallHasItsCause(t *testing.T) {
	t.Parallel()
	p := threads(t, 2, python.Options{Grace: 200 * time.Millisecond})
	dir := t.TempDir()
	stubborn := python.Func[string, any]("tasks:stubborn")
	var futures []*concert.Future[any]
	var cancels []context.CancelCauseFunc
	for i := range 2 {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancels = append(cancels, cancel)
		futures = append(futures, concert.Submit(ctx, p, stubborn, filepath.Join(dir, fmt.Sprint(i))))
	}
	await(t, filepath.Join(dir, "*.in"), 2)
	why := []error{errors.New("reason one"), errors.New("reason two")}
	for i, cancel := range cancels {
		cancel(why[i])
		if i == 0 {
			await(t, filepath.Join(dir, "0.told"), 1) // so that the grace period of the first call begins first
		}
	}
	for i, f := range futures {
		// If the grace period of the second call has not passed when the worker
		// is killed, the error of the second call is ErrNeighbor.
		if _, err := f.Result(t.Context()); !errors.Is(err, why[i]) && !(i == 1 && errors.Is(err, processes.ErrNeighbor)) {
			t.Errorf("task %d: %v", i, err)
		}
	}
}

// TestCancel_InterruptsOnce: the worker must interrupt a canceled task
// exactly once.
func TestCancel_InterruptsOnce(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	cleanUp := python.Func[string, int]("tasks:clean_up")
	warm(t, p, cleanUp, "")
	for range 5 {
		path := filepath.Join(t.TempDir(), "x")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for ctx.Err() == nil {
				if _, err := os.Stat(path + ".in"); err == nil {
					cancel()
				}
			}
		}()
		for range concert.Map(ctx, p, cleanUp, slices.Values(append(slices.Repeat([]string{""}, 10), path))) {
		}
		cancel()
		if entered, _ := filepath.Glob(path + ".in"); len(entered) == 0 {
			continue // the task was canceled before it began
		}
		await(t, path+".times.*", 1)
		if times, _ := filepath.Glob(path + ".times.*"); !strings.HasSuffix(times[0], ".times.1") {
			t.Errorf("it was interrupted more than once: %s", filepath.Base(times[0]))
		}
	}
}
