package python_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/python"
)

// unusual has a function that returns n+1. For one n, it executes Python
// code instead. The code can read n, and can set the variable result. A
// second call of the function once fails.
const unusual = `
import concert, os, signal, sys, time

def after(argument):
    n, special, code = argument["N"], argument["Special"], argument["Code"]
    if n != special:
        if "asyncio" in sys.modules and n > special:
            sys.modules["asyncio"].get_event_loop()
        return n + 1
    once = lambda: os.close(os.open(argument["File"], os.O_CREAT | os.O_EXCL))
    names = {"n": n, "result": n + 1, "once": once}
    exec(code, globals(), names)
    return names["result"]

async def later(n):
    return n + 1

async def nothing():
    pass
`

type unusualCall struct {
	N, Special int
	Code       string
	File       string // a file that does not exist
}

// TestMap_UnusualCallWithinFrame: a worker gets many small calls in one
// frame. If one of them does something unusual, the others must still get
// their results, and each call must run once.
func TestMap_UnusualCallWithinFrame(t *testing.T) {
	const n, special = 3000, 2000
	after := python.Source[unusualCall, any]("after", unusual)
	want := func(v any) func(any, error) string {
		return func(got any, err error) string {
			if fmt.Sprint(got) != fmt.Sprint(v) || err != nil {
				return fmt.Sprintf("want %v", v)
			}
			return ""
		}
	}
	fails := func(target error) func(any, error) string {
		return func(_ any, err error) string {
			if !errors.Is(err, target) {
				return fmt.Sprintf("want the error %v", target)
			}
			return ""
		}
	}
	dies := func(_ any, err error) string {
		if e := new(processes.WorkerError); !errors.As(err, &e) {
			return "want a WorkerError"
		}
		return ""
	}
	normal := want(special + 1)
	for _, row := range []struct {
		name, code string
		check      func(any, error) string
	}{
		{"exit", "once(); os._exit(3)", dies},
		{"signal", "once(); os.kill(os.getpid(), signal.SIGKILL)", dies},
		{"exception", "raise KeyError(n)", fails(python.Type("KeyError"))},
		{"SystemExit", "sys.exit(3)", fails(python.Type("SystemExit"))},
		{"KeyboardInterrupt", "raise KeyboardInterrupt", fails(python.Type("KeyboardInterrupt"))},
		{"Canceled", "raise concert.Canceled", fails(concert.ErrCanceled)},
		{"timeout", "while True: time.sleep(0.01)", fails(processes.ErrTimeout)},
		{"timeout in C", "time.sleep(1000)", fails(processes.ErrTimeout)},
		{"caught timeout", "try:\n    while True: time.sleep(0.01)\nexcept concert.Canceled: result = 'caught'", want("caught")},
		{"long integer", "result = 1 << 70", want("1180591620717411303424")},
		{"smallest integer", "result = -1 << 63", want(int64(-1 << 63))},
		{"unsigned integer", "result = (1 << 64) - 1", want(uint64(1<<64 - 1))},
		{"bool", "result = True", want(true)},
		{"None", "result = None", want(nil)},
		{"text", "result = 'text'", want("text")},
		{"large text", "result = 'text' * 10000", want(strings.Repeat("text", 10000))},
		{"very large text", "result = 'text' * 100000", want(strings.Repeat("text", 100000))},
		{"object", "result = object()", fails(python.Type("TypeError"))},
		{"coroutine", "result = later(n)", normal},
		{"asyncio.run", "import asyncio; asyncio.run(nothing())", normal},
		{"fork", "pid = os.fork()\nif pid: result = os.waitpid(pid, 0)[1]", want(0)},
		{"failing fork", "pid = os.fork()\nif not pid: sys.exit(5)\nresult = os.waitpid(pid, 0)[1] >> 8", want(5)},
		{"progress", "concert.progress(1, 2)", normal},
		{"output", "print('text', flush=True)", normal},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := &python.Options{Grace: 300 * time.Millisecond}
			if strings.Contains(row.name, "timeout") {
				o.Timeout = 3 * time.Second
			}
			p := newPool(t, 1, o)
			file := filepath.Join(t.TempDir(), "once")
			arguments := func(yield func(unusualCall) bool) {
				for i := range n {
					if !yield(unusualCall{i, special, row.code, file}) {
						return
					}
				}
			}
			i := 0
			for got, err := range concert.Map(t.Context(), p, after, arguments) {
				if i == special {
					if why := row.check(got, err); why != "" {
						t.Errorf("call %d: %.100v, %v; %s", i, got, err, why)
					}
				} else if got != any(int64(i+1)) || err != nil {
					t.Fatalf("call %d: %v, %v; want %d", i, got, err, i+1)
				}
				i++
			}
			if i != n {
				t.Errorf("%d results, want %d", i, n)
			}
		})
	}
}

// TestMap_TakesBackWithinFrame: a call waits for the next call of its frame.
// The pool must take the next call back, and another worker must run that
// call. No call may run twice.
func TestMap_TakesBackWithinFrame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := python.Source[int, int]("run", fmt.Sprintf(`
import os, time

def run(n):
    if 1990 <= n < 2010:
        with open("%s/%%d" %% n, "a") as f:
            f.write("x")
        while n == 2000 and not os.path.exists("%s/2001"):
            time.sleep(0.001)
    return n + 1
`, dir, dir))
	p := newPool(t, 2, nil)
	i := 0
	for got, err := range concert.Map(t.Context(), p, run, numbersTo(5000)) {
		if got != i+1 || err != nil {
			t.Fatalf("call %d: %d, %v", i, got, err)
		}
		i++
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for n := 1990; n < 2010; n++ {
		if runs, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(n))); string(runs) != "x" {
			t.Errorf("call %d ran %d times, %v", n, len(runs), err)
		}
	}
}

func numbersTo(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// TestCancel_FunctionRanBefore: if a function has run before, Cancel must
// still end a call of this function, and the later calls must run.
func TestCancel_FunctionRanBefore(t *testing.T) {
	t.Parallel()
	const text = `
import time

def wait(path):
    if not path:
        return "done"
    open(path, "w").close()
    while True:
        time.sleep(0.01)
`
	wait := python.Source[string, string]("wait", text)
	p := newPool(t, 1, nil)
	for i := range 20 {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		before := concert.Submit(t.Context(), p, wait, "")
		ctx, cancel := context.WithCancel(t.Context())
		f := concert.Submit(ctx, p, wait, path)
		next := concert.Submit(t.Context(), p, wait, "")
		await(t, path, 1)
		if i%2 == 0 {
			f.Cancel()
		}
		cancel()
		if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
			t.Errorf("the canceled call: %v", err)
		}
		for _, f := range []*concert.Future[string]{before, next} {
			if got, err := f.Result(t.Context()); got != "done" || err != nil {
				t.Errorf("another call: %q, %v", got, err)
			}
		}
	}
}
