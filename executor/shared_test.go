package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"concert/internal/values"
)

// store is an Executor that stores values.
type store struct {
	Executor
	group    *WorkerGroup
	values   map[SharedID]Encoded
	released atomic.Int32 // the runtime may call several cleanups at the same time
	codec    SharedCodec
}

func newStore() *store {
	return &store{group: NewWorkerGroup(noQueue{}, nil), values: make(map[SharedID]Encoded)}
}

func (s *store) Share(_ context.Context, encode func(SharedCodec) (Encoded, error)) (*Stored, error) {
	value, err := encode(s.codec)
	if err != nil {
		return nil, err
	}
	id := SharedID{byte(len(s.values)), 1, 2, 3}
	s.values[id] = value
	return &Stored{ID: id, Group: s.group, Release: func() { s.released.Add(1) }}, nil
}

// noStore is a Sharer that cannot store values.
type noStore struct{ Executor }

func (noStore) Share(context.Context, func(SharedCodec) (Encoded, error)) (*Stored, error) {
	return nil, errors.ErrUnsupported
}

func mustShare[T any](t *testing.T, ex Executor, v T) Shared[T] {
	t.Helper()
	s, err := Share(t.Context(), ex, v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// encodeFor encodes v for a receiver, and returns the handles to which the
// encoding refers.
func encodeFor[T any](t *testing.T, to *WorkerGroup, v T) (e Encoded, used []any) {
	t.Helper()
	e, _, err := encodeTo(values.Work{To: to, Used: &used}, nil, v, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e, used
}

type tree struct {
	One   *Shared[[]float64]
	Nil   *Shared[[]float64]
	Many  []Shared[[]float64]
	Named map[string]*Shared[[]float64]
}

// TestShared_References: for the executor of Share, the encoding of a handle
// must be a reference at each place of a value, and otherwise the value. Both
// must decode to handles with the value.
func TestShared_References(t *testing.T) {
	s := newStore()
	numbers := make([]float64, 1000)
	numbers[999] = 7
	h := mustShare(t, s, numbers)
	v := tree{One: &h, Many: []Shared[[]float64]{h, h}, Named: map[string]*Shared[[]float64]{"a": &h}}
	check := func(e Encoded) {
		t.Helper()
		got, err := decode[tree](e)
		if err != nil || got.Nil != nil || len(got.Many) != 2 {
			t.Fatalf("decoded %+v, %v", got, err)
		}
		for _, h := range append(got.Many, *got.One, *got.Named["a"]) {
			if v := h.Value(); len(v) != 1000 || v[999] != 7 {
				t.Errorf("the value has arrived as %d numbers", len(v))
			}
		}
	}
	for name, to := range map[string]*WorkerGroup{"another executor": NewWorkerGroup(noQueue{}, nil), "no executor": nil} {
		t.Run(name, func(t *testing.T) {
			e, used := encodeFor(t, to, v)
			if len(used) > 0 || len(e.Bytes) < 4*8000 {
				t.Errorf("%d references, %d bytes; want the value four times", len(used), len(e.Bytes))
			}
			check(e)
		})
	}
	e, used := encodeFor(t, s.group, v)
	if len(used) != 1 || len(e.Bytes) > 500 {
		t.Errorf("%d handles, %d bytes; want references to one handle", len(used), len(e.Bytes))
	}
	if _, err := decode[tree](e); err == nil || !strings.Contains(err.Error(), "call Share with the executor of the task") {
		t.Errorf("decode() of an unknown reference = %v, want an error with the reason", err)
	}
	id := SharedID{0, 1, 2, 3}
	if !KeepShared(id, s.values[id], nil) || KeepShared(id, s.values[id], nil) {
		t.Error("KeepShared() must report true for a new ID, and then false")
	}
	check(e)
	got, _ := decode[Shared[[]float64]](e2(t, s.group, h))
	if unsafe.SliceData(got.Value()) != unsafe.SliceData(numbers) {
		t.Error("the numbers were copied in the worker")
	}
	if !ForgetShared(id) || ForgetShared(id) {
		t.Error("ForgetShared() must report true for a known ID, and then false")
	}
}

func e2[T any](t *testing.T, to *WorkerGroup, v T) Encoded {
	e, _ := encodeFor(t, to, v)
	return e
}

// TestShared_DecodedOnce: a worker must decode a value that is not a slice of
// numbers once, and report why it does not have a value.
func TestShared_DecodedOnce(t *testing.T) {
	s := newStore()
	h := mustShare(t, s, map[string][]int{"a": {1, 2}})
	id := SharedID{0, 1, 2, 3}
	e := e2(t, s.group, h)
	KeepShared(id, s.values[id], nil)
	one, err1 := decode[Shared[map[string][]int]](e)
	two, err2 := decode[Shared[map[string][]int]](e)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(one.Value(), h.Value()) || reflect.ValueOf(one.Value()).Pointer() != reflect.ValueOf(two.Value()).Pointer() {
		t.Errorf("decoded %v and %v, want one map", one.Value(), two.Value())
	}
	if _, err := decode[Shared[[]float64]](e); err == nil {
		t.Error("a map was decoded as numbers")
	}
	ForgetShared(id)
	KeepShared(id, Encoded{}, os.ErrClosed)
	defer ForgetShared(id)
	if _, err := decode[Shared[map[string][]int]](e); !errors.Is(err, os.ErrClosed) {
		t.Errorf("decode() = %v, want the error of KeepShared", err)
	}
}

// textCodec is a SharedCodec. Its encoding is text.
type textCodec struct{ Codec }

func (textCodec) Encode(v any) ([]byte, error) { return fmt.Append(nil, "the value ", v), nil }

func (textCodec) EncodeShared(v any) ([]byte, error) { return fmt.Append(nil, "stored ", v), nil }

func (textCodec) EncodeReferences(v any, reference func(any) (SharedID, bool)) ([]byte, error) {
	if id, ok := reference(v); ok {
		return fmt.Append(nil, "reference ", id[0]), nil
	}
	if value, ok, err := SharedValue(v); ok {
		return fmt.Append(nil, "the value ", value), err
	}
	return textCodec{}.Encode(v)
}

// TestShared_Codec: the codec of an executor encodes stored values, and the
// codec of a function encodes a reference if the executor stores the value.
func TestShared_Codec(t *testing.T) {
	s := newStore()
	s.codec = textCodec{}
	h := mustShare(t, s, map[string]int{"a": 1})
	if got := string(s.values[SharedID{0, 1, 2, 3}].Bytes); got != "stored map[a:1]" {
		t.Errorf("stored %q", got)
	}
	var used []any
	for want, to := range map[string]any{"reference 0": s.group, "the value map[a:1]": nil} {
		used = nil
		for _, v := range []any{h, &h} {
			e, _, err := encodeTo(values.Work{To: to, Used: &used, Small: true}, nil, v, Codec(textCodec{}))
			if string(e.Bytes) != want || !e.Foreign() || err != nil {
				t.Errorf("encoded for %v: %q, %v; want %q", to, e.Bytes, err, want)
			}
		}
		if n := len(used); n != 0 && to == nil || n != 1 && to != nil {
			t.Errorf("%d handles are used by %q", n, want)
		}
	}
	big := mustShare(t, s, map[string][]string{"a": make([]string, 100_000)})
	if _, _, err := encodeTo(values.Work{To: s.group, Used: &used, Small: true}, nil, big, Codec(textCodec{})); err != nil {
		t.Errorf("a reference to a large value: %v", err)
	}
	if _, _, err := encodeTo(values.Work{Used: &used, Small: true}, nil, big, Codec(textCodec{})); err != values.ErrLarge {
		t.Errorf("a large value: %v, want ErrLarge", err)
	}
	h.Close()
	if _, _, err := encodeTo(values.Work{To: s.group, Used: &used}, nil, h, Codec(textCodec{})); err != errSharedClosed {
		t.Errorf("encoded a closed handle: %v, want an error", err)
	}
}

// TestShared_Closed: after Close, a handle cannot be encoded, and a batch that
// refers to it reports so. Close releases the value once.
func TestShared_Closed(t *testing.T) {
	for name, ex := range map[string]Executor{"stored": newStore(), "not stored": noStore{}} {
		t.Run(name, func(t *testing.T) {
			h := mustShare(t, ex, "text")
			b := &Batch{Name: "f"}
			if s, ok := ex.(*store); ok {
				_, b.shared = encodeFor(t, s.group, h)
			}
			if err := b.SharedClosed(); err != nil {
				t.Errorf("SharedClosed() before Close = %v", err)
			}
			for range 2 {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			}
			if s, ok := ex.(*store); ok && (s.released.Load() != 1 || b.SharedClosed() == nil) {
				t.Errorf("released %d times; SharedClosed() = %v, want an error", s.released.Load(), b.SharedClosed())
			}
			if _, err := encode(h); !errors.Is(err, errSharedClosed) {
				t.Errorf("encode() = %v, want the error that the handle is closed", err)
			}
			if _, err := h.MarshalBinary(); err != errSharedClosed {
				t.Errorf("MarshalBinary() = %v, want the error that the handle is closed", err)
			}
			if _, _, err := SharedValue(&h); err != errSharedClosed {
				t.Errorf("SharedValue() = %v, want the error that the handle is closed", err)
			}
			if h.Value() != "text" {
				t.Errorf("Value() = %q", h.Value())
			}
		})
	}
}

// TestShared_ErrorUnsupported: if the encoding of a value fails, Share
// returns the error, even if this error is an ErrUnsupported.
func TestShared_ErrorUnsupported(t *testing.T) {
	if h, err := Share(t.Context(), newStore(), notEncodable{}); !errors.Is(err, errors.ErrUnsupported) || h.h != nil {
		t.Errorf("Share() = %v, %v; want the error of the method", h, err)
	}
}

type notEncodable struct{}

func (notEncodable) MarshalBinary() ([]byte, error) { return nil, errors.ErrUnsupported }

func (*notEncodable) UnmarshalBinary([]byte) error { return nil }

// TestShared_Zero: a zero handle remains zero.
func TestShared_Zero(t *testing.T) {
	var h Shared[int]
	got, err := decode[Shared[int]](e2(t, nil, h))
	if err != nil || got != h || h.Close() != nil {
		t.Errorf("a zero handle has arrived as %v, %v", got, err)
	}
	if v, ok, err := SharedValue(h); v != nil || !ok || err != nil {
		t.Errorf("SharedValue() = %v, %v, %v; want nil", v, ok, err)
	}
	if v, ok, err := SharedValue((*Shared[int])(nil)); v != nil || ok || err != nil {
		t.Errorf("SharedValue(nil) = %v, %v, %v; want no handle", v, ok, err)
	}
	defer func() {
		if v := recover(); v == nil {
			t.Error("Value() of a zero handle does not panic")
		}
	}()
	h.Value()
}

// node is a value that can contain its own handle.
type node struct{ Next *Shared[*node] }

// linked is a value with a handle of its own type.
type linked struct{ Next *Shared[linked] }

// TestShared_RefersToItself: another program can store a value that refers to
// itself. Decoding the value must fail, and not wait for itself.
func TestShared_RefersToItself(t *testing.T) {
	s := newStore()
	h := mustShare(t, s, linked{})
	e, used := encodeFor(t, s.group, linked{&h})
	id := used[0].(usedHandle).stored.ID
	KeepShared(id, e, nil)
	defer ForgetShared(id)
	decoded := make(chan error, 1)
	go func() {
		_, err := decode[linked](e)
		decoded <- err
	}()
	select {
	case err := <-decoded:
		if !errors.Is(err, errStoredReference) {
			t.Errorf("decode() = %v, want %v", err, errStoredReference)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("decode waits for itself")
	}
}

// TestShared_Nested: a value that contains its own handle is an error. So are
// bytes with many handles within each other.
func TestShared_Nested(t *testing.T) {
	n := &node{}
	h := mustShare(t, noStore{}, n)
	n.Next = &h
	if _, err := encode(h); !errors.Is(err, errSharedDepth) {
		t.Errorf("encode() = %v, want the error of handles that are nested too deeply", err)
	}
	e, err := encode(&node{})
	for range 10_000 {
		outer := Shared[*node]{&handle[*node]{value: nil}}
		b, _ := outer.MarshalBinary()
		b = append(b[:sharedHead], e.Bytes...)
		b[1] = e.Kind
		e = Encoded{asCBOR, append(append([]byte{0xa1, 0x64}, "Next"...), byteString(b)...)}
		if _, err = decode[*node](e); err != nil {
			break
		}
	}
	if !errors.Is(err, errSharedDepth) {
		t.Errorf("decode() = %v, want the error of handles that are nested too deeply", err)
	}
}

// byteString returns b as a byte string of CBOR.
func byteString(b []byte) []byte {
	return append([]byte{0x5a, byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

// TestShared_Embedded: a struct of the program that embeds a handle, and has
// its own methods, must be encoded by these methods.
func TestShared_Embedded(t *testing.T) {
	h := mustShare(t, noStore{}, 1)
	b, err := encode(embedded{&h})
	if err != nil || !strings.Contains(string(b.Bytes), "own bytes") {
		t.Errorf("encode() = %q, %v; want the result of the own method", b.Bytes, err)
	}
	if _, ok := SharedType(reflect.TypeFor[embedded]()); ok {
		t.Error("a struct that embeds a handle counts as a handle")
	}
	if elem, ok := SharedType(reflect.TypeFor[Shared[int]]()); !ok || elem != reflect.TypeFor[int]() {
		t.Errorf("SharedType() = %v, %v", elem, ok)
	}
}

// TestShared_EmbeddedCodec: if a struct of the program embeds a handle, a
// Codec handles it as a struct and not as a handle, even if the embedded
// handle is nil.
func TestShared_EmbeddedCodec(t *testing.T) {
	type row struct {
		*Shared[int]
		N int
	}
	type only struct{ *Shared[int] }
	s := newStore()
	h := mustShare(t, s, 1)
	for _, v := range []any{row{&h, 5}, &row{&h, 5}, row{nil, 5}, only{&h}, only{}, &only{}, (*only)(nil), []only{{}, {&h}}} {
		if value, ok, err := SharedValue(v); ok || err != nil {
			t.Errorf("SharedValue(%T) = %v, %v, %v; want no handle", v, value, ok, err)
		}
		var used []any
		e, _, err := encodeTo(values.Work{To: s.group, Used: &used, Small: true}, nil, v, Codec(textCodec{}))
		if !strings.HasPrefix(string(e.Bytes), "the value") || len(used) > 0 || err != nil {
			t.Errorf("%T is encoded as %q with %d handles, %v; want its value", v, e.Bytes, len(used), err)
		}
	}
}

type embedded struct{ *Shared[int] }

func (embedded) MarshalBinary() ([]byte, error)  { return []byte("own bytes"), nil }
func (*embedded) UnmarshalBinary(b []byte) error { return nil }

// TestShared_JSON: the JSON of a handle is the JSON of the value.
func TestShared_JSON(t *testing.T) {
	h := mustShare(t, noStore{}, []int{1, 2})
	b, err := h.MarshalJSON()
	if string(b) != "[1,2]" || err != nil {
		t.Errorf("MarshalJSON() = %s, %v", b, err)
	}
	var got Shared[[]int]
	if err := got.UnmarshalJSON(b); err != nil || !reflect.DeepEqual(got.Value(), h.Value()) {
		t.Errorf("UnmarshalJSON() = %v, %v", got, err)
	}
}
