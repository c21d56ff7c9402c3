package wire

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// Envelope is a task as a message.
//
//	version   1 byte
//	flags     1 byte     1: signed
//	fields    see protobuf.go; ID.Number and ID.Session only if not Try and Session
//	trailer              if signed: by the client's key, see signature.go
type Envelope struct {
	ID        TaskID // 1 to 3
	Function  string // 4
	Signature string // 5: digest of the function's types
	Deadline  int64  // 6: in milliseconds since 1970; 0 for none
	Session   string // 7: the session that receives the report if the task is dropped; then no result is kept
	Try       string // 8: unique among the submissions of the session
	Attempts  int    // 9: maximum number of attempts if the function fails
	Delay     int64  // 10: the first pause between two attempts, in milliseconds
	MaxDelay  int64  // 11: the longest pause
	Input     int64  // 12: index of the input in its Map, plus 1; 0 for none
	Label     string // 13: set by the submitter, for people to read; at most MaxLabelBytes
	Arg       Value  // 16 to 20

	// Certificate is the certificate of the client's key, by which a worker
	// verifies that the authority has made the key for a client: field 24.
	// EncodeTasks sets it.
	Certificate []byte
}

const (
	version    = 1
	signedFlag = 1

	maxFunctionName = 16 << 10 // bytes
	maxBlobName     = 129      // two tokens and a dot
)

// Limits of the retries of a task.
const (
	MaxAttempts   = 1000
	MaxRetryDelay = 24 * time.Hour // between two attempts
)

// MaxLabelBytes is the maximum size of a label that is sent with a task.
const MaxLabelBytes = 256

// cutLabel shortens a label to MaxLabelBytes bytes: it cuts between two
// characters, and adds an ellipsis.
func cutLabel(label string) string {
	if len(label) <= MaxLabelBytes {
		return label
	}
	const more = "\u2026"
	end := MaxLabelBytes - len(more)
	for end > MaxLabelBytes-len(more)-utf8.UTFMax && !utf8.RuneStart(label[end]) {
		end--
	}
	return label[:end] + more
}

// ErrEnvelope is wrapped by the error of Open for a message that is not a valid
// task.
var ErrEnvelope = errors.New("cluster: not a task")

// OutgoingTask is a task and its subject.
type OutgoingTask struct {
	Envelope
	Subject string
}

// EncodeTasks returns the messages of tasks. If there is a signer, it signs
// them together.
func EncodeTasks(posts []OutgoingTask, signer *Signer) ([][]byte, error) {
	msgs, subjects := make([][]byte, len(posts)), make([]string, len(posts))
	for i := range posts {
		if signer != nil {
			posts[i].Certificate = signer.certificate
		}
		msgs[i], subjects[i] = posts[i].encode(signer != nil), posts[i].Subject
	}
	if signer != nil {
		if err := signer.sign(msgs, subjects); err != nil {
			return nil, fmt.Errorf("cluster: signing tasks: %w", err)
		}
	}
	return msgs, nil
}

// encode returns the message without the trailer, and with capacity for it.
func (e *Envelope) encode(signed bool) []byte {
	room := 160 + len(e.Label) + len(e.Function) + len(e.ID.Client) + len(e.Session) + len(e.Arg.Bytes) // the other fields are short
	flags := byte(0)
	if signed {
		room += 6*tlog.HashSize + signatureBytes + len(e.Certificate)
		flags = signedFlag
	}
	task := *e
	task.Label = cutLabel(e.Label)
	if e.ID.Number == e.Try && e.ID.Session == e.Session {
		task.ID.Number, task.ID.Session = "", ""
	}
	m := message{encoded: append(make([]byte, 0, room), version, flags)}
	task.fields(&m)
	return m.encoded
}

func (e *Envelope) fields(m *message) {
	e.ID.fields(m)
	m.text(4, &e.Function)
	m.text(5, &e.Signature)
	number(m, 6, &e.Deadline)
	m.text(7, &e.Session)
	m.text(8, &e.Try)
	number(m, 9, &e.Attempts)
	number(m, 10, &e.Delay)
	number(m, 11, &e.MaxDelay)
	number(m, 12, &e.Input)
	m.text(13, &e.Label)
	e.Arg.fields(m)
	m.bytes(24, &e.Certificate)
}

// read reads the fields of an envelope.
func (e *Envelope) read(msg []byte) error {
	var m message
	err := m.parse(msg)
	e.fields(&m)
	e.Input, e.Label = max(0, e.Input), cutLabel(e.Label)
	return err
}

// Open decodes a message of EncodeTasks. If signed is true, it returns an error
// unless the client that the task names has signed it, with a key that has a
// certificate by the verifier's Authority, if that is set. It always verifies
// the signature of a signed message.
func (v *Verifier) Open(msg []byte, subject string, signed bool) (e Envelope, err error) {
	if len(msg) < 2 || msg[0] != version || msg[1]&^signedFlag != 0 {
		return e, fmt.Errorf("%w: unknown version or flags", ErrEnvelope)
	}
	body, signature := msg, []byte(nil)
	if msg[1]&signedFlag != 0 {
		if body, signature, err = splitTrailer(msg); err != nil {
			return e, fmt.Errorf("%w: %w", ErrEnvelope, err)
		}
	}
	if err := e.read(body[2:]); err != nil {
		return e, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	if e.ID.Number == "" && e.ID.Session == "" {
		e.ID.Number, e.ID.Session = e.Try, e.Session
	}
	if !ValidToken(e.ID.Client) || !ValidToken(e.ID.Number) || !ValidToken(e.Session) || !ValidToken(e.Try) || e.ID.Session != "" && e.ID.Session != e.Session {
		return e, fmt.Errorf("%w: invalid id", ErrEnvelope)
	}
	if len(e.Function) > maxFunctionName || len(e.Arg.Blob) > maxBlobName {
		return e, fmt.Errorf("%w: a name is too long", ErrEnvelope)
	}
	if signature == nil {
		if signed {
			return e, fmt.Errorf("%w: it is not signed", ErrEnvelope)
		}
		return e, nil
	}
	if err := v.check(e.ID.Client, body, signature, subject); err != nil {
		return e, fmt.Errorf("%w: the signature is not by its client: %w", ErrEnvelope, err)
	}
	if signed && v.Authority != nil {
		if err := v.checkCertificate(e.ID.Client, e.Certificate); err != nil {
			return e, fmt.Errorf("%w: %w", ErrEnvelope, err)
		}
	}
	return e, nil
}
