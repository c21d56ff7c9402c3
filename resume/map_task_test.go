package resume_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/gil"
	"concert/goroutines"
	"concert/internal/loopback"
	"concert/resume"
)

// TestMap_InTask: a Map in a task of the same pool must not need another
// worker.
func TestMap_InTask(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	ex := goroutines.New(1, nil)
	defer ex.Close()
	for _, want := range []int64{5, 0} {
		before := calls.Load()
		got, err := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (all []string, err error) {
			for s, err := range resume.Map(ctx, ex, j, exclaim, slices.Values([]string{"a", "b", "c", "d", "e"})) {
				if err != nil {
					return nil, err
				}
				all = append(all, s)
			}
			return all, nil
		}, 0).Result(t.Context())
		if err != nil || strings.Join(got, "") != "a!b!c!d!e!" || calls.Load()-before != want {
			t.Errorf("%q, %v, %d calls", got, err, calls.Load()-before)
		}
	}
}

// TestMap_InInputs: a Map can be the inputs of another Map, with the same
// journal.
func TestMap_InInputs(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	ex := goroutines.New(1, nil)
	defer ex.Close()
	var got []string
	for s, err := range resume.Map(t.Context(), ex, j, otherCounted, func(yield func(string) bool) {
		for s, err := range resume.Map(t.Context(), ex, j, exclaim, slices.Values([]string{"a", "b"})) {
			if err != nil {
				t.Error(err)
			}
			if !yield(s) {
				return
			}
		}
	}) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, s)
	}
	if !slices.Equal(got, []string{"other a!", "other b!"}) || j.Len() != 4 {
		t.Errorf("%q, %d records", got, j.Len())
	}
}

// TestMap_Lock: a caller that holds a lock must release it while it waits, and
// hold it in the body of the loop.
func TestMap_Lock(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	lock := gil.New(nil)
	ex := goroutines.New(2, &goroutines.Options{Lock: lock}) // its tasks need the lock
	defer ex.Close()
	const n = 200
	err := lock.Run(t.Context(), func(ctx context.Context) error {
		i := 0
		for got, err := range resume.Map(ctx, ex, j, underLock, numbers(n)) {
			for range 20 {
				runtime.Gosched()
				if tasksInside.Load() != 0 {
					t.Fatal("a task and the body of the loop have the lock")
				}
			}
			if err != nil || got != i {
				t.Errorf("result %d: %d, %v", i, got, err)
			}
			i++
		}
		return nil
	})
	if err != nil || j.Len() != n {
		t.Errorf("%v, %d records", err, j.Len())
	}
}

var tasksInside atomic.Int64 // the number of running calls of underLock

var underLock = concert.Register("resume_test.underLock", func(_ context.Context, n int) (int, error) {
	defer tasksInside.Add(-1)
	tasksInside.Add(1)
	runtime.Gosched()
	return n, nil
})

// TestMap_BreakWaits: when the loop has ended, no call may be running, and all
// finished calls must have records.
func TestMap_BreakWaits(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	ex := goroutines.New(4, nil)
	defer ex.Close()
	for range resume.Map(t.Context(), ex, j, untilCanceled, numbers(100)) {
		for tasksInside.Load() == 0 { // waits until another call is running
			runtime.Gosched()
		}
		break
	}
	if n := tasksInside.Load(); n != 0 {
		t.Errorf("%d calls are running", n)
	}
	if j.Len() == 0 {
		t.Error("no record")
	}
}

var untilCanceled = concert.Register("resume_test.untilCanceled", func(ctx context.Context, n int) (int, error) {
	defer tasksInside.Add(-1)
	tasksInside.Add(1)
	if n > 0 {
		<-ctx.Done()
		time.Sleep(20 * time.Millisecond) // a call that returns late
	}
	return n, nil
})

// TestMap_IndexesAndLabels: errors and events must have the index of the input
// in the whole sequence, and its label, although recorded inputs do not run.
func TestMap_IndexesAndLabels(t *testing.T) {
	for _, remote := range []bool{false, true} {
		t.Run(fmt.Sprint("remote ", remote), func(t *testing.T) {
			j := open(t, filepath.Join(t.TempDir(), "j"))
			collect(t, j, exclaim, "a", "b", "c")
			var mu sync.Mutex
			started := map[int64]string{} // guarded by mu
			observer := func(e concert.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.Kind == concert.TaskStarted {
					started[e.Input.Index] = e.Input.Label
				}
			}
			var ex concert.Executor = goroutines.New(2, &goroutines.Options{Observer: observer})
			if remote {
				ex = loopback.New(2, loopback.Options{Observer: observer})
			}
			ctx := concert.WithInputLabels(t.Context(), func(s string) string { return "label " + s })
			i := int64(0)
			for _, err := range resume.Map(ctx, ex, j, exclaim, slices.Values([]string{"a", "new", "b", "panic", "c"})) {
				in := concert.InputOf(err)
				if (err != nil) != (i == 3) || i == 3 && (in == nil || in.Index != 3 || in.Label != "label panic") {
					t.Errorf("input %d: %v, %v", i, err, in)
				}
				i++
			}
			ex.Close()
			if len(started) != 2 || started[1] != "label new" || started[3] != "label panic" {
				t.Errorf("started: %v", started)
			}
		})
	}
}

// TestMap_Random runs Maps over random inputs, and ends them at random
// moments. It compares their results with the results of the function.
func TestMap_Random(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	ran := map[string]bool{} // the inputs whose results were yielded
	for range 40 {
		j := open(t, path)
		ex := goroutines.New(1+rand.IntN(4), nil)
		all := make([]string, rand.IntN(200))
		counts := map[string]int{}
		names := make([]string, len(all))
		for i := range all {
			all[i] = []string{"large", "panic", fmt.Sprint(rand.IntN(300))}[min(2, rand.IntN(20))]
			counts[all[i]]++
			names[i] = fmt.Sprint(all[i], " ", counts[all[i]])
		}
		before := calls.Load()
		ctx, cancel := context.WithCancel(t.Context())
		end := rand.IntN(300)
		i, known := 0, 0
		for got, err := range resume.Map(ctx, ex, j, exclaim, slices.Values(all)) {
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				break
			}
			want, _ := exclaimed(all[i])
			if (err != nil) != (all[i] == "panic") || err == nil && got != want {
				t.Errorf("%q: %.20q, %v", all[i], got, err)
			}
			if ran[names[i]] {
				known++
			}
			ran[names[i]] = err == nil
			if i++; i == end && end%2 == 0 {
				cancel()
			} else if i == end {
				break
			}
		}
		cancel()
		ex.Close()
		j.Close()
		if n := int(calls.Load() - before); i == len(all) && n > len(all)-known {
			t.Errorf("%d calls for %d inputs, of which %d had a record", n, len(all), known)
		}
	}
}

// exclaimed returns the same result as exclaim, but does not count the call.
func exclaimed(s string) (string, error) {
	if s == "large" {
		return strings.Repeat("l", 100_000), nil
	}
	return s + "!", nil
}

func init() {
	children["map"] = func(path string) {
		j, err := resume.Open(path, nil)
		if err != nil {
			panic(err)
		}
		ex := goroutines.New(3, nil)
		for got, err := range resume.Map(context.Background(), ex, j, goWork, inputs(path+".log", 1<<40)) {
			if err != nil {
				panic(err)
			}
			os.Stdout.WriteString(fmt.Sprintln(got.N))
		}
	}
}
