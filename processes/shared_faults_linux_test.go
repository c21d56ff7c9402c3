package processes_test

import (
	"context"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"weak"

	"concert"
	"concert/processes"
)

// dieAtGate uses the value of its argument, or kills its worker as soon as the
// file in the argument exists.
var dieAtGate = concert.Register("processes_test.dieAtGate", func(_ context.Context, r gatedRow) (int, error) {
	for r.Gate != "" {
		if _, err := os.Stat(r.Gate); err == nil {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
	if r.Grid == nil {
		return -1, nil
	}
	return len(r.Grid.Value()), nil
})

type gatedRow struct {
	Grid *concert.Shared[[]float64]
	Gate string // empty: do not die
}

// TestShared_OtherHandleClosed: the first call of a Map uses a shared value
// whose handle is then closed. The later calls use another value or no
// value. If a worker dies and the pool sends these later calls again, they
// must not fail.
func TestShared_OtherHandleClosed(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	a, b := share(t, p, ones(10_000)), share(t, p, ones(20_000))
	for range 2 { // these calls show the pool that calls are quick, so it sends many of them in advance
		for _, err := range concert.Map(t.Context(), p, dieAtGate, slices.Values(make([]gatedRow, 5000))) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	gate := pathIn(t.TempDir(), "gate")
	inputs := make([]gatedRow, 100)
	inputs[0].Grid, inputs[1].Gate = a, gate
	for i := 2; i < len(inputs); i += 2 {
		inputs[i].Grid = b
	}
	i := 0
	for _, err := range concert.Map(t.Context(), p, dieAtGate, slices.Values(inputs)) {
		if i == 0 {
			a.Close()
			leave(gate, "")
		}
		if i != 1 && err != nil {
			t.Errorf("call %d, which does not use the closed value: %v", i, err)
		}
		i++
	}
	runtime.KeepAlive(b)
}

// TestShared_ObjectsCollected: an option of the pool refers to an object of
// the program, and this object refers to the handle. After the pool and the
// handle are closed, the garbage collector must collect the object.
func TestShared_ObjectsCollected(t *testing.T) {
	type program struct {
		grid *concert.Shared[[]float64]
		big  *[1 << 20]byte
	}
	object := func() weak.Pointer[[1 << 20]byte] {
		app := &program{big: new([1 << 20]byte)}
		p, err := processes.New(1, &processes.Options{Retry: func(*processes.WorkerError, int) bool { return app.grid == nil }})
		if err != nil {
			t.Fatal(err)
		}
		if app.grid, err = concert.Share(t.Context(), p, ones(10_000)); err != nil {
			t.Fatal(err)
		}
		app.grid.Close()
		p.Close()
		return weak.Make(app.big)
	}()
	eventually(t, "the object is collected", func() bool { runtime.GC(); return object.Value() == nil })
}

// TestShared_ClosedBeforeRetry: the worker of a call dies, and the handle is
// closed before Options.Retry allows another run. The error must contain
// both facts.
func TestShared_ClosedBeforeRetry(t *testing.T) {
	leftovers(t)
	var grid *concert.Shared[[]float64]
	p := newPool(t, 1, &processes.Options{Retry: func(*processes.WorkerError, int) bool {
		grid.Close()
		return true
	}})
	grid = share(t, p, ones(10_000))
	_, err := submit(t, p, sumPart, part{grid, dies, 10_000}).Result(t.Context())
	if e := died(t, err); e != nil && !strings.Contains(err.Error(), "the shared value is closed") {
		t.Errorf("error %v, want also that the handle is closed", err)
	}
	works(t, p)
}

var noMoreFiles = concert.Register("processes_test.noMoreFiles", func(context.Context, int) (int, error) {
	return 0, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: 4096})
})

// TestShared_NoDescriptor: if a worker has no descriptor for a shared value,
// only the calls that use the value must fail.
func TestShared_NoDescriptor(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Init: processes.Initialize(noMoreFiles, 1)})
	before, err := submit(t, p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	big := share(t, p, ones(10_000))
	if _, err := submit(t, p, sumPart, part{big, 0, 10_000}).Result(t.Context()); err == nil {
		t.Error("no error of a call whose value the worker does not have")
	}
	if after, err := submit(t, p, pidOf, 0).Result(t.Context()); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
}
