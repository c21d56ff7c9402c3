package resume_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"concert"
	"concert/goroutines"
	"concert/internal/loopback"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
	"concert/resume"
)

// work is an input of the test functions on all executors. Each call of such a
// function appends N to the file Log.
type work struct {
	N    int    `json:"n"`
	Log  string `json:"log"`
	Fail bool   `json:"fail"`
}

// result has values that JSON or a text would change, so that a loss would
// show.
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
		r.Parts = make([]float64, 2000) // more bytes than a line may have
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

// logged returns the number of calls for each input.
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
		// If a canceled call had a record, this Map would yield its error.
		i := 0
		for got, err := range resume.Map(t.Context(), p.ex, j, p.fn, inputs(log, n+20)) {
			if err != nil || !sameResult(got, wantResult(i)) {
				t.Errorf("result %d: %+v, %v", i, got, err)
			}
			i++
		}
	})
}

// TestMap_CanceledInLastResult: as in concert.Map, the cause of the context
// must be the last error, also if the last result was yielded.
func TestMap_CanceledInLastResult(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, p place) {
		for range 20 {
			j := open(t, filepath.Join(t.TempDir(), "j"))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var errs []error
			for _, err := range resume.Map(ctx, p.ex, j, p.fn, inputs(filepath.Join(t.TempDir(), "log"), 2)) {
				if errs = append(errs, err); len(errs) == 2 {
					cancel()
				}
			}
			if !slices.Equal(errs, []error{nil, nil, context.Canceled}) {
				t.Fatalf("the errors are %v", errs)
			}
		}
	})
}

// goLate returns its result only when it is canceled. For the first input, it
// returns at once.
var goLate = concert.Register("resume_test.late", func(ctx context.Context, w work) (result, error) {
	if w.N > 0 {
		<-ctx.Done()
	}
	return doWork(ctx, w)
})

// TestMap_LateResults: a loop is left early, or its context ends. If calls
// return results nevertheless, these results must be recorded.
func TestMap_LateResults(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, p place) {
		if strings.HasSuffix(t.Name(), "/python") {
			p.fn = pythonWork // this function gets no context
		} else {
			p.fn = goLate
		}
		for round := range 6 {
			path, log := filepath.Join(t.TempDir(), "j"), filepath.Join(t.TempDir(), "log")
			j := open(t, path)
			ctx, cancel := context.WithCancel(t.Context())
			for range resume.Map(ctx, p.ex, j, p.fn, inputs(log, 20)) {
				if round%2 == 0 {
					break
				}
				cancel()
			}
			cancel()
			if n := total(logged(t, log)); n != j.Len() {
				t.Errorf("round %d: %d calls have returned a result, and %d are recorded", round, n, j.Len())
			}
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

// TestMap_EqualInputs: each occurrence of an input must have its own record.
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
