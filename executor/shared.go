package executor

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"sync/atomic"

	"concert/internal/values"
)

// # The model
//
// A shared value is one large value for many calls. Share makes a handle, which
// the program passes to the calls in place of the value.
//
//	Share --encoded value--> Sharer.Share --once for each worker--> KeepShared
//	                                                                    |
//	argument with a handle --Claim--> reference (an ID) --call--> UnmarshalBinary --> Value
//
//	Close, or no handle is left --> Stored.Release --> ForgetShared
//
// An executor that stores values implements Sharer. For all other executors,
// the handle is the value: tasks in this process get the handle itself, and an
// argument for another process contains the encoded value.
//
// If an executor runs functions in several languages, it implements LateSharer:
// see shared_late.go. If it receives calls from another process, it passes
// their values to RelayShared: see shared_relay.go. The encoding of a handle is
// in shared_encode.go.
//
// # The rules
//
//   - The encoding of a handle is a reference only if the receiver is the
//     executor that stores the value. Everywhere else it is the value: in
//     arguments for other executors, in results, and in tasks of a worker that
//     submit further tasks. So a call always gets the value.
//   - A batch keeps the handles of its references, until its calls have
//     settled. So a value whose handle is unreachable is released only after
//     these calls.
//   - After Close, the handle cannot be encoded. A call that was encoded
//     before Close, and has not been sent, fails: see Batch.SharedClosed. A
//     call that was sent before Close gets the value, because an executor
//     sends the release of the value after the call.

// Shared is a handle of a shared value. A concert.Shared embeds it.
type Shared[T any] struct {
	h *handle[T] // nil in a zero Shared
}

// handle is the state that all copies of a Shared share.
type handle[T any] struct {
	value T
	owner *owner // nil if another process has made the handle
}

// owner is the part of a handle that its cleanup uses after the handle has
// become unreachable. So the owner does not refer to the handle.
type owner struct {
	closed atomic.Bool
	// stored is nil if no executor stores the value, or the handle is closed.
	// The runtime keeps the owner while the handle is reachable, and the
	// options of the executor may refer to the handle. So Close sets stored to
	// nil: otherwise the executor and the handle would never be freed.
	stored atomic.Pointer[Stored]
	// late is not nil if the executor is a LateSharer and the handle is not
	// closed.
	late atomic.Pointer[lateForms]
}

// Sharer is an optional interface of an [Executor] that stores values for its
// workers.
type Sharer interface {
	// Share stores the value that encode returns. The bytes are valid, and do
	// not change, until Release is called. The worker calls [KeepShared] with
	// the ID before it calls a function whose argument refers to the value. If
	// Share cannot store values at all, it does not call encode, and its error
	// is an [errors.ErrUnsupported]. Then arguments contain the value.
	//
	// The codec is nil if the workers are this program. If they are a program
	// in another language, the codec encodes the values that it stores.
	Share(ctx context.Context, encode func(codec SharedCodec) (Encoded, error)) (*Stored, error)
}

// Stored is a value that an executor has stored.
type Stored struct {
	ID      SharedID
	Group   *WorkerGroup // the group of the executor
	Release func()       // releases the value in all workers, after the calls that were sent before; called once

	value Encoded // the value, if RelayShared has added it to the table of this process
}

// SharedID identifies a stored value. An executor chooses it at random.
type SharedID [16]byte

// Share implements concert.Share.
func Share[T any](ctx context.Context, ex Executor, v T) (Shared[T], error) {
	if ctx == nil || ex == nil {
		panic(nilArgument("Share", ctx, ex, ""))
	}
	if ctx.Err() != nil {
		return Shared[T]{}, context.Cause(ctx)
	}
	h := &handle[T]{value: v, owner: &owner{}}
	s, ok := ex.(Sharer)
	if !ok {
		return Shared[T]{h}, nil
	}
	if l, ok := ex.(LateSharer); ok {
		h.owner.late.Store(&lateForms{sharer: l, group: l.SharedGroup()})
		runtime.AddCleanup(h, (*owner).close, h.owner)
		return Shared[T]{h}, nil
	}
	asked := false // whether encode was called: then an ErrUnsupported is an error of the encoding
	stored, err := s.Share(ctx, func(codec SharedCodec) (Encoded, error) {
		asked = true
		return encodeForSharer(ctx, v, codec)
	})
	if !asked && errors.Is(err, errors.ErrUnsupported) {
		return Shared[T]{h}, nil
	}
	if err != nil {
		return Shared[T]{}, err
	}
	h.owner.stored.Store(stored)
	runtime.AddCleanup(h, (*owner).close, h.owner)
	return Shared[T]{h}, nil
}

// encodeForSharer encodes a value for Sharer.Share. It stops when ctx ends,
// unless there is a codec.
func encodeForSharer[T any](ctx context.Context, v T, codec SharedCodec) (e Encoded, err error) {
	defer recoverMethod("shared value of type ", reflect.TypeFor[T]().String(), &err)
	over := new(atomic.Bool)
	defer context.AfterFunc(ctx, func() { over.Store(true) })()
	if codec == nil {
		e, _, err = encodeTo(values.Work{Over: over}, nil, v, nil)
	} else {
		e, _, err = encodeTo(values.Work{}, nil, v, forSharer{codec})
	}
	if ctx.Err() != nil {
		return e, context.Cause(ctx)
	}
	if err != nil {
		err = &valueError{"shared value of type ", reflect.TypeFor[T]().String(), nil, err}
	}
	return e, err
}

// forSharer is a Codec for the encoding of values that an executor stores.
type forSharer struct{ codec SharedCodec }

// Encode encodes v with the method EncodeShared of the codec.
func (c forSharer) Encode(v any) ([]byte, error) { return c.codec.EncodeShared(v) }

// Decode decodes a result with the codec.
func (c forSharer) Decode(result Encoded, v any) error { return c.codec.Decode(result, v) }

// Value returns the value. See concert.Shared.
func (s Shared[T]) Value() T {
	if s.h == nil {
		panic("concert: Value of a zero Shared: make it with Share")
	}
	return s.h.value
}

// Close releases the value in the workers of the executor. See concert.Shared.
func (s Shared[T]) Close() error {
	if s.h != nil && s.h.owner != nil {
		s.h.owner.close()
		runtime.KeepAlive(s.h)
	}
	return nil
}

func (o *owner) close() {
	if o.closed.Swap(true) {
		return
	}
	if s := o.stored.Swap(nil); s != nil {
		s.Release()
	}
	if l := o.late.Swap(nil); l != nil {
		l.close()
	}
}

// errSharedClosed is the error of a call whose argument has a closed handle.
var errSharedClosed = errors.New("the shared value is closed: call Close only after the calls that use it")

// usedHandle is an element of Batch.shared: a handle that is encoded as a
// reference, and what the executor has stored for it. The runtime does not
// clean up the handle while the batch is reachable.
type usedHandle struct {
	handle sharedHandle // a Shared; nil in the batch of a Relay
	stored *Stored
}

// Shared yields the stored values to which the arguments of the batch refer.
// Each argument refers to all of these values. A value may be yielded several
// times.
func (b *Batch) Shared(yield func(*Stored) bool) {
	for _, h := range b.shared {
		if !yield(h.(usedHandle).stored) {
			return
		}
	}
}

// SharedClosed returns an error if the arguments of the batch refer to a
// stored value that was closed. An executor must not send such calls: it
// settles them with this error. The executor calls SharedClosed and sends
// the calls under the lock that Stored.Release acquires. In this way, the
// worker certainly has the values of [Batch.Shared].
func (b *Batch) SharedClosed() error {
	for _, h := range b.shared {
		if handle := h.(usedHandle).handle; handle != nil && handle.sharedOwner().closed.Load() {
			return &valueError{"argument of ", b.Name, nil, errSharedClosed}
		}
	}
	return nil
}

// sharedHandle is implemented by Shared[T] and concert.Shared[T] for all T, and
// by pointers to them.
type sharedHandle interface {
	sharedType() reflect.Type
	sharedValue() any
	sharedOwner() *owner
	bareHandle() sharedHandle
	encodeForm(w values.Work, codec SharedCodec) (Encoded, error)
	appendShared(w values.Work, b []byte) ([]byte, error)
}

func (Shared[T]) sharedType() reflect.Type { return reflect.TypeFor[T]() }

func (s Shared[T]) sharedValue() any {
	if s.h == nil {
		return nil
	}
	return s.h.value
}

func (s Shared[T]) sharedOwner() *owner {
	if s.h == nil {
		return nil
	}
	return s.h.owner
}

// bareHandle returns s without a type of package concert around it.
func (s Shared[T]) bareHandle() sharedHandle { return s }

// handleOf returns v as a handle. It reports false if v is a nil pointer, or a
// struct of the program that embeds a handle, which may be nil.
func handleOf(v any) (sharedHandle, bool) {
	h, ok := v.(sharedHandle)
	if !ok {
		return nil, false
	}
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		if reflect.ValueOf(v).IsNil() {
			return nil, false
		}
		t = t.Elem()
	}
	return h, t.Kind() == reflect.Struct && declaresShared(t)
}

// storedFor returns the stored value of the executor with the group w.To for
// a handle that the codec encodes. It returns nil if v is no handle, or if
// the executor has stored nothing for it. A [LateSharer] stores the value
// now, unless w does not permit it.
func storedFor(w values.Work, v any, codec SharedCodec) (*Stored, error) {
	h, ok := handleOf(v)
	if !ok {
		return nil, nil
	}
	o := h.sharedOwner()
	if o == nil {
		return nil, nil
	}
	if stored := o.stored.Load(); stored != nil && w.To == any(stored.Group) {
		return stored, nil
	}
	if late := o.late.Load(); late != nil && w.To == any(late.group) && (len(*w.Used) < maxLateReferences || isUsed(*w.Used, o)) {
		return late.store(w, h, codec)
	}
	return nil, nil
}

// isUsed reports whether an argument has a reference to the handle of o
// already.
func isUsed(used []any, o *owner) bool {
	return slices.ContainsFunc(used, func(u any) bool { return u.(usedHandle).handle.sharedOwner() == o })
}

// isStored reports whether storedFor returns a value without encoding it.
func isStored(to, v any, codec SharedCodec) bool {
	h, ok := handleOf(v)
	if !ok {
		return false
	}
	o := h.sharedOwner()
	if o == nil {
		return false
	}
	if stored := o.stored.Load(); stored != nil && to == any(stored.Group) {
		return true
	}
	late := o.late.Load()
	return late != nil && to == any(late.group) && late.has(h, codec)
}

// referenceFor returns the second argument of [SharedCodec.EncodeReferences].
// It appends the handles to w.Used. If the value cannot be stored, the codec
// encodes the value, and reports the error.
func referenceFor(w values.Work, codec SharedCodec) func(any) (SharedID, bool) {
	return func(v any) (id SharedID, ok bool) {
		if w.Used == nil {
			return id, false
		}
		stored, err := storedFor(w, v, codec)
		if stored == nil || err != nil {
			return id, false
		}
		*w.Used = appendUsed(*w.Used, usedHandle{v.(sharedHandle).bareHandle(), stored})
		return stored.ID, true
	}
}

// SharedValue returns the value of a handle: v is a Shared, a concert.Shared,
// or a pointer to one of them. It is for a [Codec], which encodes the value in
// place of the handle. If the handle is zero, the value is nil. If the handle
// is closed, SharedValue returns an error. It reports false if v is no handle,
// or a nil pointer.
func SharedValue(v any) (value any, ok bool, err error) {
	h, ok := handleOf(v)
	if !ok {
		return nil, false, nil
	}
	if o := h.sharedOwner(); o != nil && o.closed.Load() {
		return nil, true, errSharedClosed
	}
	return h.sharedValue(), true, nil
}

// SharedType returns the type T if t is Shared[T] or concert.Shared[T]. It
// reports false for any other type, including pointers to handles.
func SharedType(t reflect.Type) (value reflect.Type, ok bool) {
	if t.Kind() != reflect.Struct || !t.Implements(sharedHandleType) || !declaresShared(t) {
		return nil, false
	}
	return reflect.Zero(t).Interface().(sharedHandle).sharedType(), true
}

var sharedHandleType = reflect.TypeFor[sharedHandle]()

// declaresShared reports whether t is Shared[T] or concert.Shared[T], and not a
// struct of the program that embeds a handle.
func declaresShared(t reflect.Type) bool {
	return t.NumField() == 1 && (t.Field(0).Type.Kind() == reflect.Pointer && !t.Field(0).Anonymous || t.Field(0).Name == "handle")
}

// sharedHandles are the functions for package values.
var sharedHandles = values.Handles{
	Elem: SharedType,
	Encode: func(w values.Work, p any) ([]byte, bool, error) {
		h, ok := p.(sharedHandle)
		if !ok || !declaresShared(reflect.TypeOf(p).Elem()) {
			return nil, false, nil
		}
		b, err := h.appendShared(w, nil)
		return b, true, err
	},
	Decode: func(w values.Work, p any, b []byte) (bool, error) {
		h, ok := p.(interface {
			sharedHandle
			parseShared(w values.Work, b []byte) error
		})
		if !ok || !declaresShared(reflect.TypeOf(p).Elem()) {
			return false, nil
		}
		return true, h.parseShared(w, b)
	},
}
