package trace_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
	"concert/internal/race"
	"concert/trace"
)

// line has the fields of an event that the tests use.
type line struct {
	Ph   string
	Name string
	Cat  string
	Pid  int
	Tid  int
	Ts   *float64
	Dur  *float64
	S    string
	Args map[string]any
}

// check reads a trace while it is written, checks the format of every line,
// and returns the number of lines of each phase. Spans of a thread must not
// overlap unless one contains the other, and threads must have names.
func check(t testing.TB, r io.Reader) (count map[string]int, tasks map[uint64]line) {
	t.Helper()
	count, tasks = map[string]int{}, map[uint64]line{}
	d := json.NewDecoder(r)
	expect := func(want json.Token) {
		if got, err := d.Token(); err != nil || got != want {
			t.Fatalf("the file has %v, %v where %v belongs", got, err, want)
		}
	}
	expect(json.Delim('{'))
	expect("displayTimeUnit")
	expect("ms")
	expect("traceEvents")
	expect(json.Delim('['))
	type thread struct{ pid, tid int }
	names := map[thread]string{}
	spans := map[thread][][2]float64{}
	for d.More() {
		var l line
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		count[l.Ph]++
		at := thread{l.Pid, l.Tid}
		if l.Pid < 1 || l.Tid < 0 || l.Name == "" {
			t.Fatalf("a line without a place or a name: %+v", l)
		}
		switch l.Ph {
		case "M":
			if name, ok := l.Args["name"].(string); ok && l.Name == "thread_name" {
				if names[at] != "" {
					t.Errorf("two names for %v: %q and %q", at, names[at], name)
				}
				names[at] = name
			}
		case "X":
			if l.Ts == nil || l.Dur == nil || *l.Ts < 0 || *l.Dur < 0 {
				t.Fatalf("a task without a time: %+v", l)
			}
			if names[at] == "" {
				t.Errorf("a task on a track without a name: %+v", l)
			}
			tasks[uint64(l.Args["task"].(float64))] = l
			spans[at] = append(spans[at], [2]float64{*l.Ts, *l.Ts + *l.Dur})
		case "i":
			if l.Ts == nil || l.S != "p" {
				t.Fatalf("an instant event with a wrong format: %+v", l)
			}
		default:
			t.Fatalf("a line of no known kind: %+v", l)
		}
	}
	expect(json.Delim(']'))
	expect(json.Delim('}'))
	if seen := map[string]bool{}; true {
		for at, name := range names {
			if key := fmt.Sprint(at.pid, name); seen[key] {
				t.Errorf("two tracks of process %d are called %q", at.pid, name)
			} else {
				seen[key] = true
			}
		}
	}
	for at, all := range spans {
		slices.SortFunc(all, func(a, b [2]float64) int {
			if a[0] != b[0] {
				return int(1e6 * (a[0] - b[0]))
			}
			return int(1e6 * (b[1] - a[1]))
		})
		var open [][2]float64
		const rounding = 1e-4 // the rounding of floats
		for _, s := range all {
			for len(open) > 0 && open[len(open)-1][1] <= s[0]+rounding {
				open = open[:len(open)-1]
			}
			if len(open) > 0 && s[1] > open[len(open)-1][1]+rounding {
				t.Fatalf("on %v, %v overlaps %v in part", at, s, open[len(open)-1])
			}
			open = append(open, s)
		}
	}
	return count, tasks
}

func TestWriter_Pool(t *testing.T) {
	var file bytes.Buffer
	tracer := trace.New(&file)
	ex := goroutines.New(2, &goroutines.Options{Observer: tracer.Observer("a \"pool\"")})
	refused := errors.New("not\nthis one")
	f := func(ctx context.Context, n int) (int, error) {
		if n == 3 {
			return 0, refused
		}
		if n > 0 && n%2 == 0 { // run another task inside of this task
			return concert.Submit(ctx, ex, func(context.Context, int) (int, error) { return n, nil }, n).Result(ctx)
		}
		return n, nil
	}
	for n, err := range concert.Map(t.Context(), ex, f, slices.Values([]int{0, 1, 2, 3, 4})) {
		if err != nil && !errors.Is(err, refused) {
			t.Error(n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	concert.Submit(ctx, ex, f, 1).Result(t.Context())
	ex.Close()
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	count, tasks := check(t, &file)
	if count["X"] != 7 || count["i"] != 1 {
		t.Errorf("there are %d tasks and %d that never started, not 7 and 1", count["X"], count["i"])
	}
	failed := 0
	for _, l := range tasks {
		if l.Args["error"] == refused.Error() {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d tasks have the error", failed)
	}
}

// TestWriter_MillionEventsMemory: if a trace has a million events, the Writer
// must use little memory.
func TestWriter_MillionEventsMemory(t *testing.T) {
	const tasks, workers = 500_000, 64 // each has two events
	n := tasks
	if testing.Short() {
		n /= 10
	}
	r, w := io.Pipe()
	tracer := trace.New(w)
	observe := tracer.Observer("many")
	var before, after runtime.MemStats
	var all sync.WaitGroup
	all.Go(func() {
		defer w.Close()
		observeMany(observe, n, workers)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
	})
	runtime.GC()
	runtime.ReadMemStats(&before)
	got, err := countLines(r)
	all.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if got < n {
		t.Errorf("the file has %d lines, for %d tasks", got, n)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d tasks take %d bytes of memory", n, grown)
	}
}

// TestWriter_MillionEventsFormat: if a trace has a million events, each line
// must have the right format.
func TestWriter_MillionEventsFormat(t *testing.T) {
	tasks := 500_000
	if testing.Short() || race.Enabled {
		tasks /= 20
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "trace.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tracer := trace.New(file)
	observeMany(tracer.Observer("many"), tasks, 64)
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if count, _ := check(t, bufio.NewReader(file)); count["X"] != tasks {
		t.Errorf("%d of %d tasks are in the file", count["X"], tasks)
	}
}

// observeMany calls observe with the events of tasks. Each worker runs one task
// at a time, and tasks of different workers overlap.
func observeMany(observe concert.Observer, tasks, workers int) {
	at := time.Now()
	var last []uint64
	for i := range tasks {
		id := uint64(i + 1)
		at = at.Add(time.Microsecond)
		observe(concert.Event{Kind: concert.TaskStarted, Task: id, Worker: i % workers, Name: "work", Time: at})
		last = append(last, id)
		if len(last) == workers {
			for _, id := range last {
				at = at.Add(time.Microsecond)
				observe(concert.Event{Kind: concert.TaskFinished, Task: id, Worker: int(id-1) % workers, Name: "work", Time: at})
			}
			last = last[:0]
		}
	}
}

func countLines(r io.Reader) (n int, err error) {
	b := make([]byte, 64<<10)
	for {
		m, err := r.Read(b)
		n += bytes.Count(b[:m], []byte("\n"))
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// TestWriter_OverlappingTasks: if tasks begin and end on one worker in any
// order, the trace must have all tasks, and no track may have tasks that
// overlap in part.
func TestWriter_OverlappingTasks(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var file bytes.Buffer
		tracer := trace.New(&file)
		observe := tracer.Observer("one")
		at, next := time.Now(), uint64(0)
		var open []uint64
		for range 400 {
			at = at.Add(time.Duration(random.IntN(3)) * time.Microsecond)
			if len(open) == 0 || len(open) < 6 && random.IntN(2) == 0 {
				next++
				open = append(open, next)
				observe(concert.Event{Kind: concert.TaskStarted, Task: next, Name: "work", Time: at})
				continue
			}
			i := random.IntN(len(open))
			observe(concert.Event{Kind: concert.TaskFinished, Task: open[i], Name: "work", Time: at})
			open = slices.Delete(open, i, i+1)
		}
		if err := tracer.Close(); err != nil {
			t.Fatal(err)
		}
		if _, tasks := check(t, &file); len(tasks) != int(next) {
			t.Errorf("seed %d: %d of %d tasks are in the file", seed, len(tasks), next)
		}
	}
}

// TestWriter_TaskStartsAgain: if a task starts again on another worker, because
// its first worker has died, the trace must have both runs.
func TestWriter_TaskStartsAgain(t *testing.T) {
	var file bytes.Buffer
	tracer := trace.New(&file)
	observe := tracer.Observer("processes")
	at := time.Now()
	for i, e := range []concert.Event{
		{Kind: concert.TaskStarted, Task: 7, Worker: 1}, {Kind: concert.TaskFinished, Task: 7, Worker: 0},
		{Kind: concert.TaskStarted, Task: 8, Worker: 1}, {Kind: concert.TaskStarted, Task: 8, Worker: 0}, {Kind: concert.TaskFinished, Task: 8, Worker: -1},
	} {
		e.Name, e.Time = "work", at.Add(time.Duration(i)*time.Millisecond)
		observe(e)
	}
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	tracer.Observer("too late")(concert.Event{Kind: concert.TaskStarted, Task: 9})
	tracer.Close()
	if count, _ := check(t, &file); count["X"] != 3 || count["i"] != 0 {
		t.Errorf("the file has %v", count)
	}
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

type usesPool struct{ ex concert.Executor }

// badError is an error with an Error method that fails.
type badError struct{ fail func() }

// Error fails.
func (e badError) Error() string { e.fail(); return "never" }

func (e usesPool) Error() string {
	n, _ := concert.Submit(context.Background(), e.ex, func(context.Context, int) (int, error) { return 5, nil }, 0).Result(context.Background())
	return fmt.Sprint(n)
}

// TestWriter_ErrorMethodsMisbehave: if the Error method of an error fails,
// hangs or uses the pool, the trace must have the task with a text for its
// error.
func TestWriter_ErrorMethodsMisbehave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file bytes.Buffer
		tracer := trace.New(&file)
		ex := goroutines.New(2, &goroutines.Options{Observer: tracer.Observer("pool")})
		release := make(chan struct{})
		defer close(release)
		all := []error{(*nilError)(nil), usesPool{ex}, errors.New(""), errors.New("\xff\x00\""), badError{runtime.Goexit}, badError{func() { <-release }}}
		for _, fails := range all {
			concert.Submit(t.Context(), ex, func(context.Context, int) (int, error) { return 0, fails }, 0).Result(t.Context())
		}
		ex.Close()
		if err := tracer.Close(); err != nil {
			t.Fatal(err)
		}
		_, tasks := check(t, &file)
		failed := 0
		for _, l := range tasks {
			if l.Args["error"] != nil {
				failed++
			}
		}
		if failed != len(all) {
			t.Errorf("%d tasks have an error, want %d", failed, len(all))
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriter_WriteFails(t *testing.T) {
	tracer := trace.New(broken{})
	observe := tracer.Observer("lost")
	observeMany(observe, 10_000, 4)
	for range 2 {
		if err := tracer.Close(); err == nil || err.Error() != "disk full" {
			t.Errorf("Close() = %v, want the writer's error", err)
		}
	}
	observeMany(observe, 10, 1) // must have no effect
}

func ExampleNew() {
	var file bytes.Buffer
	tracer := trace.New(&file)
	ex := goroutines.New(2, &goroutines.Options{Observer: tracer.Observer("squares")})
	square := func(_ context.Context, n int) (int, error) { return n * n, nil }
	for range concert.Map(context.Background(), ex, square, slices.Values([]int{1, 2, 3})) {
	}
	ex.Close()
	fmt.Println(tracer.Close(), bytes.Count(file.Bytes(), []byte(`"ph":"X"`)), "tasks")
	// Output: <nil> 3 tasks
}

func BenchmarkObserve(b *testing.B) {
	b.Run("trace", func(b *testing.B) {
		tracer := trace.New(io.Discard)
		observe := tracer.Observer("many")
		b.ReportAllocs()
		b.ResetTimer()
		observeMany(observe, b.N, 8)
	})
	b.Run("json.Encoder", func(b *testing.B) { // for comparison: encodes each event as it arrives
		e := json.NewEncoder(io.Discard)
		var mu sync.Mutex
		b.ReportAllocs()
		observeMany(func(event concert.Event) {
			mu.Lock()
			defer mu.Unlock()
			e.Encode(event)
		}, b.N, 8)
	})
}
