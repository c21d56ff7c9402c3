package wire

import (
	"encoding/json"
	"time"
)

// The roles of those who have a key, as servers call them.
const (
	ClientRole = "client"
	WorkerRole = "worker"
	AdminRole  = "admin"
)

// ClientAPI is how the requests of clients and workers to JetStream begin,
// instead of "$JS.API": those are answered, in an account that has no streams,
// by "not enabled".
const ClientAPI = "concert.api"

// Handshake is a request to a server by the holder of a key. The answer has the
// role of the key. Servers make all consumers for clients and workers, since
// the holder of a right to make consumers can have them deliver to any subject.
// A Knock asks for at most one of these:
//
//   - Session: the SessionConsumer of a stream, for a client
//   - Contract: what TaskConsumer is, for a worker. The servers also store the
//     contract in CapabilityBucket, by the digest that they compute.
//   - Replay: a new CancelConsumer, for a worker
//   - Audit: the states of tasks, for a client
type Handshake struct {
	Session      string         `cbor:"1,keyasint,omitempty"`
	Stream       string         `cbor:"2,keyasint,omitempty"` // ResultStream or KeptStream
	Capabilities *CapabilitySet `cbor:"3,keyasint,omitempty"`
	Cancels      bool           `cbor:"4,keyasint,omitempty"`
	Audit        *Audit         `cbor:"5,keyasint,omitempty"`
}

// HandshakeReply is the answer to a Knock.
type HandshakeReply struct {
	Role      string    `cbor:"1,keyasint"`
	Error     string    `cbor:"2,keyasint,omitempty"` // why there is no consumer
	Transient bool      `cbor:"3,keyasint,omitempty"` // there may be one later
	Consumer  string    `cbor:"4,keyasint,omitempty"` // its name, for a Contract and a Replay
	Created   time.Time `cbor:"5,keyasint,omitzero"`  // when it was made, for a Contract and a Replay
	States    []State   `cbor:"6,keyasint,omitempty"` // for an Audit: of its tasks, in their order
}

// ResendRequest is a request to a server by a worker: the session of a client that
// waits for a task with an id is to get the result that is kept of that id. So
// workers need not read the kept results of clients.
type ResendRequest struct {
	Client  string `cbor:"1,keyasint"`
	Number  string `cbor:"2,keyasint"`
	Session string `cbor:"3,keyasint"`
}

// ResendReply is the answer to a Resend.
type ResendReply struct {
	Found bool   `cbor:"1,keyasint,omitempty"` // there is a result, and the session gets it
	Error string `cbor:"2,keyasint,omitempty"`
}

// Pull is a request to a server by a worker: the consumer of a contract, or of
// the cancellations, is to deliver messages at a DeliverSubject of the worker's
// key. A status ends them, as for a request to the consumer: see ADR-13 of
// NATS.
//
// A worker does not ask the consumer itself: messages that answer a request to
// another account end with the first empty one without headers, as NATS takes
// that for the end. Any client can publish such a message, and the tasks behind
// it would be held by no worker until their leases end.
type Pull struct {
	Stream   string        `cbor:"1,keyasint"` // TaskStream or CancelStream
	Consumer string        `cbor:"2,keyasint"`
	Inbox    string        `cbor:"3,keyasint"`           // random
	Batch    int           `cbor:"4,keyasint"`           // maximum number of messages
	Bytes    int64         `cbor:"5,keyasint,omitempty"` // maximum of their total size; 0 for no limit
	Expires  time.Duration `cbor:"6,keyasint,omitempty"` // how long to wait for messages; 0 for those that are stored
}

// Request returns the request to the consumer.
func (p *Pull) Request() ([]byte, error) {
	asked := map[string]any{"batch": p.Batch, "expires": p.Expires.Nanoseconds(), "no_wait": p.Expires == 0}
	if p.Bytes > 0 {
		asked["max_bytes"] = p.Bytes
	}
	return json.Marshal(asked)
}
