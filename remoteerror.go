package concert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// RemoteError is an error that a task returned in another process. Its text
// is the original's. [errors.Is] finds in it what it would have found in the
// original, for the sentinels of the standard library and those given to
// [RegisterError]; [errors.As] likewise for types given to [RegisterErrorType].
type RemoteError struct {
	// Type is the type of the original, as %T prints it.
	Type string
	// Text is what its Error method returned.
	Text string

	sentinels []error // that the original was
	values    []error // that the original had in its chain, by their type
}

// Error is the text of the original.
func (e *RemoteError) Error() string { return e.Text }

// Is reports whether the original was the target.
func (e *RemoteError) Is(target error) bool {
	for _, s := range e.sentinels {
		if s == target {
			return true
		}
	}
	return false
}

// Unwrap returns the errors that travelled by their type.
func (e *RemoteError) Unwrap() []error { return e.values }

// errorNames holds the errors that are recognised across processes.
var errorNames = struct {
	mu        sync.RWMutex
	sentinels map[string]error     // guarded by mu
	types     map[string]errorType // guarded by mu
}{
	sentinels: map[string]error{
		"context.Canceled":         context.Canceled,
		"context.DeadlineExceeded": context.DeadlineExceeded,
		"errors.ErrUnsupported":    errors.ErrUnsupported,
		"io.EOF":                   io.EOF,
		"io.ErrUnexpectedEOF":      io.ErrUnexpectedEOF,
		"io.ErrShortWrite":         io.ErrShortWrite,
		"io.ErrClosedPipe":         io.ErrClosedPipe,
		"net.ErrClosed":            net.ErrClosed,
		"os.ErrInvalid":            os.ErrInvalid,
		"os.ErrPermission":         os.ErrPermission,
		"os.ErrExist":              os.ErrExist,
		"os.ErrNotExist":           os.ErrNotExist,
		"os.ErrClosed":             os.ErrClosed,
		"os.ErrNoDeadline":         os.ErrNoDeadline,
		"os.ErrDeadlineExceeded":   os.ErrDeadlineExceeded,
		"os.ErrProcessDone":        os.ErrProcessDone,
		"concert.ErrClosed":        ErrClosed,
		"concert.ErrCancelled":     ErrCancelled,
		"concert.ErrGoexit":        ErrGoexit,
		"concert.ErrDeadlock":      ErrDeadlock,
		"concert.ErrNotRegistered": ErrNotRegistered,
		"concert.ErrElsewhere":     ErrElsewhere,
	},
	types: map[string]errorType{},
}

// errorType finds an error of one type in a chain and carries it.
type errorType struct {
	encode func(error) (value []byte, found bool)
	decode func([]byte) (error, error)
}

// RegisterError makes a sentinel error keep its identity between processes:
// a task's error that errors.Is it there errors.Is it here. Like [Register] it
// belongs at package level. It returns err, and panics if the name is empty
// or taken, or err is nil.
func RegisterError(name string, err error) error {
	if name == "" || err == nil {
		panic("concert: RegisterError with an empty name or a nil error")
	}
	errorNames.mu.Lock()
	defer errorNames.mu.Unlock()
	if _, taken := errorNames.sentinels[name]; taken {
		panic(fmt.Sprintf("concert: RegisterError: the name %q is taken", name))
	}
	errorNames.sentinels[name] = err
	return err
}

// RegisterErrorType makes errors of type E travel between processes with
// their fields, as arguments do (see [Register]), so that errors.As finds
// them. It panics if the name is empty or taken.
func RegisterErrorType[E error](name string) {
	if name == "" {
		panic("concert: RegisterErrorType with an empty name")
	}
	errorNames.mu.Lock()
	defer errorNames.mu.Unlock()
	if _, taken := errorNames.types[name]; taken {
		panic(fmt.Sprintf("concert: RegisterErrorType: the name %q is taken", name))
	}
	errorNames.types[name] = errorType{
		encode: func(err error) ([]byte, bool) {
			var e E
			if !errors.As(err, &e) {
				return nil, false
			}
			v, err := encode(e)
			return append([]byte{v.Kind}, v.Bytes...), err == nil // one that does not encode travels as text
		},
		decode: func(b []byte) (err, failure error) {
			defer func() {
				if v := recover(); v != nil { // unmarshalers are anybody's code
					failure = NewPanicError(v)
				}
			}()
			if len(b) == 0 {
				return nil, io.ErrUnexpectedEOF
			}
			e, err := decode[E](Encoded{b[0], b[1:]})
			return e, err
		},
	}
}

// wireError is an error as it travels.
type wireError struct {
	Type      string            `cbor:"1,keyasint,omitempty"`
	Text      string            `cbor:"2,keyasint,omitempty"`
	Sentinels []string          `cbor:"3,keyasint,omitempty"`
	Values    map[string][]byte `cbor:"4,keyasint,omitempty"`
	Panic     bool              `cbor:"5,keyasint,omitempty"` // Text is the value's
	Stack     string            `cbor:"6,keyasint,omitempty"`
}

// EncodeError returns the bytes of an error, for the trip from a worker. Its
// methods are called, so it must not be called under a lock; one that panics
// in its Error method travels as that panic.
func EncodeError(err error) []byte {
	w := wireError{Type: fmt.Sprintf("%T", err)}
	w.Text = errorText(err)
	if r, ok := err.(*RemoteError); ok {
		w.Type = r.Type // it goes on, from worker to worker
	}
	if p, ok := errors.AsType[*PanicError](err); ok {
		w.Panic, w.Stack = true, p.Stack()
		w.Text = fmt.Sprint(p.Value)
	}
	errorNames.mu.RLock()
	defer errorNames.mu.RUnlock()
	for name, s := range errorNames.sentinels {
		if errors.Is(err, s) {
			w.Sentinels = append(w.Sentinels, name)
		}
	}
	for name, t := range errorNames.types {
		if b, found := t.encode(err); found {
			if w.Values == nil {
				w.Values = make(map[string][]byte)
			}
			w.Values[name] = b
		}
	}
	b, err := cborEncoder.Marshal(w)
	if err != nil {
		panic(err) // strings and bytes always encode
	}
	return b
}

func errorText(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("%T whose Error method panicked: %v", err, v)
		}
	}()
	return err.Error()
}

// DecodeError returns the error that EncodeError was given, as a
// [*RemoteError] or [*PanicError]. Bytes that are not an error's give an error
// that says so.
func DecodeError(b []byte) error {
	var w wireError
	if err := cborDecoder.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("concert: an error came that cannot be decoded: %w", err)
	}
	e := &RemoteError{Type: w.Type, Text: w.Text}
	errorNames.mu.RLock()
	defer errorNames.mu.RUnlock()
	for _, name := range w.Sentinels {
		if s, known := errorNames.sentinels[name]; known {
			e.sentinels = append(e.sentinels, s)
		}
	}
	for name, value := range w.Values {
		if t, known := errorNames.types[name]; known {
			if v, err := t.decode(value); err == nil {
				e.values = append(e.values, v)
			}
		}
	}
	if !w.Panic {
		return e
	}
	p := &PanicError{Value: w.Text, text: w.Stack}
	if len(e.sentinels)+len(e.values) > 0 {
		p.Value = e // it panicked with an error
	}
	return p
}
