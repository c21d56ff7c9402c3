package jet

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

const (
	RequestTimeout = 5 * time.Second  // for what is asked of the servers, before it is asked again
	startTimeout   = 30 * time.Second // for all of the beginning
)

// RetryUntilDeadline does step, and once more while servers say nothing, or have not
// been set up: they may be about to choose who leads, or be on a machine that
// is busy. It ends with ctx, after startTimeout, or when the servers say that the
// key may not do it. A step must be one that may be done twice.
func (c *Conn) RetryUntilDeadline(ctx context.Context, step func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ctx, refused := context.WithCancelCause(ctx)
	defer refused(nil)
	defer c.onRefusal(refused)()
	for {
		once, stop := context.WithTimeout(ctx, RequestTimeout)
		err := step(once)
		stop()
		if err != nil && wire.Transient(err) {
			select {
			case <-time.After(200 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		var refusal *refusal
		if err != nil && errors.As(context.Cause(ctx), &refusal) {
			return refusal
		}
		return err
	}
}

// RetryTransient does step until it succeeds, for as long as servers are away: it
// is for what is done when all has begun. It ends with ctx, or when an error is
// one that does not pass. A step must be one that may be done twice.
func (c *Conn) RetryTransient(ctx context.Context, step func(ctx context.Context) error) error {
	for {
		once, stop := context.WithTimeout(ctx, RequestTimeout)
		err := step(once)
		stop()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case Permanent(err):
			return err
		}
		select {
		case <-time.After(RetryDelay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Permanent reports whether an error is one for good: the servers' word, or that
// there is nothing to ask for. All others come with connections that break, and
// these have many.
func Permanent(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && !wire.Transient(err) || errors.Is(err, ErrAbsent) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrMaxPayload)
}

// refusal is the servers' word that a key may not do something.
type refusal struct{ err error }

// Error implements error.
func (r *refusal) Error() string {
	return "the servers do not let this key do it: " + r.err.Error()
}

// Unwrap returns the servers' error.
func (r *refusal) Unwrap() error { return r.err }

// onRefusal has somebody be told of refusals, who waits for an answer in
// vain then, until it is over. The servers do not say what they refer to; they
// come at once.
func (c *Conn) onRefusal(refused context.CancelCauseFunc) (over func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusals == nil {
		c.refusals = map[*context.CancelCauseFunc]struct{}{}
	}
	c.refusals[&refused] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.refusals, &refused)
	}
}

// refuse tells those who wait for an answer that the servers refuse something.
func (c *Conn) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for refused := range c.refusals {
		(*refused)(&refusal{err})
	}
}
