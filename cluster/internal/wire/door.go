package wire

// The roles of those who have a key, as servers call them.
const (
	ClientRole = "client"
	WorkerRole = "worker"
	AdminRole  = "admin"
)

// ClientAPI is how a client's requests to JetStream begin, instead of "$JS.API": those are answered, in an account that has no streams, by
// "not enabled".
const ClientAPI = "concert.api"

// Knock is what the holder of a key asks a server for: what the key is for and, unless Session is empty, the consumer of SessionConsumer. Servers make it
// for a client, as who may make consumers may have what they deliver go anywhere.
type Knock struct {
	Session string `cbor:"1,keyasint,omitempty"`
	Stream  string `cbor:"2,keyasint,omitempty"` // ResultStream or KeptStream
}

// Welcome is the answer to a Knock.
type Welcome struct {
	Role  string `cbor:"1,keyasint"`
	Error string `cbor:"2,keyasint,omitempty"` // why there is no consumer
	Later bool   `cbor:"3,keyasint,omitempty"` // there may be one later
}
