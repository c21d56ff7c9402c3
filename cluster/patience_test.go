package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// TestPatiently: servers that say nothing for a while are asked again, those that say no are not, and it ends.
func TestPatiently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := errors.New("no")
		n := 0
		busy := func(times int, then error) func(context.Context) error {
			n = 0
			return func(ctx context.Context) error {
				if n++; n > times {
					return then
				}
				<-ctx.Done()
				return fmt.Errorf("asking: %w", ctx.Err())
			}
		}
		start := time.Now()
		if err := new(link).patiently(t.Context(), busy(2, nil)); err != nil || n != 3 || time.Since(start) < 2*stepTime {
			t.Errorf("%v, asked %d times in %v", err, n, time.Since(start))
		}
		if err := new(link).patiently(t.Context(), busy(1, no)); err != no || n != 2 {
			t.Errorf("%v, asked %d times", err, n)
		}
		start = time.Now()
		if err := new(link).patiently(t.Context(), busy(1000, nil)); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != beginTime {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		err := new(link).patiently(ctx, func(context.Context) error { return nats.ErrNoResponders })
		if !errors.Is(err, nats.ErrNoResponders) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
