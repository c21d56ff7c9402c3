package executor

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"

	"concert/internal/values"
)

// # The model
//
// A mapped result is a large slice of numbers that the worker does not send.
// The worker writes the slice to memory, and the executor maps this memory in
// the process of the submitter. The function asks for this by the type of its
// result, which is a handle.
//
//	worker:     NewMapped --Invoke--> Encoded, with a kind of a mapped result
//	                                        |
//	                                   memory of the executor
//	                                        |
//	submitter:  Value <-- handle <-- SettleMapped(bytes, release)
//
//	Close, or the handle is unreachable --> release
//
// Only the executor knows whether it can map the memory of a worker. If it
// cannot, it calls Settle with the same bytes, and the handle has a copy. An
// executor in this process passes the handle itself. So a function works with
// every executor, and Close has the same effect: after it, Value panics.
//
// # The rules
//
//   - SettleMapped gives the memory to the handle. The handle calls release
//     exactly once: at Close, when the handle is unreachable, or at once if
//     the result is not needed.
//   - Only a result that is itself a handle is mapped. A handle within another
//     value is encoded by MarshalBinary, and arrives as a copy.

// Number is an element of a mapped result. The slices of these types have a
// kind of their own in [Encoded], so their bytes need no decoding.
type Number interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64
}

// Mapped is a handle of a mapped result. A concert.Mapped embeds it.
type Mapped[E Number] struct {
	m *mapping[E] // nil in a zero Mapped
}

// mapping is the state that all copies of a Mapped share.
type mapping[E Number] struct {
	mu      sync.RWMutex    // held while the value is encoded, so that Close does not release it
	value   []E             // guarded by mu
	closed  bool            // guarded by mu
	release func()          // nil if the value is in Go's memory
	cleanup runtime.Cleanup // calls release
}

// NewMapped implements concert.NewMapped.
func NewMapped[E Number](v []E) Mapped[E] {
	return Mapped[E]{&mapping[E]{value: v}}
}

// Value returns the slice. See concert.Mapped.
func (m Mapped[E]) Value() []E {
	if m.m == nil {
		panic("concert: Value of a zero Mapped: make it with NewMapped")
	}
	m.m.mu.RLock()
	defer m.m.mu.RUnlock()
	if m.m.closed {
		panic("concert: Value of a Mapped after Close: call Close when the value is no longer used")
	}
	return m.m.value
}

// Close releases the memory of the value. See concert.Mapped.
func (m Mapped[E]) Close() error {
	if m.m == nil {
		return nil
	}
	m.m.mu.Lock()
	defer m.m.mu.Unlock() // also keeps m.m reachable, so that the cleanup does not run
	if m.m.closed {
		return nil
	}
	m.m.value, m.m.closed = nil, true
	if m.m.release != nil {
		m.m.cleanup.Stop()
		m.m.release()
	}
	return nil
}

// numbersKind returns the kind of a slice of type []E.
func numbersKind[E Number]() byte {
	switch any(*new(E)).(type) {
	case int8:
		return asInt8
	case int16:
		return asInt16
	case int32:
		return asInt32
	case int64:
		return asInt64
	case uint8:
		return asBytes
	case uint16:
		return asUint16
	case uint32:
		return asUint32
	case uint64:
		return asUint64
	case float32:
		return asFloat32
	}
	return asFloat64
}

// mappedHandle is implemented by pointers to Mapped[E] and to
// concert.Mapped[E], for all E.
type mappedHandle interface {
	encodeMapped() (e Encoded, ok bool, err error)
	setMapped(e Encoded, release func()) error
	releaseMapped()
	target() (slice any, set func())
}

var mappedHandleType = reflect.TypeFor[mappedHandle]()

// isMapped reports whether t is Mapped[E] or concert.Mapped[E], and not a
// struct of the program that embeds a handle.
func isMapped(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.NumField() != 1 {
		return false
	}
	name := t.Field(0).Name
	return (name == "m" || name == "mapped") && reflect.PointerTo(t).Implements(mappedHandleType)
}

// isMappedResult reports whether a result of type Out is a handle, or a pointer
// to one.
func isMappedResult[Out any]() bool {
	t := reflect.TypeFor[Out]()
	return isMapped(t) || t.Kind() == reflect.Pointer && isMapped(t.Elem())
}

// mappedOf returns the handle in the variable to which p points. The
// variable is a handle, or a pointer to a handle. If this pointer is nil,
// the result depends on create: if create is true, mappedOf sets the pointer
// to a new handle, and otherwise it returns nil. It also returns nil if the
// variable has another type.
func mappedOf(p any, create bool) mappedHandle {
	v := reflect.ValueOf(p).Elem()
	if v.Kind() != reflect.Pointer {
		v = v.Addr()
	}
	if !isMapped(v.Type().Elem()) {
		return nil
	}
	if v.IsNil() {
		if !create {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
	}
	return v.Interface().(mappedHandle)
}

var errMappedClosed = errors.New("the value of a Mapped was released: call Close only when the value is no longer used")

// encodeMapped returns the encoded slice. It reports false for a zero handle.
// If the slice is not in Go's memory, the bytes are a copy: the handle may be
// closed or unreachable before the executor has sent them.
func (m Mapped[E]) encodeMapped() (e Encoded, ok bool, err error) {
	if m.m == nil {
		return e, false, nil
	}
	m.m.mu.RLock()
	defer m.m.mu.RUnlock()
	if e, err = m.m.encodeLocked(); m.m.release != nil {
		e.Bytes = slices.Clone(e.Bytes)
	}
	return e, true, err
}

// encodeLocked returns the encoded slice. The bytes are the memory of the
// slice. The caller holds mu, for reading at least, until it no longer uses the
// bytes.
func (m *mapping[E]) encodeLocked() (e Encoded, err error) {
	if m.closed {
		return e, errMappedClosed
	}
	e = encodeRaw(numbersKind[E](), m.value)
	e.Kind |= asMapped
	return e, nil
}

// setMapped sets the handle to an encoded slice. If release is nil, it copies
// the bytes. Otherwise the handle refers to the bytes, and has to call release.
// If setMapped returns an error, the caller has to call release.
func (m *Mapped[E]) setMapped(e Encoded, release func()) error {
	var v []E
	e.Kind &^= asMapped
	if release == nil || !viewNumbers(e, numbersKind[E](), &v) {
		var err error
		if v, err = decode[[]E](e); err != nil {
			return err
		}
		if release != nil {
			release()
			release = nil
		}
	}
	*m = NewMapped(v)
	if release != nil {
		m.m.release = release
		m.m.cleanup = runtime.AddCleanup(m.m, func(release func()) { release() }, release)
	}
	return nil
}

// releaseMapped closes the handle if it has memory to release.
func (m Mapped[E]) releaseMapped() {
	if m.m != nil && m.m.release != nil {
		m.Close()
	}
}

// target returns a pointer to a slice for the value of the handle. After a
// change of the slice, the caller calls set.
func (m *Mapped[E]) target() (slice any, set func()) {
	v := new([]E)
	return v, func() { *m = NewMapped(*v) }
}

// MappedTarget is for a [Codec] that decodes a result to the variable to which
// p points. If the variable is a concert.Mapped, or a pointer to one, the codec
// decodes the result to the slice instead, and then calls set. MappedTarget
// reports false if the variable has another type.
func MappedTarget(p any) (slice any, set func(), ok bool) {
	h := mappedOf(p, true)
	if h == nil {
		return nil, nil, false
	}
	slice, set = h.target()
	return slice, set, true
}

// decodeMapped decodes a mapped result, like decodeResult, but does not copy
// it: the handle refers to the memory, and calls release. If decodeMapped
// returns no such handle, it has called release itself. If the handle has
// another type than the result of a declared function, the codec converts the
// numbers.
func decodeMapped[Out any](fn identity, codec Codec, e Encoded, release func()) (out Out, err error) {
	h := mappedOf(&out, true)
	if h == nil {
		err = fmt.Errorf("a value of type %T cannot be decoded from the memory of a worker (kind %d): the function in the worker returns another type", out, e.Kind)
	} else if err = h.setMapped(e, release); err == nil {
		return out, nil
	}
	defer release()
	if h != nil && codec != nil {
		e.Kind &^= asMapped
		return decodeResult[Out](values.Work{}, fn, codec, e, nil)
	}
	var none Out
	return none, &valueError{"result of ", fn.name(), nil, err}
}

// releaseMapped closes a result that no other code has received, if it has
// memory to release. It does not close other handles, because the function may
// still use the handle that it has returned.
func releaseMapped[Out any](out Out) {
	if h := mappedOf(&out, false); h != nil {
		h.releaseMapped()
	}
}

// MapsResults reports whether the results of the batch are handles, so that
// the executor may call SettleMapped. A worker in another language cannot
// see this in its function.
func (b *Batch) MapsResults() bool { return b.job.mapsResults() }

// SettleMapped does the same as Settle for a result for which
// [Encoded.Mapped] is true. The bytes of the result are writable memory of
// the submitter's process. The handle of the result refers to this memory.
// When the memory is no longer used, SettleMapped or the handle calls
// release exactly once, from any goroutine. Until then, the bytes must be
// valid, and nothing else may change them.
func (b *Batch) SettleMapped(i, worker int, result Encoded, release func()) {
	b.job.settleMapped(i, worker, result, release)
}

// MarshalBinary implements encoding.BinaryMarshaler. The result contains the
// slice: its kind, and its bytes.
func (m Mapped[E]) MarshalBinary() ([]byte, error) {
	if m.m == nil {
		return nil, nil
	}
	m.m.mu.RLock()
	defer m.m.mu.RUnlock()
	e, err := m.m.encodeLocked()
	if err != nil {
		return nil, err
	}
	return append(slices.Grow([]byte{e.Kind}, len(e.Bytes)), e.Bytes...), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. It copies the slice.
func (m *Mapped[E]) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		*m = Mapped[E]{}
		return nil
	}
	if b[0]&asMapped == 0 {
		return fmt.Errorf("a Mapped with the unknown first byte %d", b[0])
	}
	return m.setMapped(Encoded{b[0], b[1:]}, nil)
}
