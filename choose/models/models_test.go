package models_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/choose"
	"concert/choose/models"
	"concert/choose/usage"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
)

func TestMain(m *testing.M) {
	processes.Main()
	remove := pythontest.Direct()
	defer remove()
	m.Run()
}

var square = concert.Register("square", func(_ context.Context, n int) (int, error) { return n * n, nil })

// checkModel opens a model and runs three tasks.
func checkModel[In, Out any](t *testing.T, m choose.Model, n int, fn func(context.Context, In) (Out, error), in In) {
	t.Helper()
	seen := make(chan concert.Event, 100)
	ex, err := m.Open(n, func(e concert.Event) { seen <- e })
	if err != nil {
		t.Fatalf("%s at %d: %v", m.Name, n, err)
	}
	for _, err := range concert.Map(t.Context(), ex, fn, slices.Values(slices.Repeat([]In{in}, 3))) {
		if err != nil {
			t.Errorf("%s at %d: %v", m.Name, n, err)
		}
	}
	if err := ex.Close(); err != nil {
		t.Errorf("%s at %d: %v", m.Name, n, err)
	}
	if len(seen) != 9 { // submitted, started and finished
		t.Errorf("%s at %d: the observer saw %d events of 3 tasks", m.Name, n, len(seen))
	}
	if code := m.Code(n); !strings.Contains(code, "New(") {
		t.Errorf("the code of %s is %q, and does not call New", m.Name, code)
	}
}

func TestGo_AllModels(t *testing.T) {
	all := models.Go()
	if all[0].Open != nil {
		t.Error("the first model is not a plain loop")
	}
	for _, m := range all[1:] {
		checkModel(t, m, 2, square, 5)
	}
}

func TestPython_AllModels(t *testing.T) {
	pythontest.Need(t)
	for _, m := range models.Python(nil) {
		checkModel(t, m, m.Levels[0], python.Func[[]float64, float64]("statistics:fmean"), []float64{1, 2, 6})
	}
}

// TestGo_Unregistered: if a function is not registered, it cannot run in
// processes. The report must say so, and must not recommend processes.
func TestGo_Unregistered(t *testing.T) {
	all := models.Go()
	report, err := choose.Run(t.Context(), func(context.Context, int) (int, error) {
		time.Sleep(5 * time.Millisecond)
		return 0, nil
	}, []int{1}, []choose.Model{all[0], all[len(all)-1]}, &choose.Options{Budget: 10 * time.Second, MaxConcurrency: 4})
	if err != nil {
		t.Fatal(err)
	}
	if text := report.String(); !strings.Contains(text, "not registered") || report.Verdict.Model == "processes" {
		t.Errorf("%s", text)
	}
}

// newInterpreter returns a pool of one interpreter. The pool is closed when the
// test ends.
func newInterpreter(t *testing.T) concert.Executor {
	t.Helper()
	pythontest.Need(t)
	ex, err := python.New(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	return ex
}

// TestPythonProfile_KnownUsage: for functions whose usage is known, the profile
// must return this usage.
func TestPythonProfile_KnownUsage(t *testing.T) {
	ex := newInterpreter(t)
	const text = `:work
import os, threading, time

def work(what):
    if what == "sleep":
        time.sleep(0.1)
    elif what == "compute":
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass
    elif what == "read":
        with open("/dev/zero", "rb", buffering=0) as f:
            f.read(1 << 20)
    elif what == "hold":
        bytearray(os.urandom(1 << 20) * 64)
    elif what == "fail":
        raise KeyError("no such thing")
`
	measure := models.PythonProfile(ex, text, []string{"sleep", "compute", "read", "hold", "fail"})
	get := func(i int) usage.Usage {
		u, err := measure(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range u.Sources {
			if s.From == "" {
				t.Logf("no %s: %s", s.What, s.Why)
			}
		}
		return u
	}
	if u := get(0); u.Wall < 100*time.Millisecond || u.CPU > 50*time.Millisecond || u.Wait() < 50*time.Millisecond {
		t.Errorf("a sleep: %+v", u)
	}
	if u := get(1); u.CPU < 90*time.Millisecond || u.CPU > u.Wall+u.Wall/10 {
		t.Errorf("computing: %+v", u)
	}
	if u := get(2); u.Knows(usage.Bytes) && (u.Read < 1<<20 || u.Read > 1<<20+4096) {
		t.Errorf("a read of a megabyte: %+v", u)
	}
	if u := get(3); u.Knows(usage.PeakMemory) && u.Memory < 60<<20 {
		t.Errorf("a hold of 64 megabytes: %+v", u)
	}
	if u, err := measure(t.Context(), 4); err == nil || !strings.Contains(err.Error(), "no such thing") || u.Knows(usage.CPUTime) {
		t.Errorf("a function that raises: %v, %+v", err, u)
	}
}

func ExampleGo() {
	report, err := choose.Run(context.Background(), square, []int{2, 3}, models.Go(), &choose.Options{Budget: time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Sequential execution is best, because a task this short ends before
	// another goroutine could receive it.
	fmt.Println(report.Verdict.Model)
	// Output: sequential execution
}

func ExamplePython() {
	for _, m := range models.Python(nil)[:3] {
		fmt.Println(m.Name+":", m.Code(m.Levels[0]))
	}
	// Output:
	// one interpreter: ex, err := python.New(1, nil)
	// threads: ex, err := python.New(1, &python.Options{Threads: 2})
	// interpreters: ex, err := python.New(2, nil)
}

// TestIsAsync: functions, methods and callable instances that are defined with
// "async def" must be recognized.
func TestIsAsync(t *testing.T) {
	ex := newInterpreter(t)
	const text = `
import functools

def plain(n): return n
async def later(n): return n
partly = functools.partial(later)

class Model:
    async def __call__(self, n): return n
    async def predict(self, n): return n
    def fit(self, n): return n
`
	for name, want := range map[string]bool{
		"plain": false, "later": true, "partly": true, "Model()": true, "Model().predict": true, "Model().fit": false,
	} {
		got, err := models.IsAsync(t.Context(), ex, ":"+name+"\n"+text)
		if err != nil || got != want {
			t.Errorf("IsAsync(%s) = %v, %v; want %v", name, got, err, want)
		}
	}
	if _, err := models.IsAsync(t.Context(), ex, ":none\n"+text); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("IsAsync() = %v for a function that does not exist", err)
	}
}

// TestIsAsync_Wrapper: a plain function that returns a coroutine must be
// recognized after a call, and the call must run the coroutine.
func TestIsAsync_Wrapper(t *testing.T) {
	ex := newInterpreter(t)
	const text = `
import asyncio, time

async def later(s): await asyncio.sleep(s)
def wrapper(s): return later(s)
def plain(s): time.sleep(s)
`
	for name, want := range map[string]bool{"wrapper": true, "plain": false} {
		where := ":" + name + "\n" + text
		used, err := models.PythonProfile(ex, where, []float64{0.05})(t.Context(), 0)
		if err != nil || used.Wall < 50*time.Millisecond {
			t.Errorf("%s: the profile is %v, %v; want 50 ms or more", name, used.Wall, err)
		}
		if got, err := models.IsAsync(t.Context(), ex, where); err != nil || got != want {
			t.Errorf("IsAsync(%s) = %v, %v; want %v", name, got, err, want)
		}
	}
}

func ExamplePythonAsync() {
	for _, m := range models.PythonAsync(nil)[:3] {
		fmt.Println(m.Name+":", m.PythonCode(m.Levels[0]))
	}
	// Output:
	// one interpreter: asyncio.run, with one await after the other
	// threads: asyncio.gather, with asyncio.Semaphore(2)
	// interpreters: ProcessPoolExecutor(2), whose tasks call asyncio.run
}

func ExampleIsAsync() {
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	fmt.Println(models.IsAsync(context.Background(), ex, "asyncio:sleep"))
	fmt.Println(models.IsAsync(context.Background(), ex, "time:sleep"))
	// Output:
	// true <nil>
	// false <nil>
}

func ExamplePythonProfile() {
	ex, err := python.New(1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ex.Close()
	profile := models.PythonProfile(ex, "time:sleep", []float64{0.05})
	used, err := profile(context.Background(), 0)
	fmt.Println(used.Wall >= 50*time.Millisecond, used.CPUShare() < 0.5, err)
	// Output: true true <nil>
}

// preempted is Python code that the test appends to measured.py. During one of
// the reads of the run-queue delay, it simulates that other programs use the
// processor for 40 ms.
const preempted = `

class Machine:
    def __init__(self, calls):
        self.now, self.cpu, self.delay, self.left = 0, 0, 0, calls

    def perf_counter_ns(self):
        return self.now

    def thread_time_ns(self):
        return self.cpu

    process_time_ns = thread_time_ns

    def pread(self, *_):
        self.left -= 1
        if self.left == 0:
            self.now += 40_000_000
            self.delay += 40_000_000
        self.now += 1000
        self.cpu += 1000
        return b"1 %d 1" % self.delay


def preempted(calls):
    global os, time
    kept = os, time
    os = time = machine = Machine(calls)
    try:
        used = measured({"how": "1", "where": ":nap\ndef nap(machine):\n    machine.now += 30_000_000\n    machine.cpu += 50_000\n", "arg": machine})
    finally:
        os, time = kept
    return [used["wall"], used["cpu"], used["delay"]]
`

// TestPythonProfile_Children: the CPU time of a call must include child
// processes. Otherwise a function that runs a program seems to wait.
func TestPythonProfile_Children(t *testing.T) {
	ex := newInterpreter(t)
	const text = `:work
import subprocess, sys

def work(program):
    subprocess.run([sys.executable, "-c", program], check=True)
`
	const program = "import time\nwhile time.process_time() < 0.2: pass"
	used, err := models.PythonProfile(ex, text, []string{program})(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if used.CPU < 200*time.Millisecond {
		t.Errorf("the CPU time is %v, want at least 200ms", used.CPU)
	}
}

// TestPythonProfile_Preempted: if other programs use the processor while the
// clocks are read, this time must not count as run-queue delay of the work.
func TestPythonProfile_Preempted(t *testing.T) {
	pythontest.Need(t)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux counts the run-queue delay")
	}
	text, err := os.ReadFile("measured.py")
	if err != nil {
		t.Fatal(err)
	}
	ex := newInterpreter(t)
	work := python.Source[int, []int64]("preempted", string(text)+preempted)
	for calls := range 8 {
		got, err := concert.Submit(t.Context(), ex, work, calls).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := []int64{30_001_000, 51_000, 0}; !slices.Equal(got, want) {
			t.Errorf("preempted at read %d: wall, CPU and delay are %v, want %v", calls, got, want)
		}
	}
}
