package python_test

import (
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
	"concert/internal/smaps"
	"concert/processes"
	"concert/python"
)

// pieces is an argument with a handle. The field Gate is the path of a file,
// and the call waits until this file exists. If the field Dies is true, the
// call kills its worker.
type pieces struct {
	Numbers *concert.Shared[[]float64]
	From    int
	Gate    string
	Dies    bool
}

const summing = `
import os, signal, time

kept = []

def total(p):
    if p["Dies"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if p["Gate"]:
        open("%s.%d-%d" % (p["Gate"], os.getpid(), time.monotonic_ns()), "w").close()
        while not os.path.exists(p["Gate"]):
            time.sleep(0.001)
    return float(sum(p["Numbers"][p["From"]:]))

def sample(p):
    open("%s.%d-%d" % (p["Gate"], os.getpid(), time.monotonic_ns()), "w").close()
    while not os.path.exists(p["Gate"]):
        time.sleep(0.001)
    return float(sum(p["Numbers"][::512]))

def keep(p):
    kept.append(p["Numbers"])
    return 0.0

def use(_):
    return float(sum(kept.pop()))

def fork(p):
    child = os.fork()
    if child == 0:
        os._exit(int(sum(p["Numbers"]) == len(p["Numbers"])))
    return float(os.waitpid(child, 0)[1] >> 8)

def pid(_):
    return os.getpid()
`

var (
	total   = python.Source[pieces, float64]("total", summing)
	sample  = python.Source[pieces, float64]("sample", summing)
	keep    = python.Source[pieces, float64]("keep", summing)
	use     = python.Source[int, float64]("use", summing)
	forkSum = python.Source[pieces, float64]("fork", summing)
	pid     = python.Source[int, int]("pid", summing)
)

func shareOnes(t *testing.T, p concert.Executor, n int) *concert.Shared[[]float64] {
	t.Helper()
	v := make([]float64, n)
	for i := range v {
		v[i] = 1
	}
	h, err := concert.Share(t.Context(), p, v)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// eventually waits until a condition is true.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// sharedMemory returns the memory that all interpreters use for shared values.
func sharedMemory(t *testing.T) (u smaps.Usage) {
	t.Helper()
	for _, pid := range interpreters(t) {
		u.Add(pid, "memfd:concert-shared")
	}
	return u
}

// entered returns the number of calls that wait at a gate.
func entered(gate string) int {
	files, _ := filepath.Glob(gate + ".*")
	return len(files)
}

func open(t *testing.T, gate string) {
	if err := os.WriteFile(gate, nil, 0o666); err != nil {
		t.Error(err)
	}
}

// TestSharedValue_OneCopy: four interpreters read a shared value of 64 MiB.
// Its memory must exist only once. They must release it after Close, or when
// the handle is unreachable.
func TestSharedValue_OneCopy(t *testing.T) {
	p := newPool(t, 4, nil)
	const kb = 64 << 10
	for _, closes := range []bool{true, false} {
		grid := shareOnes(t, p, kb<<10/8)
		gate := filepath.Join(t.TempDir(), "gate")
		var futures []*concert.Future[float64]
		for range 4 {
			futures = append(futures, concert.Submit(t.Context(), p, sample, pieces{Numbers: grid, Gate: gate}))
		}
		eventually(t, "a call runs in each worker", func() bool { return entered(gate) == 4 })
		open(t, gate)
		for _, f := range futures {
			if sum, err := f.Result(t.Context()); sum != kb<<10/8/512 || err != nil {
				t.Errorf("the sum = %v, %v", sum, err)
			}
		}
		u := sharedMemory(t)
		if u.Size != 4*kb || u.Pss < kb || u.Pss > kb*105/100 {
			t.Errorf("four interpreters have mapped %d KiB of a value of %d KiB, and use %d KiB for it; want four times and once its size", u.Size, kb, u.Pss)
		}
		if closes {
			grid.Close()
		}
		futures, grid = nil, nil
		eventually(t, "the workers release the value", func() bool {
			if !closes {
				runtime.GC()
			}
			return sharedMemory(t).Size == 0
		})
	}
}

// TestSharedValue_Workers: new interpreters, and interpreters that replace
// dead ones, must have the values. The test runs with one thread and with
// several threads, and with and without sealed files.
func TestSharedValue_Workers(t *testing.T) {
	for name, threads := range map[string]int{"one thread": 1, "threads": 3} {
		for _, sealed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, sealed %v", name, sealed), func(t *testing.T) {
				p := newPool(t, 2, &python.Options{MaxTasks: 20, Threads: threads})
				small := shareOnes(t, p, 10)
				var large *concert.Shared[[]float64]
				withFileSize(t, sealed, func() { large = shareOnes(t, p, 10_000) })
				inputs := func(yield func(pieces) bool) {
					for i := range 200 {
						in := pieces{Numbers: large, From: i, Dies: i%50 == 25}
						if i%2 == 0 {
							in = pieces{Numbers: small, From: 5}
						}
						if !yield(in) {
							return
						}
					}
				}
				i, deaths := 0, 0
				for sum, err := range concert.Map(t.Context(), p, total, inputs) {
					want := float64(10_000 - i)
					if i%2 == 0 {
						want = 5
					}
					if _, died := errors.AsType[*processes.WorkerError](err); died && (threads > 1 || i%50 == 25) {
						deaths++
					} else if sum != want || err != nil {
						t.Errorf("call %d = %v, %v; want %v", i, sum, err, want)
					}
					i++
				}
				if deaths == 0 {
					t.Error("no worker died")
				}
				small.Close()
				large.Close()
				eventually(t, "the workers release all values", func() bool { return sharedMemory(t).Size == 0 })
			})
		}
	}
}

// withFileSize calls f. If sealed is false, it limits files to 4 KiB while f
// runs, so that a shared value cannot be a file.
func withFileSize(t *testing.T, sealed bool, f func()) {
	if !sealed {
		var before syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		limit := before
		limit.Cur = 4096
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)
	}
	f()
}

// TestSharedValue_CloseDuringCalls: calls that an interpreter has received
// must keep the value after Close, even if they still wait for a thread.
// Later calls must fail.
func TestSharedValue_CloseDuringCalls(t *testing.T) {
	for _, threads := range []int{1, 3} {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			p := newPool(t, 1, &python.Options{Threads: threads})
			worked, refused := 0, 0
			for round := range 20 {
				grid := shareOnes(t, p, 5000)
				var futures []*concert.Future[float64]
				for i := range 200 {
					futures = append(futures, concert.Submit(t.Context(), p, total, pieces{Numbers: grid, From: 4990 + i%10}))
				}
				futures[10*round].Result(t.Context()) // the calls that follow are being sent
				grid.Close()
				for i, f := range futures {
					switch sum, err := f.Result(t.Context()); {
					case err == nil && sum == float64(10-i%10):
						worked++
					case err != nil && strings.Contains(err.Error(), "the shared value is closed"):
						refused++
					default:
						t.Errorf("call %d = %v, %v; want %d, or an error that the handle is closed", i, sum, err, 10-i%10)
					}
				}
			}
			t.Logf("%d calls worked, %d were refused", worked, refused)
			eventually(t, "the worker releases the value", func() bool { return sharedMemory(t).Size == 0 })
		})
	}
}

// TestSharedValue_Kept: if a function keeps the value, the value must stay
// valid after Close, until a function deletes it.
func TestSharedValue_Kept(t *testing.T) {
	p := newPool(t, 1, nil)
	grid := shareOnes(t, p, 10_000)
	if _, err := call(t, p, keep, pieces{Numbers: grid}); err != nil {
		t.Fatal(err)
	}
	grid.Close()
	if _, err := call(t, p, pid, 0); err != nil {
		t.Fatal(err)
	}
	if sum, err := call(t, p, use, 0); sum != 10_000 || err != nil {
		t.Errorf("the sum of the kept value = %v, %v; want 10000", sum, err)
	}
	eventually(t, "the worker releases the value", func() bool { return sharedMemory(t).Size == 0 })
}

// TestSharedValue_Fork: if a task forks a child, the child must be able to
// read the value.
func TestSharedValue_Fork(t *testing.T) {
	p := newPool(t, 1, nil)
	if code, err := call(t, p, forkSum, pieces{Numbers: shareOnes(t, p, 10_000)}); code != 1 || err != nil {
		t.Errorf("the exit code of the child = %v, %v; want 1", code, err)
	}
}

// TestSharedValue_NoDescriptorForFirst: an interpreter has no free
// descriptor when its first shared value arrives. So it cannot import the
// module that receives the file. Other calls must still run, and later
// values must arrive.
func TestSharedValue_NoDescriptorForFirst(t *testing.T) {
	p := newPool(t, 1, &python.Options{Threads: 2})
	gate := filepath.Join(t.TempDir(), "gate")
	long := concert.Submit(t.Context(), p, total, pieces{Numbers: shareOnes(t, p, 1), Gate: gate})
	eventually(t, "the long call runs", func() bool { return entered(gate) == 1 })
	if _, err := call(t, p, limitFiles, 3); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if sum, err := call(t, p, total, pieces{Numbers: shareOnes(t, p, 10_000)}); sum != 10_000 && (err == nil || !strings.Contains(strings.ToLower(err.Error()), "too many open files")) {
			t.Errorf("a call whose value the worker does not have = %v, %v; want an error", sum, err)
		}
	}
	if _, err := call(t, p, limitFiles, 100); err != nil {
		t.Error(err)
	}
	if sum, err := call(t, p, total, pieces{Numbers: shareOnes(t, p, 20_000)}); sum != 20_000 || err != nil {
		t.Errorf("the sum of a later value = %v, %v", sum, err)
	}
	open(t, gate)
	if sum, err := long.Result(t.Context()); sum != 1 || err != nil {
		t.Errorf("the long call = %v, %v", sum, err)
	}
}

// limitFiles sets the maximum number of open files of a worker.
var limitFiles = python.Source[int, python.None]("limit_files", "import resource\ndef limit_files(n): resource.setrlimit(resource.RLIMIT_NOFILE, (n, 4096))")

// TestSharedValue_NoDescriptor: if an interpreter has no descriptor for a
// shared value, only the calls that use the value must fail.
func TestSharedValue_NoDescriptor(t *testing.T) {
	p := newPool(t, 1, nil)
	before, err := call(t, p, pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	// When the first value arrives, the worker imports the modules that it
	// needs for values.
	if sum, err := call(t, p, total, pieces{Numbers: shareOnes(t, p, 10_000)}); sum != 10_000 || err != nil {
		t.Fatalf("the sum = %v, %v", sum, err)
	}
	if _, err := call(t, p, limitFiles, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := call(t, p, total, pieces{Numbers: shareOnes(t, p, 10_000)}); err == nil || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("a call whose value the worker does not have: %v, want an error", err)
	}
	if after, err := call(t, p, pid, 0); after != before || err != nil {
		t.Errorf("the worker was %d and is %d, %v", before, after, err)
	}
	if _, err := call(t, p, limitFiles, 100); err != nil { // because the interpreter needs to open files when it ends
		t.Error(err)
	}
}

// TestSharedValue_Memory: the limit of memory must not include shared values.
func TestSharedValue_Memory(t *testing.T) {
	p := newPool(t, 1, &python.Options{Memory: processes.MinMemory})
	grid := shareOnes(t, p, processes.MinMemory/8)
	if sum, err := call(t, p, total, pieces{Numbers: grid, From: processes.MinMemory/8 - 5}); sum != 5 || err != nil {
		t.Errorf("the sum = %v, %v; want 5", sum, err)
	}
	grid.Close()
}

// TestSharedValue_ManyReleased: while a call runs in one thread, many values
// are closed. The interpreter must not spend long on each of them.
func TestSharedValue_ManyReleased(t *testing.T) {
	const n = 8000
	p := newPool(t, 1, &python.Options{Threads: 2})
	gate := filepath.Join(t.TempDir(), "gate")
	ones := shareOnes(t, p, 1)
	long := concert.Submit(t.Context(), p, total, pieces{Numbers: ones, Gate: gate})
	eventually(t, "the long call runs", func() bool { return entered(gate) == 1 })
	handles := make([]*concert.Shared[int], n)
	for i := range handles {
		var err error
		if handles[i], err = concert.Share(t.Context(), p, i); err != nil {
			t.Fatal(err)
		}
	}
	index := python.Func[*concert.Shared[int], int]("operator:index")
	i := 0
	for got, err := range concert.Map(t.Context(), p, index, slices.Values(handles)) {
		if got != i || err != nil {
			t.Fatalf("value %d has arrived as %d, %v", i, got, err)
		}
		i++
	}
	for _, h := range handles {
		h.Close()
	}
	start := time.Now()
	if _, err := call(t, p, pid, 0); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the call after the release of %d values took %v", n, took)
	}
	open(t, gate)
	if sum, err := long.Result(t.Context()); sum != 1 || err != nil {
		t.Errorf("the long call = %v, %v", sum, err)
	}
}
