package executor

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"concert/internal/values"
)

// This file is the worker's side of shared values; see shared.go. A worker has
// one table of the values that its executor has sent. A value is decoded when
// the first call needs it, once for each type. A slice of numbers, a []byte or
// a string is not decoded: it refers to the bytes that the executor has sent.

// received has the values of KeepShared.
var received struct {
	mu   sync.RWMutex
	byID map[SharedID]*receivedValue // guarded by mu
}

// receivedValue is a stored value in a worker.
type receivedValue struct {
	encoded Encoded
	err     error // why this worker does not have the bytes, or nil
	users   int   // guarded by received.mu: the calls of retainShared that releaseShared has not reversed

	mu      sync.Mutex
	decoded map[reflect.Type]any // guarded by mu: the value, by type
}

// KeepShared adds a value that the executor has stored to the table of this
// worker. The bytes must be valid until [ForgetShared] is called. If the worker
// cannot access the bytes, err says why; then the calls that use the value
// fail. KeepShared reports false if the table has the ID already.
func KeepShared(id SharedID, value Encoded, err error) bool {
	received.mu.Lock()
	defer received.mu.Unlock()
	if received.byID[id] != nil {
		return false
	}
	if received.byID == nil {
		received.byID = make(map[SharedID]*receivedValue)
	}
	received.byID[id] = &receivedValue{encoded: value, err: err}
	return true
}

// ForgetShared removes a value from the table of this worker. It reports false
// if the table does not have the ID.
func ForgetShared(id SharedID) bool {
	received.mu.Lock()
	defer received.mu.Unlock()
	_, ok := received.byID[id]
	delete(received.byID, id)
	return ok
}

// retainShared does the same as KeepShared, but the table may have the ID
// already: several executors of this process can receive the same value.
func retainShared(id SharedID, value Encoded) {
	received.mu.Lock()
	defer received.mu.Unlock()
	r := received.byID[id]
	if r == nil {
		if received.byID == nil {
			received.byID = make(map[SharedID]*receivedValue)
		}
		r = &receivedValue{encoded: value}
		received.byID[id] = r
	}
	r.users++
}

// releaseShared reverses one call of retainShared.
func releaseShared(id SharedID) {
	received.mu.Lock()
	defer received.mu.Unlock()
	if r := received.byID[id]; r != nil {
		if r.users--; r.users <= 0 {
			delete(received.byID, id)
		}
	}
}

// findShared returns the value with this ID.
func findShared[T any](id SharedID) (v T, err error) {
	received.mu.RLock()
	r := received.byID[id]
	received.mu.RUnlock()
	if r == nil {
		return v, errors.New("this process does not have the shared value: it was closed, or shared with another executor: call Share with the executor of the task")
	}
	if r.err != nil {
		return v, r.err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := reflect.TypeFor[T]()
	if known, ok := r.decoded[t].(*T); ok {
		return *known, nil
	}
	if v, err = view[T](values.Work{Stored: true}, r.encoded); err != nil {
		return v, fmt.Errorf("the shared value: %w", err)
	}
	if r.decoded == nil {
		r.decoded = make(map[reflect.Type]any)
	}
	r.decoded[t] = &v
	return v, nil
}

// view does the same as decodeWithin, with one exception: if v is a slice of
// numbers, a []byte or a string, v refers to e.Bytes and is not a copy.
func view[T any](w values.Work, e Encoded) (v T, err error) {
	b := e.Bytes
	ok := false
	switch p := any(&v).(type) {
	case *[]byte:
		ok = viewNumbers(e, asBytes, p)
	case *string:
		if ok = e.Kind == asString; ok {
			*p = unsafe.String(unsafe.SliceData(b), len(b))
		}
	case *[]int8:
		ok = viewNumbers(e, asInt8, p)
	case *[]int16:
		ok = viewNumbers(e, asInt16, p)
	case *[]int32:
		ok = viewNumbers(e, asInt32, p)
	case *[]int64:
		ok = viewNumbers(e, asInt64, p)
	case *[]uint16:
		ok = viewNumbers(e, asUint16, p)
	case *[]uint32:
		ok = viewNumbers(e, asUint32, p)
	case *[]uint64:
		ok = viewNumbers(e, asUint64, p)
	case *[]float32:
		ok = viewNumbers(e, asFloat32, p)
	case *[]float64:
		ok = viewNumbers(e, asFloat64, p)
	}
	if ok {
		return v, nil
	}
	return decodeWithin[T](w, e)
}

// viewNumbers sets *v to the numbers in e, without a copy. It reports false if
// e has no numbers of this kind, or if their memory cannot be used as a []N.
func viewNumbers[N any](e Encoded, kind byte, v *[]N) bool {
	var n N
	size := int(unsafe.Sizeof(n))
	at := unsafe.Pointer(unsafe.SliceData(e.Bytes))
	if e.Kind != kind || len(e.Bytes) == 0 || len(e.Bytes)%size != 0 || uintptr(at)%unsafe.Alignof(n) != 0 || size > 1 && bigEndian {
		return false
	}
	*v = unsafe.Slice((*N)(at), len(e.Bytes)/size)
	return true
}
