package concert

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"sync"
)

// RemoteError is an error that a task returned in another process. It has the
// text of the original error. [errors.Is] returns the same as for the original,
// for sentinels that are registered, see [RegisterError].
// [errors.As] does so for types passed to [RegisterErrorType].
type RemoteError struct {
	// Type is the type of the original, as %T prints it.
	Type string
	// Text is the text of the original, at most 1 MiB of it.
	Text string
	// Input is the index and the label of the task's input. It is nil for a
	// task of Submit or Go without a label.
	Input *Input

	sentinels []error        // sentinels that the original was to errors.Is
	values    func() []error // decodes errors of registered types in the original's chain; may be nil
}

// Error returns the text of the original.
func (e *RemoteError) Error() string { return e.Text }

// Is reports whether errors.Is matched the original with the target.
func (e *RemoteError) Is(target error) bool {
	for _, s := range e.sentinels {
		if sameError(s, target) {
			return true
		}
	}
	return false
}

// Unwrap returns the errors of registered types in the original's chain. The
// first call decodes them, which may run methods of the program; it waits for
// them. If an error cannot be decoded, the slice has an error with the reason
// in its place.
func (e *RemoteError) Unwrap() []error {
	if e.values == nil {
		return nil
	}
	return e.values()
}

// errorNames holds the errors that keep their identity in another process.
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
		"io.ErrShortBuffer":        io.ErrShortBuffer,
		"io.ErrNoProgress":         io.ErrNoProgress,
		"io.ErrClosedPipe":         io.ErrClosedPipe,
		"bufio.ErrTooLong":         bufio.ErrTooLong,
		"bufio.ErrBufferFull":      bufio.ErrBufferFull,
		"bufio.ErrNegativeCount":   bufio.ErrNegativeCount,
		"strconv.ErrRange":         strconv.ErrRange,
		"strconv.ErrSyntax":        strconv.ErrSyntax,
		"fs.SkipDir":               fs.SkipDir,
		"fs.SkipAll":               fs.SkipAll,
		"net.ErrClosed":            net.ErrClosed,
		"net.ErrWriteToConnected":  net.ErrWriteToConnected,
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

// errorType encodes and decodes errors of one type.
type errorType struct {
	// encode encodes an error if it is of the type, or if its As method
	// converts it to the type.
	encode func(err error, n *nesting) (value []byte, found bool, failure error)
	decode func([]byte) (error, error)
}

// RegisterError lets a sentinel error keep its identity between processes: if
// errors.Is matches a task's error with it in the worker, errors.Is matches the
// error with it in the submitter as well. Like [Register], it belongs at
// package level. It returns err. It panics if the name is empty or belongs to
// another error, or if err is nil.
//
// The sentinel errors of this module and of the packages bufio, context, errors,
// fs, io, net, os and strconv are registered. Register those of other packages
// that the program compares with:
//
//	var (
//		_ = concert.RegisterError("sql.ErrNoRows", sql.ErrNoRows)
//		_ = concert.RegisterError("exec.ErrNotFound", exec.ErrNotFound)
//	)
func RegisterError(name string, err error) error {
	if name == "" || err == nil {
		panic("concert: RegisterError with an empty name or a nil error")
	}
	errorNames.mu.Lock()
	defer errorNames.mu.Unlock()
	if other, taken := errorNames.sentinels[name]; taken && !sameError(err, other) {
		panic(fmt.Sprintf("concert: RegisterError: the name %q is taken", name))
	}
	errorNames.sentinels[name] = err
	return err
}

// RegisterErrorType lets errors of type E keep their type and fields between
// processes, so that errors.As finds them. They are copied like arguments, see
// [Register]. In a field of type error, registered sentinels and errors of
// registered types arrive unchanged, and other errors arrive as a
// [*RemoteError]. If an error cannot be encoded, only its text is sent, and
// [RemoteError.Unwrap] returns the reason.
//
// RegisterErrorType panics if the name is empty or taken, if E is an interface,
// or if no value of E can be copied to another process.
func RegisterErrorType[E error](name string) {
	if name == "" {
		panic("concert: RegisterErrorType with an empty name")
	}
	t := reflect.TypeFor[E]()
	if t.Kind() == reflect.Interface {
		panic(fmt.Sprintf("concert: RegisterErrorType(%q): %v is an interface: register the types that implement it", name, t))
	}
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
		encode: func(err error, n *nesting) (b []byte, found bool, failure error) {
			e, found := err.(E)
			if !found {
				as, ok := err.(interface{ As(any) bool })
				if found = ok && as.As(&e); !found {
					return nil, false, nil
				}
			}
			v, failure := n.encode(reflect.ValueOf(&e))
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

// wireError is an error in the form in which it is sent to another process.
type wireError struct {
	Type      string            `cbor:"1,keyasint,omitempty"`
	Text      string            `cbor:"2,keyasint,omitempty"`
	Sentinels []string          `cbor:"3,keyasint,omitempty"`
	Values    map[string][]byte `cbor:"4,keyasint,omitempty"`
	Panic     bool              `cbor:"5,keyasint,omitempty"` // it was a panic; Text is that of the panic's value
	Stack     string            `cbor:"6,keyasint,omitempty"`
	Lost      map[string]string `cbor:"7,keyasint,omitempty"` // by registered type: why the error could not be encoded
}

// maxErrorText bounds the bytes of each part of an encoded error.
const maxErrorText = 1 << 20

// EncodeError encodes an error, so that a worker can send it to another
// process. It calls each method of the error on another goroutine and waits for
// it. If a method panics or calls runtime.Goexit, only the information from
// this method is missing.
func EncodeError(err error) []byte { return encodeNested(err, nil) }

// nesting bounds the errors of registered types that are encoded within one
// error, as fields of each other. Without a bound an error that wraps itself
// would be encoded without end.
type nesting struct{ left int }

const maxNested = 100

var errNested = fmt.Errorf("more than %d errors are nested in it", maxNested)

// encode encodes *p, which is an error of a registered type.
func (n *nesting) encode(p reflect.Value) (Encoded, error) {
	if n.left--; n.left < 0 {
		return Encoded{}, errNested
	}
	b, err := travel.Encode(nil, p, n)
	return Encoded{asCBOR, b}, err
}

// encodeNested is EncodeError for an error in a field of another one. outer is
// the *nesting of that one, or nil.
func encodeNested(err error, outer any) []byte {
	n, _ := outer.(*nesting)
	if n == nil {
		n = &nesting{left: maxNested}
	}
	w := wireError{Type: fmt.Sprintf("%T", err)}
	if r, ok := err.(*RemoteError); ok {
		w.Type = r.Type // another worker has sent it to this one
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
			if w.add(name, t, e, n) {
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

// add adds the encoded error e if it is of the registered type.
func (w *wireError) add(name string, t errorType, e error, n *nesting) (found bool) {
	var b []byte
	var why error
	if failure := guarded(func() { b, found, why = t.encode(e, n) }); failure != nil {
		found, why = true, failure
	}
	if !found {
		return false
	}
	if why == nil && len(b) > maxErrorText {
		why = fmt.Errorf("the encoded error has %d bytes, at most %d are allowed", len(b), maxErrorText)
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

// DecodeError decodes an error from EncodeError, as a [*RemoteError] or a
// [*PanicError]. If it cannot decode the bytes, it returns an error that says
// so. It calls no method of the program.
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

// decodeErrorValues decodes the errors of registered types. For each error that
// could not be encoded or decoded, it returns an error with the reason.
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
