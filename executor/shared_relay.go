package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// This file is for code that passes calls from one executor to another; see
// Relay. The argument of such a call may refer to values that the first
// executor stores.
//
//	value of the first executor --RelayShared--> Stored --Call.Shared--> Relay
//
// The argument contains the ID of the value. The first submitter has encoded
// the argument, maybe with a codec that is unknown here. So the second executor
// stores the value under the same ID, and the argument does not change.

// SharedRelayer is an optional interface of an [Executor] that stores values
// for the calls of [Relay].
type SharedRelayer interface {
	// RelayShared stores a value under an ID, as [Sharer] describes. The bytes
	// do not change until Release is called. Another process may have encoded
	// them, so they are not trusted. If the executor has a value with this ID
	// already, it keeps that value until all of its users have called Release.
	// If the executor cannot store values at all, the error is an
	// [errors.ErrUnsupported].
	RelayShared(ctx context.Context, id SharedID, value Encoded) (*Stored, error)
}

// RelayShared makes a value that another process has encoded available to the
// calls of [Relay] whose arguments refer to it. The bytes must not change until
// the caller calls Release, after all these calls have settled.
//
// If ex is a [SharedRelayer], ex stores the value. Otherwise the value is
// stored in this process, which suffices if the workers of ex are goroutines.
// If the workers are other processes, each call copies the value.
func RelayShared(ctx context.Context, ex Executor, id SharedID, value Encoded) (*Stored, error) {
	if r, ok := ex.(SharedRelayer); ok {
		stored, err := r.RelayShared(ctx, id, value)
		if !errors.Is(err, errors.ErrUnsupported) {
			return stored, err
		}
	}
	retainShared(id, value)
	return &Stored{ID: id, Release: func() { releaseShared(id) }, value: value}, nil
}

// replaceReferences returns an argument in which the values take the place of
// the references. It is for workers to which the values were not sent.
func replaceReferences(arg Encoded, all []*Stored) (Encoded, error) {
	if !refersTo(arg.Bytes, all) {
		return arg, nil
	}
	if arg.Kind != asCBOR {
		return arg, errors.New("the argument is encoded for workers in another language, and refers to a shared value that the executor of the worker does not store: use an executor that implements executor.SharedRelayer")
	}
	r := replacer{from: arg.Bytes, all: all}
	if err := r.item(0); err != nil {
		return arg, fmt.Errorf("its references to shared values cannot be replaced: %w", err)
	}
	return Encoded{arg.Kind, append(r.to, r.from...)}, nil
}

// maxReplaced is the maximum size of an argument in which references were
// replaced. Without a limit, many references to a large value could need more
// memory than the machine has.
const maxReplaced = 1 << 30

// refersTo reports whether b contains an ID. IDs are random, so they are in b
// only as references.
func refersTo(b []byte, all []*Stored) bool {
	for _, s := range all {
		if bytes.Contains(b, s.ID[:]) {
			return true
		}
	}
	return false
}

// replacer copies CBOR, and replaces references.
type replacer struct {
	from []byte
	to   []byte
	all  []*Stored
}

// Major types of CBOR.
const (
	cborBytes = 2
	cborText  = 3
	cborArray = 4
	cborMap   = 5
	cborTag   = 6
)

var errShortCBOR = errors.New("the CBOR is incomplete, or is not in the form that this program encodes")

// item copies the next item of CBOR. The program encodes no items of indefinite
// length.
func (r *replacer) item(depth int) error {
	if depth > 256 {
		return errShortCBOR
	}
	major, n, head, err := cborHead(r.from)
	if err != nil {
		return err
	}
	switch major {
	case cborBytes, cborText:
		if n > uint64(len(r.from)-head) {
			return errShortCBOR
		}
		content := r.from[head : head+int(n)]
		r.from = r.from[head+int(n):]
		if major == cborBytes {
			if content, err = replaceInHandle(content, r.all, depth); err != nil {
				return err
			}
		}
		if len(r.to)+len(content) > maxReplaced {
			return fmt.Errorf("the argument with the values has more than %d bytes", maxReplaced)
		}
		r.to = append(appendCBORHead(r.to, major, uint64(len(content))), content...)
		return nil
	}
	r.to = append(r.to, r.from[:head]...)
	r.from = r.from[head:]
	items := uint64(0)
	switch major {
	case cborArray:
		items = n
	case cborMap:
		if n > math.MaxInt32 {
			return errShortCBOR
		}
		items = 2 * n
	case cborTag:
		items = 1
	}
	for range items {
		if err := r.item(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// replaceInHandle returns the new content of a byte string. If the content is a
// reference to one of the values, the result is a handle with this value. If
// the content is a handle with a value that contains references, the result is
// a handle in which they are replaced. Other content does not change.
func replaceInHandle(b []byte, all []*Stored, depth int) ([]byte, error) {
	if len(b) < sharedHead || !refersTo(b, all) {
		return b, nil
	}
	var value Encoded
	switch {
	case b[0] == sharedReference && len(b) == sharedHead+len(SharedID{}):
		for _, s := range all {
			if SharedID(b[sharedHead:]) == s.ID {
				value = s.value
			}
		}
	case b[0] == sharedInline && b[1] == asCBOR:
		r := replacer{from: b[sharedHead:], all: all}
		if err := r.item(depth + 1); err != nil {
			return nil, err
		}
		value = Encoded{asCBOR, append(r.to, r.from...)}
	default:
		return b, nil
	}
	return append([]byte{sharedInline, value.Kind, 0, 0, 0, 0, 0, 0}, value.Bytes...), nil
}

// cborHead reads the head of an item: its major type, its argument, and the
// number of bytes of the head.
func cborHead(b []byte) (major byte, n uint64, size int, err error) {
	if len(b) == 0 {
		return 0, 0, 0, errShortCBOR
	}
	major, info := b[0]>>5, b[0]&31
	if info < 24 {
		return major, uint64(info), 1, nil
	}
	if info > 27 {
		return 0, 0, 0, errShortCBOR
	}
	width := 1 << (info - 24)
	if len(b) < 1+width {
		return 0, 0, 0, errShortCBOR
	}
	for _, c := range b[1 : 1+width] {
		n = n<<8 | uint64(c)
	}
	return major, n, 1 + width, nil
}

func appendCBORHead(b []byte, major byte, n uint64) []byte {
	switch major <<= 5; {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}
