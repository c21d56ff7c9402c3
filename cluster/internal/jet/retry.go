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
	RequestTimeout = 5 * time.Second  // timeout of one attempt of a request
	startTimeout   = 30 * time.Second // timeout of RetryUntilDeadline
)

// RetryUntilDeadline calls the function step until it returns nil or a
// permanent error. An error is transient if the streams do not exist, or if
// no server answers: the servers elect a leader, or are busy. When ctx ends
// or startTimeout is over, RetryUntilDeadline returns the last error of
// step. If the servers report that the key does not permit the request,
// RetryUntilDeadline returns a refusal. The function step must be safe to
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

// RetryTransient calls the function step until it returns nil or a permanent
// error, without a time limit. It is for requests after the start. When ctx
// ends, RetryTransient returns the cause. The function step must be safe to
// repeat.
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

// Permanent reports whether an error is permanent: a retry cannot cure it.
// The permanent errors are:
//
//   - a server has returned an error that is not transient
//   - the requested value does not exist
//   - this program has closed the connection
//   - the message is too large
//
// All other errors come from broken connections. Such errors have many types.
func Permanent(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && !wire.Transient(err) || errors.Is(err, ErrAbsent) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrMaxPayload)
}

// refusal is the error of a request that the key does not permit.
type refusal struct{ err error }

// Error implements error.
func (r *refusal) Error() string {
	return "the key does not permit this request: " + r.err.Error()
}

// Unwrap returns the servers' error.
func (r *refusal) Unwrap() error { return r.err }

// onRefusal registers a function that cancels a request when the servers report
// a refusal. The returned function ends the registration. A refusal does not
// name the request, and the servers send no other answer. So a refusal cancels
// all registered requests.
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

// refuse cancels all requests that onRefusal has registered.
func (c *Conn) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for refused := range c.refusals {
		(*refused)(&refusal{err})
	}
}
