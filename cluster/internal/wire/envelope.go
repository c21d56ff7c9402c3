package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/nats-io/nkeys"

	"concert"
)

// Envelope is a task as it travels.
//
//	version   1 byte
//	flags     1 byte     1: signed
//	CBOR      the envelope; the Number of its ID is left out if it is the Try: then the Session is that of the ID, too
//	signature 64 bytes   if signed: Ed25519 over everything before it, and the subject, by the client's key
type Envelope struct {
	ID        TaskID `cbor:"1,keyasint"`
	Function  string `cbor:"2,keyasint"`
	Signature string `cbor:"3,keyasint"` // digest of the function's types
	Arg       Value  `cbor:"4,keyasint"`
	// Deadline is when nobody wants the result any more, in milliseconds since 1970; 0 for never.
	Deadline int64 `cbor:"5,keyasint,omitempty"`
	// Session is where a task with an id of its own answers that it was dropped: then there is no result to keep.
	Session string `cbor:"6,keyasint,omitempty"`
	// Try is unique among the submissions of the session.
	Try string `cbor:"7,keyasint,omitempty"`
	// Attempts is how often it is tried if its function fails, and the others the pause between two of them, in milliseconds: the first and the longest.
	Attempts int   `cbor:"8,keyasint,omitempty"`
	Delay    int64 `cbor:"9,keyasint,omitempty"`
	MaxDelay int64 `cbor:"10,keyasint,omitempty"`
}

// Value is an argument or a result: here, or in the stream for what is large.
type Value struct {
	Kind  byte   `cbor:"1,keyasint,omitempty"`
	Bytes []byte `cbor:"2,keyasint,omitempty"`
	Load  string `cbor:"3,keyasint,omitempty"` // the name of what is in parts, in the stream for that
	Size  int    `cbor:"4,keyasint,omitempty"` // of all of it
	Sum   []byte `cbor:"5,keyasint,omitempty"` // SHA-256
}

// Outcome is a result as it travels.
type Outcome struct {
	ID      TaskID        `cbor:"1,keyasint"`
	Value   Value         `cbor:"2,keyasint"`
	Err     []byte        `cbor:"3,keyasint,omitempty"` // by concert.EncodeError
	Dropped bool          `cbor:"4,keyasint,omitempty"` // it never started
	Worker  int           `cbor:"5,keyasint,omitempty"` // the number of its place there
	Took    time.Duration `cbor:"6,keyasint,omitempty"`
	At      string        `cbor:"7,keyasint,omitempty"` // the worker's id
	Dead    bool          `cbor:"8,keyasint,omitempty"` // it is a dead letter
}

// Hint is what a worker tells of a task that runs. It may be lost.
type Hint struct {
	Number string `cbor:"1,keyasint"`
	Worker int    `cbor:"2,keyasint,omitempty"`
	Done   int64  `cbor:"3,keyasint,omitempty"`
	Total  int64  `cbor:"4,keyasint,omitempty"`
	At     string `cbor:"5,keyasint,omitempty"` // the worker's id
	Away   bool   `cbor:"6,keyasint,omitempty"` // it has failed there, and waits for another attempt
}

const (
	version      = 1
	signedFlag   = 1
	signatureLen = 64
)

var (
	encoder = mustMode(cbor.EncOptions{}.EncMode())
	decoder = mustMode(cbor.DecOptions{MaxNestedLevels: 8, MaxArrayElements: 1024, MaxMapPairs: 64}.DecMode())
)

func mustMode[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// Marshal encodes what travels.
func Marshal(v any) ([]byte, error) { return encoder.Marshal(v) }

// Unmarshal decodes what has travelled, which is nested little, as nothing in it is what users made.
func Unmarshal(b []byte, v any) error { return decoder.Unmarshal(b, v) }

// ErrEnvelope is wrapped by the errors of what cannot be a task.
var ErrEnvelope = errors.New("cluster: not a task")

// Seal returns a message for the subject; key is nil if nothing is signed.
func (e Envelope) Seal(subject string, key nkeys.KeyPair) ([]byte, error) {
	if e.ID.Number == e.Try && e.ID.Session == e.Session {
		e.ID.Number, e.ID.Session = "", ""
	}
	body, err := encoder.Marshal(&e)
	if err != nil {
		return nil, err
	}
	msg := make([]byte, 2, 2+len(body)+signatureLen)
	msg[0] = version
	msg = append(msg, body...)
	if key == nil {
		return msg, nil
	}
	msg[1] = signedFlag
	signature, err := key.Sign(signedText(msg, subject))
	if err != nil {
		return nil, fmt.Errorf("cluster: signing: %w", err)
	}
	return append(msg, signature...), nil
}

// signedText is what the signature is of.
func signedText(msg []byte, subject string) []byte {
	return append(append(make([]byte, 0, len(msg)+len(subject)), msg...), subject...)
}

// Open is the reverse of Seal. A task that has to be signed is one by the client whose name it bears.
func Open(msg []byte, subject string, signed bool) (e Envelope, err error) {
	if len(msg) < 2 || msg[0] != version || msg[1]&^signedFlag != 0 {
		return e, fmt.Errorf("%w: version or flags are unknown", ErrEnvelope)
	}
	body, signature := msg, []byte(nil)
	if msg[1]&signedFlag != 0 {
		if len(msg) < 2+signatureLen {
			return e, fmt.Errorf("%w: it is too short", ErrEnvelope)
		}
		body, signature = msg[:len(msg)-signatureLen], msg[len(msg)-signatureLen:]
	}
	if err := decoder.Unmarshal(body[2:], &e); err != nil {
		return e, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	if e.ID.Number == "" && e.ID.Session == "" {
		e.ID.Number, e.ID.Session = e.Try, e.Session
	}
	if !ValidToken(e.ID.Client) || !ValidToken(e.ID.Number) || !ValidToken(e.Session) || !ValidToken(e.Try) || e.ID.Session != "" && e.ID.Session != e.Session {
		return e, fmt.Errorf("%w: its id is none", ErrEnvelope)
	}
	if signature == nil {
		if signed {
			return e, fmt.Errorf("%w: it is not signed", ErrEnvelope)
		}
		return e, nil
	}
	key, err := nkeys.FromPublicKey(e.ID.Client)
	if err != nil {
		return e, fmt.Errorf("%w: its client is no key: %w", ErrEnvelope, err)
	}
	if err := key.Verify(signedText(body, subject), signature); err != nil {
		return e, fmt.Errorf("%w: its signature is not by its client", ErrEnvelope)
	}
	return e, nil
}

// Inline is a value that travels in the message.
func Inline(v concert.Encoded) Value { return Value{Kind: v.Kind, Bytes: v.Bytes} }
