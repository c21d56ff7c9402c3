package concert_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"concert"
	"concert/goroutines"
)

func TestCollect_Results(t *testing.T) {
	ctx := t.Context()
	ex := goroutines.New(2, nil)
	defer ex.Close()
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	errOdd := errors.New("odd")

	t.Run("Order", func(t *testing.T) {
		// Each call waits until the call of the next input has ended, so the
		// calls end in reverse order. Collect must still return the results in
		// the order of the inputs.
		ended := [3]chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
		three := goroutines.New(3, nil)
		defer three.Close()
		got, err := concert.Collect(ctx, three, func(_ context.Context, n int) (int, error) {
			defer close(ended[n])
			if n < 2 {
				<-ended[n+1]
			}
			return 2 * n, nil
		}, slices.Values([]int{0, 1, 2}))
		if !slices.Equal(got, []int{0, 2, 4}) || err != nil {
			t.Errorf("Collect() = %v, %v", got, err)
		}
	})

	t.Run("NoInputs", func(t *testing.T) {
		if got, err := concert.Collect(ctx, ex, double, slices.Values([]int{})); got != nil || err != nil {
			t.Errorf("Collect() = %v, %v; want nil, nil", got, err)
		}
	})

	t.Run("FirstError", func(t *testing.T) {
		// The call of input 0 runs until it is canceled, the call of input 1
		// fails, and the inputs are endless. Collect must return the error of
		// input 1, after the call of input 0 has returned.
		running := make(chan struct{})
		var returned atomic.Bool
		call := func(ctx context.Context, n int) (int, error) {
			switch n {
			case 0:
				close(running)
				<-ctx.Done()
				returned.Store(true)
				return 0, context.Cause(ctx)
			case 1:
				<-running
				return 0, errOdd
			}
			return n, nil
		}
		got, err := concert.Collect(ctx, ex, call, func(yield func(int) bool) {
			for n := 0; yield(n); n++ {
			}
		})
		if got != nil || err != errOdd {
			t.Errorf("Collect() = %v, %v; want nil, %v", got, err, errOdd)
		}
		if !returned.Load() {
			t.Error("Collect returned before a running call had returned")
		}
	})

	t.Run("Panic", func(t *testing.T) {
		_, err := concert.Collect(ctx, ex, func(_ context.Context, n int) (int, error) { panic("no") }, slices.Values([]int{7}))
		if p, ok := errors.AsType[*concert.PanicError](err); !ok || p.Value != "no" || p.Input.Index != 0 {
			t.Errorf("error %v, want a *PanicError", err)
		}
	})

	t.Run("PanicInInputs", func(t *testing.T) {
		defer func() {
			if p, ok := recover().(*concert.PanicError); !ok || fmt.Sprint(p.Value) != "no more" {
				t.Errorf("Collect panicked with %v, want a *PanicError", p)
			}
		}()
		got, err := concert.Collect(ctx, ex, double, func(yield func(int) bool) {
			yield(1)
			panic("no more")
		})
		t.Errorf("Collect() = %v, %v; want a panic", got, err)
	})

	t.Run("GoexitInInputs", func(t *testing.T) {
		_, err := concert.Go(ctx, func(ctx context.Context) ([]int, error) {
			return concert.Collect(ctx, ex, double, func(func(int) bool) { runtime.Goexit() })
		}).Result(ctx)
		if !errors.Is(err, concert.ErrGoexit) {
			t.Errorf("error %v, want ErrGoexit", err)
		}
	})

	t.Run("ContextEnds", func(t *testing.T) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(ctx)
		wait := func(ctx context.Context, n int) (int, error) {
			cancel(why)
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
		if got, err := concert.Collect(ctx, ex, wait, slices.Values([]int{1, 2, 3})); got != nil || !errors.Is(err, why) {
			t.Errorf("Collect() = %v, %v; want %v", got, err, why)
		}
	})

	t.Run("Closed", func(t *testing.T) {
		closed := goroutines.New(1, nil)
		closed.Close()
		if got, err := concert.Collect(ctx, closed, double, slices.Values([]int{1})); got != nil || !errors.Is(err, concert.ErrClosed) {
			t.Errorf("Collect() = %v, %v; want ErrClosed", got, err)
		}
	})

	t.Run("InTask", func(t *testing.T) {
		one := goroutines.New(1, &goroutines.Options{Queue: 1})
		defer one.Close()
		outer := func(ctx context.Context, n int) ([]int, error) {
			return concert.Collect(ctx, one, double, slices.Values([]int{n, n + 1}))
		}
		got, err := concert.Collect(ctx, one, outer, slices.Values([]int{1, 10, 100}))
		if fmt.Sprint(got) != "[[2 4] [20 22] [200 202]]" || err != nil {
			t.Errorf("Collect() = %v, %v", got, err)
		}
	})
}
