package executor

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// RemoteError is an error that a task returned in another process. It has the
// text of the original error. If the original was of a registered type and
// could not be encoded, Error adds the reason to the text. For registered
// sentinels, [errors.Is] returns the same as for the original: see
// [RegisterError]. For registered types, [errors.As] returns the same as for
// the original: see [RegisterErrorType]. Under %+v, errors of these types print
// their details, such as a traceback.
//
// If a task is canceled and returns [context.Cause] of its context, the
// submitter receives the cause as the task's error. The same holds for a
// task in the submitter's own process. For a task in another process there
// are two exceptions, because the cause is not sent to the worker. If a task
// wraps the cause in another error, that error wraps [ErrCanceled] instead.
// If a deadline has a cause of its own, as with [context.WithTimeoutCause],
// the error of the task is [context.DeadlineExceeded].
type RemoteError struct {
	// Type is the type of the original, as %T prints it.
	Type string
	// Text is the text of the original. A text of more than 1 MiB is shortened.
	Text string
	// Input is the index and the label of the task's input. It is nil for a
	// task of Submit or Go without a label.
	Input *Input

	lost      string         // the registered name and the reason if an error of a registered type could not be encoded
	sentinels []error        // the sentinel errors that errors.Is matched with the original
	values    func() []error // decodes errors of registered types in the original's chain; may be nil
}

// Error returns the text of the original, and the reason if an error of a
// registered type could not be encoded.
func (e *RemoteError) Error() string {
	if e.lost == "" {
		return e.Text
	}
	return e.Text + " (could not be sent as " + e.lost + ")"
}

// Is reports whether errors.Is matched the original with the target.
func (e *RemoteError) Is(target error) bool {
	return slices.ContainsFunc(e.sentinels, func(s error) bool { return sameError(s, target) })
}

// Unwrap returns the errors of registered types in the original's chain. The
// first call decodes these errors, which may run methods of the program, for
// at most a second in total. If an error could not be decoded, or needed
// more time, the slice contains an error with the reason instead.
func (e *RemoteError) Unwrap() []error {
	if e.values == nil {
		return nil
	}
	return e.values()
}

// errorNames holds the registered sentinels and types. errors.Is and
// errors.As find them even in an error that another process has sent.
var errorNames = struct {
	mu        sync.RWMutex
	sentinels map[string]error     // guarded by mu
	types     map[string]errorType // guarded by mu
}{
	sentinels: standardSentinels(),
	types:     map[string]errorType{},
}

// errorType encodes and decodes errors of one type.
type errorType struct {
	// encode encodes err if err is of the type, or if the As method of err
	// converts it to the type.
	encode func(err error, n *nesting) (value []byte, found bool, failure error)
	decode func([]byte) (error, error)
}

// RegisterError implements concert.RegisterError.
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

// RegisterErrorType implements concert.RegisterErrorType.
func RegisterErrorType[E error](name string) {
	if name == "" {
		panic("concert: RegisterErrorType with an empty name")
	}
	t := reflect.TypeFor[E]()
	if t.Kind() == reflect.Interface {
		panic(fmt.Sprintf("concert: RegisterErrorType(%q): %v is an interface: register the types that implement it", name, t))
	}
	if err := valueCodec.CheckContents(t); err != nil {
		panic(fmt.Sprintf("concert: RegisterErrorType(%q): %v", name, err))
	}
	valueCodec.Learn(t)
	errorNames.mu.Lock()
	defer errorNames.mu.Unlock()
	_, taken := errorNames.types[name]
	if _, standard := standardErrorTypes[name]; taken || standard {
		panic(fmt.Sprintf("concert: RegisterErrorType: the name %q is taken", name))
	}
	errorNames.types[name] = errorTypeFor[E]()
}

// errorTypeFor returns the functions that encode and decode errors of type E.
func errorTypeFor[E error]() errorType {
	return errorType{
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

// Format prints the text for all verbs. Under %+v it prints details as well,
// such as the traceback of a Python exception: it formats each error of
// [RemoteError.Unwrap] that has a Format method with %+v.
func (e *RemoteError) Format(s fmt.State, verb rune) {
	if verb != 'v' || !s.Flag('+') {
		fmt.Fprintf(s, strings.ReplaceAll(fmt.FormatString(s, verb), "#", ""), e.Error())
		return
	}
	text := e.Error()
	var details []string
	for _, v := range e.Unwrap() {
		if _, ok := v.(fmt.Formatter); !ok {
			continue
		}
		d := fmt.Sprintf("%+v", v)
		if rest, begins := strings.CutPrefix(d, text); begins {
			d = strings.TrimPrefix(rest, "\n") // the text is already printed
		}
		if d != "" {
			details = append(details, d)
		}
	}
	io.WriteString(s, strings.Join(append([]string{text}, details...), "\n"))
}
