package processes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/logtest"
	"concert/processes"
)

// fakeFatal kills a fake worker before the worker begins the call.
var fakeFatal = concert.Register("processes_test.fatal", func(_ context.Context, n int) (int, error) { return n, nil })

// These functions make a fake worker violate the protocol of calls; see fake.
var (
	fakeTwice   = concert.Register("processes_test.twice", func(_ context.Context, n int) (int, error) { return n, nil })
	fakeUnasked = concert.Register("processes_test.unasked", func(_ context.Context, n int) (int, error) { return n, nil })
	fakeListed  = concert.Register("processes_test.unlisted", func(_ context.Context, n int) (int, error) { return n, nil })
)

// dieIdle is an initializer. It starts a goroutine that ends the worker as
// soon as a file exists.
var dieIdle = concert.Register("processes_test.dieIdle", func(_ context.Context, path string) (int, error) {
	go func() {
		for {
			time.Sleep(5 * time.Millisecond)
			if _, err := os.Stat(path); err == nil {
				fmt.Fprintln(os.Stderr, "the license has expired")
				os.Exit(3)
			}
		}
	}()
	return 0, nil
})

// TestProtocol_InvalidCalls: if a worker violates the protocol of a call, the
// pool must kill the worker. The call must fail, and later calls must run.
func TestProtocol_InvalidCalls(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		fn   func(context.Context, int) (int, error)
		want string
	}{{fakeTwice, "began twice"}, {fakeUnasked, "the worker returned call"}, {fakeListed, "without the flag for lists"}} {
		t.Run(row.want, func(t *testing.T) {
			leftovers(t)
			var log logtest.Buffer
			p := fakes(t, 1, &log)
			_, err := submit(t, p, row.fn, 1).Result(t.Context())
			if e := died(t, err); e.Err == nil || !strings.Contains(e.Error(), "protocol") || !strings.Contains(e.Error(), row.want) {
				t.Errorf("Result() = %v, want an error of the protocol with %q", err, row.want)
			}
			works(t, p)
		})
	}
}

// fakes returns a pool of fake workers.
func fakes(t *testing.T, n int, log *logtest.Buffer) *processes.Pool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return newPool(t, n, &processes.Options{
		Command: []string{self}, Env: append(os.Environ(), fakeEnv+"=1"), Output: slog.New(slog.NewJSONHandler(log, nil)),
	})
}

// TestPool_DeathsBeforeTaskBegins: if five workers in a row die before they
// begin a task, the task must fail, and the tasks after it must run.
func TestPool_DeathsBeforeTaskBegins(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprint(n, " workers"), func(t *testing.T) {
			t.Parallel()
			leftovers(t)
			var log logtest.Buffer
			p := fakes(t, n, &log)
			failure := submit(t, p, fakeFatal, 1)
			var next []*concert.Future[int]
			for i := range 20 {
				next = append(next, submit(t, p, nop, i))
			}
			for i, f := range next {
				if got, err := f.Result(t.Context()); got != i || err != nil {
					t.Errorf("task %d: %d, %v", i, got, err)
				}
			}
			_, err := failure.Result(t.Context())
			if e := died(t, err); e.Unbegun != 5 || e.ExitCode != 9 || !strings.Contains(e.Error(), "before it began the task, like 4 earlier workers: no such thing") {
				t.Errorf("%v\n%+v", err, *e)
			}
			works(t, p)
			eventually(t, "each death is logged", func() bool { return len(log.Records(t, "processes: a worker died")) == 5 })
			for _, r := range log.Records(t, "processes: a worker died") {
				if r["level"] != "WARN" || r["pid"] == nil || r["reason"] == nil || r["deaths"] == nil || r["pause"] == nil {
					t.Errorf("record %v", r)
				}
			}
		})
	}
	t.Run("in a Map", func(t *testing.T) {
		t.Parallel()
		leftovers(t)
		var log logtest.Buffer
		p := fakes(t, 1, &log)
		for n, err := range concert.Map(t.Context(), p, fakeFatal, slices.Values([]int{1, 2})) {
			if e := died(t, err); e.Unbegun != 5 {
				t.Errorf("%d, %v", n, err)
			}
		}
		works(t, p)
	})
}

// TestPool_IdleDeaths: if all workers die while they are idle, the pool must
// become broken after a limited number of deaths. Its error must contain the
// reason.
func TestPool_IdleDeaths(t *testing.T) {
	t.Parallel()
	leftovers(t)
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n, " workers"), func(t *testing.T) {
			t.Parallel()
			var log logtest.Buffer
			flag := pathIn(t.TempDir(), "flag")
			p := newPool(t, n, &processes.Options{Init: processes.Initialize(dieIdle, flag), Output: slog.New(slog.NewJSONHandler(&log, nil))})
			works(t, p)
			leave(flag, "")
			eventually(t, "the pool is broken", func() bool { return len(log.Records(t, "processes: the pool is broken")) == 1 })
			_, err := submit(t, p, nop, 1).Result(t.Context())
			if !errors.Is(err, processes.ErrBroken) || !strings.Contains(err.Error(), "exit status 3: the license has expired") {
				t.Errorf("a task: %v, want ErrBroken and the reason", err)
			}
			if err := p.Close(); !errors.Is(err, processes.ErrBroken) {
				t.Errorf("Close() = %v, want ErrBroken", err)
			}
			// In each of eight generations, at most n+1 workers die. After
			// that, each of the n+1 workers dies once at most.
			if deaths := len(log.Records(t, "processes: a worker died")); deaths > 9*(n+1) {
				t.Errorf("%d workers died", deaths)
			}
			if r := log.Records(t, "processes: the pool is broken")[0]; r["level"] != "ERROR" || !strings.Contains(fmt.Sprint(r["reason"]), "the license has expired") {
				t.Errorf("record %v", r)
			}
		})
	}
}

// refuse is an initializer that fails while a file exists.
var refuse = concert.Register("processes_test.refuse", func(_ context.Context, path string) (int, error) {
	if _, err := os.Stat(path); err == nil {
		return 0, errors.New("closed for lunch")
	}
	return 0, nil
})

// awaitFile writes one file, and waits until another file exists.
var awaitFile = concert.Register("processes_test.awaitFile", func(ctx context.Context, path string) (int, error) {
	leave(path+".in", "")
	for ctx.Err() == nil {
		if _, err := os.Stat(path); err == nil {
			return 7, nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, ctx.Err()
})

// TestPool_DeathsWhileOneWorkerLives: if one worker lives, the pool must not
// become broken, even if many starts of other workers fail in a row.
func TestPool_DeathsWhileOneWorkerLives(t *testing.T) {
	t.Parallel()
	leftovers(t)
	var log logtest.Buffer
	flag, gate := pathIn(t.TempDir(), "flag"), pathIn(t.TempDir(), "gate")
	p := newPool(t, 2, &processes.Options{Init: processes.Initialize(refuse, flag), Output: slog.New(slog.NewJSONHandler(&log, nil))})
	held := submit(t, p, awaitFile, gate)
	read(t, gate+".in")
	leave(flag, "")
	// From now on, the start of each worker fails, also of standby workers.
	if _, err := submit(t, p, misbehave, "exit 1").Result(t.Context()); err == nil {
		t.Error("no error of a task that ends its worker")
	}
	eventually(t, "ten deaths in a row", func() bool {
		return slices.ContainsFunc(log.Records(t, "processes: a worker died"), func(r map[string]any) bool { return r["deaths"] == 10.0 })
	})
	if n := len(log.Records(t, "processes: the pool is broken")); n != 0 {
		t.Errorf("the pool is broken although a worker lives")
	}
	deaths := log.Records(t, "processes: a worker died")
	if why, want := deaths[len(deaths)-1]["reason"], "processes: a worker did not become ready: initializer: closed for lunch"; why != want {
		t.Errorf("the reason of the last death is %q, want %q", why, want)
	}
	leave(gate, "")
	if n, err := held.Result(t.Context()); n != 7 || err != nil {
		t.Errorf("the task of the worker that lives: %d, %v", n, err)
	}
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	works(t, p)
}

// TestPool_DeathsInTasks: if many tasks in a row kill their workers, only these
// tasks must fail, and the pool must continue.
func TestPool_DeathsInTasks(t *testing.T) {
	t.Parallel()
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Output: slog.New(slog.DiscardHandler)})
	var futures []*concert.Future[string]
	for range 12 {
		futures = append(futures, submit(t, p, misbehave, "exit 1"))
	}
	after := submit(t, p, nop, 7)
	for _, f := range futures {
		_, err := f.Result(t.Context())
		if e := died(t, err); e.ExitCode != 1 || e.Unbegun != 0 {
			t.Errorf("%+v", *e)
		}
	}
	if got, err := after.Result(t.Context()); got != 7 || err != nil {
		t.Errorf("the task after them: %d, %v", got, err)
	}
}

// TestPool_LongName: if the name of a function is too long for a frame,
// tasks of this function must fail with ErrTooLarge.
func TestPool_LongName(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	arg := encodedInt(t)
	for _, size := range []int{1 << 16, 1<<16 + 4, 1 << 20} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			_, err := executor.Relay(t.Context(), p, executor.Call{Name: strings.Repeat("x", size), Arg: arg}).Result(t.Context())
			if !errors.Is(err, processes.ErrTooLarge) || len(err.Error()) > 400 || !strings.Contains(err.Error(), fmt.Sprint(size)) {
				t.Errorf("a name of %d bytes: %.400v", size, err)
			}
			works(t, p)
		})
	}
	// A name of the maximum length must be sent: the worker returns
	// ErrNotRegistered.
	if _, err := executor.Relay(t.Context(), p, executor.Call{Name: strings.Repeat("x", 1<<16-1), Arg: arg}).Result(t.Context()); !errors.Is(err, concert.ErrNotRegistered) {
		t.Errorf("a name of 65535 bytes: %.400v", err)
	}
	works(t, p)
}

func encodedInt(t *testing.T) executor.Encoded {
	t.Helper()
	_, arg, err := executor.Prepare(nop, 1)
	if err != nil {
		t.Fatal(err)
	}
	return arg
}

// TestPool_DeathsAtNew: the first workers die while New is still starting
// other workers. New and Close must still return.
func TestPool_DeathsAtNew(t *testing.T) {
	leftovers(t)
	flag := pathIn(t.TempDir(), "flag")
	leave(flag, "")
	for range 5 {
		p, err := processes.New(3, &processes.Options{Init: processes.Initialize(dieIdle, flag), Output: slog.New(slog.DiscardHandler)})
		if err != nil {
			if !strings.Contains(err.Error(), "the license has expired") {
				t.Errorf("New() = %v, want the reason", err)
			}
			continue
		}
		if err := p.Close(); err != nil && !errors.Is(err, processes.ErrBroken) {
			t.Errorf("Close() = %v", err)
		}
	}
}
