package resume_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/goroutines"
	"concert/resume"
)

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
