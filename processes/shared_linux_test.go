package processes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/internal/race"
	"concert/internal/smaps"
	"concert/processes"
	"concert/processes/internal/shm"
)

// part is a part of a shared slice of numbers.
type part struct {
	Numbers  *concert.Shared[[]float64]
	From, To int
}

// dies is a value of the field From. If From has this value, sumPart kills
// its worker.
const dies = -1

var (
	sumPart = concert.Register("processes_test.sumPart", func(_ context.Context, p part) (sum float64, err error) {
		if p.From == dies {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		for _, n := range p.Numbers.Value()[p.From:p.To] {
			sum += n
		}
		return sum, nil
	})
	sumTogether = concert.Register("processes_test.sumTogether", sumTogetherFunc)
	writeShared = concert.Register("processes_test.writeShared", func(_ context.Context, p part) (int, error) {
		p.Numbers.Value()[p.From] = 1
		return os.Getpid(), nil
	})
	lookUp = concert.Register("processes_test.lookUp", func(_ context.Context, q question) (string, error) { return q.Table.Value()[q.Key], nil })
)

// question asks for an entry of a shared map.
type question struct {
	Table *concert.Shared[map[string]string]
	Key   string
}

// together is the argument of calls that all run at the same time, each in a
// different worker.
type together struct {
	Dir     string
	Workers int
	Numbers *concert.Shared[[]float64]
}

// sumTogetherFunc waits until a call runs in each worker, and then reads all of
// the shared value.
func sumTogetherFunc(ctx context.Context, g together) (sum float64, err error) {
	if err := os.WriteFile(pathIn(g.Dir, os.Getpid()), nil, 0o666); err != nil {
		return 0, err
	}
	for {
		entries, err := os.ReadDir(g.Dir)
		if err != nil || ctx.Err() != nil {
			return 0, errors.Join(err, ctx.Err())
		}
		if len(entries) == g.Workers {
			break
		}
		time.Sleep(time.Millisecond)
	}
	for _, n := range g.Numbers.Value() {
		sum += n
	}
	return sum, nil
}

func share[T any](t *testing.T, ex concert.Executor, v T) *concert.Shared[T] {
	t.Helper()
	s, err := concert.Share(t.Context(), ex, v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sumOnAll sums the shared numbers in each of n workers at the same time.
func sumOnAll(t *testing.T, p *processes.Pool, n int, s *concert.Shared[[]float64]) {
	t.Helper()
	g := together{t.TempDir(), n, s}
	var futures []*concert.Future[float64]
	for range n {
		futures = append(futures, submit(t, p, sumTogether, g))
	}
	for _, f := range futures {
		if sum, err := f.Result(t.Context()); sum != float64(len(s.Value())) || err != nil {
			t.Errorf("the sum in a worker = %v, %v; want %d", sum, err, len(s.Value()))
		}
	}
}

// ones returns n times the number 1.
func ones(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

// sharedPages returns the memory that all workers use for shared values.
func sharedPages(t *testing.T) (u smaps.Usage) {
	t.Helper()
	for _, pid := range children(t) {
		u.Add(pid, "memfd:concert-shared")
	}
	return u
}

// TestShared_OneCopy: four workers read a shared value. Its memory must
// exist only once. The workers must release it after Close, or when the
// handle is unreachable.
func TestShared_OneCopy(t *testing.T) {
	leftovers(t)
	p := newPool(t, 4, nil)
	const kb = 32 << 10
	for _, closes := range []bool{true, false} {
		grid := share(t, p, ones(kb<<10/8))
		for range 2 {
			sumOnAll(t, p, 4, grid)
		}
		u := sharedPages(t)
		if u.Rss != 4*kb || u.Pss > kb*105/100 {
			t.Errorf("four workers have mapped %d KiB of a value of %d KiB, and use %d KiB for it; want four times and once its size", u.Rss, kb, u.Pss)
		}
		if closes {
			grid.Close()
		}
		grid = nil
		eventually(t, "the workers release the value", func() bool {
			if !closes {
				runtime.GC()
			}
			return sharedPages(t).Rss == 0
		})
	}
	works(t, p)
}

// TestShared_NewWorkers: if a worker starts after Share, it must get the
// value before its first call. This must hold for standby workers, too.
func TestShared_NewWorkers(t *testing.T) {
	t.Parallel()
	leftovers(t)
	for name, seal := range seals {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, 2, &processes.Options{MaxTasks: 3}, processes.SealMemory(seal))
			grid := share(t, p, ones(10_000))
			table := share(t, p, map[string]string{"a": "b"})
			pids := make(map[int]bool)
			for i := range 40 {
				if sum, err := submit(t, p, sumPart, part{grid, i, 10_000}).Result(t.Context()); sum != float64(10_000-i) || err != nil {
					t.Errorf("the sum = %v, %v; want %d", sum, err, 10_000-i)
				}
				if b, err := submit(t, p, lookUp, question{table, "a"}).Result(t.Context()); b != "b" || err != nil {
					t.Errorf("the entry = %q, %v; want b", b, err)
				}
				pid, err := submit(t, p, pidOf, 0).Result(t.Context())
				if err != nil {
					t.Error(err)
				}
				pids[pid] = true
			}
			if len(pids) < 10 {
				t.Errorf("%d workers ran calls, want new ones", len(pids))
			}
		})
	}
}

// seals are functions that make the file of a shared value. Each of them
// makes the pool store the value in another way.
var seals = map[string]func(string, []byte) (*os.File, error){
	"sealed files":    shm.Seal,
	"no sealed files": nothingSealed,
}

// TestShared_Deaths: if workers die during calls that use shared values, only
// these calls may fail, and later workers must have the values.
func TestShared_Deaths(t *testing.T) {
	leftovers(t)
	p := newPool(t, 2, nil)
	grid := share(t, p, ones(100_000))
	inputs := func(yield func(part) bool) {
		for i := range 1000 {
			from := i
			if i%100 == 50 {
				from = dies
			}
			if !yield(part{grid, from, 100_000}) {
				return
			}
		}
	}
	i, deaths := 0, 0
	for sum, err := range concert.Map(t.Context(), p, sumPart, inputs) {
		switch want := float64(100_000 - i); {
		case i%100 == 50:
			died(t, err)
			deaths++
		case sum != want || err != nil:
			t.Errorf("call %d = %v, %v; want %v", i, sum, err, want)
		}
		i++
	}
	if i != 1000 || deaths != 10 {
		t.Errorf("%d calls returned and %d workers died, want 1000 and 10", i, deaths)
	}
}

// TestShared_CloseDuringCalls: if a handle is closed while calls are queued,
// each call must either get the value, or fail because the handle is closed.
// The pool must continue.
func TestShared_CloseDuringCalls(t *testing.T) {
	leftovers(t)
	p := newPool(t, 2, &processes.Options{Queue: 1000})
	worked, refused := 0, 0
	for round := range 20 {
		grid := share(t, p, ones(50_000))
		var futures []*concert.Future[float64]
		for i := range 200 {
			futures = append(futures, submit(t, p, sumPart, part{grid, i, 50_000}))
		}
		futures[10*round].Result(t.Context()) // the calls that follow are being sent
		grid.Close()
		for i, f := range futures {
			switch sum, err := f.Result(t.Context()); {
			case err == nil && sum == float64(50_000-i):
				worked++
			case err != nil && strings.Contains(err.Error(), "the shared value is closed"):
				refused++
			default:
				t.Errorf("call %d = %v, %v; want %d, or an error that the handle is closed", i, sum, err, 50_000-i)
			}
		}
	}
	t.Logf("%d calls worked, %d were refused", worked, refused)
	works(t, p)
}

// TestShared_Many: calls must be able to use 1,000 shared values. Each large
// value must use one file, and no file may be left at the end.
func TestShared_Many(t *testing.T) {
	leftovers(t)
	p := newPool(t, 2, nil)
	works(t, p)
	var handles []*concert.Shared[[]float64]
	for i := range 1000 {
		handles = append(handles, share(t, p, ones(4*(i+1)))) // from 32 bytes to 32 kB
	}
	if n := sharedFiles(t); n < 100 || n > 1000 {
		t.Errorf("1,000 shared values use %d files, want one for each large value", n)
	}
	for i, s := range handles {
		if sum, err := submit(t, p, sumPart, part{s, 0, 4 * (i + 1)}).Result(t.Context()); sum != float64(4*(i+1)) || err != nil {
			t.Fatalf("the sum of value %d = %v, %v", i, sum, err)
		}
	}
	for _, s := range handles {
		s.Close()
	}
	eventually(t, "all files are closed", func() bool { return sharedFiles(t) == 0 })
	eventually(t, "the workers release all values", func() bool { return sharedPages(t).Rss == 0 })
}

// TestShared_OnlyUsed: a worker must get only the values that its calls use.
// So the first call does not wait until all values are sent.
func TestShared_OnlyUsed(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	var handles []*concert.Shared[[]float64]
	for range 100 {
		handles = append(handles, share(t, p, ones(4096)))
	}
	works(t, p)
	if n := mappedValues(t); n != 0 {
		t.Errorf("after a call without shared values, the worker has %d", n)
	}
	for i, want := range []int{1, 1, 2} {
		if sum, err := submit(t, p, sumPart, part{handles[50+i/2], 0, 4096}).Result(t.Context()); sum != 4096 || err != nil {
			t.Errorf("the sum = %v, %v", sum, err)
		}
		if n := mappedValues(t); n != want {
			t.Errorf("after call %d, the worker has %d shared values, want %d", i, n, want)
		}
	}
	runtime.KeepAlive(handles)
}

// mappedValues returns the total number of shared values that the workers
// have mapped.
func mappedValues(t *testing.T) (n int) {
	for _, pid := range children(t) {
		maps, err := os.ReadFile(fmt.Sprint("/proc/", pid, "/maps"))
		if err == nil { // otherwise the process has ended
			n += strings.Count(string(maps), "memfd:concert-shared")
		}
	}
	return n
}

// sharedFiles returns the number of open files of this process that are
// shared values.
func sharedFiles(t *testing.T) (n int) {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if name, _ := os.Readlink(link); strings.Contains(name, "memfd:concert-shared") {
			n++
		}
	}
	return n
}

// TestShared_Sandbox: confined workers, also with limited memory, must get
// shared values. The limit must not include their memory.
func TestShared_Sandbox(t *testing.T) {
	leftovers(t)
	sandboxed(t, &processes.Sandbox{}) // skips the test if this system cannot confine workers
	o := &processes.Options{Memory: processes.MinMemory, Sandbox: &processes.Sandbox{}}
	if race.Enabled {
		o.Memory = 0 // because the race detector reserves more memory
	}
	p := newPool(t, 2, o)
	n := processes.MinMemory / 8
	grid := share(t, p, ones(n))
	for i := range 10 {
		if sum, err := submit(t, p, sumPart, part{grid, i, n}).Result(t.Context()); sum != float64(n-i) || err != nil {
			t.Errorf("the sum = %v, %v; want %d", sum, err, n-i)
		}
	}
	grid.Close()
	works(t, p)
}

// TestShared_StoppedWorker: a worker does not read the shared values that
// the pool sends. The other workers must continue, and Shutdown must return.
func TestShared_StoppedWorker(t *testing.T) {
	leftovers(t)
	p := newPool(t, 2, &processes.Options{Grace: 50 * time.Millisecond}, processes.Silence(time.Hour, time.Hour, time.Hour))
	pid, err := submit(t, p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGSTOP)
	eventually(t, "the worker is stopped", func() bool { return state(pid) == "T" })
	var handles []*concert.Shared[[]float64]
	var futures []*concert.Future[float64]
	for range 1000 { // more than the socket of shared values holds
		handles = append(handles, share(t, p, ones(3000)))
	}
	for _, s := range handles {
		futures = append(futures, submit(t, p, sumPart, part{s, 0, 3000}))
	}
	eventually(t, "the other worker continues", func() bool {
		return slices.ContainsFunc(futures, func(f *concert.Future[float64]) bool { return f.State() == concert.Finished })
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		if _, ok := errors.AsType[*concert.ShutdownError](err); !ok {
			t.Error(err)
		}
	}
	for _, f := range futures {
		<-f.Done()
	}
	runtime.KeepAlive(handles)
}

// TestShared_Write: if a call writes to a shared slice, only its worker may
// crash. The value must not change.
func TestShared_Write(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	grid := share(t, p, ones(10_000))
	_, err := submit(t, p, writeShared, part{Numbers: grid, From: 5}).Result(t.Context())
	if e := died(t, err); !strings.Contains(e.Error(), "fault") {
		t.Errorf("error %v, want a memory fault", e)
	}
	sumOnAll(t, p, 1, grid)
}

// TestShared_Errors: the error of Share must say what failed. No file and no
// value may be left.
func TestShared_Errors(t *testing.T) {
	leftovers(t)
	noMemory := func(string, []byte) (*os.File, error) { return nil, syscall.ENOMEM }
	p := newPool(t, 1, nil, processes.SealMemory(noMemory))
	if _, err := concert.Share(t.Context(), p, ones(10_000)); !errors.Is(err, syscall.ENOMEM) || !strings.HasPrefix(err.Error(), "processes: ") {
		t.Errorf("Share() without memory = %v, want ENOMEM", err)
	}
	if _, err := concert.Share(t.Context(), p, func() {}); err == nil || !strings.Contains(err.Error(), "func()") {
		t.Errorf("Share() of a function = %v, want an error that names the type", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(os.ErrProcessDone)
	if _, err := concert.Share(ctx, p, 1); err != os.ErrProcessDone {
		t.Errorf("Share() with an ended context = %v, want its cause", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := concert.Share(t.Context(), p, 1); !errors.Is(err, concert.ErrClosed) {
		t.Errorf("Share() of a closed pool = %v, want ErrClosed", err)
	}
	other := newPool(t, 1, nil)
	grid := share(t, other, ones(10_000))
	other.Close()
	grid.Close() // does nothing
	if _, err := concert.Share(t.Context(), other, ones(10_000)); !errors.Is(err, concert.ErrClosed) {
		t.Errorf("Share() of a large value after Close = %v, want ErrClosed", err)
	}
}
