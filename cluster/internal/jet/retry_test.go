package jet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestRetryUntilDeadline_SilentServers: while the servers do not answer, the
// request must be repeated until the deadline. If they answer with a permanent
// error, the attempts must end.
func TestRetryUntilDeadline_SilentServers(t *testing.T) {
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
		if err := new(Conn).RetryUntilDeadline(t.Context(), busy(2, nil)); err != nil || n != 3 || time.Since(start) < 2*RequestTimeout {
			t.Errorf("%v after %d attempts in %v", err, n, time.Since(start))
		}
		if err := new(Conn).RetryUntilDeadline(t.Context(), busy(1, no)); err != no || n != 2 {
			t.Errorf("%v, asked %d times", err, n)
		}
		start = time.Now()
		if err := new(Conn).RetryUntilDeadline(t.Context(), busy(1000, nil)); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != startTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		err := new(Conn).RetryUntilDeadline(ctx, func(context.Context) error { return nats.ErrNoResponders })
		if !errors.Is(err, nats.ErrNoResponders) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestRetryTransient_ServersAway: while the servers cannot be reached, the
// attempts must continue. They must end when the context ends, or after a
// permanent error.
func TestRetryTransient_ServersAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, n := time.Now(), 0
		err := new(Conn).RetryTransient(t.Context(), func(context.Context) error {
			if n++; time.Since(start) < time.Hour {
				return nats.ErrNoResponders
			}
			return nil
		})
		if err != nil || time.Since(start) < time.Hour {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		for _, no := range []error{ErrAbsent, &jetstream.APIError{Code: 400, ErrorCode: 10012}, nats.ErrConnectionClosed} {
			if err := new(Conn).RetryTransient(t.Context(), func(context.Context) error { return no }); err != no {
				t.Errorf("%v", err)
			}
		}
		n = 0
		err = new(Conn).RetryTransient(t.Context(), func(context.Context) error {
			if n++; n < 3 {
				return io.ErrClosedPipe // as from a connection that breaks
			}
			return nil
		})
		if err != nil || n != 3 {
			t.Errorf("%v, asked %d times", err, n)
		}
		why := errors.New("not wanted")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		err = new(Conn).RetryTransient(ctx, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if err != why {
			t.Errorf("%v, want the cause", err)
		}
	})
}

// TestRefuse_EndsWaits: a refusal by the servers must end all requests that
// wait for an answer, and must not affect later requests.
func TestRefuse_EndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(Conn)
		waits := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		errs := make(chan error, 2)
		for range 2 {
			go func() { errs <- c.RetryUntilDeadline(t.Context(), waits) }()
		}
		synctest.Wait()
		c.refuse(nats.ErrPermissionViolation)
		for range 2 {
			if err := <-errs; !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%v", err)
			}
		}
		no := errors.New("no")
		if err := c.RetryUntilDeadline(t.Context(), func(context.Context) error { return no }); err != no {
			t.Errorf("%v", err)
		}
		if len(c.refusals) > 0 {
			t.Errorf("%d requests are still registered, want 0", len(c.refusals))
		}
	})
}
