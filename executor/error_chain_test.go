package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// failAs fails in one of several ways, which the parameter how selects.
func failAs(how string) {
	switch how {
	case "panic":
		panic("out of cheese")
	case "goexit":
		runtime.Goexit()
	}
}

// Each of these errors has one method that fails. The field how says in
// which way. If how is empty, the method works. An error of type endless
// wraps itself instead.
type (
	oddUnwrap  struct{ how string }
	oddUnwraps struct{ how string }
	oddIs      struct{ how string }
	oddAs      struct{ how string }
	oddText    struct{ how string }
	endless    struct{}
)

func (oddUnwrap) Error() string      { return "odd" }
func (o oddUnwrap) Unwrap() error    { failAs(o.how); return io.EOF }
func (oddUnwraps) Error() string     { return "odd" }
func (o oddUnwraps) Unwrap() []error { failAs(o.how); return []error{nil, io.EOF} }
func (oddIs) Error() string          { return "odd" }

func (o oddIs) Is(target error) bool {
	if target == io.ErrNoProgress {
		return true // whatever the other targets do
	}
	failAs(o.how)
	return target == io.EOF
}

func (oddAs) Error() string     { return "odd" }
func (o oddText) Error() string { failAs(o.how); return "odd" }
func (endless) Error() string   { return "odd" }
func (e endless) Unwrap() error { return e }

func (o oddAs) As(target any) bool {
	failAs(o.how)
	n, ok := target.(**noted)
	if ok {
		*n = &noted{"made by As"}
	}
	return ok
}

// TestEncodeError_MethodFails: if a method of an error fails, only the
// result of this method is missing in the encoded error.
func TestEncodeError_MethodFails(t *testing.T) {
	for _, how := range []string{"", "panic", "goexit"} {
		t.Run("fails by "+how, func(t *testing.T) {
			for _, odd := range []error{oddUnwrap{how}, oddUnwraps{how}, oddIs{how}, oddAs{how}, oddText{how}} {
				t.Run(fmt.Sprintf("%T", odd), func(t *testing.T) {
					got := DecodeError(EncodeError(errors.Join(context.Canceled, odd, io.ErrShortWrite)))
					_, as := odd.(oddAs)
					_, text := odd.(oddText)
					if !errors.Is(got, context.Canceled) || !errors.Is(got, io.ErrShortWrite) || errors.Is(got, io.EOF) != (how == "" && !as && !text) {
						t.Errorf("%T, %q: %v", odd, how, got)
					}
					if _, is := odd.(oddIs); errors.Is(got, io.ErrNoProgress) != is {
						t.Errorf("%T, %q: errors.Is(ErrNoProgress) = %v", odd, how, !is)
					}
					var n *noted
					if errors.As(got, &n) != (as && how == "") || n != nil && n.Note != "made by As" {
						t.Errorf("%T, %q: the chain has %v", odd, how, n)
					}
					if as && how != "" && !strings.Contains(fmt.Sprint(got.(*RemoteError).Unwrap()), `the error of type "concert.noted" could not be encoded`) {
						t.Errorf("%T, %q: %v", odd, how, got.(*RemoteError).Unwrap())
					}
					alone := DecodeError(EncodeError(odd)).Error()
					want := map[string]string{"": "odd", "panic": "whose Error method panicked: out of cheese", "goexit": "whose Error method called runtime.Goexit"}[how]
					switch {
					case as && how != "":
						want = "odd (could not be sent as concert.badDecoder: executor.oddAs: a method " + strings.TrimPrefix(want, "whose Error method ") + ")"
					case !text:
						want = "odd"
					}
					if text && !strings.Contains(alone, want) || !text && alone != want {
						t.Errorf("%T, %q: the text is %q", odd, how, alone)
					}
				})
			}
		})
	}
	if n := len(newErrorMethods().chain(endless{})); n != maxChain {
		t.Errorf("the chain of an error that wraps itself has %d errors", n)
	}
	if n := len(newErrorMethods().chain(nil)); n != 0 {
		t.Errorf("the chain of a nil error has %d errors", n)
	}
}

// TestEncodeError_Panic: if the chain of an error contains several panics, the
// decoded error must be the first of them. It must have the stack of this
// panic, and must wrap the error that the value of this panic wraps.
func TestEncodeError_Panic(t *testing.T) {
	first := guarded(func() { panic(fmt.Errorf("the first: %w", io.EOF)) })
	second := guarded(func() { panic(fmt.Errorf("the second: %w", first)) })
	got, ok := DecodeError(EncodeError(fmt.Errorf("x: %w", second))).(*PanicError)
	if !ok || !errors.Is(got, io.EOF) || !strings.HasPrefix(fmt.Sprint(got.Value), "the second") || !strings.Contains(got.Stack(), "error_chain_test.go") {
		t.Errorf("two panics became %v with the stack %s", got, got.Stack())
	}
	twice, ok := DecodeError(EncodeError(got)).(*PanicError)
	if !ok || !errors.Is(twice, io.EOF) || fmt.Sprint(twice.Value) != fmt.Sprint(got.Value) || twice.Stack() != got.Stack() {
		t.Errorf("after two trips: %v", twice)
	}
}

// TestRemoteError_Undecodable: if an error cannot be decoded, Unwrap returns
// the reason instead. Unwrap leaves out an error whose type is not registered
// in this program.
func TestRemoteError_Undecodable(t *testing.T) {
	for what, want := range map[string]struct {
		values map[string][]byte
		want   string
	}{
		"empty":   {map[string][]byte{"concert.noted": {}}, `[concert: cannot decode the error of type "concert.noted": unexpected EOF]`},
		"kind":    {map[string][]byte{"concert.noted": {200, 1}}, `[concert: cannot decode the error of type "concert.noted": `},
		"panic":   {map[string][]byte{"concert.badDecoder": {asCBOR, 0x40}}, `[concert: cannot decode the error of type "concert.badDecoder": `},
		"unknown": {map[string][]byte{"test.nothing": {asCBOR, 0x40}}, "[]"},
		"none":    {nil, "[]"},
	} {
		t.Run(what, func(t *testing.T) {
			w := wireError{Text: "x", Values: want.values}
			got := DecodeError(w.encode()).(*RemoteError)
			if text := fmt.Sprint(got.Unwrap()); !strings.HasPrefix(text, want.want) {
				t.Errorf("%s: %s; want %s", what, text, want.want)
			}
		})
	}
}

// badDecoder is an error whose decoder panics.
type badDecoder struct{}

func (badDecoder) Error() string                  { return "bad" }
func (badDecoder) MarshalBinary() ([]byte, error) { return nil, nil }
func (*badDecoder) UnmarshalBinary([]byte) error  { panic("no") }

func init() { RegisterErrorType[badDecoder]("concert.badDecoder") }

// TestRegisterErrorType_Misuse: RegisterErrorType panics for an interface, for
// a name that is taken, and for a type whose errors cannot be copied.
func TestRegisterErrorType_Misuse(t *testing.T) {
	for want, misuse := range map[string]func(){
		"is an interface": func() { RegisterErrorType[error]("test.iface") },
		"is taken":        func() { RegisterErrorType[*noted]("concert.noted") },
		"no exported":     func() { RegisterErrorType[*hiddenError]("test.hidden") },
	} {
		t.Run(want, func(t *testing.T) {
			func() {
				defer func() {
					if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), want) {
						t.Errorf("panic %v; want one with %q", v, want)
					}
				}()
				misuse()
			}()
		})
	}
}

// hiddenError has no field that can be copied.
type hiddenError struct{ code int }

func (h *hiddenError) Error() string { return fmt.Sprint(h.code) }
