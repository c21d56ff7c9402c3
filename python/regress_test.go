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

// Cases that once failed.

// TestManyCanceled: a Map that is called off does not end what runs beside it,
// however many calls the interpreter has.
func TestManyCanceled(t *testing.T) {
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

// TestLargeBeside: large arguments of calls that run keep no thread from
// others.
func TestLargeBeside(t *testing.T) {
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

// TestOddExceptions: one that raises others when it is described is an error
// all the same.
func TestOddExceptions(t *testing.T) {
	p := newPool(t, 1, &python.Options{Grace: 100 * time.Millisecond})
	pid := python.Func[python.None, int]("os:getpid")
	before, err := call(t, p, pid, python.None{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"", "module", "thread"} {
		_, err := call(t, p, python.Func[string, any]("tasks:odd_exception"), kind)
		if e, ok := errors.AsType[*python.Error](err); !ok || !strings.HasSuffix(e.Type, "ValueError") && !strings.HasSuffix(e.Type, "Odd") {
			t.Errorf("%q: %v", kind, err)
		}
	}
	if after, err := call(t, p, pid, python.None{}); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
}

// TestWorkerFails: when the worker's own thread cannot go on the process ends,
// whatever threads it has, and the task is told.
func TestWorkerFails(t *testing.T) {
	p := newPool(t, 1, nil)
	_, err := call(t, p, python.Func[int, any]("tasks:end_later"), 1)
	if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.ExitCode != 1 {
		t.Errorf("Result() = %v, want a WorkerError with exit code 1", err)
	}
}

// TestProgressLate: a thread may report progress after its task has ended.
func TestProgressLate(t *testing.T) {
	p := newPool(t, 1, &python.Options{Observer: func(concert.Event) {}})
	pid := python.Func[python.None, int]("os:getpid")
	before, err := call(t, p, pid, python.None{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := call(t, p, python.Func[int, int]("tasks:progress_late"), i); err != nil {
			t.Error(err)
		}
		if _, err := call(t, p, python.Func[float64, float64]("tasks:nap"), 0.1); err != nil {
			t.Errorf("the next: %v", err)
		}
	}
	if after, err := call(t, p, pid, python.None{}); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
}

// TestReasons: of two calls that are killed together each has its own reason.
func TestReasons(t *testing.T) {
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
			await(t, filepath.Join(dir, "0.told"), 1) // so its time to end begins first
		}
	}
	for i, f := range futures {
		// The second may not have been due when the first was killed.
		if _, err := f.Result(t.Context()); !errors.Is(err, why[i]) && !(i == 1 && errors.Is(err, processes.ErrNeighbor)) {
			t.Errorf("task %d: %v", i, err)
		}
	}
}

// TestSharedBytes: a result whose length another thread changes is whole.
func TestSharedBytes(t *testing.T) {
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

// TestInterruptedOnce: a task that is canceled is interrupted once, and has
// peace then.
func TestInterruptedOnce(t *testing.T) {
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
			continue // it was called off before
		}
		await(t, path+".times.*", 1)
		if times, _ := filepath.Glob(path + ".times.*"); !strings.HasSuffix(times[0], ".times.1") {
			t.Errorf("it was interrupted more than once: %s", filepath.Base(times[0]))
		}
	}
}
