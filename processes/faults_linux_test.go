package processes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/internal/race"
	"concert/processes"
)

// The tests in this package inject real faults; docs/faults.md lists them. At
// its end, each test checks that no processes, zombies, open files or
// goroutines are left.

// TestKill_CallsUnread: if a worker is killed before it has read its calls, the
// calls must run in another worker.
func TestKill_CallsUnread(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Queue: 1})
	pid, err := submit(t, p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGSTOP)
	eventually(t, "the worker is stopped", func() bool { return state(pid) == "T" })
	var futures []*concert.Future[int]
	for i := range 20 {
		// The queue has space for one call. So when the third call is in the
		// queue, the first two calls have moved from the queue to the
		// worker.
		if futures = append(futures, submit(t, p, nop, i)); i == 2 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for i, f := range futures {
		if got, err := f.Result(t.Context()); got != i || err != nil {
			t.Errorf("task %d: %d, %v", i, got, err)
		}
	}
}

// TestKill_DuringTask: if a worker is killed, only the task that it runs must
// fail.
func TestKill_DuringTask(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	path := pathIn(t.TempDir(), "met")
	running := submit(t, p, startAndWait, path)
	pid := number(t, read(t, path))
	var others []*concert.Future[int]
	for i := range 20 {
		others = append(others, submit(t, p, nop, i))
	}
	syscall.Kill(pid, syscall.SIGKILL)
	_, err := running.Result(t.Context())
	if e := died(t, err); e.Signal != syscall.SIGKILL || e.Pid != pid || e.Err != nil || e.ExitCode != -1 || running.State() != concert.Finished {
		t.Errorf("%+v", e)
	}
	for i, f := range others {
		if got, err := f.Result(t.Context()); got != i || err != nil {
			t.Errorf("task %d: %d, %v", i, got, err)
		}
	}
}

// TestKill_AnyTime: the test kills workers at random times. Each finished
// call must have its result. Each call that the worker had not begun must
// run exactly once in another worker. At most the running task may fail.
func TestKill_AnyTime(t *testing.T) {
	t.Parallel()
	leftovers(t)
	dir := t.TempDir()
	p := newPool(t, 2, nil)
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	failed := 0
	for round := range rounds {
		path := pathIn(dir, round)
		pid, err := submit(t, p, pidOf, 0).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var futures []*concert.Future[int]
		for i := range 200 {
			futures = append(futures, submit(t, p, marked, mark{path, i, time.Duration(rand.IntN(50)) * time.Microsecond}))
		}
		time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
		syscall.Kill(pid, syscall.SIGKILL)
		concert.Wait(t.Context(), concert.AllCompleted, futures...)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		marks := strings.Fields(string(b))
		slices.Sort(marks)
		inRound := 0
		for i, f := range futures {
			_, began := slices.BinarySearch(marks, fmt.Sprint("b", i))
			_, ended := slices.BinarySearch(marks, fmt.Sprint("e", i))
			switch got, err := f.Result(t.Context()); {
			case err == nil && got == i && began && ended:
			case err != nil:
				died(t, err)
				inRound++
			default:
				t.Errorf("round %d, task %d: %d, %v; began %v, ended %v", round, i, got, err, began, ended)
			}
		}
		if unique := len(slices.Compact(slices.Clone(marks))); unique != len(marks) {
			t.Errorf("round %d: some tasks ran twice: %q", round, marks)
		}
		if inRound > 1 {
			t.Errorf("round %d: %d tasks failed because of one death", round, inRound)
		}
		failed += inRound
	}
	t.Logf("%d deaths, %d of them in a task", rounds, failed)
}

// TestKill_WhileWritingResult: if a worker is killed while it writes a result
// that is larger than the pipe and the journal, at most one task may fail.
func TestKill_WhileWritingResult(t *testing.T) {
	t.Parallel()
	leftovers(t)
	p := newPool(t, 1, nil)
	big := make([]byte, 3<<20)
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		pid, err := submit(t, p, pidOf, 0).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var futures []*concert.Future[[]byte]
		for range 6 {
			futures = append(futures, submit(t, p, echo, big))
		}
		time.Sleep(time.Duration(rand.IntN(20000)) * time.Microsecond)
		syscall.Kill(pid, syscall.SIGKILL)
		failed := 0
		for _, f := range futures {
			got, err := f.Result(t.Context())
			if err != nil {
				died(t, err)
				failed++
			} else if len(got) != len(big) {
				t.Errorf("a result of %d bytes, want %d", len(got), len(big))
			}
		}
		if failed > 1 {
			t.Errorf("%d tasks failed because of one death", failed)
		}
	}
}

// TestKill_IdleWorker: if an idle worker is killed, no task may fail.
func TestKill_IdleWorker(t *testing.T) {
	leftovers(t)
	p := newPool(t, 2, nil)
	for range 20 {
		pid, err := submit(t, p, pidOf, 0).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(pid, syscall.SIGKILL)
		works(t, p)
	}
	for _, pid := range children(t) { // including the standby worker
		syscall.Kill(pid, syscall.SIGKILL)
	}
	works(t, p)
}

// TestWorkerError_CausesOfDeath: if a task ends its worker, the error of the
// task must contain the exit code or the signal, and the reason.
func TestWorkerError_CausesOfDeath(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	for what, want := range map[string]struct {
		code   int
		signal syscall.Signal
		text   string
	}{
		"exit 0":    {0, 0, "exited with code 0"},
		"exit 99":   {99, 0, "exited with code 99"},
		"kill":      {-1, syscall.SIGKILL, "signal: killed"},
		"segv":      {2, syscall.SIGSEGV, "fault"},
		"abort":     {2, syscall.SIGABRT, "SIGABRT"},
		"raise":     {2, syscall.SIGSEGV, "signal: segmentation fault"},
		"nil":       {2, 0, "nil pointer dereference"},
		"goroutine": {2, 0, "panic: from a goroutine"},
		"overflow":  {2, 0, "stack overflow"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := submit(t, p, misbehave, what).Result(t.Context())
			e := died(t, err)
			if e.ExitCode != want.code || e.Signal != want.signal || !strings.Contains(e.Error()+e.Stderr, want.text) {
				t.Errorf("%s: %v\n%+v", what, e, *e)
			}
			if len(e.Error()) > 400 || strings.Contains(e.Error(), "\n") {
				t.Errorf("%s: the error is not one short line: %v", what, e)
			}
			works(t, p)
		})
	}
}

// TestTimeout_Kills: after the timeout and the grace period, the pool must
// kill a worker in two cases: its process is stopped, or its task ignores
// its context and SIGTERM.
func TestTimeout_Kills(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Timeout: 50 * time.Millisecond, Grace: 20 * time.Millisecond})
	for _, what := range []string{"stop", "spin", "sleep 1m"} {
		t.Run(what, func(t *testing.T) {
			_, err := submit(t, p, misbehave, what).Result(t.Context())
			if e := died(t, err); !errors.Is(e, processes.ErrTimeout) || !errors.Is(e, context.DeadlineExceeded) || e.Signal != syscall.SIGKILL {
				t.Errorf("%s: %v, want ErrTimeout", what, e)
			} else if !strings.Contains(e.Error(), "no result within 50ms (Options.Timeout)") {
				t.Errorf("%s: %v, want the timeout in the text", what, e)
			}
			works(t, p)
		})
	}
	// The pool must not kill a worker whose task ends when its context ends.
	p = newPool(t, 1, &processes.Options{Timeout: 50 * time.Millisecond, Grace: time.Minute})
	path := pathIn(t.TempDir(), "met")
	_, err := submit(t, p, startAndWait, path).Result(t.Context())
	pid, _ := submit(t, p, pidOf, 0).Result(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || pid != number(t, read(t, path)) {
		t.Errorf("a task that ends with its context: %v; its worker was %s, now it is %d", err, read(t, path), pid)
	}
}

// TestCancel_Kills: if a task ignores Cancel or the end of the submitter's
// context, the pool must kill its worker.
func TestCancel_Kills(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 20 * time.Millisecond})
	f := submit(t, p, misbehave, "spin")
	eventually(t, "it runs", func() bool { return f.State() == concert.Running })
	if f.Cancel() {
		t.Error("Cancel() of a running task = true")
	}
	_, err := f.Result(t.Context())
	if e := died(t, err); !errors.Is(e, context.Canceled) {
		t.Errorf("%v, want an error that is context.Canceled", e)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	f = concert.Submit(ctx, p, misbehave, "spin")
	eventually(t, "it runs", func() bool { return f.State() == concert.Running })
	why := errors.New("why")
	cancel(why)
	_, err = f.Result(t.Context())
	if e := died(t, err); !errors.Is(e, why) {
		t.Errorf("%v, want an error that wraps the cause", e)
	}
	works(t, p)
}

// TestMemory_Limit: if a task needs more memory than Options.Memory, its worker
// must die, and the task must fail with ErrMemory. A task that needs less must
// succeed.
func TestMemory_Limit(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector needs more memory than the limit; the test runs without it")
	}
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Memory: 256 << 20})
	if got, err := submit(t, p, misbehave, "memory 64").Result(t.Context()); got != "64" || err != nil {
		t.Errorf("64 MiB of 256: %q, %v", got, err)
	}
	_, err := submit(t, p, misbehave, "memory 1000").Result(t.Context())
	if e := died(t, err); !errors.Is(e, processes.ErrMemory) || e.ExitCode != 2 {
		t.Errorf("1000 MiB of 256: %v\n%s", e, e.Stderr)
	}
	works(t, p)
	if _, err := processes.New(1, &processes.Options{Memory: 10 << 20}); err == nil || !strings.Contains(err.Error(), "10485760 bytes") {
		t.Errorf("New() with 10 MiB: %v", err)
	}
}

// TestPool_ChildrenDieWithWorker: if a worker dies, the processes that its task
// has started must die too.
func TestPool_ChildrenDieWithWorker(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 10 * time.Millisecond})
	path := pathIn(t.TempDir(), "children")
	f := submit(t, p, misbehave, "children "+path)
	pids := strings.Fields(read(t, path))
	f.Cancel()
	_, err := f.Result(t.Context())
	died(t, err)
	for _, pid := range pids {
		eventually(t, "child "+pid+" dies", func() bool { return !alive(number(t, pid)) })
	}
	works(t, p)
}

// TestPool_WorkerOutOfDescriptors: if a worker can open no more files, a task
// that opens a file must fail with the error, and the pool must continue to run
// tasks.
func TestPool_WorkerOutOfDescriptors(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	if _, err := submit(t, p, misbehave, "files").Result(t.Context()); err == nil || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("error %v, want too many open files", err)
	}
	works(t, p)
}

// TestPool_GrandchildHoldsPipes: if a process that a task has started keeps the
// worker's pipes open, the pool must still notice the death of the worker.
func TestPool_GrandchildHoldsPipes(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	path := pathIn(t.TempDir(), "grandchild")
	_, err := submit(t, p, misbehave, "grandchild "+path).Result(t.Context())
	if e := died(t, err); e.ExitCode != 3 {
		t.Errorf("%v, want exit code 3", e)
	}
	works(t, p)
	syscall.Kill(number(t, read(t, path)), syscall.SIGKILL)
}

// TestProtocol_InvalidFrames: if a worker sends an invalid frame, the pool must
// kill the worker, and only the running task must fail.
func TestProtocol_InvalidFrames(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	for what, want := range map[string]string{
		"garbage": "invalid frame", "length": "length 4294967295", "zero": "length 0", "unknown": "unknown call 0 in frame 77",
		"shared": "shared memory", "version": "version 99", "ready": "second Ready",
	} {
		t.Run(what, func(t *testing.T) {
			_, err := submit(t, p, misbehave, "say "+what).Result(t.Context())
			if e := died(t, err); e.Err == nil || !strings.Contains(e.Error(), want) || !strings.Contains(e.Error(), "protocol") {
				t.Errorf("say %s: %v, want %q", what, e, want)
			}
			works(t, p)
		})
	}
}

// TestProtocol_ResultTwice: if a task writes a frame with its own result,
// the pool must accept this result. If the task writes a second result, the
// pool must kill the worker.
func TestProtocol_ResultTwice(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	_, err := submit(t, p, misbehave, "say result twice").Result(t.Context())
	if err == nil || !strings.Contains(err.Error(), "cannot be decoded") {
		t.Errorf("error %v, want one of decoding", err)
	}
	works(t, p)
}

// TestPool_WorkerOverwritesJournal: if a worker overwrites the shared journal,
// only its own tasks may be affected.
func TestPool_WorkerOverwritesJournal(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 10 * time.Millisecond})
	for range 10 {
		path := pathIn(t.TempDir(), "overwritten")
		f := submit(t, p, misbehave, "overwrite-journal "+path)
		rest := submit(t, p, nop, 1)
		read(t, path)
		f.Cancel()
		for _, pid := range children(t) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if _, err := f.Result(t.Context()); err == nil {
			t.Error("no error")
		}
		if _, err := rest.Result(t.Context()); err != nil {
			died(t, err) // the overwritten journal may say that the call had begun
		}
		works(t, p)
	}
}
