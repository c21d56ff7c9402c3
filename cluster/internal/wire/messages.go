package wire

import (
	"cmp"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/encoding/protowire"

	"concert/executor"
)

// Envelope is a task as a message.
//
//	version   1 byte
//	flags     1 byte     1: signed
//	fields    see message; ID.Number and ID.Session are omitted if they equal Try and Session
//	trailer              if signed: by the client's key, see signature.go
type Envelope struct {
	ID        TaskID // 1 to 3
	Function  string // 4
	Signature string // 5: digest of the function's types
	Deadline  int64  // 6: in milliseconds since 1970; 0 for none
	Session   string // 7: the session that receives the outcome if the task is dropped; such an outcome is not kept
	Try       string // 8: unique among the submissions of the session
	Attempts  int    // 9: maximum number of attempts if the function fails
	Delay     int64  // 10: the first pause between two attempts, in milliseconds
	MaxDelay  int64  // 11: the longest pause
	Input     int64  // 12: index of the input in its Map, plus 1; 0 for none
	Label     string // 13: set by the submitter, for people to read; at most MaxLabelBytes
	Trace     string // 14: for distributed tracing, see executor.Tracing; at most executor.MaxTrace bytes
	Arg       Value  // 16 to 20

	// Shared are the shared values to which the argument refers: field 21. At
	// most MaxSharedValues.
	Shared []SharedValue

	// Certificate is the certificate of the client's key: field 24. By the
	// certificate, a worker verifies that the authority has given the role of a
	// client to the key. EncodeTasks sets it.
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

// EncodeTasks returns the messages of tasks. If the signer is not nil, it signs
// all messages together.
func EncodeTasks(tasks []OutgoingTask, signer *Signer) ([][]byte, error) {
	msgs, subjects := make([][]byte, len(tasks)), make([]string, len(tasks))
	for i := range tasks {
		if signer != nil {
			tasks[i].Certificate = signer.certificate
		}
		msgs[i], subjects[i] = tasks[i].encode(signer != nil), tasks[i].Subject
	}
	if signer != nil {
		if err := signer.sign(msgs, subjects); err != nil {
			return nil, fmt.Errorf("cluster: signing tasks: %w", err)
		}
	}
	return msgs, nil
}

// encode returns the message without the trailer, but with capacity for it.
func (e *Envelope) encode(signed bool) []byte {
	size := 160 + len(e.Label) + len(e.Trace) + len(e.Function) + len(e.ID.Client) + len(e.Session) + len(e.Arg.Bytes) // the other fields are short
	flags := byte(0)
	if signed {
		size += 6*tlog.HashSize + signatureBytes + len(e.Certificate)
		flags = signedFlag
	}
	task := *e
	task.Label = cutLabel(e.Label)
	if e.ID.Number == e.Try && e.ID.Session == e.Session {
		task.ID.Number, task.ID.Session = "", ""
	}
	m := message{encoded: append(make([]byte, 0, size), version, flags)}
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
	m.text(14, &e.Trace)
	e.Arg.fields(m)
	if m.found[21].present || len(e.Shared) > 0 {
		sharedValues(m, 21, &e.Shared)
	}
	m.bytes(24, &e.Certificate)
}

// read reads the fields of an envelope.
func (e *Envelope) read(msg []byte) error {
	var m message
	err := m.parse(msg)
	e.fields(&m)
	err = cmp.Or(err, m.failure)
	e.Input, e.Label = max(0, e.Input), cutLabel(e.Label)
	if len(e.Trace) > executor.MaxTrace {
		e.Trace = "" // the task can run without it
	}
	return err
}

// Open decodes a message of EncodeTasks, and verifies the signature of a
// signed message. If signed is true, the message must be signed by the
// client in the ID of the task. If the verifier's Authority is set, the key
// of the client must also have a certificate of this authority.
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
			return e, fmt.Errorf("%w: the message is not signed", ErrEnvelope)
		}
		return e, nil
	}
	if err := v.check(e.ID.Client, body, signature, subject); err != nil {
		return e, fmt.Errorf("%w: the client of the task has not signed the message: %w", ErrEnvelope, err)
	}
	if signed && v.Authority != nil {
		if err := v.checkCertificate(e.ID.Client, e.Certificate); err != nil {
			return e, fmt.Errorf("%w: %w", ErrEnvelope, err)
		}
	}
	return e, nil
}

// Outcome is a result as a message.
type Outcome struct {
	ID       TaskID        // 1 to 3
	Err      []byte        // 4: by executor.EncodeError
	Dropped  bool          // 5: the function was not called
	Dead     bool          // 6: the task is a dead letter
	Slot     int           // 7: the slot of the worker
	WorkerID string        // 8
	Took     time.Duration // 9: in nanoseconds
	Try      string        // 10: set if the task was dropped or stopped: then the outcome is for this submission only, and is not kept
	Stopped  bool          // 11: the context of the function had ended
	Missing  []byte        // 12: the ID of the shared value that the servers did not have
	Value    Value         // 16 to 20
}

func (o *Outcome) fields(m *message) {
	o.ID.fields(m)
	m.bytes(4, &o.Err)
	m.boolean(5, &o.Dropped)
	m.boolean(6, &o.Dead)
	number(m, 7, &o.Slot)
	m.text(8, &o.WorkerID)
	number(m, 9, &o.Took)
	m.text(10, &o.Try)
	m.boolean(11, &o.Stopped)
	m.bytes(12, &o.Missing)
	o.Value.fields(m)
}

// Encode returns the message.
func (o *Outcome) Encode() []byte {
	m := message{encoded: make([]byte, 0, 192+len(o.ID.Client)+len(o.Err)+len(o.Value.Bytes))}
	o.fields(&m)
	return m.encoded
}

// DecodeOutcome decodes a message of Outcome.Encode.
func DecodeOutcome(msg []byte) (o Outcome, err error) {
	var m message
	err = m.parse(msg)
	o.fields(&m)
	return o, err
}

// Hint is a message about the start or the progress of a task. It may be lost.
type Hint struct {
	Number   string // 1: TaskID.Number of the task
	Slot     int    // 2
	WorkerID string // 3
	Done     int64  // 4
	Total    int64  // 5
	Retrying bool   // 6: the attempt has failed, and the task waits for the next one
}

func (h *Hint) fields(m *message) {
	m.text(1, &h.Number)
	number(m, 2, &h.Slot)
	m.text(3, &h.WorkerID)
	number(m, 4, &h.Done)
	number(m, 5, &h.Total)
	m.boolean(6, &h.Retrying)
}

// Encode returns the message.
func (h *Hint) Encode() []byte {
	m := message{encoded: make([]byte, 0, 96)}
	h.fields(&m)
	return m.encoded
}

// DecodeHint decodes a message of Hint.Encode.
func DecodeHint(msg []byte) (h Hint, err error) {
	var m message
	err = m.parse(msg)
	h.fields(&m)
	return h, err
}

// Value is an argument or a result. It is in the message, or in BlobStream if
// it is large.
type Value struct {
	executor.Encoded        // 16: Kind, 17: Bytes
	Blob             string // 18: the name of its parts in BlobStream
	Size             int    // 19: size of all parts together
	Sum              []byte // 20: SHA-256
}

func (v *Value) fields(m *message) {
	number(m, 16, &v.Kind)
	m.bytes(17, &v.Bytes)
	m.text(18, &v.Blob)
	number(m, 19, &v.Size)
	m.bytes(20, &v.Sum)
}

// Per-task messages (Envelope, Outcome, Hint) use the wire format of Protocol
// Buffers (protobuf.dev/programming-guides/encoding), with hand-written code.
// Zero values are omitted, and readers skip unknown fields, so programs of
// different versions can communicate. This code takes a tenth of the time of
// CBOR with reflection, which is used for rare messages.

// maxField is the highest number of a field.
const maxField = 24

// message encodes or decodes a message. Envelope, Outcome and Hint have a
// method fields. It calls a method of type message for each field. To encode
// a message, the called method appends the field to message.encoded. To
// decode a message, it sets the field from message.found.
type message struct {
	encoded []byte

	decoding bool
	failure  error // the error of decoding a field that contains messages
	found    [maxField + 1]struct {
		present bool
		content []byte // a part of the message
		integer int64
	}
}

func (m *message) text(n protowire.Number, s *string) {
	switch f := &m.found[n]; {
	case f.present:
		*s = string(f.content)
	case !m.decoding && *s != "":
		m.encoded = protowire.AppendString(protowire.AppendTag(m.encoded, n, protowire.BytesType), *s)
	}
}

func (m *message) bytes(n protowire.Number, b *[]byte) {
	switch f := &m.found[n]; {
	case f.present:
		*b = f.content
	case !m.decoding && len(*b) > 0:
		m.encoded = protowire.AppendBytes(protowire.AppendTag(m.encoded, n, protowire.BytesType), *b)
	}
}

func (m *message) boolean(n protowire.Number, b *bool) {
	v := 0
	if *b {
		v = 1
	}
	number(m, n, &v)
	*b = v != 0
}

func number[T ~byte | ~int | ~int64](m *message, n protowire.Number, v *T) {
	switch f := &m.found[n]; {
	case f.present:
		*v = T(f.integer)
	case !m.decoding && *v != 0:
		m.encoded = protowire.AppendVarint(protowire.AppendTag(m.encoded, n, protowire.VarintType), uint64(*v))
	}
}

// parse finds the fields of a message. If a field occurs twice, the last value
// counts.
func (m *message) parse(msg []byte) error {
	m.decoding = true
	for len(msg) > 0 {
		n, kind, used := protowire.ConsumeTag(msg)
		if used < 0 {
			return fmt.Errorf("invalid field: %w", protowire.ParseError(used))
		}
		msg = msg[used:]
		var content []byte
		var integer uint64
		switch kind {
		case protowire.BytesType:
			content, used = protowire.ConsumeBytes(msg)
		case protowire.VarintType:
			integer, used = protowire.ConsumeVarint(msg)
		default:
			used = protowire.ConsumeFieldValue(n, kind, msg)
		}
		if used < 0 {
			return fmt.Errorf("field %d: %w", n, protowire.ParseError(used))
		}
		if n <= maxField && (kind == protowire.BytesType || kind == protowire.VarintType) {
			f := &m.found[n]
			f.present, f.content, f.integer = true, content, int64(integer)
		}
		msg = msg[used:]
	}
	return nil
}
