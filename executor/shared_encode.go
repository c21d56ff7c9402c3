package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"concert/internal/values"
)

// The encoding of a handle begins with a head of sharedHead bytes, so that the
// bytes after the head are aligned. The first byte of the head is one of these:
const (
	sharedInline    = 0 // the second byte is the kind of the value, and its bytes follow the head
	sharedReference = 1 // the SharedID follows the head
	sharedZero      = 2 // a zero Shared; nothing follows the head

	sharedHead = 8
)

// maxSharedDepth is the maximum number of handles within each other. A value
// that contains its own handle would be encoded without end.
const maxSharedDepth = 16

var errSharedDepth = fmt.Errorf("handles of shared values are nested deeper than %d", maxSharedDepth)

// errStoredReference is the error of a stored value that contains a
// reference. Share makes no such values, but another program can. If such a
// value referred to itself, its decoding would wait for itself.
var errStoredReference = errors.New("a shared value contains a reference to a shared value")

// MarshalBinary implements encoding.BinaryMarshaler. The result contains the
// value.
func (s Shared[T]) MarshalBinary() ([]byte, error) { return s.appendShared(values.Work{}, nil) }

// appendShared appends the encoding of the handle for the receiver w.To: a
// [WorkerGroup], or nil if the receiver is unknown. If the encoding is a
// reference, appendShared adds the handle to w.Used.
func (s Shared[T]) appendShared(w values.Work, b []byte) ([]byte, error) {
	if s.h == nil {
		return append(b, sharedZero, 0, 0, 0, 0, 0, 0, 0), nil
	}
	o := s.h.owner
	if o != nil && w.Used != nil {
		stored, err := storedFor(w, s, nil)
		if err != nil {
			return nil, err
		}
		if stored != nil {
			*w.Used = appendUsed(*w.Used, usedHandle{s, stored})
			b = append(b, sharedReference, 0, 0, 0, 0, 0, 0, 0)
			return append(b, stored.ID[:]...), nil
		}
	}
	if o != nil && o.closed.Load() { // after storedFor, because another goroutine may close the handle in between
		return nil, errSharedClosed
	}
	if w.Depth++; w.Depth > maxSharedDepth {
		return nil, errSharedDepth
	}
	e, _, err := encodeTo(w, nil, s.h.value, nil)
	if err != nil {
		return nil, err
	}
	if w.Small && len(e.Bytes) > values.SmallBytes {
		return nil, values.ErrLarge
	}
	b = slices.Grow(b, sharedHead+len(e.Bytes))
	b = append(b, sharedInline, e.Kind, 0, 0, 0, 0, 0, 0)
	return append(b, e.Bytes...), nil
}

// appendUsed appends a handle to the handles of an argument, unless it is one
// of the last maxLateReferences. So an argument for a LateSharer has each
// handle once, and for other executors, appending many handles takes linear
// time.
func appendUsed(used []any, h usedHandle) []any {
	if slices.Contains(used[max(0, len(used)-maxLateReferences):], any(h)) {
		return used
	}
	return append(used, h)
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. The value may refer
// to the memory of b.
func (s *Shared[T]) UnmarshalBinary(b []byte) error { return s.parseShared(values.Work{}, b) }

// parseShared is the reverse of appendShared. The value may refer to the
// memory of b.
func (s *Shared[T]) parseShared(w values.Work, b []byte) (err error) {
	if len(b) < sharedHead {
		return fmt.Errorf("a shared value of %d bytes", len(b))
	}
	head, rest := b[:sharedHead], b[sharedHead:len(b):len(b)]
	var v T
	switch head[0] {
	case sharedInline:
		if w.Depth++; w.Depth > maxSharedDepth {
			return errSharedDepth
		}
		v, err = view[T](w, Encoded{head[1], rest})
	case sharedReference:
		if w.Stored {
			return errStoredReference
		}
		if len(rest) != len(SharedID{}) {
			return fmt.Errorf("a reference to a shared value has %d bytes, but must have %d", len(rest), len(SharedID{}))
		}
		v, err = findShared[T](SharedID(rest))
	case sharedZero:
		s.h = nil
		return nil
	default:
		return fmt.Errorf("a handle with the unknown first byte %d", head[0])
	}
	if err == nil {
		s.h = &handle[T]{value: v}
	}
	return err
}

// MarshalJSON implements json.Marshaler: it encodes the value. It is for codecs
// that use JSON.
func (s Shared[T]) MarshalJSON() ([]byte, error) {
	v, _, err := SharedValue(s)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// UnmarshalJSON implements json.Unmarshaler: it decodes a value.
func (s *Shared[T]) UnmarshalJSON(b []byte) error {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	s.h = &handle[T]{value: v}
	return nil
}
