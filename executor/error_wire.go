package executor

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fxamacker/cbor/v2"
)

// wireError is an error in the form in which it is sent to another process.
type wireError struct {
	Type      string            `cbor:"1,keyasint,omitempty"`
	Text      string            `cbor:"2,keyasint,omitempty"`
	Sentinels []string          `cbor:"3,keyasint,omitempty"`
	Values    map[string][]byte `cbor:"4,keyasint,omitempty"`
	Panic     bool              `cbor:"5,keyasint,omitempty"` // the task panicked; Text is the text of the panic's value
	Stack     string            `cbor:"6,keyasint,omitempty"`
	Lost      map[string]string `cbor:"7,keyasint,omitempty"` // the key is the name of a registered type, the value says why its error could not be encoded
	Task      string            `cbor:"8,keyasint,omitempty"` // the name of the function that panicked, at most maxTaskName bytes
}

// maxErrorText bounds the bytes of each part of an encoded error. ShortenError
// bounds the total size of all parts.
const maxErrorText = 1 << 20

const (
	maxTaskName = 256
	maxLostText = 300 // maximum bytes of one reason in the text of a RemoteError
)

// EncodeError encodes an error, so that a worker can send it to another
// process. It calls each method of the error on another goroutine and waits for
// it. If a method panics or calls runtime.Goexit, only the information from
// this method is missing. All methods together may take a second. If a method
// has not returned by then, its information is missing, and EncodeError calls
// no further methods.
func EncodeError(err error) []byte { return encodeNested(err, nil) }

// nesting bounds the number of errors of registered types that are encoded
// within one error: as its fields, as fields of these fields, and so on.
// Without a bound, encoding an error that has itself as a field would never
// end.
type nesting struct {
	*errorMethods
	left atomic.Int32 // number of errors that may still be encoded
}

const maxNested = 100

var errNested = fmt.Errorf("more than %d errors are nested in this error", maxNested)

// encode encodes *p, which is an error of a registered type.
func (n *nesting) encode(p reflect.Value) (Encoded, error) {
	if n.left.Add(-1) < 0 {
		return Encoded{}, errNested
	}
	b, err := valueCodec.Encode(nil, p, n)
	return Encoded{asCBOR, b}, err
}

// encodeNested is EncodeError for an error in a field of another error. caller
// is the *nesting of the other error, or nil.
func encodeNested(err error, caller any) []byte {
	n, _ := caller.(*nesting)
	if n == nil {
		n = &nesting{errorMethods: newErrorMethods()}
		n.left.Store(maxNested)
	}
	w := wireError{Type: fmt.Sprintf("%T", err)}
	if r, ok := err.(*RemoteError); ok {
		w.Type = r.Type // err comes from another worker; keep its original type
	}
	w.Text = bounded(n.text(err))
	all := n.chain(err)
	for _, e := range all {
		if p, ok := e.(*PanicError); ok {
			w.Panic, w.Stack, w.Task = true, bounded(p.Stack()), shortenedText(p.Task, maxTaskName)
			w.Text = bounded(n.textOf(p.Value, "String or Error", func() string { return panicText(p.Value) }))
			break
		}
	}
	errorNames.mu.RLock()
	sentinels, types := maps.Clone(errorNames.sentinels), maps.Clone(errorNames.types)
	errorNames.mu.RUnlock()
	w.Sentinels = n.matched(all, sentinels)
	w.addStandard(all, n)
	for _, name := range slices.Sorted(maps.Keys(types)) { // sorted, so that the same errors are encoded each time if n.left is too small for all
		for _, e := range all {
			if w.add(name, types[name], e, n) {
				break
			}
		}
	}
	return w.encode()
}

// add encodes e and adds it to w if e is of the registered type. found reports
// whether e is of this type.
func (w *wireError) add(name string, t errorType, e error, n *nesting) (found bool) {
	type encoded struct {
		b     []byte
		found bool
		why   error
	}
	v, failure := callMethod(n.errorMethods, func() (v encoded) {
		v.b, v.found, v.why = t.encode(e, n)
		return v
	})
	if failure != nil {
		v = encoded{found: true, why: &methodError{"a method " + howFailed(failure), failure}}
	}
	if !v.found {
		return false
	}
	b, why := v.b, v.why
	if why == nil && len(b) > maxErrorText {
		why = fmt.Errorf("the encoded error has %d bytes, at most %d are allowed", len(b), maxErrorText)
	}
	if why != nil {
		w.lose(name, fmt.Sprintf("%T: %s", e, n.text(why)))
		return true
	}
	if w.Values == nil {
		w.Values = make(map[string][]byte)
	}
	w.Values[name] = b
	return true
}

// errorDecoder decodes errors on the goroutine that receives from a worker.
// An error has few parts. Decoding an error with many parts would take long,
// so errorDecoder refuses such an error.
var errorDecoder = must(cbor.DecOptions{
	MaxNestedLevels:  16,
	MaxArrayElements: maxErrorParts,
	MaxMapPairs:      maxErrorParts,
	UTF8:             cbor.UTF8DecodeInvalid,
}.DecMode())

const maxErrorParts = 1 << 16

// DecodeError decodes an error from EncodeError, as a [*RemoteError] or a
// [*PanicError]. If it cannot decode the bytes, it returns an error that says
// so. It calls no method of the program.
func DecodeError(b []byte) error {
	var w wireError
	if err := errorDecoder.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("concert: cannot decode the error of a task: %w", err)
	}
	e := &RemoteError{Type: w.Type, Text: w.Text}
	errorNames.mu.RLock()
	defer errorNames.mu.RUnlock()
	for _, name := range w.Sentinels {
		if s, known := errorNames.sentinels[name]; known {
			e.sentinels = append(e.sentinels, s)
		} else if n, ok := errnoNamed(name); ok {
			e.sentinels = append(e.sentinels, n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Lost)) {
		e.lost = shortenedText(name+": "+w.Lost[name], maxLostText)
		break
	}
	if len(w.Values)+len(w.Lost) > 0 {
		e.values = sync.OnceValue(func() []error { return decodeErrorValues(w.Values, w.Lost) })
	}
	if !w.Panic {
		return e
	}
	p := &PanicError{Value: w.Text, Task: w.Task, text: w.Stack}
	if len(e.sentinels) > 0 || e.values != nil {
		p.Value = e // the argument of panic was an error
	}
	return p
}

// decodeErrorValues decodes the errors of registered types. For each error that
// could not be encoded or decoded, it returns an error with the reason.
func decodeErrorValues(values map[string][]byte, lost map[string]string) (all []error) {
	m := newErrorMethods()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		errorNames.mu.RLock()
		t, known := errorNames.types[name]
		errorNames.mu.RUnlock()
		if !known {
			t, known = standardErrorTypes[name]
		}
		if !known {
			continue
		}
		type decoded struct{ v, why error }
		d, failure := callMethod(m, func() (d decoded) {
			d.v, d.why = t.decode(values[name])
			return d
		})
		if failure != nil {
			d.why = failure
		}
		if d.why != nil {
			d.v = fmt.Errorf("concert: cannot decode the error of type %q: %w", name, d.why)
		}
		all = append(all, d.v)
	}
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		all = append(all, fmt.Errorf("concert: the error of type %q could not be encoded: %s", name, lost[name]))
	}
	return all
}
