package python_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"concert"
	"concert/python"
)

const coroutines = `
import asyncio, os, threading

class Client:
    """Belongs to the loop in which it was first used, as connections do."""

    def __init__(self):
        self.lock = self.loop = None

    async def use(self):
        loop = asyncio.get_running_loop()
        if self.loop is None:
            self.loop, self.lock = loop, asyncio.Lock()
        if self.loop is not loop or loop.is_closed():
            raise RuntimeError("another loop")
        async with self.lock:
            await asyncio.sleep(0)
        return threading.get_ident()

left = []

async def leave():
    async def count():
        while True:
            left.append(1)
            await asyncio.sleep(0)
    leave.task = asyncio.ensure_future(count())
    await asyncio.sleep(0)

async def see():
    before = len(left)
    while len(left) < before + 3:
        await asyncio.sleep(0)
    return not leave.task.done()

class Waits:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return "awaited"

def awaitable():
    return Waits()

async def breaks():
    asyncio.get_running_loop().stop()
    await asyncio.sleep(3600)

def closes():
    asyncio.get_event_loop().close()

async def fine():
    return "fine"

def runs():
    return asyncio.run(fine())

async def ends_late(path):
    async def clean():
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            with open(path, "w") as f:
                f.write("closed %s" % asyncio.get_running_loop().is_running())
    ends_late.task = asyncio.ensure_future(clean())
    await asyncio.sleep(0)

async def executor():
    return await asyncio.get_running_loop().run_in_executor(None, threading.get_ident) != threading.get_ident()
`

// TestCoroutine_SharedLoop: if an interpreter has one thread, all its
// coroutines must run on the same event loop.
func TestCoroutine_SharedLoop(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	use := python.Source[python.None, int]("Client().use", coroutines)
	for range 3 {
		if _, err := call(t, p, use, python.None{}); err != nil {
			t.Fatal(err)
		}
	}
	none := func(name string) func(*testing.T, any) {
		return func(t *testing.T, want any) {
			t.Helper()
			if got, err := call(t, p, python.Source[python.None, any](name, coroutines), python.None{}); got != want || err != nil {
				t.Errorf("%s() = %v, %v; want %v", name, got, err, want)
			}
		}
	}
	none("leave")(t, nil)
	none("see")(t, true) // the function leave has started an asyncio task, which continues while see runs
	none("awaitable")(t, "awaited")
	none("executor")(t, true)
	none("runs")(t, "fine") // asyncio.run in a task makes another loop
	if _, err := call(t, p, use, python.None{}); err != nil {
		t.Errorf("after asyncio.run: %v", err)
	}
	if _, err := call(t, p, python.Source[python.None, any]("breaks", coroutines), python.None{}); !errors.Is(err, python.Type("RuntimeError")) {
		t.Errorf("a task that stops the loop: %v, want RuntimeError", err)
	}
	none("fine")(t, "fine")
}

// TestCoroutine_LoopPerThread: each thread must have its own event loop, and
// must keep this loop.
func TestCoroutine_LoopPerThread(t *testing.T) {
	t.Parallel()
	p := threads(t, 3, python.Options{})
	where := python.Source[int, []int]("where", `
import asyncio, threading
barrier = threading.Barrier(3)
loops = {}
async def where(_):
    barrier.wait(60)
    loop = loops.setdefault(threading.get_ident(), asyncio.get_running_loop())
    await asyncio.sleep(0)
    return [id(loop), int(loop is asyncio.get_running_loop())]
`)
	loops := map[int]bool{}
	for range 4 {
		got, err := concert.Gather(t.Context(), submit(t, p, where, 1), submit(t, p, where, 2), submit(t, p, where, 3))
		if err != nil {
			t.Fatal(err)
		}
		for _, loop := range got {
			if loops[loop[0]] = true; loop[1] != 1 {
				t.Error("the event loop of a thread has changed")
			}
		}
	}
	if len(loops) != 3 {
		t.Errorf("%d loops, want 3", len(loops))
	}
}

// TestCoroutine_CanceledByClose: an asyncio task may still run after its
// call has returned. Close must cancel this task, and the finally clauses of
// the task must run.
func TestCoroutine_CanceledByClose(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 2} {
		t.Run(fmt.Sprint(threads, " threads"), func(t *testing.T) {
			p := newPool(t, 1, &python.Options{Threads: threads})
			path := filepath.Join(t.TempDir(), "x")
			if _, err := call(t, p, python.Source[string, any]("ends_late", coroutines), path); err != nil {
				t.Fatal(err)
			}
			p.Close()
			if text, err := os.ReadFile(path); string(text) != "closed True" || err != nil {
				t.Errorf("%d threads: %q, %v", threads, text, err)
			}
		})
	}
}

// TestCoroutine_FirstOnSeveralThreads: the first coroutines of an
// interpreter begin at the same time on several threads, and one of these
// threads is still importing asyncio. All of them must succeed.
func TestCoroutine_FirstOnSeveralThreads(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, &python.Options{Threads: 4})
	double := python.Source[int, int]("double", "async def double(n):\n    return 2 * n\n")
	n := 0
	for got, err := range concert.Map(t.Context(), p, double, slices.Values([]int{0, 1, 2, 3})) {
		if got != 2*n || err != nil {
			t.Errorf("double(%d) = %d, %v", n, got, err)
		}
		n++
	}
}
