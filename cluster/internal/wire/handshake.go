package wire

import (
	"encoding/json"
	"time"
)

// The roles of the holders of keys.
const (
	ClientRole = "client"
	WorkerRole = "worker"
	AdminRole  = "admin"
)

// ClientAPI is the prefix of the requests of clients and workers with keys to
// JetStream. These clients and workers cannot use "$JS.API", because NATS
// answers such requests in the account of the key, which has no streams.
const ClientAPI = "concert.api"

// Handshake is a request to a server by the holder of a key. The reply has the
// role of the key. Servers create all consumers for clients and workers,
// because a program that creates a consumer can choose any subject to which the
// consumer delivers. A Handshake requests at most one of these:
//
//   - Session: the SessionConsumer of a stream, for a client
//   - Capabilities: the TaskConsumer of a capability set, for a worker. The
//     servers also store the set in CapabilityBucket, by the digest that they
//     compute.
//   - Cancels: a new CancelConsumer, for a worker
//   - Audit: the states of tasks, for a client
//   - Names: the names of the holders of keys, for an admin
type Handshake struct {
	Session      string         `cbor:"1,keyasint,omitempty"`
	Stream       string         `cbor:"2,keyasint,omitempty"` // ResultStream or KeptStream
	Capabilities *CapabilitySet `cbor:"3,keyasint,omitempty"`
	Cancels      bool           `cbor:"4,keyasint,omitempty"`
	Audit        *Audit         `cbor:"5,keyasint,omitempty"`
	Names        []string       `cbor:"6,keyasint,omitempty"` // public keys, at most MaxNames
}

// HandshakeReply is the reply to a Handshake.
type HandshakeReply struct {
	Role      string    `cbor:"1,keyasint"`
	Error     string    `cbor:"2,keyasint,omitempty"` // why the request failed
	Transient bool      `cbor:"3,keyasint,omitempty"` // the error is transient
	Consumer  string    `cbor:"4,keyasint,omitempty"` // name of the consumer, for Capabilities and Cancels
	Created   time.Time `cbor:"5,keyasint,omitzero"`  // when the consumer was created, for Capabilities and Cancels
	States    []State   `cbor:"6,keyasint,omitempty"` // for an Audit: the states of its tasks, in the order of Audit.Tasks

	Names map[string]string `cbor:"7,keyasint,omitempty"` // for Names: the names of those keys that the keyring has
}

// MaxNames is the maximum number of keys in Handshake.Names. The reply must not
// exceed the size of a message.
const MaxNames = 1000

// ResendRequest is a request of a worker to a server. The server sends the kept
// result of a task with an id to the session that waits for it. So workers need
// no access to the kept results of clients.
type ResendRequest struct {
	Client  string `cbor:"1,keyasint"`
	Number  string `cbor:"2,keyasint"`
	Session string `cbor:"3,keyasint"`
}

// ResendReply is the reply to a ResendRequest.
type ResendReply struct {
	Found bool   `cbor:"1,keyasint,omitempty"` // there is a result, and the server has sent it
	Error string `cbor:"2,keyasint,omitempty"`
}

// Pull is a request of a worker to a server. The server asks a consumer, of
// tasks or of cancellations, to deliver messages at a DeliverSubject of the
// worker's key. After the messages, the consumer sends a status, see ADR-13 of
// NATS.
//
// A worker does not send the request to the consumer itself. If a reply from
// another account consists of several messages, NATS treats the first empty
// message without headers as the end of the reply. Any client can publish such
// a message. The tasks after this message would have no worker until their
// leases end.
type Pull struct {
	Stream   string        `cbor:"1,keyasint"` // TaskStream or CancelStream
	Consumer string        `cbor:"2,keyasint"`
	Inbox    string        `cbor:"3,keyasint"`           // random
	Batch    int           `cbor:"4,keyasint"`           // maximum number of messages
	Bytes    int64         `cbor:"5,keyasint,omitempty"` // maximum total size of the messages; 0 for no limit
	Expires  time.Duration `cbor:"6,keyasint,omitempty"` // the time to wait for messages; 0 means to send only stored messages
}

// Request returns the pull request that the server sends to the consumer, in
// JSON.
func (p *Pull) Request() ([]byte, error) {
	asked := map[string]any{"batch": p.Batch, "expires": p.Expires.Nanoseconds(), "no_wait": p.Expires == 0}
	if p.Bytes > 0 {
		asked["max_bytes"] = p.Bytes
	}
	return json.Marshal(asked)
}
