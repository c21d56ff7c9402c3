package python_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"concert/processes"
	"concert/python"
)

const streaming = `
import asyncio, collections, ctypes, os, signal, sys, time

class Model:
    def __init__(self, name="", times=1):
        self.name, self.times = name, times

    def generate(self, n):
        for i in range(n):
            yield "%s %d" % (self.name, i * self.times)

def count(n):
    for i in range(n):
        yield i

def nothing():
    return iter(())

def several(a, b, c=0):
    yield a
    yield b
    yield c

def as_list(n):
    return list(range(n))

async def later(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i

async def made(n):
    await asyncio.sleep(0)
    return count(n)

def large(n):
    for i in range(n):
        yield bytes([i]) * 3000000

def mixed():
    yield None
    yield [1, {"a": 2.5}]
    yield "x"

def fails(n):
    yield from count(n)
    raise LookupError("after %d" % n)

def object_at(n):
    yield from count(n)
    yield object()

def dies(n):
    yield from count(n)
    os._exit(3)

def forks(n):
    for i in range(n):
        if os.fork() == 0:
            sys.exit(0) if i % 2 else None
        yield i

async def forks_later(n):
    for i in range(n):
        if os.fork() == 0:
            sys.exit(0) if i % 2 else None
        await asyncio.sleep(0)
        yield i

def dies_with_child(path):
    yield 0
    if os.fork() == 0:
        os.setsid()
        open(path + ".child", "w").close()
        while os.path.exists(os.path.dirname(path)) and not os.path.exists(path + ".gate"):
            time.sleep(0.001)
        os._exit(0)
    while not os.path.exists(path + ".child"):
        time.sleep(0.001)
    os._exit(3)

def cleans_up(path):
    n = 0
    try:
        while True:
            open(path + ".%d" % n, "w").close()
            yield n
            n += 1
    finally:
        time.sleep(0.001)
        open(path + ".closed", "w").close()

async def cleans_up_later(path):
    n = 0
    try:
        while True:
            open(path + ".%d" % n, "w").close()
            yield n
            n += 1
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0.001)
        open(path + ".closed", "w").close()

def computes(path):
    try:
        yield 0
        open(path + ".in", "w").close()
        while True:
            pass
    finally:
        open(path + ".closed", "w").close()

async def waits(path):
    try:
        yield 0
        open(path + ".in", "w").close()
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0)
        open(path + ".closed", "w").close()
`

// streamPool returns a pool with the module streaming.
func streamPool(t *testing.T, n int, o python.Options) *processes.Pool {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Python has no Unix sockets on Windows")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "streaming.py"), streaming)
	o.Path = []string{dir}
	return newPool(t, n, &o)
}

// collect returns the values of a stream, and its error.
func collect[In, Out any](t *testing.T, p *processes.Pool, where string, in In) (all []Out, failed error) {
	t.Helper()
	for v, err := range python.Stream[In, Out]("streaming:"+where)(t.Context(), p, in) {
		if failed != nil {
			t.Errorf("%s: %v comes after the error %v", where, v, failed)
		}
		if failed = err; err == nil {
			all = append(all, v)
		}
	}
	return all, failed
}

// TestStream_AllValues: for each kind of iterable that a function can
// return, all values must arrive in order.
func TestStream_AllValues(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 2} {
		t.Run(fmt.Sprint(threads, " threads"), func(t *testing.T) {
			p := streamPool(t, 1, python.Options{Threads: threads})
			for where, n := range map[string]int{"count": 5, "later": 5, "as_list": 3, "made": 4, "forks": 4, "forks_later": 4} {
				t.Run(where, func(t *testing.T) {
					for _, n := range []int{n, 0} {
						got, err := collect[int, int](t, p, where, n)
						want := slices.Collect(func(yield func(int) bool) {
							for i := range n {
								yield(i)
							}
						})
						if !slices.Equal(got, want) || err != nil {
							t.Errorf("%s(%d) = %v, %v", where, n, got, err)
						}
					}
				})
			}
			got, err := collect[int, string](t, p, "Model('m.', times=2).generate", 2)
			if !slices.Equal(got, []string{"m. 0", "m. 2"}) || err != nil {
				t.Errorf("generate: %q, %v", got, err)
			}
			args, err := collect[python.Args, any](t, p, "several", python.Args{Args: []any{1, "b"}, Kwargs: map[string]any{"c": 2.5}})
			if !reflect.DeepEqual(args, []any{int64(1), "b", 2.5}) || err != nil {
				t.Errorf("several: %v, %v", args, err)
			}
			mixed, err := collect[python.None, any](t, p, "mixed", python.None{})
			if fmt.Sprint(mixed) != "[<nil> [1 map[a:2.5]] x]" || err != nil {
				t.Errorf("mixed: %v, %v", mixed, err)
			}
			if got, err := collect[python.None, int](t, p, "nothing", python.None{}); len(got) != 0 || err != nil {
				t.Errorf("nothing: %v, %v", got, err)
			}
			large, err := collect[int, []byte](t, p, "large", 3)
			if len(large) != 3 || err != nil {
				t.Errorf("large: %d, %v", len(large), err)
			}
			for i, b := range large {
				if len(b) != 3000000 || b[0] != byte(i) || b[len(b)-1] != byte(i) {
					t.Errorf("large: value %d is wrong", i)
				}
			}
			same(t, p, 5)
		})
	}
}

// TestStream_Errors: if a generator fails, the loop must get the earlier
// values and then the error, and the pool must continue.
func TestStream_Errors(t *testing.T) {
	t.Parallel()
	p := streamPool(t, 1, python.Options{})
	for where, check := range map[string]func(error) bool{
		"fails":     func(err error) bool { return errors.Is(err, python.Type("LookupError")) },
		"object_at": func(err error) bool { return errors.Is(err, python.Type("TypeError")) },
		"dies": func(err error) bool {
			e, ok := errors.AsType[*processes.WorkerError](err)
			return ok && e.ExitCode == 3
		},
	} {
		t.Run(where, func(t *testing.T) {
			for _, n := range []int{0, 1, 3} {
				got, err := collect[int, int](t, p, where, n)
				if len(got) != n || !check(err) {
					t.Errorf("%s(%d) = %v, %v", where, n, got, err)
				}
				same(t, p, 5)
			}
		})
	}
	if got, err := collect[int, string](t, p, "count", 2); len(got) != 0 || err == nil {
		t.Errorf("numbers as text: %q, %v", got, err)
	}
	for where, want := range map[string]string{"no_such": "AttributeError", "Model": "TypeError"} {
		t.Run(where, func(t *testing.T) {
			if got, err := collect[int, int](t, p, where, 1); len(got) != 0 || !errors.Is(err, python.Type(want)) {
				t.Errorf("%s: %v, %v", where, got, err)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "x")
	defer touch(t, path+".gate")
	got, err := collect[string, int](t, p, "dies_with_child", path)
	if _, ok := errors.AsType[*processes.WorkerError](err); !ok || len(got) != 1 {
		t.Errorf("a child has the socket: %v, %v", got, err)
	}
	p.Close()
	if got, err := collect[int, int](t, p, "count", 2); len(got) != 0 || err == nil {
		t.Errorf("a pool that is closed: %v, %v", got, err)
	}
}

// TestStream_OneValueAhead: a generator must be at most one value ahead of
// the loop. If the loop breaks, the generator must be closed before the
// program continues.
func TestStream_OneValueAhead(t *testing.T) {
	t.Parallel()
	p := streamPool(t, 1, python.Options{Grace: time.Minute})
	pid := python.Func[python.None, int]("os:getpid")
	before, err := call(t, p, pid, python.None{})
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"cleans_up", "cleans_up_later"} {
		t.Run(where, func(t *testing.T) {
			for _, last := range []int{0, 1, 5} {
				t.Run(fmt.Sprint("break after ", last), func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "x")
					for v, err := range python.Stream[string, int]("streaming:"+where)(t.Context(), p, path) {
						if err != nil {
							t.Fatal(err)
						}
						await(t, fmt.Sprintf("%s.%d", path, v+1), 1)
						if _, err := os.Stat(fmt.Sprintf("%s.%d", path, v+2)); err == nil {
							t.Errorf("%s: at value %d it has begun with value %d", where, v, v+2)
						}
						if v == last {
							break
						}
					}
					if _, err := os.Stat(path + ".closed"); err != nil {
						t.Errorf("%s: the generator is not closed after the loop: %v", where, err)
					}
				})
			}
		})
	}
	if after, err := call(t, p, pid, python.None{}); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
}

// TestStream_LoopLeft: if the loop breaks or its context ends, the generator
// must be interrupted and closed. This must hold if the generator computes,
// and if it waits.
func TestStream_LoopLeft(t *testing.T) {
	t.Parallel()
	p := streamPool(t, 1, python.Options{Grace: time.Minute})
	pid := python.Func[python.None, int]("os:getpid")
	before, err := call(t, p, pid, python.None{})
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"computes", "waits"} {
		t.Run(where, func(t *testing.T) {
			for _, how := range []string{"break", "cancel"} {
				t.Run(how, func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "x")
					ctx, cancel := context.WithCancel(t.Context())
					n := 0
					var last error
					for _, err := range python.Stream[string, int]("streaming:"+where)(ctx, p, path) {
						if last = err; n > 0 {
							continue
						}
						n++
						await(t, path+".in", 1)
						if how == "break" {
							break
						}
						cancel()
					}
					cancel()
					if how == "cancel" && !errors.Is(last, context.Canceled) {
						t.Errorf("%s, %s: error %v, want Canceled", where, how, last)
					}
					if _, err := os.Stat(path + ".closed"); err != nil {
						t.Errorf("%s, %s: the generator is not closed: %v", where, how, err)
					}
				})
			}
		})
	}
	if after, err := call(t, p, pid, python.None{}); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
}

// TestStream_NoFile: while the loop of a stream runs, there must be no file
// of this stream, so that a program that is killed in the loop leaves no
// file. After the loop, there must be no file either: the generator may have
// failed before it connected, or the loop may have ended early.
func TestStream_NoFile(t *testing.T) {
	p := newPool(t, 1, nil)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir) // has no effect on the workers, because they have already started
	empty := func(when string) {
		t.Helper()
		if files, err := os.ReadDir(dir); len(files) > 0 || err != nil {
			t.Errorf("%s, the directory for temporary files has %v, %v; want nothing", when, files, err)
		}
	}
	n := 0
	for i, err := range python.StreamSource[int, int]("count", streaming)(t.Context(), p, 3) {
		if i != n || err != nil {
			t.Errorf("value %d: %d, %v", n, i, err)
		}
		empty(fmt.Sprint("during value ", i))
		n++
	}
	if n != 3 {
		t.Errorf("%d values, want 3", n)
	}
	empty("after the loop")
	for range python.StreamSource[int, int]("count", streaming)(t.Context(), p, 3) {
		break
	}
	empty("after a break")
	for _, err := range python.StreamSource[int, int]("count", "def count(): pass")(t.Context(), p, 3) {
		if err == nil {
			t.Error("no error of a function that takes no argument")
		}
	}
	empty("after an error")
}

// TestStream_Concurrent: several loops must be able to share a pool, and it
// must be possible to iterate a sequence again.
func TestStream_Concurrent(t *testing.T) {
	t.Parallel()
	p := streamPool(t, 1, python.Options{Threads: 3})
	seq := python.Stream[int, int]("streaming:count")(t.Context(), p, 3)
	n := 0
	for a, err := range seq {
		for b, err2 := range seq {
			if n++; err != nil || err2 != nil || a > 2 || b > 2 {
				t.Fatalf("%d %v, %d %v", a, err, b, err2)
			}
		}
	}
	if n != 9 {
		t.Errorf("%d pairs, want 9", n)
	}
}

// TestStream_TempDir: the path of the directory for temporary files may be
// long or relative. Streams must work nevertheless, even if the worker has
// another working directory. If the directory does not exist, the error must
// say this.
func TestStream_TempDir(t *testing.T) {
	root := t.TempDir()
	long := filepath.Join(root, strings.Repeat("x", 150))
	if err := os.Mkdir(long, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	count := python.StreamSource[int, int]("count", streaming)
	p := newPool(t, 1, &python.Options{Dir: long})
	for name, dir := range map[string]string{"long": long, "relative": ".", "missing": filepath.Join(root, "missing")} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", dir)
			var got []int
			for n, err := range count(t.Context(), p, 3) {
				if err != nil && name == "missing" && errors.Is(err, os.ErrNotExist) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, n)
			}
			if !slices.Equal(got, []int{0, 1, 2}) {
				t.Errorf("values %v", got)
			}
		})
	}
	if left, _ := filepath.Glob(filepath.Join(root, "*", "concert*")); len(left) > 0 {
		t.Errorf("%v still exist", left)
	}
}

// TestStream_Nil: Stream returns a function. If the context or the pool is
// nil, this function must panic, and the panic must say which argument is
// nil.
func TestStream_Nil(t *testing.T) {
	var noContext context.Context
	count := python.StreamSource[int, int]("count", streaming)
	p := newPool(t, 1, nil)
	for want, use := range map[string]func(){
		"python: Stream with a nil context":  func() { count(noContext, p, 1) },
		"processes: the Pool is nil or zero": func() { count(t.Context(), nil, 1) },
	} {
		t.Run(want, func(t *testing.T) {
			func() {
				defer func() {
					if text := fmt.Sprint(recover()); !strings.HasPrefix(text, want) {
						t.Errorf("panic %q, want %q", text, want)
					}
				}()
				use()
			}()
		})
	}
}
