package python_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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

// expiring is a context whose deadline passes when the test says so.
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

// TestEnd: a task that its deadline, Options.Timeout or a Cancel has ended has
// the error that says so, and no other one; however it was ended, and whatever
// it was doing. Its worker lives unless it had to be killed.
func TestEnd(t *testing.T) {
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
					<-future.Done() // its time may be over before it has begun
				}
				touch(t, gate) // an import goes on to its end
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

// TestEnd_OwnError: a task that answers its cancellation with an error of its
// own has that one.
func TestEnd_OwnError(t *testing.T) {
	p := newPool(t, 1, nil)
	path := filepath.Join(t.TempDir(), "x")
	f := concert.Submit(t.Context(), p, python.Source[string, any]("wraps", endings), path)
	await(t, path+".in", 1)
	f.Cancel()
	if _, err := f.Result(t.Context()); !errors.Is(err, python.Type("ValueError")) || errors.Is(err, context.Canceled) {
		t.Errorf("Result() error = %v, want the ValueError", err)
	}
}

// TestEnd_Raised: an exception of the kind that a cancellation is, which the
// task raises itself, is no deadline; asyncio's is only an exception.
func TestEnd_Raised(t *testing.T) {
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
