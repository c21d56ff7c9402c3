// Package frame implements the protocol between a pool and its worker
// processes. They exchange frames through pipes. docs/wire.md describes the
// protocol for authors of workers in other languages.
//
//	pool --tasks----> worker     Call, Trace, Share, Unshare ...
//	pool --control--> worker     Cancel, TakeBack, Watch
//	pool <--results-- worker     Hello, Ready or Broken, and then
//	                             Started, Progress, Result, Failure, GivenBack ...
//
// When the pool closes the pipe of tasks, a worker finishes its calls and
// exits. When the process of the pool ends, the pipe of control ends, and
// the worker exits at once.
//
//	frame = length uint32, type byte, body        length is the size of type and body
//
// All numbers are little endian. The receiver does not trust a frame: it checks
// the length of the frame before it allocates memory, and the lengths within
// the frame against the length of the frame.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"concert/executor"
)

// Version is the version of the protocol. Both sides must have the same
// version.
const Version = 1

// Type is the type of a frame.
type Type byte

// The types of frames. They are letters, so that a dump of a pipe is readable.
const (
	Call       Type = 'C' // pool to worker: run these calls of one function
	CallList   Type = 'N' // pool to worker: the same as Call, for small arguments of the same kind
	CallMapped Type = 'M' // pool to worker: the same as Call, but the worker may pass the memory of results to the pool, which maps it
	Trace      Type = 'K' // pool to worker: the text for distributed tracing of the calls in the next frame of calls
	Cancel     Type = 'X' // pool to worker: cancel the context of a call
	Share      Type = 'V' // pool to worker: keep this value, to which arguments of calls refer
	Unshare    Type = 'U' // pool to worker: release this value
	TakeBack   Type = 'T' // pool to worker: do not begin this call of a frame, nor the calls after it
	Watch      Type = 'W' // pool to worker: report the progress of calls from now on
	Hello      Type = 'H' // worker to pool: the first frame, with the version
	Ready      Type = 'Y' // worker to pool: the worker is prepared
	Broken     Type = 'B' // worker to pool: the worker could not be prepared, with the error
	Started    Type = 'S' // worker to pool: a call begins
	Progress   Type = 'P' // worker to pool: the progress of a call
	Result     Type = 'R' // worker to pool: the value of a call
	ResultList Type = 'A' // worker to pool: small values of the same kind of consecutive calls
	Failure    Type = 'F' // worker to pool: the error of a call
	GivenBack  Type = 'G' // worker to pool: the worker will not begin this call of a frame, nor the calls after it
)

// HeaderSize is the number of bytes before the body.
const HeaderSize = 5

// ErrFrame is wrapped by the errors of invalid frames.
var ErrFrame = errors.New("invalid frame")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFrame}, args...)...)
}

var le = binary.LittleEndian

// begin appends the header of a frame. The length in the header is 0 until the
// function end sets it.
func begin(b []byte, t Type) []byte { return append(b, 0, 0, 0, 0, byte(t)) }

// end completes the frame that begins at start.
func end(b []byte, start int) []byte {
	le.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// Span is a range of bytes in the shared memory of a pool and a worker. This
// package does not check that the range is within the shared memory.
type Span struct{ Offset, Length uint64 }

// Payload is a value: its bytes in the frame, or their span in shared memory or
// in a file.
type Payload struct {
	executor.Encoded      // the kind, and the bytes unless Shared or File is set
	Shared           bool // whether the bytes are in shared memory
	File             bool // whether the bytes are in a file; only the value of a Result can be in a file
	Span             Span // the position of the bytes in shared memory, or in the file, if Shared or File is set
}

const spanSize = 8 + 8

// The values of the place byte of a payload. It says where the bytes of the
// payload are.
const (
	inFrame  = 0
	inShared = 1
	inFile   = 2
)

func appendPayload(b []byte, p Payload) []byte {
	switch {
	case p.Shared:
		b = append(b, inShared, p.Kind)
	case p.File:
		b = append(b, inFile, p.Kind)
	default:
		return append(append(b, inFrame, p.Kind), p.Bytes...)
	}
	b = le.AppendUint64(b, p.Span.Offset)
	return le.AppendUint64(b, p.Span.Length)
}

// parsePayload parses a payload. The parameter places is the highest valid
// value of the place byte.
func parsePayload(b []byte, places byte) (p Payload, err error) {
	if len(b) < 2 || b[0] > places {
		return p, bad("payload of %d bytes", len(b))
	}
	place := b[0]
	p.Kind = b[1]
	if place == inFrame {
		p.Bytes = b[2:]
		return p, nil
	}
	if b = b[2:]; len(b) != spanSize {
		return p, bad("span of %d bytes", len(b))
	}
	p.Shared, p.File = place == inShared, place == inFile
	p.Span = Span{Offset: le.Uint64(b), Length: le.Uint64(b[8:])}
	if p.File {
		return p, p.checkFile()
	}
	return p, nil
}

// checkFile returns an error unless the value can be the content of a whole
// file.
func (p *Payload) checkFile() error {
	if n := p.Span.Length; p.Span.Offset != 0 || n == 0 || int(n) < 0 || uint64(int(n)) != n {
		return bad("a file of %d bytes at %d for a value", n, p.Span.Offset)
	}
	return nil
}

// CallHead is the beginning of a Call frame. It concerns all calls of the
// frame.
type CallHead struct {
	Seq   uint32        // number of the frame; increases with each frame for a worker
	Left  time.Duration // time until the deadline of the calls; 0 if there is no deadline, negative if it has passed
	Name  string        // the name of the function
	Count uint16        // number of calls, and so of the arguments that follow; the index of a call counts from 0

	Mapped bool // the frame is a CallMapped; only for AppendCall
}

// Overhead is the maximum number of bytes that a frame with one payload has
// in addition to the payload.
const Overhead = 64 + MaxName

const (
	// MaxPayload is the maximum size in bytes of an argument or a result.
	MaxPayload = 1 << 30

	// MaxFrame is the maximum size in bytes of a frame.
	MaxFrame = MaxPayload + Overhead
)

// MaxName is the maximum length in bytes of a function's name in a Call frame.
const MaxName = 1<<16 - 1

// AppendCall appends the beginning of a Call. Then the caller appends each
// argument by AppendArg, and completes the frame by EndCall. The name of the
// function, or the name that SetWireName has set instead, must have at most
// MaxName bytes.
func AppendCall(b []byte, h CallHead) []byte {
	t := Call
	if h.Mapped {
		t = CallMapped
	}
	return appendHead(begin(b, t), h)
}

func appendHead(b []byte, h CallHead) []byte {
	b = le.AppendUint32(b, h.Seq)
	b = le.AppendUint64(b, uint64(h.Left))
	name := wireName(h.Name)
	b = le.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	return le.AppendUint16(b, h.Count)
}

// wireNames has the functions whose names in Call frames differ from their
// own names.
var wireNames struct {
	some atomic.Bool
	all  sync.Map // from the name of a function to its name in Call frames
}

// SetWireName sets the name of a function in Call frames. Package python uses
// it for functions that are given as source text: the text is a part of the
// name in Call frames, but not of the name in errors, events and logs.
// SetWireName panics if the function already has another name in Call frames.
func SetWireName(name, wire string) {
	if known, ok := wireNames.all.LoadOrStore(name, wire); ok && known != wire {
		panic(fmt.Sprintf("frame: SetWireName: %s has another name in Call frames already", name))
	}
	wireNames.some.Store(true)
}

// wireName returns the name of a function in Call frames.
func wireName(name string) string {
	if wireNames.some.Load() {
		if wire, ok := wireNames.all.Load(name); ok {
			return wire.(string)
		}
	}
	return name
}

// AppendArg appends an argument to a Call. The parameter bytes is the number
// of payload bytes that the caller itself writes after the bytes that
// AppendArg has appended. If this number is above 0, p.Bytes must be empty.
func AppendArg(b []byte, p Payload, bytes int) []byte {
	at := len(b)
	b = appendPayload(le.AppendUint32(b, 0), p)
	le.PutUint32(b[at:], uint32(len(b)-at-4+bytes))
	return b
}

// AppendInline appends an argument whose bytes are in the frame.
func AppendInline(b []byte, e executor.Encoded) []byte {
	b = le.AppendUint32(b, uint32(2+len(e.Bytes)))
	return append(append(b, 0, e.Kind), e.Bytes...)
}

// EndCall completes the Call that begins at start. The parameter bytes is
// the number of payload bytes that are not in b, because the caller writes
// them itself.
func EndCall(b []byte, start, bytes int) []byte {
	le.PutUint32(b[start:], uint32(len(b)-start-4+bytes))
	return b
}

// Lengthen adds a number of bytes to the length in the header of the frame that
// begins at start.
func Lengthen(b []byte, start, bytes int) {
	le.PutUint32(b[start:], le.Uint32(b[start:])+uint32(bytes))
}

// ParseCall parses the beginning of the body of a Call or a CallList. The
// result rest contains the arguments, which NextArg or ParseCallList parses.
// The parameter last is the name in an earlier frame. If the function has
// this name, h.Name is last itself, which saves an allocation.
func ParseCall(b []byte, last string) (h CallHead, rest []byte, err error) {
	if len(b) < 16 {
		return h, nil, bad("call of %d bytes", len(b))
	}
	h.Seq, h.Left = le.Uint32(b), time.Duration(le.Uint64(b[4:]))
	n := int(le.Uint16(b[12:]))
	if b = b[14:]; len(b) < n+2 {
		return h, nil, bad("a name of %d bytes, and only %d bytes follow", n, len(b))
	}
	if h.Name = last; string(b[:n]) != last {
		h.Name = string(b[:n])
	}
	h.Count = le.Uint16(b[n:])
	return h, b[n+2:], nil
}

// NextArg parses the first argument in b, and returns the bytes after it.
// p.Bytes is a part of b, not a copy.
func NextArg(b []byte) (p Payload, rest []byte, err error) {
	if len(b) < 4 {
		return p, nil, bad("argument of %d bytes", len(b))
	}
	n := uint64(le.Uint32(b))
	if b = b[4:]; uint64(len(b)) < n {
		return p, nil, bad("an argument of %d bytes, and only %d bytes follow", n, len(b))
	}
	p, err = parsePayload(b[:n], inShared)
	return p, b[n:], err
}

// ID identifies a call: the number of its Call frame, and the number of the
// call in this frame.
type ID struct{ Seq, Index uint32 }

func appendID(b []byte, id ID) []byte { return le.AppendUint32(le.AppendUint32(b, id.Seq), id.Index) }

func parseID(b []byte) ID { return ID{le.Uint32(b), le.Uint32(b[4:])} }

// Outcome is the body of a Result, or of a Failure.
type Outcome struct {
	ID    ID
	Ran   time.Duration // run time of the function
	Value Payload       // the value in a Result
	Error []byte        // the error in a Failure, encoded by executor.EncodeError
}

// AppendResult appends a Result.
func AppendResult(b []byte, o Outcome) []byte {
	start := len(b)
	b = appendID(begin(b, Result), o.ID)
	b = le.AppendUint64(b, uint64(o.Ran))
	return end(appendPayload(b, o.Value), start)
}

// ResultHead appends a Result without the bytes of its payload. The caller
// must write these bytes after the Result. The parameter bytes is their
// number.
func ResultHead(b []byte, o Outcome, bytes int) []byte {
	start := len(b)
	b = AppendResult(b, Outcome{ID: o.ID, Ran: o.Ran, Value: Payload{Encoded: executor.Encoded{Kind: o.Value.Kind}}})
	le.PutUint32(b[start:], le.Uint32(b[start:])+uint32(bytes))
	return b
}

// ParseResult parses the body of a Result. o.Value.Bytes is a part of b, not a
// copy.
func ParseResult(b []byte) (o Outcome, err error) {
	if len(b) < 16 {
		return o, bad("result of %d bytes", len(b))
	}
	o.ID, o.Ran = parseID(b), time.Duration(le.Uint64(b[8:]))
	o.Value, err = parsePayload(b[16:], inFile)
	return o, err
}

// ParseInline parses the body of a Result whose value is in the frame. The
// result ok is false for all other bodies. For small results, ParseInline is
// faster than ParseResult.
func ParseInline(b []byte) (id ID, ran time.Duration, value executor.Encoded, ok bool) {
	const at = 4 + 4 + 8
	if len(b) < at+2 || b[at] != 0 {
		return id, 0, value, false
	}
	return parseID(b), time.Duration(le.Uint64(b[8:])), executor.Encoded{Kind: b[at+1], Bytes: b[at+2:]}, true
}

// AppendFailure appends a Failure.
func AppendFailure(b []byte, o Outcome) []byte {
	start := len(b)
	b = appendID(begin(b, Failure), o.ID)
	b = le.AppendUint64(b, uint64(o.Ran))
	return end(append(b, o.Error...), start)
}

// ParseFailure parses the body of a Failure. o.Error is a part of b, not a
// copy.
func ParseFailure(b []byte) (o Outcome, err error) {
	if len(b) < 16 {
		return o, bad("failure of %d bytes", len(b))
	}
	return Outcome{ID: parseID(b), Ran: time.Duration(le.Uint64(b[8:])), Error: b[16:]}, nil
}
