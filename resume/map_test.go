package resume_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/goroutines"
	"concert/internal/loopback"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
	"concert/resume"
)

// work is an input for functions on all executors. Each call of the function
// appends N to the file Log.
type work struct {
	N    int    `json:"n"`
	Log  string `json:"log"`
	Fail bool   `json:"fail"`
}

// result is not the same as its JSON or its text, so that a loss would show.
type result struct {
	N     int       `json:"n"`
	Text  string    `json:"text"`
	Half  float64   `json:"half"`
	Parts []float64 `json:"parts"`
}

var errWork = concert.RegisterError("resume_test.errWork", errors.New("work failed"))

func doWork(_ context.Context, w work) (result, error) {
	f, err := os.OpenFile(w.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return result{}, err
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, w.N); err != nil {
		return result{}, err
	}
	if w.Fail {
		return result{}, fmt.Errorf("input %d: %w", w.N, errWork)
	}
	return wantResult(w.N), nil
}

func wantResult(n int) result {
	r := result{N: n, Text: fmt.Sprint("text ", n), Half: float64(n) / 2, Parts: []float64{float64(n), 0.5}}
	if n%10 == 9 {
		r.Parts = make([]float64, 2000) // more than a line holds
	}
	return r
}

func sameResult(a, b result) bool {
	return a.N == b.N && a.Text == b.Text && a.Half == b.Half && slices.Equal(a.Parts, b.Parts)
}

var (
	goWork     = concert.Register("resume_test.doWork", doWork)
	pythonWork = python.Source[work, result]("work", `
def work(w):
    with open(w["log"], "a") as f:
        f.write("%d\n" % w["n"])
    if w["fail"]:
        raise ValueError("input %d: work failed" % w["n"])
    parts = [float(w["n"]), 0.5]
    if w["n"] % 10 == 9:
        parts = [0.0] * 2000
    return {"n": w["n"], "text": "text %d" % w["n"], "half": w["n"] / 2, "parts": parts}
`)
)

// place is an executor on which the tests run.
type place struct {
	ex concert.Executor
	fn func(context.Context, work) (result, error)
}

// onAll runs a test on all executors.
func onAll(t *testing.T, test func(t *testing.T, p place)) {
	for name, start := range map[string]func(t *testing.T) (place, error){
		"goroutines": func(*testing.T) (place, error) { return place{goroutines.New(3, nil), goWork}, nil },
		"loopback":   func(*testing.T) (place, error) { return place{loopback.New(3, loopback.Options{}), goWork}, nil },
		"processes": func(*testing.T) (place, error) {
			ex, err := processes.New(2, nil)
			return place{ex, goWork}, err
		},
		"python": func(t *testing.T) (place, error) {
			pythontest.Need(t)
			ex, err := python.New(2, nil)
			return place{ex, pythonWork}, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := start(t)
			if err != nil {
				t.Fatal(err)
			}
			defer p.ex.Close()
			test(t, p)
		})
	}
}

// logged returns how often each input was called.
func logged(t *testing.T, log string) map[int]int {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	calls := map[int]int{}
	for line := range strings.Lines(string(b)) {
		var n int
		fmt.Sscan(line, &n)
		calls[n]++
	}
	return calls
}

func total(calls map[int]int) (sum int) {
	for _, n := range calls {
		sum += n
	}
	return sum
}

func inputs(log string, n int) iter.Seq[work] {
	return func(yield func(work) bool) {
		for i := range n {
			if !yield(work{N: i, Log: log}) {
				return
			}
		}
	}
}

// TestMap_Resumed: a loop that was left early must continue with the next Map.
// No recorded call may run again, and all results must come in order.
func TestMap_Resumed(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, p place) {
		dir := t.TempDir()
		path, log := filepath.Join(dir, "j"), filepath.Join(dir, "log")
		const n = 60
		j := open(t, path)
		yielded := 0
		for got, err := range resume.Map(t.Context(), p.ex, j, p.fn, inputs(log, n)) {
			if err != nil || !sameResult(got, wantResult(yielded)) {
				t.Fatalf("result %d: %+v, %v", yielded, got, err)
			}
			if yielded++; yielded == 25 {
				break
			}
		}
		recorded := j.Len()
		if recorded < 25 || recorded > n {
			t.Errorf("%d records after %d results", recorded, yielded)
		}
		before := logged(t, log)
		for round := range 3 {
			j.Close()
			j = open(t, path)
			i := 0
			for got, err := range resume.Map(t.Context(), p.ex, j, p.fn, inputs(log, n)) {
				if err != nil || !sameResult(got, wantResult(i)) {
					t.Fatalf("round %d, result %d: %+v, %v", round, i, got, err)
				}
				i++
			}
			if i != n || j.Len() != n {
				t.Errorf("%d results and %d records; want %d", i, j.Len(), n)
			}
			calls := logged(t, log)
			for i := range 25 {
				if calls[i] != 1 {
					t.Errorf("input %d was called %d times", i, calls[i])
				}
			}
			if again := total(calls) - total(before); again != n-recorded {
				t.Errorf("%d calls after the break, want %d", again, n-recorded)
			}
		}
	})
}

// TestMap_Failed: the error of a call must be yielded with its index. The next
// run must call the function again, unless KeepFailed is true.
func TestMap_Failed(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, p place) {
		dir := t.TempDir()
		path, log := filepath.Join(dir, "j"), filepath.Join(dir, "log")
		all := slices.Collect(inputs(log, 20))
		for i := range all {
			all[i].Fail = i%2 == 1
		}
		for round, keep := range []bool{false, false, true} {
			j, err := resume.Open(path, &resume.Options{KeepFailed: keep})
			if err != nil {
				t.Fatal(err)
			}
			i := 0
			for got, err := range resume.Map(t.Context(), p.ex, j, p.fn, slices.Values(all)) {
				if fails := i%2 == 1; fails != (err != nil) || !fails && !sameResult(got, wantResult(i)) {
					t.Errorf("round %d, input %d: %+v, %v", round, i, got, err)
				} else if fails {
					if !strings.Contains(err.Error(), fmt.Sprintf("input %d: work failed", i)) {
						t.Errorf("round %d, input %d: %v", round, i, err)
					}
					if _, local := p.ex.(*goroutines.Pool); local && !errors.Is(err, errWork) {
						t.Errorf("the error has lost its identity: %v", err)
					} else if in := concert.InputOf(err); (keep || !local) && (in == nil || in.Index != int64(i)) {
						t.Errorf("round %d, input %d: %v has the input %v", round, i, err, in)
					}
				}
				i++
			}
			j.Close()
			calls := logged(t, log)
			for i := range all {
				if want := 1 + i%2*min(round, 1); calls[i] != want {
					t.Errorf("round %d: input %d was called %d times, want %d", round, i, calls[i], want)
				}
			}
		}
	})
}

// TestMap_Canceled: when the context ends, the last error must be its cause,
// and canceled calls must not be recorded.
func TestMap_Canceled(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, p place) {
		dir := t.TempDir()
		path, log := filepath.Join(dir, "j"), filepath.Join(dir, "log")
		j, err := resume.Open(path, &resume.Options{KeepFailed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		cause := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var last error
		n := 0
		for got, err := range resume.Map(ctx, p.ex, j, p.fn, inputs(log, 1_000_000)) {
			if last != nil {
				t.Errorf("after the error %v: %+v, %v", last, got, err)
			}
			if err == nil && !sameResult(got, wantResult(n)) {
				t.Errorf("result %d: %+v", n, got)
			}
			if n++; n == 10 {
				cancel(cause)
			}
			if errors.Is(err, cause) && concert.InputOf(err) == nil {
				last = err
			}
		}
		if last != cause {
			t.Errorf("the last error is %v", last)
		}
		// If a canceled call had a record, its error would be kept.
		i := 0
		for got, err := range resume.Map(t.Context(), p.ex, j, p.fn, inputs(log, n+20)) {
			if err != nil || !sameResult(got, wantResult(i)) {
				t.Errorf("result %d: %+v, %v", i, got, err)
			}
			i++
		}
	})
}

// calls counts the calls of exclaim.
var calls atomic.Int64

var exclaim = concert.Register("resume_test.exclaim", func(_ context.Context, s string) (string, error) {
	calls.Add(1)
	switch s {
	case "panic":
		panic("in the function")
	case "large":
		return strings.Repeat("l", 100_000), nil
	}
	return s + "!", nil
})

// collect runs a Map on two goroutines, and returns its results and the number
// of calls.
func collect[In, Out any](t *testing.T, j *resume.Journal, fn func(context.Context, In) (Out, error), all ...In) (got []Out, errs []error, n int) {
	t.Helper()
	ex := goroutines.New(2, nil)
	defer ex.Close()
	before := calls.Load()
	for v, err := range resume.Map(t.Context(), ex, j, fn, slices.Values(all)) {
		got, errs = append(got, v), append(errs, err)
	}
	return got, errs, int(calls.Load() - before)
}

// TestMap_EqualInputs: each occurrence of an input must have a record of its
// own.
func TestMap_EqualInputs(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	for _, c := range []struct {
		all  []string
		want int
	}{
		{[]string{"a", "a", "b", "a"}, 4},
		{[]string{"a", "b", "a", "a"}, 0},
		{[]string{"b", "a", "a", "a", "b", "a"}, 2},
		{[]string{}, 0},
	} {
		got, errs, n := collect(t, j, exclaim, c.all...)
		for i, s := range c.all {
			if got[i] != s+"!" || errs[i] != nil {
				t.Errorf("%q: %q, %v", s, got[i], errs[i])
			}
		}
		if n != c.want || len(got) != len(c.all) {
			t.Errorf("%q: %d calls, want %d", c.all, n, c.want)
		}
	}
}

var otherCounted = concert.Register("resume_test.otherCounted", func(_ context.Context, s string) (string, error) {
	calls.Add(1)
	return "other " + s, nil
})

// TestMap_OtherInputs: several functions and sequences of inputs can share a
// journal.
func TestMap_OtherInputs(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	_, _, first := collect(t, j, exclaim, "a", "b")
	got, _, second := collect(t, j, exclaim, "c", "b", "large")
	if first != 2 || second != 2 || got[1] != "b!" || len(got[2]) != 100_000 {
		t.Errorf("%d and %d calls, %.20q", first, second, got)
	}
	got, _, n := collect(t, j, otherCounted, "a", "b")
	if n != 2 || got[0] != "other a" {
		t.Errorf("%d calls, %q", n, got)
	}
	if got, _, n = collect(t, j, exclaim, "large", "b"); n != 0 || got[1] != "b!" || len(got[0]) != 100_000 {
		t.Errorf("%d calls, %.20q", n, got)
	}
}

var ofMap = concert.Register("resume_test.ofMap", func(_ context.Context, m map[string]any) (map[any]int, error) {
	calls.Add(1)
	return map[any]int{"n": len(m), 1.5: 1, int8(3): 2}, nil
})

// TestMap_InputsOfMaps: equal maps must count as equal inputs, although their
// entries have no order.
func TestMap_InputsOfMaps(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	for round := range 10 {
		in := map[string]any{}
		for i := range 100 {
			in[fmt.Sprint("key", (i*7+round)%100)] = map[string]any{"a": nil, "b": "x", "c": 3.5}
		}
		got, errs, n := collect(t, j, ofMap, in)
		if n != max(0, 1-round) || errs[0] != nil || got[0]["n"] != 100 || got[0][int8(3)] != 2 {
			t.Errorf("round %d: %v, %v, %d calls", round, got, errs, n)
		}
	}
}

// TestMap_NotRegistered: a function without a name must be refused on every
// executor.
func TestMap_NotRegistered(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	closure := func(context.Context, string) (string, error) { return "", nil }
	_, errs, _ := collect(t, j, closure, "a", "b")
	if len(errs) != 1 || !errors.Is(errs[0], concert.ErrNotRegistered) || !strings.HasPrefix(errs[0].Error(), "resume: Map: ") {
		t.Errorf("%v", errs)
	}
}

var identity = concert.Register("resume_test.identity", func(_ context.Context, v any) (any, error) {
	calls.Add(1)
	if v == "channel" {
		return make(chan int), nil
	}
	return v, nil
})

// TestMap_CannotEncode: if an input cannot be encoded, its call must fail
// without running. If a result cannot be encoded, it must be yielded with an
// error. Both must name the input, and leave no record.
func TestMap_CannotEncode(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	for range 2 {
		got, errs, n := collect(t, j, identity, any("x"), any(func() {}), any("channel"))
		if len(got) != 3 || got[0] != "x" || errs[0] != nil || errs[1] == nil || errs[2] == nil || n != 2 {
			if j.Len() != 1 || n != 1 {
				t.Errorf("%v, %v, %d calls", got, errs, n)
			}
		}
		if in := concert.InputOf(errs[1]); in == nil || in.Index != 1 || !strings.Contains(errs[1].Error(), "argument of resume_test.identity: input 1") {
			t.Errorf("the error of the input: %v, %v", errs[1], in)
		}
		in := concert.InputOf(errs[2])
		if _, ok := got[2].(chan int); !ok || in == nil || in.Index != 2 || !strings.Contains(errs[2].Error(), "resume: record resume_test.identity: input 2 in ") {
			t.Errorf("the error of the result: %v, %v, %v", got[2], errs[2], in)
		}
		if j.Len() != 1 {
			t.Errorf("%d records", j.Len())
		}
	}
}

// trap is an error with methods that misbehave.
type trap struct{ how string }

// Error returns a text.
func (e trap) Error() string { return "trap " + e.how }

// Is panics or never returns.
func (e trap) Is(error) bool {
	if e.how == "panic" {
		panic("in Is")
	}
	select {}
}

var failTrap = concert.Register("resume_test.failTrap", func(_ context.Context, how string) (string, error) { return "", trap{how} })

// TestMap_ErrorMethodsMisbehave: the methods of a call's error must not disturb
// the Map, and the error must be recorded.
func TestMap_ErrorMethodsMisbehave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	for round := range 2 {
		j, err := resume.Open(path, &resume.Options{KeepFailed: true})
		if err != nil {
			t.Fatal(err)
		}
		_, errs, _ := collect(t, j, failTrap, "panic", "hang")
		for i, want := range []string{"trap panic", "trap hang"} {
			if i >= len(errs) || !strings.Contains(errs[i].Error(), want) || round == 0 && errs[i] != error(trap{want[5:]}) {
				t.Errorf("round %d: %v", round, errs)
			}
		}
		if j.Len() != 2 {
			t.Errorf("%d records", j.Len())
		}
		j.Close()
	}
}

// TestMap_FunctionPanics: a panic must be the error of its input.
func TestMap_FunctionPanics(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	for range 2 {
		_, errs, _ := collect(t, j, exclaim, "a", "panic", "b")
		var p *concert.PanicError
		if len(errs) != 3 || errs[0] != nil || errs[2] != nil || !errors.As(errs[1], &p) || p.Value != "in the function" || p.Input.Index != 1 {
			t.Errorf("%v", errs)
		}
	}
}

// TestMap_InputsPanic: a panic in the inputs must be raised in the loop, after
// the results of the inputs before it. Goexit must end the goroutine.
func TestMap_InputsPanic(t *testing.T) {
	for _, how := range []string{"panic", "goexit"} {
		t.Run(how, func(t *testing.T) {
			j := open(t, filepath.Join(t.TempDir(), "j"))
			ex := goroutines.New(2, nil)
			defer ex.Close()
			var got []string
			var raised any
			returned := false
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { raised = recover() }()
				for s, err := range resume.Map(t.Context(), ex, j, exclaim, func(yield func(string) bool) {
					_ = yield("a") && yield("b")
					if how == "panic" {
						panic("in the inputs")
					}
					runtime.Goexit()
				}) {
					got = append(got, s)
					if err != nil {
						t.Error(err)
					}
				}
				returned = true
			}()
			<-done
			p, _ := raised.(*concert.PanicError)
			if !slices.Equal(got, []string{"a!", "b!"}) || returned || (p != nil) != (how == "panic") || p != nil && p.Value != "in the inputs" {
				t.Errorf("%q, %v, returned %v", got, raised, returned)
			}
			if j.Len() != 2 {
				t.Errorf("%d records", j.Len())
			}
		})
	}
}

// TestMap_ClosedExecutor: if the executor is closed, the last error must be
// ErrClosed.
func TestMap_ClosedExecutor(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	collect(t, j, exclaim, "a")
	ex := goroutines.New(1, nil)
	ex.Close()
	var got []string
	var errs []error
	for s, err := range resume.Map(t.Context(), ex, j, exclaim, slices.Values([]string{"a", "b"})) {
		got, errs = append(got, s), append(errs, err)
	}
	if len(errs) != 2 || got[0] != "a!" || errs[0] != nil || !errors.Is(errs[1], concert.ErrClosed) {
		t.Errorf("%q, %v", got, errs)
	}
}

// TestMap_CannotRecord: if the journal does not accept a record, the result
// must be yielded together with the error.
func TestMap_CannotRecord(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	j.Close()
	got, errs, _ := collect(t, j, exclaim, "a", "large", "panic")
	if len(got) != 3 || got[0] != "a!" || len(got[1]) != 100_000 {
		t.Fatalf("%.20q", got)
	}
	for i, err := range errs {
		if in := concert.InputOf(err); !errors.Is(err, os.ErrClosed) || in == nil || in.Index != int64(i) {
			t.Errorf("input %d: %v", i, err)
		}
	}
	if p := (*concert.PanicError)(nil); !errors.As(errs[2], &p) {
		t.Errorf("the error of the call is lost: %v", errs[2])
	}
}

// TestMap_DamagedData: if a recorded result is damaged, its call must run
// again.
func TestMap_DamagedData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j := open(t, path)
	collect(t, j, exclaim, "large", "a")
	b, _ := os.ReadFile(path + ".data")
	b[len(b)-1] ^= 1
	os.WriteFile(path+".data", b, 0o666)
	for _, want := range []int{1, 0} {
		if got, errs, n := collect(t, j, exclaim, "large", "a"); n != want || len(got[0]) != 100_000 || errs[0] != nil || got[1] != "a!" {
			t.Errorf("%d calls, %v", n, errs)
		}
	}
}

// gate blocks calls of gated with the number 0 until it is closed.
var gate atomic.Pointer[chan struct{}]

var gated = concert.Register("resume_test.gated", func(ctx context.Context, n int) ([]byte, error) {
	calls.Add(1)
	if n == 0 {
		select {
		case <-*gate.Load():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return []byte(strings.Repeat(string(rune('a'+n%26)), 1<<20)), nil
})

// TestMap_LargeResults: results that wait for the first one must not all stay
// in memory. They must be intact.
func TestMap_LargeResults(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	c := make(chan struct{})
	gate.Store(&c)
	ex := goroutines.New(2, nil)
	defer ex.Close()
	const n = 100
	before := calls.Load()
	i := 0
	for got, err := range resume.Map(t.Context(), ex, j, gated, func(yield func(int) bool) {
		for k := range n {
			if !yield(k) {
				return
			}
		}
		for calls.Load()-before < n { // all other calls have begun
			time.Sleep(time.Millisecond)
		}
		close(c)
	}) {
		if err != nil || len(got) != 1<<20 || got[0] != byte('a'+i%26) || got[1<<20-1] != got[0] {
			t.Fatalf("result %d: %d bytes, %v", i, len(got), err)
		}
		if i == 0 {
			runtime.GC()
			var m runtime.MemStats
			if runtime.ReadMemStats(&m); m.HeapAlloc > 64<<20 {
				t.Errorf("%d MiB of memory are used", m.HeapAlloc>>20)
			}
		}
		i++
	}
	if i != n || j.Len() != n {
		t.Errorf("%d results, %d records", i, j.Len())
	}
}

// TestMap_Ahead: while the first result is missing, Map must take a bounded
// number of inputs, with and without records. When the loop ends, all
// goroutines must end.
func TestMap_Ahead(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	const most = 4096
	for round := range 2 {
		c := make(chan struct{})
		gate.Store(&c)
		ex := goroutines.New(2, nil)
		full := make(chan struct{})
		taken := 0
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-full
			for j.Len() < most-1 { // until all other calls have records
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		for _, err := range resume.Map(ctx, ex, j, smallGated, func(yield func(int) bool) {
			for yield(taken) {
				if taken++; taken == most {
					close(full)
				}
			}
		}) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("round %d: a result: %v", round, err)
			}
		}
		ex.Close()
		if taken < most || taken > most+1 {
			t.Errorf("round %d: %d inputs were taken", round, taken)
		}
	}
}

var smallGated = concert.Register("resume_test.smallGated", func(ctx context.Context, n int) (int, error) {
	if n == 0 {
		select {
		case <-*gate.Load():
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return n, nil
})
