package python_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/processes"
	"concert/python"
)

// warm calls fn many times. From these calls, the pool learns that the calls
// are short, so it sends many later calls at once.
func warm[In, Out any](t *testing.T, p *processes.Pool, fn func(context.Context, In) (Out, error), in In) {
	t.Helper()
	for range 500 {
		if _, err := call(t, p, fn, in); err != nil {
			t.Fatal(err)
		}
	}
}

// threads returns a pool of one interpreter with k threads.
func threads(t *testing.T, k int, o python.Options) *processes.Pool {
	o.Threads = k
	return newPool(t, 1, &o)
}

// await waits until n files match a pattern.
func await(t *testing.T, pattern string, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if files, _ := filepath.Glob(pattern); len(files) >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("fewer than %d files match %s after a minute", n, pattern)
		}
	}
}

var (
	waitFor = python.Func[string, string]("tasks:wait_for")
	pidWhen = python.Func[string, int]("tasks:pid_when")
)

// TestThreads_ShareInterpreter: tasks run concurrently in one interpreter, and
// share its modules.
func TestThreads_ShareInterpreter(t *testing.T) {
	t.Parallel()
	p := threads(t, 4, python.Options{})
	if p.Width() != 4 {
		t.Errorf("Width() = %d, want 4", p.Width())
	}
	pids := map[int]bool{}
	for pid, err := range concert.Map(t.Context(), p, python.Func[int, int]("tasks:meet"), slices.Values([]int{1, 2, 3, 4})) {
		if err != nil {
			t.Fatal(err)
		}
		pids[pid] = true
	}
	if len(pids) != 1 {
		t.Errorf("they met in %d processes, want one", len(pids))
	}
	var futures []*concert.Future[int]
	for range 4 {
		futures = append(futures, concert.Submit(t.Context(), p, python.Func[python.None, int]("tasks:Slow().count"), python.None{}))
	}
	made, err := concert.Gather(t.Context(), futures...)
	if err != nil || slices.Max(made) != 1 {
		t.Errorf("instances made: %v, %v; want one", made, err)
	}
}

// TestThreads_PassSlowCall: if a call is slow, any number of later calls
// must be able to run in the other thread of the same worker.
func TestThreads_PassSlowCall(t *testing.T) {
	t.Parallel()
	p := threads(t, 2, python.Options{})
	square := python.Func[int, int]("tasks:square")
	warm(t, p, square, 1)
	path := filepath.Join(t.TempDir(), "gate")
	held := concert.Submit(t.Context(), p, waitFor, path)
	n := 0
	for got, err := range concert.Map(t.Context(), p, square, func(yield func(int) bool) {
		for i := range 5000 {
			if !yield(i) {
				return
			}
		}
	}) {
		if err != nil || got != n*n {
			t.Fatalf("square(%d) = %d, %v", n, got, err)
		}
		n++
	}
	var futures []*concert.Future[int]
	for i := range 2000 {
		futures = append(futures, concert.Submit(t.Context(), p, square, i))
	}
	if _, err := concert.Gather(t.Context(), futures...); err != nil {
		t.Fatal(err)
	}
	if held.State() != concert.Running {
		t.Errorf("the slow call is %v", held.State())
	}
	touch(t, path)
	if _, err := held.Result(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestThreads_PassSlowCallInMap: a slow call of a Map is sent together with
// other calls. The other calls must run in another thread.
func TestThreads_PassSlowCallInMap(t *testing.T) {
	t.Parallel()
	p := threads(t, 2, python.Options{})
	path := filepath.Join(t.TempDir(), "gate")
	n := 0
	for _, err := range concert.MapUnordered(t.Context(), p, pidWhen, func(yield func(string) bool) {
		for i := range 5000 {
			where := ""
			if i == 1000 {
				where = path
			}
			if !yield(where) {
				return
			}
		}
	}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 4999 {
			touch(t, path)
		}
	}
	if n != 5000 {
		t.Errorf("%d results, want 5000", n)
	}
}

// TestThreads_SpreadOverInterpreters: each interpreter has its own lock, so
// the pool must give equal numbers of tasks to the interpreters.
func TestThreads_SpreadOverInterpreters(t *testing.T) {
	t.Parallel()
	p := newPool(t, 2, &python.Options{Threads: 4})
	path := filepath.Join(t.TempDir(), "gate")
	var futures []*concert.Future[int]
	for range 4 {
		futures = append(futures, concert.Submit(t.Context(), p, pidWhen, path))
	}
	await(t, path+".in.*", 4)
	touch(t, path)
	pids, err := concert.Gather(t.Context(), futures...)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return pid != pids[0] })); n != 2 {
		t.Errorf("of 4 tasks %d are in one of 2 interpreters: %v", n, pids)
	}
}

// TestThreads_CancelOneTask: a canceled task must be interrupted, and other
// tasks of the interpreter must continue.
func TestThreads_CancelOneTask(t *testing.T) {
	t.Parallel()
	p := threads(t, 3, python.Options{})
	path := filepath.Join(t.TempDir(), "gate")
	var futures []*concert.Future[string]
	for range 3 {
		futures = append(futures, concert.Submit(t.Context(), p, waitFor, path))
	}
	await(t, path+".in.*", 3)
	futures[1].Cancel()
	if _, err := futures[1].Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
		t.Errorf("Result() = %v, want ErrCanceled", err)
	}
	touch(t, path)
	for _, i := range []int{0, 2} {
		if _, err := futures[i].Result(t.Context()); err != nil {
			t.Errorf("task %d: %v", i, err)
		}
	}
}

// TestThreads_KillFailsNeighbors: if the pool must kill an interpreter
// because of one task, the other tasks of this interpreter must fail with
// ErrNeighbor.
func TestThreads_KillFailsNeighbors(t *testing.T) {
	t.Parallel()
	var retried atomic.Int64
	p := threads(t, 3, python.Options{Timeout: 4 * time.Second, Grace: 3 * time.Second, Retry: func(err *processes.WorkerError, _ int) bool {
		if errors.Is(err, processes.ErrNeighbor) {
			retried.Add(1)
			return true
		}
		return false
	}})
	// The neighbors begin only when the timeout of the first task has passed.
	// Otherwise the neighbors could exceed the same timeout before the pool
	// kills the interpreter.
	path := filepath.Join(t.TempDir(), "gate")
	stuck := concert.Submit(t.Context(), p, python.Func[string, any]("tasks:stubborn"), path)
	await(t, path+".told", 1)
	a, b := concert.Submit(t.Context(), p, waitFor, path), concert.Submit(t.Context(), p, waitFor, path)
	await(t, path+".in.*", 2)
	_, err := stuck.Result(t.Context())
	if e, ok := errors.AsType[*processes.WorkerError](err); !ok || !errors.Is(err, processes.ErrTimeout) || e.Running != 3 {
		t.Errorf("Result() = %v, want a WorkerError with ErrTimeout, while it ran 3", err)
	}
	touch(t, path)
	for _, f := range []*concert.Future[string]{a, b} {
		if _, err := f.Result(t.Context()); err != nil {
			t.Errorf("a neighbor that may run again: %v", err)
		}
	}
	if retried.Load() != 2 {
		t.Errorf("%d neighbors, want 2", retried.Load())
	}
}

// TestThreads_DeathFailsAllTasks: if an interpreter dies, each of its
// running tasks must fail with a WorkerError.
func TestThreads_DeathFailsAllTasks(t *testing.T) {
	t.Parallel()
	p := threads(t, 4, python.Options{})
	path := filepath.Join(t.TempDir(), "gate")
	var futures []*concert.Future[string]
	for range 3 {
		futures = append(futures, concert.Submit(t.Context(), p, waitFor, path))
	}
	await(t, path+".in.*", 3)
	futures = append(futures, concert.Submit(t.Context(), p, python.Func[string, string]("tasks:end_beside"), path))
	for i, f := range futures {
		_, err := f.Result(t.Context())
		if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.ExitCode != 7 || e.Running != 4 || e.Err != nil {
			t.Errorf("task %d: %v; want a WorkerError with exit code 7, while it ran 4", i, err)
		}
	}
	if n, err := call(t, p, python.Func[int, int]("tasks:square"), 3); n != 9 || err != nil {
		t.Errorf("afterwards square(3) = %d, %v", n, err)
	}
}

// TestThreads_LargeValues: the large values of many threads are in the same
// arena. They must not overwrite each other.
func TestThreads_LargeValues(t *testing.T) {
	t.Parallel()
	p := threads(t, 4, python.Options{})
	echo := python.Func[[]byte, []byte]("tasks:echo")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 30 {
				b := bytes.Repeat([]byte{byte(i*30 + j)}, 20_000+i*100_000)
				if got, err := call(t, p, echo, b); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%d bytes returned as %d, %v", len(b), len(got), err)
				}
			}
		})
	}
	all.Wait()
}

// TestThreads_Progress: if several tasks report progress, each progress must
// belong to the task that has reported it.
func TestThreads_Progress(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	last := map[uint64]int64{} // guarded by mu
	p := threads(t, 4, python.Options{Observer: func(e concert.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == concert.TaskProgress {
			if e.Done != last[e.Task]+1 {
				t.Errorf("task %d: progress %d after %d", e.Task, e.Done, last[e.Task])
			}
			last[e.Task] = e.Done
		}
	}})
	var futures []*concert.Future[int]
	for i := range 4 {
		futures = append(futures, concert.Submit(t.Context(), p, python.Func[int, int]("tasks:report"), 20+i))
	}
	if _, err := concert.Gather(t.Context(), futures...); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(last) != 4 {
		t.Errorf("progress of %d tasks, want 4", len(last))
	}
}

// TestThreads_InvalidOptions: if Options.Threads is too large, New must
// return an error. If Options.Threads is negative, New must panic.
func TestThreads_InvalidOptions(t *testing.T) {
	if _, err := python.New(1, &python.Options{Threads: 10_000}); err == nil {
		t.Error("10,000 threads are no error")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Threads of -1 does not panic")
			}
		}()
		python.New(1, &python.Options{Threads: -1})
	}()
}

// TestDescribe_Interpreter: Describe returns the implementation, the version
// and the path of the interpreter, and whether its lock is in use.
func TestDescribe_Interpreter(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	info, err := python.Describe(t.Context(), p)
	if err != nil || info.Implementation != "CPython" || !strings.HasPrefix(info.Version, "3.") || !filepath.IsAbs(info.Executable) {
		t.Errorf("Describe() = %+v, %v", info, err)
	}
	lock := python.Source[bool, any]("lock", "def lock(on):\n    import sys\n    sys._is_gil_enabled = lambda: on\n")
	for _, on := range []bool{false, true} { // sys has this function since Python 3.13
		if _, err := call(t, p, lock, on); err != nil {
			t.Fatal(err)
		}
		if info, err := python.Describe(t.Context(), p); err != nil || info.GIL != on {
			t.Errorf("Describe() = %+v, %v; want GIL to be %t", info, err, on)
		}
	}
}

// TestThreads_CloseWaits: Close must wait for running tasks.
func TestThreads_CloseWaits(t *testing.T) {
	t.Parallel()
	p := threads(t, 4, python.Options{})
	var futures []*concert.Future[float64]
	for range 8 {
		futures = append(futures, concert.Submit(context.Background(), p, python.Func[float64, float64]("tasks:nap"), 0.1))
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for _, f := range futures {
		if _, err := f.Result(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func submit[In, Out any](t *testing.T, p *processes.Pool, fn func(context.Context, In) (Out, error), in In) *concert.Future[Out] {
	t.Helper()
	return concert.Submit(t.Context(), p, fn, in)
}

// TestMap_LeftSparesNeighbors: if the loop of a Map breaks, another task in
// the same interpreter must continue, even if the interpreter has received
// many calls of the Map.
func TestMap_LeftSparesNeighbors(t *testing.T) {
	t.Parallel()
	p := threads(t, 8, python.Options{})
	square := python.Func[int, int]("tasks:square")
	warm(t, p, square, 1)
	path := filepath.Join(t.TempDir(), "gate")
	held := concert.Submit(t.Context(), p, waitFor, path)
	await(t, path+".in.*", 1)
	for range 5 {
		n := 0
		for range concert.MapUnordered(t.Context(), p, square, func(yield func(int) bool) {
			for i := 0; yield(i); i++ {
			}
		}) {
			if n++; n == 5000 {
				break
			}
		}
	}
	touch(t, path)
	if _, err := held.Result(t.Context()); err != nil {
		t.Errorf("the neighbor: %v", err)
	}
}

// TestThreads_LargeArgumentsHoldNoThread: while calls with large arguments
// run, other calls must be able to use all remaining threads.
func TestThreads_LargeArgumentsHoldNoThread(t *testing.T) {
	t.Parallel()
	p := newPool(t, 2, &python.Options{Threads: 4})
	large := func() []byte {
		b := make([]byte, 17<<20)
		copy(b, filepath.Join(t.TempDir(), "large"))
		return b
	}
	meet := python.Func[[]byte, int]("tasks:meet_large")
	b := large()
	held := concert.Submit(t.Context(), p, meet, b)
	path := filepath.Join(t.TempDir(), "gate")
	var futures []*concert.Future[string]
	for range 7 {
		futures = append(futures, concert.Submit(t.Context(), p, waitFor, path))
	}
	await(t, path+".in.*", 7)
	touch(t, path)
	if _, err := concert.Gather(t.Context(), futures...); err != nil {
		t.Error(err)
	}
	if _, err := concert.Gather(t.Context(), held, concert.Submit(t.Context(), p, meet, b)); err != nil {
		t.Error(err)
	}
	one := threads(t, 2, python.Options{})
	b = large()
	if _, err := concert.Gather(t.Context(), concert.Submit(t.Context(), one, meet, b), concert.Submit(t.Context(), one, meet, b)); err != nil {
		t.Error(err)
	}
}

// TestResult_ResizedByThread: a result must arrive completely, even if
// another thread changes its length.
func TestResult_ResizedByThread(t *testing.T) {
	t.Parallel()
	p := threads(t, 3, python.Options{})
	growing := concert.Submit(t.Context(), p, python.Func[float64, int]("tasks:grow"), 1)
	give := python.Func[int, []byte]("tasks:give_shared")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for growing.State() != concert.Finished {
		if b, err := concert.Submit(ctx, p, give, 1).Result(ctx); err != nil || len(b) < 8000 {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
	if _, err := growing.Result(ctx); err != nil {
		t.Error(err)
	}
}
