package concert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"sync"
)

// RemoteError is an error that a task returned in another process. Its text
// is the original's. [errors.Is] finds in it what it would have found in the
// original, for the sentinels of the standard library and those given to
// [RegisterError]; [errors.As] does so for types given to [RegisterErrorType].
type RemoteError struct {
	// Type is the type of the original, as %T prints it.
	Type string
	// Text is what its Error method returned, at most a megabyte of it.
	Text string
	// Input is which input of a Map the task was, and its label; nil for a task
	// of Submit or Go without a label.
	Input *Input

	sentinels []error        // that the original was
	values    func() []error // those that the original had in its chain, by their type; may be nil
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

// Unwrap returns the errors that travelled by their type. They are decoded at
// the first call, on its goroutine: their methods are the program's. In place
// of one that cannot be decoded there is an error that says why.
func (e *RemoteError) Unwrap() []error {
	if e.values == nil {
		return nil
	}
	return e.values()
}

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

// errorType carries errors of one type.
type errorType struct {
	// encode encodes an error if it is of the type, or says with its As method
	// that it can be.
	encode func(error) (value []byte, found bool, err error)
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
// them. In a field of type error, errors of registered types and registered
// sentinels arrive as they are, others as a [*RemoteError]. An error that
// cannot be encoded travels as text, and [RemoteError.Unwrap] says why.
//
// It panics if the name is empty or taken, or no value of E can travel.
func RegisterErrorType[E error](name string) {
	if name == "" {
		panic("concert: RegisterErrorType with an empty name")
	}
	t := reflect.TypeFor[E]()
	if err := travel.CheckContents(t); err != nil {
		panic(fmt.Sprintf("concert: RegisterErrorType(%q): %v", name, err))
	}
	travel.Learn(t)
	errorNames.mu.Lock()
	defer errorNames.mu.Unlock()
	if _, taken := errorNames.types[name]; taken {
		panic(fmt.Sprintf("concert: RegisterErrorType: the name %q is taken", name))
	}
	errorNames.types[name] = errorType{
		encode: func(err error) (b []byte, found bool, failure error) {
			e, found := err.(E)
			if !found {
				as, ok := err.(interface{ As(any) bool })
				if found = ok && as.As(&e); !found {
					return nil, false, nil
				}
			}
			v, failure := encode(e)
			return append([]byte{v.Kind}, v.Bytes...), true, failure
		},
		decode: func(b []byte) (err, failure error) {
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
	Lost      map[string]string `cbor:"7,keyasint,omitempty"` // registered types that could not be encoded: why
}

// maxErrorText bounds the bytes of each part of an error that travels.
const maxErrorText = 1 << 20

// EncodeError returns the bytes of an error, for the trip from a worker. The
// error's methods are the program's: each is called on a goroutine of its own,
// so one that panics or calls runtime.Goexit costs what it would have said and
// nothing else. EncodeError blocks as long as they do.
func EncodeError(err error) []byte {
	w := wireError{Type: fmt.Sprintf("%T", err)}
	if r, ok := err.(*RemoteError); ok {
		w.Type = r.Type // it goes on, from worker to worker
	}
	w.Text = bounded(errorText(err))
	all := errorChain(err)
	for _, e := range all {
		if p, ok := e.(*PanicError); ok {
			w.Panic, w.Stack = true, bounded(p.Stack())
			w.Text = bounded(guardedText(p.Value, "String or Error", func() string { return fmt.Sprint(p.Value) }))
			break
		}
	}
	errorNames.mu.RLock()
	sentinels, types := maps.Clone(errorNames.sentinels), maps.Clone(errorNames.types)
	errorNames.mu.RUnlock()
	for name, s := range sentinels {
		if slices.ContainsFunc(all, func(e error) bool { return errorIs(e, s) }) {
			w.Sentinels = append(w.Sentinels, name)
		}
	}
	slices.Sort(w.Sentinels)
	for name, t := range types {
		for _, e := range all {
			if w.add(name, t, e) {
				break
			}
		}
	}
	b, err := cborEncoder.Marshal(w)
	if err != nil {
		panic(err) // strings and bytes always encode
	}
	return b
}

// add adds the value of an error if it is of the type.
func (w *wireError) add(name string, t errorType, e error) (found bool) {
	var b []byte
	var why error
	if failure := guarded(func() { b, found, why = t.encode(e) }); failure != nil {
		found, why = true, failure
	}
	if !found {
		return false
	}
	if why == nil && len(b) > maxErrorText {
		why = fmt.Errorf("it has %d bytes, more than %d", len(b), maxErrorText)
	}
	if why != nil {
		if w.Lost == nil {
			w.Lost = make(map[string]string)
		}
		w.Lost[name] = bounded(fmt.Sprintf("%T: %s", e, errorText(why)))
		return true
	}
	if w.Values == nil {
		w.Values = make(map[string][]byte)
	}
	w.Values[name] = b
	return true
}

// DecodeError returns the error that EncodeError was given, as a
// [*RemoteError] or [*PanicError]. Bytes that are not an error's give an error
// that says so. It calls no method of the program's.
func DecodeError(b []byte) error {
	var w wireError
	if err := cborDecoder.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("concert: cannot decode the error of a task: %w", err)
	}
	e := &RemoteError{Type: w.Type, Text: w.Text}
	errorNames.mu.RLock()
	defer errorNames.mu.RUnlock()
	for _, name := range w.Sentinels {
		if s, known := errorNames.sentinels[name]; known {
			e.sentinels = append(e.sentinels, s)
		}
	}
	if len(w.Values)+len(w.Lost) > 0 {
		e.values = sync.OnceValue(func() []error { return decodeErrorValues(w.Values, w.Lost) })
	}
	if !w.Panic {
		return e
	}
	p := &PanicError{Value: w.Text, text: w.Stack}
	if len(e.sentinels) > 0 || e.values != nil {
		p.Value = e // it panicked with an error
	}
	return p
}

// decodeErrorValues decodes the values of registered types, by name.
func decodeErrorValues(values map[string][]byte, lost map[string]string) (all []error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		errorNames.mu.RLock()
		t, known := errorNames.types[name]
		errorNames.mu.RUnlock()
		if !known {
			continue
		}
		var v, why error
		if failure := guarded(func() { v, why = t.decode(values[name]) }); failure != nil {
			why = failure
		}
		if why != nil {
			v = fmt.Errorf("concert: cannot decode the error of type %q: %w", name, why)
		}
		all = append(all, v)
	}
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		all = append(all, fmt.Errorf("concert: the error of type %q could not be encoded: %s", name, lost[name]))
	}
	return all
}
