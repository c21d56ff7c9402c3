package processes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// Faults when a worker starts, between its tasks, and when it ends.
// docs/faults.md lists them.

// TestNew_CallersThreadEnds: if the thread that called New ends, the workers
// must continue.
func TestNew_CallersThreadEnds(t *testing.T) {
	leftovers(t)
	made := make(chan *processes.Pool)
	thread := 0
	var begin func()
	begin = func() {
		runtime.LockOSThread() // without Unlock, so the thread ends with the goroutine
		if thread = syscall.Gettid(); thread == os.Getpid() {
			go begin() // the first thread of a process never ends, so use another one
			runtime.Goexit()
		}
		p, err := processes.New(1, nil)
		if err != nil {
			t.Error(err)
		}
		made <- p
	}
	go begin()
	p := <-made
	defer p.Close()
	pid, err := submit(t, p, pidOf, 0).Result(t.Context())
	eventually(t, "the thread ends", func() bool {
		_, err := os.Stat(fmt.Sprint("/proc/self/task/", thread))
		return errors.Is(err, os.ErrNotExist)
	})
	if again, err2 := submit(t, p, pidOf, 0).Result(t.Context()); again != pid || err != nil || err2 != nil {
		t.Errorf("the pid of the worker was %d, %v, and is %d, %v", pid, err, again, err2)
	}
}

// hoard allocates n MiB. Its worker never frees this memory.
var hoard = concert.Register("processes_test.hoard", func(_ context.Context, n int) (int, error) {
	b := make([]byte, n<<20)
	for i := range b {
		b[i] = 1
	}
	hoarded = append(hoarded, b)
	return os.Getpid(), nil
})

var hoarded [][]byte

// TestMaxResident_ReplacesWorker: if the memory of a worker stays above
// Options.MaxResident, the pool must replace the worker. It must not replace a
// worker below the limit.
func TestMaxResident_ReplacesWorker(t *testing.T) {
	t.Parallel()
	leftovers(t)
	p := newPool(t, 1, &processes.Options{MaxResident: 150 << 20})
	next := func(n int) int {
		pid, err := submit(t, p, hoard, n).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	first := next(200)
	eventually(t, "the worker is replaced", func() bool { return next(0) != first })
	second := next(10)
	for start := time.Now(); time.Since(start) < 1500*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		if pid := next(0); pid != second {
			t.Fatalf("worker %d with 10 MiB was replaced by %d", second, pid)
		}
	}
}

// TestInitializer_Fails: if the initializer fails, panics, exits or hangs, New
// must return the reason.
func TestInitializer_Fails(t *testing.T) {
	leftovers(t)
	p := newPool(t, 2, &processes.Options{Init: processes.Initialize(prepare, "ok")})
	if got, err := submit(t, p, whatIsPrepared, 0).Result(t.Context()); got != "prepared" || err != nil {
		t.Errorf("whatIsPrepared() = %q, %v", got, err)
	}
	for how, want := range map[string]string{
		"error": "the model is missing", "panic": "the model is broken", "goexit": "Goexit", "exit": "exit status 7: goodbye", "hang": "not ready within 100ms",
	} {
		t.Run(how, func(t *testing.T) {
			o := &processes.Options{Init: processes.Initialize(prepare, how)}
			if how == "hang" {
				o.StartTimeout = 100 * time.Millisecond
			}
			if p, err := processes.New(2, o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("New() with the initializer %q = %v, %v; want %q", how, p, err, want)
			}
		})
	}
	if _, err := processes.New(1, &processes.Options{Init: processes.Initialize(func(context.Context, int) (int, error) { return 0, nil }, 1)}); !errors.Is(err, concert.ErrNotRegistered) {
		t.Errorf("New() with an initializer that is not registered: %v", err)
	}
}

// TestInitializer_FailsLater: if the initializer fails in all later workers,
// the pool must become broken, and its tasks must fail with the reason. The
// pool must not start workers endlessly.
func TestInitializer_FailsLater(t *testing.T) {
	t.Parallel()
	leftovers(t)
	flag := pathIn(t.TempDir(), "flag")
	p := newPool(t, 2, &processes.Options{Init: processes.Initialize(prepare, "once "+flag)})
	leave(flag, "")
	var futures []*concert.Future[string]
	for range 8 {
		futures = append(futures, submit(t, p, misbehave, "kill"))
	}
	broken := 0
	for _, f := range futures {
		switch _, err := f.Result(t.Context()); {
		case errors.Is(err, processes.ErrBroken) && strings.Contains(err.Error(), "the model was removed"):
			broken++
		default:
			died(t, err)
		}
	}
	if broken < 5 { // at most three tasks can run and kill a worker, because there are only three good workers: two active ones and a standby worker
		t.Errorf("%d of %d tasks failed with ErrBroken", broken, len(futures))
	}
	if _, err := submit(t, p, nop, 1).Result(t.Context()); !errors.Is(err, processes.ErrBroken) {
		t.Errorf("a later task: %v, want ErrBroken", err)
	}
	if err := p.Close(); !errors.Is(err, processes.ErrBroken) {
		t.Errorf("Close() = %v, want ErrBroken", err)
	}
}

// TestRetry_Deaths: a task that kills its worker in each run must run as
// often as Options.Retry permits. A task that kills its worker only in the
// first run must succeed in the second run. All other tasks must finish.
func TestRetry_Deaths(t *testing.T) {
	t.Parallel()
	leftovers(t)
	var asked atomic.Int32
	p := newPool(t, 2, &processes.Options{Retry: func(e *processes.WorkerError, ran int) bool {
		asked.Add(1)
		return e.Task == "processes_test.misbehave" && e.Signal == syscall.SIGKILL && ran < 3
	}})
	once := submit(t, p, misbehave, "once "+pathIn(t.TempDir(), "was here"))
	poison := submit(t, p, misbehave, "kill")
	exits := submit(t, p, misbehave, "exit 1")
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
	if n := asked.Load(); n != 5 { // 1 for once, 3 for poison, 1 for exits
		t.Errorf("Retry was called %d times, want 5", n)
	}
	for name, retry := range map[string]func(*processes.WorkerError, int) bool{
		"always": func(*processes.WorkerError, int) bool { return true },
		"panics": func(*processes.WorkerError, int) bool { panic("no idea") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, 1, &processes.Options{Retry: retry})
			_, err := submit(t, p, misbehave, "kill").Result(t.Context())
			died(t, err)
			for n, err := range concert.Map(t.Context(), p, nop, numbers(100)) {
				if err != nil {
					t.Errorf("%d, %v", n, err)
				}
			}
		})
	}
	// If the context of a task ends while the task waits for another worker,
	// the task must settle.
	ctx, cancel := context.WithCancel(t.Context())
	f := concert.Submit(ctx, p, misbehave, "kill")
	cancel()
	if _, err := f.Result(t.Context()); err == nil {
		t.Error("no error")
	}
}

// TestResult_NotEncodable: if a result cannot be encoded, the task must fail,
// and the worker must continue. The conformance suite tests arguments that
// cannot be encoded.
func TestResult_NotEncodable(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	pid, _ := submit(t, p, pidOf, 0).Result(t.Context())
	_, err := submit(t, p, notEncodable, 0).Result(t.Context())
	if err == nil || !strings.Contains(err.Error(), "result of processes_test.notEncodable") || !strings.Contains(err.Error(), "chan int") {
		t.Errorf("error %v, want an error that names the function and the type", err)
	}
	if again, err := submit(t, p, pidOf, 0).Result(t.Context()); again != pid || err != nil {
		t.Errorf("the worker was %d and is %d, %v", pid, again, err)
	}
}

// TestMaxTasks_FullQueue: the pool replaces workers after MaxTasks tasks
// while its queue is full. Every task must have a result, and no worker may
// run more than MaxTasks tasks.
func TestMaxTasks_FullQueue(t *testing.T) {
	leftovers(t)
	for _, most := range []int{1, 3} {
		t.Run(fmt.Sprint(most, " tasks"), func(t *testing.T) {
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
		})
	}
}

// TestPool_InWorker: pools that are nested three levels deep must work. New of
// a fourth level must fail with ErrNested.
func TestPool_InWorker(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	if got, err := submit(t, p, misbehave, "nest 2").Result(t.Context()); got != "bottom" || err != nil {
		t.Errorf("three levels: %q, %v", got, err)
	}
	if _, err := submit(t, p, misbehave, "nest 3").Result(t.Context()); !errors.Is(err, processes.ErrNested) {
		t.Errorf("four levels: %v, want ErrNested", err)
	}
}

// TestClose_WhileWorkersDie: if workers start and die during Close, Close must
// return, and every task must have an outcome.
func TestClose_WhileWorkersDie(t *testing.T) {
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
