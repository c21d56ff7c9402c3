package processes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// stopIdle stops an idle worker, and returns its process id.
func stopIdle(t *testing.T, p *processes.Pool) (pid int) {
	t.Helper()
	pid, err := submit(t, p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop(t, pid)
	return pid
}

func stop(t *testing.T, pid int) {
	t.Helper()
	syscall.Kill(pid, syscall.SIGSTOP)
	eventually(t, "the worker is stopped", func() bool { return state(pid) == "T" })
}

// TestPool_WorkerStopped: if a worker is stopped between tasks, its calls must
// run in another worker. If the worker stays stopped, the pool must kill it.
func TestPool_WorkerStopped(t *testing.T) {
	t.Run("one worker", func(t *testing.T) {
		sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
			leftovers(t)
			limits := processes.Silence(20*time.Millisecond, 100*time.Millisecond, time.Hour)
			p := newPool(t, 1, &processes.Options{Timeout: time.Minute}, memory, limits)
			pid := stopIdle(t, p)
			path := pathIn(t.TempDir(), "marks")
			var futures []*concert.Future[int]
			for i := range 20 {
				futures = append(futures, submit(t, p, marked, mark{Path: path, N: i}))
			}
			once(t, path, futures)
			eventually(t, "the pool kills the stopped worker", func() bool { return !alive(pid) })
			works(t, p)
		})
	})
	t.Run("two workers", func(t *testing.T) { // the other worker runs all tasks
		leftovers(t)
		limits := processes.Silence(20*time.Millisecond, time.Hour, time.Hour)
		p := newPool(t, 2, nil, limits)
		for range concert.MapUnordered(t.Context(), p, nop, numbers(500)) { // now the pool knows that calls are quick in both workers
		}
		pid := stopIdle(t, p)
		defer syscall.Kill(pid, syscall.SIGCONT)
		path := pathIn(t.TempDir(), "marks")
		var futures []*concert.Future[int]
		for i := range 50 {
			futures = append(futures, submit(t, p, marked, mark{Path: path, N: i}))
		}
		once(t, path, futures)
		if state(pid) != "T" {
			t.Errorf("the stopped worker is in state %q", state(pid))
		}
	})
	t.Run("it continues", func(t *testing.T) {
		leftovers(t)
		limits := processes.Silence(20*time.Millisecond, time.Hour, time.Hour)
		p := newPool(t, 1, nil, limits)
		pid := stopIdle(t, p)
		path := pathIn(t.TempDir(), "marks")
		futures := []*concert.Future[int]{submit(t, p, marked, mark{Path: path, N: 0})}
		eventually(t, "the call is taken back", func() bool {
			calls, room, _ := p.Calls()
			return calls[0] == 0 && room[0] == 0
		})
		syscall.Kill(pid, syscall.SIGCONT)
		once(t, path, futures)
		if again, err := submit(t, p, pidOf, 0).Result(t.Context()); again != pid || err != nil {
			t.Errorf("the pid of the worker was %d and is %d, %v", pid, again, err)
		}
	})
	t.Run("while it leaves", func(t *testing.T) {
		leftovers(t)
		limits := processes.Silence(20*time.Millisecond, time.Hour, time.Hour)
		p := newPool(t, 1, &processes.Options{MaxTasks: 2, Grace: 20 * time.Millisecond}, limits)
		pid := stopIdle(t, p)
		for i := range 3 {
			if got, err := submit(t, p, nop, i).Result(t.Context()); got != i || err != nil {
				t.Errorf("%d, %v; want %d", got, err, i)
			}
		}
		eventually(t, "the pool kills the stopped worker", func() bool { return !alive(pid) })
	})
}

// once waits for calls of the function marked. It fails the test unless each
// of these calls has run exactly once.
func once(t *testing.T, path string, futures []*concert.Future[int]) {
	t.Helper()
	var want []string
	for i, f := range futures {
		if got, err := f.Result(t.Context()); got != i || err != nil {
			t.Errorf("task %d: %d, %v", i, got, err)
		}
		want = append(want, fmt.Sprint("b", i), fmt.Sprint("e", i))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	marks := strings.Fields(string(b))
	slices.Sort(marks)
	slices.Sort(want)
	if !slices.Equal(marks, want) {
		t.Errorf("the tasks left %q, want %q", marks, want)
	}
}

// TestCancel_WorkerStopped: if a worker is stopped, Cancel of a call that
// the worker has not begun must take effect at once. Without a journal, it
// must take effect when the worker is killed.
func TestCancel_WorkerStopped(t *testing.T) {
	t.Run("shared", func(t *testing.T) {
		leftovers(t)
		limits := processes.Silence(time.Hour, time.Hour, time.Hour)
		p := newPool(t, 1, &processes.Options{Grace: 20 * time.Millisecond}, limits)
		pid := stopIdle(t, p)
		defer syscall.Kill(pid, syscall.SIGCONT)
		f := submit(t, p, nop, 1)
		given(t, p)
		if !f.Cancel() || f.State() != concert.Canceled {
			t.Errorf("Cancel() = false, or the state is %v", f.State())
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		f = concert.Submit(ctx, p, nop, 1)
		given(t, p)
		why := errors.New("why")
		cancel(why)
		if _, err := f.Result(t.Context()); !errors.Is(err, why) || f.State() != concert.Canceled {
			t.Errorf("%v, %v; want the cause", f.State(), err)
		}
	})
	t.Run("unshared", func(t *testing.T) {
		leftovers(t)
		memory := processes.ShareMemory(nothingShared)
		limits := processes.Silence(time.Hour, time.Hour, time.Hour) // so the pool kills no worker; the test kills the worker after the cancellation of the call
		p := newPool(t, 1, nil, memory, limits)
		pid := stopIdle(t, p)
		f := submit(t, p, nop, 1)
		given(t, p)
		f.Cancel()
		syscall.Kill(pid, syscall.SIGKILL)
		if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
			t.Errorf("error %v, want ErrCanceled", err)
		}
		pid = stopIdle(t, p)
		ctx, cancel := context.WithCancelCause(t.Context())
		f = concert.Submit(ctx, p, nop, 1)
		given(t, p)
		why := errors.New("why")
		cancel(why)
		syscall.Kill(pid, syscall.SIGKILL)
		if _, err := f.Result(t.Context()); !errors.Is(err, why) || f.State() != concert.Canceled {
			t.Errorf("%v, %v; want the cause", f.State(), err)
		}
	})
}

// given waits until the pool has sent a call to its only worker.
func given(t *testing.T, p *processes.Pool) {
	t.Helper()
	eventually(t, "the worker has the call", func() bool {
		calls, _, _ := p.Calls()
		return len(calls) == 1 && calls[0] == 1
	})
}

// TestClose_WorkerStopped: if workers are stopped, Close and Shutdown must
// still return.
func TestClose_WorkerStopped(t *testing.T) {
	sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
		leftovers(t)
		limits := processes.Silence(20*time.Millisecond, 100*time.Millisecond, time.Hour)
		o := &processes.Options{Grace: 20 * time.Millisecond}
		p := newPool(t, 1, o, memory, limits)
		stopIdle(t, p)
		f := submit(t, p, nop, 1)
		given(t, p)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if got, err := f.Result(t.Context()); got != 1 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
		p = newPool(t, 1, o, memory, limits)
		stopIdle(t, p)
		if err := p.Close(); err != nil {
			t.Errorf("Close() of a pool without tasks: %v", err)
		}
		p = newPool(t, 1, o, memory, limits)
		stopIdle(t, p)
		f = submit(t, p, nop, 1)
		given(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.Shutdown(ctx)
		if _, err := f.Result(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("after Shutdown: %v, want context.Canceled", err)
		}
	})
}

// TestPool_WorkerSilent: if a worker runs and answers the pool, but begins no
// call, the pool must replace the worker. Each of its calls must run exactly
// once in another worker.
func TestPool_WorkerSilent(t *testing.T) {
	sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
		leftovers(t)
		limits := processes.Silence(20*time.Millisecond, time.Hour, 200*time.Millisecond)
		p := newPool(t, 1, nil, memory, limits)
		text, err := submit(t, p, misbehave, "deaf").Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		path := pathIn(t.TempDir(), "marks")
		var futures []*concert.Future[int]
		for i := range 20 {
			futures = append(futures, submit(t, p, marked, mark{Path: path, N: i}))
		}
		once(t, path, futures)
		if pid := number(t, text); alive(pid) {
			t.Errorf("worker %d is alive", pid)
		}
	})
}

// TestPool_SlowArgument: a worker needs a long time to read a large argument.
// During this time, the pool must neither take back the call nor kill the
// worker.
func TestPool_SlowArgument(t *testing.T) {
	leftovers(t)
	memory := processes.ShareMemory(nothingShared) // so that the argument goes through the pipe
	limits := processes.Silence(20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond)
	p := newPool(t, 1, nil, memory, limits)
	pid, err := submit(t, p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 256<<20) // for this size, the limits of silence are four seconds longer
	for range 2 {
		if got, err := submit(t, p, echo, big).Result(t.Context()); len(got) != len(big) || err != nil {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if again, err := submit(t, p, pidOf, 0).Result(t.Context()); again != pid || err != nil {
		t.Errorf("the pid of the worker was %d and is %d, %v", pid, again, err)
	}
}
