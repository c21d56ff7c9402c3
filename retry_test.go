package concert_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"concert"
)

type askingError struct{ pause time.Duration }

func (e askingError) Error() string             { return "busy" }
func (e askingError) RetryAfter() time.Duration { return e.pause }

func TestRetry_Attempts(t *testing.T) {
	bad := errors.New("bad")
	permanent := errors.New("permanent")
	for _, c := range []struct {
		name     string
		opts     *concert.RetryOptions
		errs     []error // the errors of the calls, in order; then nil
		calls    int
		min, max time.Duration
		err      error
	}{
		{"at once", nil, nil, 1, 0, 0, nil},
		{"second", nil, []error{bad}, 2, 50 * time.Millisecond, 100 * time.Millisecond, nil},
		{"never", nil, []error{bad, bad, bad, bad}, 3, 150 * time.Millisecond, 300 * time.Millisecond, bad},
		{"more", &concert.RetryOptions{Attempts: 6, Delay: time.Second, MaxDelay: 2 * time.Second},
			[]error{bad, bad, bad, bad, bad}, 6, 4500 * time.Millisecond, 9 * time.Second, nil},
		{"permanent", &concert.RetryOptions{If: func(err error) bool { return err != permanent }},
			[]error{bad, permanent, bad}, 2, 50 * time.Millisecond, 100 * time.Millisecond, permanent},
		{"context errors", nil, []error{context.DeadlineExceeded}, 1, 0, 0, context.DeadlineExceeded},
		{"asked", nil, []error{fmt.Errorf("wrapped: %w", askingError{7 * time.Second})}, 2, 7 * time.Second, 7 * time.Second, nil},
		{"longest", &concert.RetryOptions{Attempts: 4, Delay: math.MaxInt64/2 + 1, MaxDelay: math.MaxInt64},
			[]error{askingError{1}, askingError{1}, askingError{1}}, 4, 3, 3, nil},
		{"attempts without end", &concert.RetryOptions{Attempts: math.MaxInt, Delay: 1, MaxDelay: math.MaxInt64},
			slices.Repeat([]error{askingError{1}}, 100), 101, 100, 100, nil},
		{"asked too much", nil, []error{askingError{time.Hour}}, 1, 0, 0, askingError{time.Hour}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				fn := concert.Retry(func(_ context.Context, n int) (int, error) {
					if calls++; calls <= len(c.errs) {
						return 0, c.errs[calls-1]
					}
					return n, nil
				}, c.opts)
				begin := time.Now()
				got, err := fn(t.Context(), 7)
				took := time.Since(begin)
				if err != c.err || c.err == nil && got != 7 || calls != c.calls {
					t.Errorf("%d calls, and then the outcome %d, %v; want %d calls and the error %v", calls, got, err, c.calls, c.err)
				}
				if took < c.min || took > c.max {
					t.Errorf("took %v, want %v to %v", took, c.min, c.max)
				}
			})
		})
	}
}

func TestRetry_ContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("bad")
		fn := concert.Retry(func(context.Context, int) (int, error) { return 0, bad },
			&concert.RetryOptions{Delay: time.Hour, MaxDelay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, err := fn(ctx, 1)
		if !errors.Is(err, bad) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("after %v: %v; want the error and DeadlineExceeded after 1 s", time.Since(begin), err)
		}
	})
}
