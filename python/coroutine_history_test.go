package python

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// loopTasks are tasks. The outcome of each must not depend on earlier tasks
// in the same worker.
const loopTasks = `
import threading

async def one():
    return 1

async def sleepy():
    import asyncio
    await asyncio.sleep(0.001)
    return 1

def gather():
    import asyncio
    return asyncio.gather(one(), one())

def future():
    import asyncio
    return asyncio.ensure_future(one())

def until_complete():
    import asyncio
    return asyncio.get_event_loop().run_until_complete(sleepy())

def runs():
    import asyncio
    return asyncio.run(sleepy())

def own_loop():
    import asyncio
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop.create_task(sleepy())

def no_loop():
    import asyncio
    asyncio.set_event_loop(None)
    return sleepy()

def closes():
    import asyncio
    asyncio.get_event_loop().close()
    return 1

def lock():
    import asyncio
    async def hold():
        async with asyncio.Lock():
            return 1
    return hold()

async def stops():
    import asyncio
    asyncio.get_running_loop().stop()
    return 1

async def stops_and_waits():
    import asyncio
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.001)
    asyncio.get_running_loop().stop()
    return 1

async def leaves_a_stop():
    import asyncio
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
    return 1

async def leaves_an_exit():
    import asyncio
    async def exits():
        raise SystemExit(3)
    asyncio.get_running_loop().create_task(exits())
    return 1

def thread():
    import asyncio
    out = []
    def run():
        try:
            asyncio.get_event_loop()
        except Exception as e:
            out.append(1)
    t = threading.Thread(target=run)
    t.start()
    t.join()
    return out[0]
`

var loopNames = []string{
	"one", "sleepy", "gather", "future", "until_complete", "runs", "own_loop", "no_loop", "closes", "lock", "stops", "stops_and_waits", "leaves_a_stop", "leaves_an_exit", "thread",
}

// TestCoroutine_IndependentOfHistory: the outcome of a task must be the same
// if it is the first task of a worker, and if it runs after another task.
func TestCoroutine_IndependentOfHistory(t *testing.T) {
	all := interpreters(t)
	maps.DeleteFunc(all, func(name string, _ *Options) bool { return !slices.Contains([]string{"fresh", "3.8", "3.13"}, name) })
	for version, o := range all {
		for threads := 1; threads <= 2; threads++ {
			t.Run(fmt.Sprint(version, " ", threads), func(t *testing.T) {
				t.Parallel()
				o := *o
				o.MaxTasks, o.Threads, o.Timeout = 1, threads, time.Minute
				fresh, err := New(2, &o)
				if err != nil {
					t.Fatal(err)
				}
				defer fresh.Close()
				o.MaxTasks = 0
				used, err := New(1, &o)
				if err != nil {
					t.Fatal(err)
				}
				defer used.Close()
				first := map[string]string{}
				for _, name := range loopNames {
					got, err := submit(t, fresh, Source[None, any](name, loopTasks), None{})
					first[name] = outcome(got, err)
					if failed := name == "stops_and_waits"; strings.Trim(first[name], "[]1 ") != "" != failed || failed && !errors.Is(err, Type("RuntimeError")) {
						t.Errorf("%s: %v", name, first[name])
					}
				}
				check := func(name, when string) {
					t.Helper()
					if got := outcome(submit(t, used, Source[None, any](name, loopTasks), None{})); got != first[name] {
						t.Errorf("%s %s: %v; as the first task: %v", name, when, got, first[name])
					}
				}
				for i, name := range loopNames {
					for _, other := range slices.Concat(loopNames[i:], loopNames[:i]) {
						if strings.HasPrefix(name, "leaves") && other == "until_complete" || strings.HasPrefix(other, "leaves") && name == "until_complete" {
							continue // until_complete itself runs the loop, which still has a callback of the other task
						}
						check(name, "before "+other)
						check(other, "after "+name)
					}
				}
			})
		}
	}
}

// outcome returns the result of a task as a text, without the line numbers of
// errors.
func outcome(v any, err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Type + ": " + e.Message
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}
