package wire

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrTransient is wrapped by transient errors of a server.
var ErrTransient = errors.New("temporarily not possible")

// transient lists errors that a retry can cure, mostly because no server has
// answered.
var transient = []error{
	ErrTransient, context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoStreamResponse, jetstream.ErrStreamNotFound,
	jetstream.ErrBucketNotFound, nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded, nats.ErrStaleConnection,
}

// Codes of errors that NATS calls "unavailable" and that are permanent:
// JetStream is not enabled on the server, or for the account.
const (
	notEnabled           = 10076
	notEnabledForAccount = 10039
)

// Transient reports whether an error is transient: no server answered in time,
// the connection was lost, a stream or a bucket does not exist, the servers
// elect a leader, or the queue of a stream is full.
func Transient(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.Code == 429 {
		return true
	}
	if api != nil && api.Code == 503 {
		return api.ErrorCode != notEnabled && api.ErrorCode != notEnabledForAccount
	}
	return slices.ContainsFunc(transient, func(e error) bool { return errors.Is(err, e) })
}
