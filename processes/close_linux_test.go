package processes_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/internal/logtest"
	"concert/processes"
)

// TestPool_KillAllSparesIdleWorkers: killAll must not kill idle workers.
// Otherwise the pool would replace them, and would be broken after several
// replacements.
func TestPool_KillAllSparesIdleWorkers(t *testing.T) {
	var log logtest.Buffer
	p := newPool(t, 1, &processes.Options{Output: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	before, err := concert.Submit(t.Context(), p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if running := p.KillAll(errors.New("time to go")); len(running) > 0 {
			t.Errorf("KillAll() of an idle pool reports the running tasks %v", running)
		}
	}
	if after, err := concert.Submit(t.Context(), p, pidOf, 0).Result(t.Context()); after != before || err != nil {
		t.Errorf("the pid of the worker is %d, %v; before KillAll it was %d", after, err, before)
	}
	p.Close()
	if strings.Contains(log.String(), "died") {
		t.Errorf("workers died: %s", log.String())
	}
}

type onlyOnce struct {
	Path  string
	Later time.Duration
}

// prepareOnce succeeds in the first worker only. In later workers it sleeps and
// fails.
var prepareOnce = concert.Register("processes_test.prepareOnce", func(_ context.Context, o onlyOnce) (int, error) {
	if f, err := os.OpenFile(o.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666); err == nil {
		return 0, f.Close()
	}
	time.Sleep(o.Later)
	return 0, errors.New("not again")
})

// slowArg is an argument that takes time to encode.
type slowArg struct{ Encode, Run time.Duration }

// encoding receives a value when the encoding of a slowArg begins.
var encoding = make(chan struct{}, 1)

func (s slowArg) MarshalBinary() ([]byte, error) {
	select {
	case encoding <- struct{}{}:
	default:
	}
	time.Sleep(s.Encode)
	return []byte(s.Run.String()), nil
}

func (s *slowArg) UnmarshalBinary(b []byte) (err error) {
	s.Run, err = time.ParseDuration(string(b))
	return err
}

var napSlowly = concert.Register("processes_test.napSlowly", func(_ context.Context, s slowArg) (int, error) { time.Sleep(s.Run); return 0, nil })

// napThenDie sleeps and then kills its worker.
var napThenDie = concert.Register("processes_test.napThenDie", func(_ context.Context, d time.Duration) (int, error) {
	time.Sleep(d)
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	time.Sleep(time.Minute)
	return 0, nil
})

// TestMap_LeftWhileWorkerStarts: the calls of a Map wait for a worker that
// is starting. If the context of the Map ends at this time, the Map must
// end.
func TestMap_LeftWhileWorkerStarts(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 50 * time.Millisecond, Init: processes.Initialize(prepareOnce, onlyOnce{pathIn(t.TempDir(), "first"), time.Minute})})
	pid, _ := submit(t, p, pidOf, 0).Result(t.Context())
	syscall.Kill(pid, syscall.SIGSTOP)
	eventually(t, "the worker is stopped", func() bool { return state(pid) == "T" })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		time.Sleep(50 * time.Millisecond)
		syscall.Kill(pid, syscall.SIGKILL)
		time.Sleep(50 * time.Millisecond)
		cancel()
	}()
	last := error(nil)
	for _, last = range concert.Map(ctx, p, nop, numbers(10)) {
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the Map ended with %v", last)
	}
}

// TestPool_BreaksWhileWorkerLeaves: a worker that the pool is replacing dies
// after the pool has broken. The calls that this worker had not begun must
// fail with ErrBroken.
func TestPool_BreaksWhileWorkerLeaves(t *testing.T) {
	t.Parallel()
	leftovers(t)
	p := newPool(t, 1, &processes.Options{MaxTasks: 2, Init: processes.Initialize(prepareOnce, onlyOnce{Path: pathIn(t.TempDir(), "first")})})
	dies, waits := submit(t, p, napThenDie, 3*time.Second), submit(t, p, nop, 1)
	if _, err := submit(t, p, nop, 1).Result(t.Context()); !errors.Is(err, processes.ErrBroken) {
		t.Errorf("a task for which there is no worker: %v, want ErrBroken", err)
	}
	_, err := dies.Result(t.Context())
	died(t, err)
	if _, err := waits.Result(t.Context()); !errors.Is(err, processes.ErrBroken) {
		t.Errorf("the task that the worker had not begun: %v, want ErrBroken", err)
	}
}

// TestClose_WhileClaiming: if a Map ends while the pool claims one of its
// calls and another of its calls runs, the pool must cancel both calls.
// Otherwise Close would wait for an hour.
func TestClose_WhileClaiming(t *testing.T) {
	t.Parallel()
	leftovers(t)
	p := newPool(t, 2, &processes.Options{Grace: 500 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(150*time.Millisecond, cancel)
	for range concert.Map(ctx, p, napSlowly, func(yield func(slowArg) bool) {
		if yield(slowArg{0, time.Hour}) {
			time.Sleep(50 * time.Millisecond)
			yield(slowArg{200 * time.Millisecond, time.Hour})
		}
	}) {
	}
}

// TestShutdown_WhileClaiming: if the pool is claiming a call when the grace
// period ends, Shutdown must still return, and the call must fail.
func TestShutdown_WhileClaiming(t *testing.T) {
	t.Parallel()
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 20 * time.Millisecond})
	f := submit(t, p, napSlowly, slowArg{300 * time.Millisecond, time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); err == nil {
		t.Error("Shutdown() = nil")
	}
	if _, err := f.Result(t.Context()); err == nil {
		t.Error("the task has no error")
	}
}

// TestGrace_Negative: if Options.Grace is negative and a worker does not exit,
// Close must kill the worker.
func TestGrace_Negative(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: -1})
	pid, _ := submit(t, p, pidOf, 0).Result(t.Context())
	syscall.Kill(pid, syscall.SIGSTOP)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// deaf returns at once if n is small. If n is large, it ignores the end of
// its context.
var deaf = concert.Register("processes_test.deaf", func(ctx context.Context, n int) (int, error) {
	if n < 400 {
		return n, nil
	}
	time.Sleep(4 * time.Millisecond)
	if ctx.Err() != nil {
		time.Sleep(time.Hour)
	}
	return n, nil
})

// TestGrace_Map: when the context of a Map ends, the pool must kill the worker
// of the running call after the grace period, even if the pool notices the
// start of the call only after the end of the context.
func TestGrace_Map(t *testing.T) {
	t.Parallel()
	sharedOrNot(t, func(t *testing.T, memory processes.Setting) {
		t.Parallel()
		leftovers(t)
		p := newPool(t, 1, &processes.Options{Grace: 20 * time.Millisecond, Observer: func(concert.Event) {
			time.Sleep(time.Millisecond) // delays the moment at which the pool notices that a call has begun
		}}, memory)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		for range concert.Map(ctx, p, deaf, slices.Values(upTo(10_000))) {
			if n++; n == 410 {
				cancel()
			}
		}
		cancel()
	})
}
