package processes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// The tests in this file inject faults for real; docs/faults.md has the list.
// Each ends with a look for what may be left: processes, zombies, files,
// goroutines.

// leftovers fails the test if it leaves something behind. It is to be called
// first.
func leftovers(t *testing.T) {
	t.Helper()
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		t.Helper()
		eventually(t, "no process is left", func() bool { return len(children(t)) == 0 })
		eventually(t, "no file is left open", func() bool { return openFiles(t) <= files })
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	})
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// children returns the processes whose parent is this one, zombies included.
func children(t *testing.T) (pids []int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // it has gone
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// state returns the state of a process, as a letter; empty if there is none.
func state(pid int) string {
	b, err := os.ReadFile(fmt.Sprint("/proc/", pid, "/stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool { return !strings.Contains("Z", state(pid)) }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// read waits for a file of a task and returns what is in it.
func read(t *testing.T, path string) string {
	t.Helper()
	var b []byte
	eventually(t, path+" is written", func() (ok bool) {
		var err error
		b, err = os.ReadFile(path)
		return err == nil
	})
	return string(b)
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// works fails the test unless the pool does.
func works(t *testing.T, p *processes.Pool) {
	t.Helper()
	for i := range 10 {
		if got, err := concert.Submit(t.Context(), p, nop, i).Result(t.Context()); got != i || err != nil {
			t.Fatalf("the pool has not recovered: %d, %v; want %d", got, err, i)
		}
	}
}

// died returns the *WorkerError that the task's error has to be.
func died(t *testing.T, err error) *processes.WorkerError {
	t.Helper()
	e, ok := errors.AsType[*processes.WorkerError](err)
	if !ok {
		t.Fatalf("error %v (%T), want a *WorkerError", err, err)
	}
	if e.Pid <= 0 || !strings.HasPrefix(e.Task, "processes_test.") || !strings.Contains(e.Error(), e.Task) || !strings.Contains(e.Error(), strconv.Itoa(e.Pid)) {
		t.Errorf("%+v does not say who", e)
	}
	return e
}

func submit[In, Out any](t *testing.T, p *processes.Pool, f func(context.Context, In) (Out, error), in In) *concert.Future[Out] {
	return concert.Submit(t.Context(), p, f, in)
}

// TestKilledUnread is row 1: what a worker has not even read runs elsewhere.
func TestKilledUnread(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	pid, err := submit(t, p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGSTOP)
	eventually(t, "it is stopped", func() bool { return state(pid) == "T" })
	var futures []*concert.Future[int]
	for i := range 20 {
		futures = append(futures, submit(t, p, nop, i))
	}
	time.Sleep(20 * time.Millisecond) // some are in its pipe now
	syscall.Kill(pid, syscall.SIGKILL)
	for i, f := range futures {
		if got, err := f.Result(t.Context()); got != i || err != nil {
			t.Errorf("task %d: %d, %v", i, got, err)
		}
	}
}

// TestKilledMidTask is row 2: only the task that ran fails.
func TestKilledMidTask(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	path := pathIn(t.TempDir(), "met")
	victim := submit(t, p, meet, path)
	pid := number(t, read(t, path))
	var others []*concert.Future[int]
	for i := range 20 {
		others = append(others, submit(t, p, nop, i))
	}
	syscall.Kill(pid, syscall.SIGKILL)
	_, err := victim.Result(t.Context())
	if e := died(t, err); e.Signal != syscall.SIGKILL || e.Pid != pid || e.Err != nil || e.ExitCode != -1 || victim.State() != concert.Finished {
		t.Errorf("%+v", e)
	}
	for i, f := range others {
		if got, err := f.Result(t.Context()); got != i || err != nil {
			t.Errorf("task %d: %d, %v", i, got, err)
		}
	}
}

// TestKilledAnyTime is rows 3 and 4: whenever a worker is killed, what it
// finished is delivered, what it had not begun runs elsewhere, exactly once, and at most the
// one task that it ran fails.
func TestKilledAnyTime(t *testing.T) {
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
		culprits := 0
		for i, f := range futures {
			_, began := slices.BinarySearch(marks, fmt.Sprint("b", i))
			_, ended := slices.BinarySearch(marks, fmt.Sprint("e", i))
			switch got, err := f.Result(t.Context()); {
			case err == nil && got == i && began && ended:
			case err != nil:
				died(t, err)
				culprits++
			default:
				t.Errorf("round %d, task %d: %d, %v; began %v, ended %v", round, i, got, err, began, ended)
			}
		}
		if unique := len(slices.Compact(slices.Clone(marks))); unique != len(marks) {
			t.Errorf("round %d: some tasks ran twice: %q", round, marks)
		}
		if culprits > 1 {
			t.Errorf("round %d: %d tasks failed of one death", round, culprits)
		}
		failed += culprits
	}
	t.Logf("%d deaths, %d of them in a task", rounds, failed)
}

// TestKilledWriting is row 3 with results larger than the pipe and the journal.
func TestKilledWriting(t *testing.T) {
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
			t.Errorf("%d tasks failed of one death", failed)
		}
	}
}

// TestKilledIdle is row 5: the death of a worker that does nothing is nobody's
// business.
func TestKilledIdle(t *testing.T) {
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
	for _, pid := range children(t) { // the spare as well
		syscall.Kill(pid, syscall.SIGKILL)
	}
	works(t, p)
}

// TestDeaths is rows 6, 8, 9 and 12: ways to die, and what the error says.
func TestDeaths(t *testing.T) {
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
		"segv":      {2, 0, "fault"},
		"abort":     {2, 0, "SIGABRT"},
		"goroutine": {2, 0, "panic: from a goroutine"},
		"overflow":  {2, 0, "stack overflow"},
	} {
		_, err := submit(t, p, misdeed, what).Result(t.Context())
		e := died(t, err)
		if e.ExitCode != want.code || e.Signal != want.signal || !strings.Contains(e.Error()+e.Stderr, want.text) {
			t.Errorf("%s: %v\n%+v", what, e, *e)
		}
		if len(e.Error()) > 400 || strings.Contains(e.Error(), "\n") {
			t.Errorf("%s: the error is no line: %v", what, e)
		}
		works(t, p)
	}
}

// TestTimeout is rows 10 to 12: a worker that is stopped, and a task that
// ignores everything.
func TestTimeout(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Timeout: 50 * time.Millisecond, Grace: 20 * time.Millisecond})
	for _, what := range []string{"stop", "spin", "sleep 1m"} {
		_, err := submit(t, p, misdeed, what).Result(t.Context())
		if e := died(t, err); !errors.Is(e, processes.ErrTimeout) || !errors.Is(e, context.DeadlineExceeded) || e.Signal != syscall.SIGKILL {
			t.Errorf("%s: %v, want ErrTimeout", what, e)
		}
		works(t, p)
	}
	// One that listens is not killed.
	path := pathIn(t.TempDir(), "met")
	_, err := submit(t, p, meet, path).Result(t.Context())
	pid, _ := submit(t, p, pidOf, 0).Result(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || pid != number(t, read(t, path)) {
		t.Errorf("a task that ends with its context: %v; its worker was %s, now it is %d", err, read(t, path), pid)
	}
}

// TestCancelKills: Cancel, and the end of the submitter's context, end what does not listen.
func TestCancelKills(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 20 * time.Millisecond})
	f := submit(t, p, misdeed, "spin")
	eventually(t, "it runs", func() bool { return f.State() == concert.Running })
	if f.Cancel() {
		t.Error("Cancel() of a running task = true")
	}
	_, err := f.Result(t.Context())
	if e := died(t, err); !errors.Is(e, context.Canceled) {
		t.Errorf("%v, want one that is context.Canceled", e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = concert.Submit(ctx, p, misdeed, "spin").Result(t.Context())
	if e := died(t, err); !errors.Is(e, context.DeadlineExceeded) {
		t.Errorf("%v, want one that is context.DeadlineExceeded", e)
	}
	works(t, p)
}

// TestMemory is row 13: a task that needs more memory than it may have dies of
// it, and says so; one that does not, does not.
func TestMemory(t *testing.T) {
	if raceDetector {
		t.Skip("what the race detector needs itself does not fit into a bound; this runs without it")
	}
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Memory: 256 << 20})
	if got, err := submit(t, p, misdeed, "memory 64").Result(t.Context()); got != "64" || err != nil {
		t.Errorf("64 MiB of 256: %q, %v", got, err)
	}
	_, err := submit(t, p, misdeed, "memory 1000").Result(t.Context())
	if e := died(t, err); !errors.Is(e, processes.ErrMemory) || e.ExitCode != 2 {
		t.Errorf("1000 MiB of 256: %v\n%s", e, e.Stderr)
	}
	works(t, p)
	if _, err := processes.New(1, &processes.Options{Memory: 10 << 20}); err == nil || !strings.Contains(err.Error(), "10485760 bytes") {
		t.Errorf("New() with 10 MiB: %v", err)
	}
}

// TestChildren is row 14: what a task has started dies with its worker.
func TestChildren(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 10 * time.Millisecond})
	path := pathIn(t.TempDir(), "children")
	f := submit(t, p, misdeed, "children "+path)
	pids := strings.Fields(read(t, path))
	f.Cancel()
	_, err := f.Result(t.Context())
	died(t, err)
	for _, pid := range pids {
		eventually(t, "child "+pid+" dies", func() bool { return !alive(number(t, pid)) })
	}
	works(t, p)
}

// TestNoFiles is row 15, in the worker.
func TestNoFiles(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	if _, err := submit(t, p, misdeed, "files").Result(t.Context()); err == nil || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("error %v, want too many open files", err)
	}
	works(t, p)
}

// TestHeir is row 16: a grandchild that keeps the worker's pipes open does not
// keep its death secret.
func TestHeir(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	path := pathIn(t.TempDir(), "heir")
	_, err := submit(t, p, misdeed, "heir "+path).Result(t.Context())
	if e := died(t, err); e.ExitCode != 3 {
		t.Errorf("%v, want exit code 3", e)
	}
	works(t, p)
	syscall.Kill(number(t, read(t, path)), syscall.SIGKILL)
}

// TestProtocol is rows 17 to 19 and 40: a worker that does not speak sense is
// killed, and costs the task that it ran.
func TestProtocol(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	for what, want := range map[string]string{
		"garbage": "not understood", "length": "length 4294967295", "zero": "length 0", "unknown": "call 0 of 77",
		"shared": "shared memory", "version": "version 99", "ready": "ready twice",
	} {
		_, err := submit(t, p, misdeed, "say "+what).Result(t.Context())
		if e := died(t, err); e.Err == nil || !strings.Contains(e.Error(), want) || !strings.Contains(e.Error(), "protocol") {
			t.Errorf("say %s: %v, want %q", what, e, want)
		}
		works(t, p)
	}
}

// TestLies is row 19 for a worker's only call: what it says is its result, and
// a second result is one too many.
func TestLies(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	_, err := submit(t, p, misdeed, "say lies").Result(t.Context())
	if err == nil || !strings.Contains(err.Error(), "cannot be decoded") {
		t.Errorf("error %v, want one of decoding", err)
	}
	works(t, p)
}

// TestScribble is row 20: a worker that writes over the memory that it shares
// harms itself.
func TestScribble(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 10 * time.Millisecond})
	for range 10 {
		f := submit(t, p, misdeed, "scribble")
		rest := submit(t, p, nop, 1)
		time.Sleep(20 * time.Millisecond)
		f.Cancel()
		for _, pid := range children(t) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if _, err := f.Result(t.Context()); err == nil {
			t.Error("no error")
		}
		if _, err := rest.Result(t.Context()); err != nil {
			died(t, err) // the memory says that it had begun
		}
		works(t, p)
	}
}

// TestStarterThread is row 24: the end of the thread that called New is not
// the end of its workers.
func TestStarterThread(t *testing.T) {
	leftovers(t)
	made := make(chan *processes.Pool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		p, err := processes.New(1, nil)
		if err != nil {
			t.Error(err)
		}
		made <- p
	}()
	p := <-made
	defer p.Close()
	pid, err := submit(t, p, pidOf, 0).Result(t.Context())
	time.Sleep(50 * time.Millisecond)
	if again, err2 := submit(t, p, pidOf, 0).Result(t.Context()); again != pid || err != nil || err2 != nil {
		t.Errorf("the worker was %d, %v, and is %d, %v", pid, err, again, err2)
	}
}

// TestInitializer is row 27.
func TestInitializer(t *testing.T) {
	leftovers(t)
	p := newPool(t, 2, &processes.Options{Init: processes.Initialize(prepare, "ok")})
	if got, err := submit(t, p, whatIsPrepared, 0).Result(t.Context()); got != "prepared" || err != nil {
		t.Errorf("whatIsPrepared() = %q, %v", got, err)
	}
	for how, want := range map[string]string{
		"error": "the model is missing", "panic": "the model is broken", "goexit": "Goexit", "exit": "exit status 7: goodbye", "hang": "not ready within 100ms",
	} {
		o := &processes.Options{Init: processes.Initialize(prepare, how)}
		if how == "hang" {
			o.StartTimeout = 100 * time.Millisecond
		}
		if p, err := processes.New(2, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New() with an initializer that does %s = %v, %v; want %q", how, p, err, want)
		}
	}
	if _, err := processes.New(1, &processes.Options{Init: processes.Initialize(func(context.Context, int) (int, error) { return 0, nil }, 1)}); !errors.Is(err, concert.ErrNotRegistered) {
		t.Errorf("New() with an initializer that is not registered: %v", err)
	}
}

// TestBroken is row 27, later: workers that cannot be prepared any more break
// the pool, with the reason, and without a storm.
func TestBroken(t *testing.T) {
	leftovers(t)
	flag := pathIn(t.TempDir(), "flag")
	p := newPool(t, 2, &processes.Options{Init: processes.Initialize(prepare, "once "+flag)})
	leave(flag, "")
	var futures []*concert.Future[string]
	for range 8 {
		futures = append(futures, submit(t, p, misdeed, "kill"))
	}
	broken := 0
	for _, f := range futures {
		switch _, err := f.Result(t.Context()); {
		case errors.Is(err, processes.ErrBroken) && strings.Contains(err.Error(), "the model has gone"):
			broken++
		default:
			died(t, err)
		}
	}
	if broken < 5 { // two workers and a spare could be killed
		t.Errorf("%d of %d tasks failed with ErrBroken", broken, len(futures))
	}
	if _, err := submit(t, p, nop, 1).Result(t.Context()); !errors.Is(err, processes.ErrBroken) {
		t.Errorf("later: %v, want ErrBroken", err)
	}
	if err := p.Close(); !errors.Is(err, processes.ErrBroken) {
		t.Errorf("Close() = %v, want ErrBroken", err)
	}
}

// TestRetry is row 29: a task that kills every worker that it runs on is run
// as often as it may be; one that does so once gets through; others finish.
func TestRetry(t *testing.T) {
	leftovers(t)
	var asked atomic.Int32
	p := newPool(t, 2, &processes.Options{Retry: func(e *processes.WorkerError, ran int) bool {
		asked.Add(1)
		return e.Task == "processes_test.misdeed" && e.Signal == syscall.SIGKILL && ran < 3
	}})
	once := submit(t, p, misdeed, "once "+pathIn(t.TempDir(), "was here"))
	poison := submit(t, p, misdeed, "kill")
	exits := submit(t, p, misdeed, "exit 1")
	var others []*concert.Future[int]
	for i := range 50 {
		others = append(others, submit(t, p, nop, i))
	}
	if got, err := once.Result(t.Context()); got != "twice" || err != nil {
		t.Errorf("a task that kills its worker once: %q, %v", got, err)
	}
	_, err := poison.Result(t.Context())
	died(t, err)
	_, err = exits.Result(t.Context())
	if e := died(t, err); e.ExitCode != 1 {
		t.Errorf("a task that may not run again: %v", e)
	}
	for i, f := range others {
		if got, err := f.Result(t.Context()); got != i || err != nil {
			t.Errorf("task %d: %d, %v", i, got, err)
		}
	}
	if n := asked.Load(); n != 5 { // of once 1, of poison 3, of exits 1
		t.Errorf("Retry was asked %d times, want 5", n)
	}
	for _, poison := range []func(*processes.WorkerError, int) bool{
		func(*processes.WorkerError, int) bool { return true },
		func(*processes.WorkerError, int) bool { panic("no idea") },
	} {
		p := newPool(t, 1, &processes.Options{Retry: poison})
		_, err := submit(t, p, misdeed, "kill").Result(t.Context())
		died(t, err)
		for n, err := range concert.Map(t.Context(), p, nop, numbers(100)) {
			if err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
	}
	// One whose submitter gives up while it waits for another worker settles.
	ctx, cancel := context.WithCancel(t.Context())
	f := concert.Submit(ctx, p, misdeed, "kill")
	cancel()
	if _, err := f.Result(t.Context()); err == nil {
		t.Error("no error")
	}
}

// TestUnspeakable is row 35, for results; the suite has arguments.
func TestUnspeakable(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	pid, _ := submit(t, p, pidOf, 0).Result(t.Context())
	_, err := submit(t, p, unspeakable, 0).Result(t.Context())
	if err == nil || !strings.Contains(err.Error(), "result of processes_test.unspeakable") || !strings.Contains(err.Error(), "chan int") {
		t.Errorf("error %v, want one that names the function and the type", err)
	}
	if again, err := submit(t, p, pidOf, 0).Result(t.Context()); again != pid || err != nil {
		t.Errorf("the worker was %d and is %d, %v", pid, again, err)
	}
}

// TestRecycling is row 36: workers that are replaced after some tasks, with a
// full queue: no task is lost or run twice, and no worker runs more than it should.
func TestRecycling(t *testing.T) {
	leftovers(t)
	for _, most := range []int{1, 3} {
		p := newPool(t, 2, &processes.Options{MaxTasks: most, Queue: 4})
		var futures []*concert.Future[int]
		for range 30 {
			futures = append(futures, submit(t, p, pidOf, 0))
		}
		ran := map[int]int{}
		for i, f := range futures {
			pid, err := f.Result(t.Context())
			if err != nil {
				t.Errorf("task %d: %v", i, err)
			}
			ran[pid]++
		}
		for pid, n := range ran {
			if n > most {
				t.Errorf("worker %d ran %d tasks, want at most %d", pid, n, most)
			}
		}
		p.Close()
	}
}

// TestNested is row 37.
func TestNested(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	if got, err := submit(t, p, misdeed, "nest 2").Result(t.Context()); got != "bottom" || err != nil {
		t.Errorf("three deep: %q, %v", got, err)
	}
	if _, err := submit(t, p, misdeed, "nest 3").Result(t.Context()); !errors.Is(err, processes.ErrNested) {
		t.Errorf("four deep: %v, want ErrNested", err)
	}
}

// TestCloseInTheStorm is row 31: Close while workers start and die.
func TestCloseInTheStorm(t *testing.T) {
	leftovers(t)
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		p, err := processes.New(2, nil)
		if err != nil {
			t.Fatal(err)
		}
		var futures []*concert.Future[int]
		for i := range 200 {
			futures = append(futures, submit(t, p, nop, i))
		}
		stop := make(chan struct{})
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				for _, pid := range children(t) {
					if rand.IntN(3) == 0 {
						syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			}
		}()
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		done := make(chan struct{})
		go func() { p.Close(); close(done) }()
		time.AfterFunc(100*time.Millisecond, func() { close(stop) })
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("Close() hangs")
		}
		<-killed
		for i, f := range futures {
			switch got, err := f.Result(t.Context()); {
			case err == nil && got == i, errors.Is(err, processes.ErrBroken):
			default:
				died(t, err)
			}
		}
	}
}
