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
	RequestTimeout = 5 * time.Second  // for one attempt of a request
	startTimeout   = 30 * time.Second // for RetryUntilDeadline
)

// RetryUntilDeadline calls step until it returns nil or a permanent error. An
// error is transient while no server answers, because the servers are electing
// a leader or are busy, and while the streams do not exist. It returns the
// error of step when ctx ends or startTimeout is over, and a refusal when the
// servers report that the key may not do something. step must be safe to
// repeat.
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

// RetryTransient calls step until it returns nil or a permanent error, without
// a limit of time: it is for requests after the start. When ctx ends it returns
// the cause. step must be safe to repeat.
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

// Permanent reports whether a retry cannot cure an error: a server returned it,
// or there is nothing to read. All other errors are those of a broken
// connection, which have many types.
func Permanent(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && !wire.Transient(err) || errors.Is(err, ErrAbsent) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrMaxPayload)
}

// refusal is the servers' report that a key may not do something.
type refusal struct{ err error }

// Error implements error.
func (r *refusal) Error() string {
	return "the servers do not let this key do it: " + r.err.Error()
}

// Unwrap returns the servers' error.
func (r *refusal) Unwrap() error { return r.err }

// onRefusal registers a function that cancels a request, until the returned
// function is called. The servers send no other answer to a request that they
// refuse, and the refusal does not name the request. So a refusal cancels all
// requests that are waiting.
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

// refuse cancels the requests of onRefusal.
func (c *Conn) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for refused := range c.refusals {
		(*refused)(&refusal{err})
	}
}
