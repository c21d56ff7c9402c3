package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func roundTrip[T any](t *testing.T, v T) {
	t.Helper()
	b, err := encode(v)
	if err != nil {
		t.Errorf("encode(%T %v): %v", v, v, err)
		return
	}
	got, err := decode[T](b)
	if err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("decode(encode(%#v)) = %#v, %v", v, got, err)
	}
}

func TestEncode_RoundTrip(t *testing.T) {
	roundTrip(t, 7)
	roundTrip(t, int64(math.MinInt64))
	roundTrip(t, uint64(math.MaxUint64))
	roundTrip(t, math.Inf(-1))
	roundTrip(t, true)
	roundTrip(t, false)
	roundTrip(t, uint(math.MaxUint))
	roundTrip(t, int32(-7))
	roundTrip(t, float32(1.5))
	roundTrip(t, math.Copysign(0, -1))
	roundTrip(t, time.Duration(-7))
	roundTrip(t, "")
	roundTrip(t, "not \xff UTF-8")
	roundTrip(t, []byte{})
	roundTrip(t, []byte(nil))
	roundTrip(t, []byte{0, 255})
	roundTrip(t, []int8{-128, 127})
	roundTrip(t, []int16{-32768, 32767})
	roundTrip(t, []int32{math.MinInt32, 7})
	roundTrip(t, []int64{math.MinInt64, 7})
	roundTrip(t, []uint16{65535})
	roundTrip(t, []uint32{math.MaxUint32})
	roundTrip(t, []uint64{math.MaxUint64})
	roundTrip(t, []float32{1.5, float32(math.Inf(1))})
	roundTrip(t, []float64{math.MaxFloat64, -0.5})
	roundTrip(t, []float64(nil))
	roundTrip(t, []float64{})
	roundTrip(t, []int{1, -2})
	roundTrip(t, map[string]int{"a": 1})
	roundTrip(t, struct{}{})
	roundTrip[*int](t, nil)
	roundTrip[any](t, nil)
	roundTrip[any](t, map[string]any{"a": "b"})
	roundTrip(t, [][]float64{{1}, {2, 3}})
	if b, err := encode(make(chan int)); err == nil {
		t.Errorf("encode(chan) = %x", b)
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range []any{[]float64{1, 2}, []byte("x"), "y", map[string]any{"a": []any{1, nil}}, 7} {
		e, _ := encode(v)
		f.Add(e.Kind, e.Bytes)
	}
	f.Add(asNil, []byte(nil))
	f.Add(asBytes, []byte{sharedInline, asFloat64, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(asBytes, append([]byte{sharedReference, 0, 0, 0, 0, 0, 0, 0}, make([]byte, len(SharedID{}))...))
	f.Add(asFloat64, []byte{1})
	f.Add(asCBOR, []byte{0x9b, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, kind byte, bytes []byte) {
		b := Encoded{kind, bytes}
		decode[[]byte](b)
		decode[string](b)
		decode[[]int16](b)
		decode[map[string][]int](b)
		decode[wireError](b)
		if v, err := decode[any](b); err == nil {
			if _, err := encode(v); err != nil {
				t.Errorf("decoded from %v, and cannot be encoded: %#v: %v", b, v, err)
			}
		}
		decode[int](b)
		decode[bool](b)
		decode[Shared[[]float64]](b)
		decode[*node](b)
		new(Shared[string]).UnmarshalBinary(bytes)
		if v, err := decode[float64](b); err == nil && kind == asFloat {
			if again, err := encode(v); err != nil || string(again.Bytes) != string(bytes) {
				t.Errorf("%x decodes to %v, which encodes to %v, %v", bytes, v, again, err)
			}
		}
		if v, err := decode[[]float64](b); err == nil {
			again, err := encode(v)
			if err != nil || len(again.Bytes) != len(bytes) {
				t.Errorf("%v decodes to %v, which encodes to %v, %v", b, v, again, err)
			}
		}
	})
}

type testError struct{ Code int }

func (e testError) Error() string { return fmt.Sprint("code ", e.Code) }

func init() { RegisterErrorType[testError]("concert.testError") }

// nestedA is an error that contains another one in a field.
type nestedA struct {
	N   int
	Err error
}

func (e *nestedA) Error() string { return "a" }
func (e *nestedA) Unwrap() error { return e.Err }

type nestedB struct{ Err error }

func (e *nestedB) Error() string { return "b" }
func (e *nestedB) Unwrap() error { return e.Err }

func init() {
	RegisterErrorType[*nestedA]("concert.nestedA")
	RegisterErrorType[*nestedB]("concert.nestedB")
}

// TestEncodeError_Nested: if errors contain other errors in their fields,
// EncodeError encodes a bounded number of them. This includes an error that
// wraps itself, and an error whose parts double at each level.
func TestEncodeError_Nested(t *testing.T) {
	a := &nestedA{N: 7}
	a.Err = fmt.Errorf("x: %w", a)
	var got *nestedA
	if err := DecodeError(EncodeError(a)); !errors.As(err, &got) && !strings.Contains(fmt.Sprint(err.(*RemoteError).Unwrap()), "nested") {
		t.Errorf("an error that wraps itself became %v, %v", err, err.(*RemoteError).Unwrap())
	}
	var e error = io.EOF
	for range 40 {
		e = fmt.Errorf("x: %w", &nestedB{fmt.Errorf("y: %w", &nestedA{Err: e})})
	}
	n := &nesting{errorMethods: &errorMethods{time.Now().Add(time.Minute)}} // a busy machine may need more than errorTime
	n.left.Store(maxNested)
	if err := DecodeError(encodeNested(e, n)); !errors.Is(err, io.EOF) || err.(*RemoteError).Text != e.Error() || !strings.HasSuffix(err.Error(), " (could not be sent as concert.nestedB: *executor.nestedB: more than 100 errors are nested in this error)") {
		t.Errorf("80 nested errors became %v", err)
	}
}

type rudeError struct{}

func (rudeError) Error() string { panic("no text for you") }

func TestEncodeError_RoundTrip(t *testing.T) {
	sent := fmt.Errorf("context: %w", errors.Join(io.EOF, testError{42}, context.Canceled))
	got := DecodeError(EncodeError(sent))
	var typed testError
	if got.Error() != sent.Error() || !errors.Is(got, io.EOF) || !errors.Is(got, context.Canceled) || errors.Is(got, io.ErrShortWrite) ||
		!errors.As(got, &typed) || typed.Code != 42 {
		t.Errorf("%v arrived as %#v", sent, got)
	}
	var remote *RemoteError
	if !errors.As(got, &remote) || remote.Type != "*fmt.wrapError" {
		t.Errorf("type = %+v", remote)
	}
	// A worker process sends the error to a cluster worker, and this worker
	// sends it to the client.
	if twice := DecodeError(EncodeError(got)); !errors.Is(twice, io.EOF) || !errors.As(twice, &typed) {
		t.Errorf("after two trips: %#v", twice)
	}
	if got := DecodeError(EncodeError(rudeError{})); !strings.Contains(got.Error(), "no text for you") {
		t.Errorf("an error that panics arrived as %v", got)
	}
	if got := DecodeError([]byte("\xff")); got == nil || !strings.Contains(got.Error(), "cannot decode") {
		t.Errorf("DecodeError of nonsense = %v", got)
	}
}

// TestRegisterError_Documented: docs/wire.md lists the registered errors,
// because the author of a worker in another language needs their names. The
// names that only tests register begin with "test." or "executortest.".
func TestRegisterError_Documented(t *testing.T) {
	wire, err := os.ReadFile("../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range errorNames.sentinels {
		if !strings.HasPrefix(name, "test.") && !strings.HasPrefix(name, "executortest.") && !strings.Contains(string(wire), "`"+name+"`") {
			t.Errorf("docs/wire.md does not name %s", name)
		}
	}
}

func FuzzDecodeError(f *testing.F) {
	f.Add(EncodeError(fmt.Errorf("x: %w", testError{7})))
	f.Add(EncodeError(NewPanicError("boom")))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := DecodeError(b)
		if err == nil {
			t.Fatal("no error from an error")
		}
		_ = err.Error()
		errors.Is(err, io.EOF)
		EncodeError(err)
	})
}
