package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"concert"
	"concert/executor"
	"concert/goroutines"
	"concert/internal/loopback"
)

type relayed struct {
	Name  string
	Sizes []int
}

var (
	errRelayed = concert.RegisterError("test.errRelayed", errors.New("of the relayed call"))

	lengthen = concert.Register("concert_test.lengthen", func(ctx context.Context, r relayed) (relayed, error) {
		concert.Progress(ctx, 1, 2)
		if r.Name == "" {
			return r, errRelayed
		}
		r.Sizes = append(r.Sizes, len(r.Sizes))
		return r, nil
	})
)

// TestRelay_SameOnAllExecutors: the argument, the progress and the result of
// a relayed call are the same on every executor.
func TestRelay_SameOnAllExecutors(t *testing.T) {
	for _, c := range []struct {
		name string
		ex   concert.Executor
	}{
		{"shared", goroutines.New(2, nil)},
		{"elsewhere", loopback.New(2, loopback.Options{})},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer c.ex.Close()
			name, arg, err := executor.Prepare(lengthen, relayed{"a", []int{7}})
			if err != nil {
				t.Fatal(err)
			}
			var started, progress atomic.Int64
			fut := executor.Relay(t.Context(), c.ex, executor.Call{
				Name: name, Arg: arg,
				Started:  func() { started.Add(1) },
				Progress: func(done, total int64) { progress.Add(10*done + total) },
			})
			result, err := fut.Result(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, want, _ := executor.Prepare(lengthen, relayed{"a", []int{7, 1}}); !slices.Equal(result.Bytes, want.Bytes) || result.Kind != want.Kind {
				t.Errorf("result %x of kind %d, want %x of kind %d", result.Bytes, result.Kind, want.Bytes, want.Kind)
			}
			if started.Load() != 1 || c.name == "shared" && progress.Load() != 12 {
				t.Errorf("the call started %d times, and its progress was %d", started.Load(), progress.Load())
			}
			if got := fut.String(); !strings.HasPrefix(got, "concert_test.lengthen") {
				t.Errorf("the future is %s", got)
			}
			_, arg, _ = executor.Prepare(lengthen, relayed{})
			if _, err := executor.Relay(t.Context(), c.ex, executor.Call{Name: name, Arg: arg}).Result(t.Context()); !errors.Is(err, errRelayed) {
				t.Errorf("error %v, want errRelayed", err)
			}
			if _, err := executor.Relay(t.Context(), c.ex, executor.Call{Name: "no such function"}).Result(t.Context()); !errors.Is(err, concert.ErrNotRegistered) {
				t.Errorf("error %v, want ErrNotRegistered", err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("no longer")
			cancel(why)
			if _, err := executor.Relay(ctx, c.ex, executor.Call{Name: name, Arg: arg}).Result(t.Context()); !errors.Is(err, why) {
				t.Errorf("error %v, want the cause", err)
			}
		})
	}
}

// TestRemoteError_PassedOn: an error that is passed on repeatedly stays the
// same.
func TestRemoteError_PassedOn(t *testing.T) {
	once := executor.DecodeError(executor.EncodeError(errRelayed))
	twice := executor.DecodeError(executor.EncodeError(once))
	var a, b *concert.RemoteError
	if !errors.As(once, &a) || !errors.As(twice, &b) || a.Type != b.Type || a.Text != b.Text || !errors.Is(twice, errRelayed) {
		t.Errorf("%#v, and then %#v", once, twice)
	}
}

func init() {
	type tree struct {
		Left, Right *tree
		Value       int
	}
	type tagged struct {
		A       string `json:"a,omitempty"`
		B       []byte `cbor:"2,keyasint"`
		hidden  int
		Skipped int `json:"-"`
	}
	_ = tagged{hidden: 1}
	concert.Register("concert_test.signature.tree", func(context.Context, tree) (map[string]int32, error) { return nil, nil })
	concert.Register("concert_test.signature.tagged", func(context.Context, []tagged) (int64, error) { return 0, nil })
	concert.Register("concert_test.signature.same", func(context.Context, []struct {
		A string `json:"a,omitempty"`
		B []byte `cbor:"2,keyasint"`
	}) (int, error) {
		return 0, nil
	})
}

func TestSignature_OfFunctions(t *testing.T) {
	want := map[string]string{
		"concert_test.signature.tree":   "{Left *^2;Right *^2;Value int64;} -> [string]int32",
		"concert_test.signature.tagged": "[]{a string;2 []uint8;} -> int64",
		"concert_test.signature.same":   "[]{a string;2 []uint8;} -> int64",
	}
	last := ""
	for _, f := range executor.Functions() {
		if f.Name() <= last {
			t.Errorf("%s after %s", f.Name(), last)
		}
		last = f.Name()
		if w, ok := want[f.Name()]; ok {
			if got := f.Signature(); got != w {
				t.Errorf("%s: %s, want %s", f.Name(), got, w)
			}
			delete(want, f.Name())
		}
		if f.Declared() && !strings.Contains(f.Name(), "declared") && f.Signature() == "" {
			t.Errorf("%s is declared, and has no signature", f.Name())
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// TestRelay_Input: on every executor, the events of a relayed call have the
// Input of its Call, and not the label of the context.
func TestRelay_Input(t *testing.T) {
	in := &concert.Input{Name: "thumbnail", Index: 17, Label: "cat.jpg"}
	for name, open := range map[string]func(concert.Observer) concert.Executor{
		"shared":    func(o concert.Observer) concert.Executor { return goroutines.New(1, &goroutines.Options{Observer: o}) },
		"elsewhere": func(o concert.Observer) concert.Executor { return loopback.New(1, loopback.Options{Observer: o}) },
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			seen := 0
			ex := open(func(e concert.Event) {
				mu.Lock()
				defer mu.Unlock()
				if seen++; e.Input == nil || *e.Input != *in {
					t.Errorf("the event %v has the Input %+v", e.Kind, e.Input)
				}
			})
			function, arg, err := executor.Prepare(panicEndless, 0)
			if err != nil {
				t.Fatal(err)
			}
			ctx := concert.WithLabel(t.Context(), "another")
			if _, err := executor.Relay(ctx, ex, executor.Call{Name: function, Arg: arg, Input: in}).Result(t.Context()); !errors.As(err, new(*concert.PanicError)) {
				t.Errorf("Result() error = %v", err)
			}
			if got := executor.Relay(ctx, ex, executor.Call{Name: function, Arg: arg, Input: in}).Input(); got != in {
				t.Errorf("Input() = %+v", got)
			}
			ex.Close()
			if seen < 2 {
				t.Errorf("%d events, want 2 or more", seen)
			}
		})
	}
}
