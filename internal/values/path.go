package values

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// pathError is an error with a path: the path to the part of the value that
// has caused the error.
type pathError struct {
	path []string // steps such as ".Name", "[3]", "[key]", the innermost first
	err  error
}

// Error returns the path and the text of the error.
func (e *pathError) Error() string { return e.text() + ": " + e.err.Error() }

// Unwrap returns the error without the path.
func (e *pathError) Unwrap() error { return e.err }

// shownSteps is the number of steps that Error prints at the beginning of a
// long path. From the end of the path, Error prints one step more.
const shownSteps = 8

func (e *pathError) text() string {
	var b strings.Builder
	for i := len(e.path) - 1; i >= 0; i-- {
		if i == len(e.path)-1-shownSteps && i > shownSteps {
			fmt.Fprintf(&b, " ...%d more... ", i-shownSteps)
			i = shownSteps
		}
		b.WriteString(e.path[i])
	}
	return b.String()
}

// within adds an outer step to the path of an error. If err is nil, it returns
// nil.
func within(step string, err error) error {
	if err == nil {
		return nil
	}
	if p, ok := err.(*pathError); ok {
		p.path = append(p.path, step)
		return p
	}
	return &pathError{[]string{step}, err}
}

// rooted adds the type of the whole value to the path of an error.
func rooted(t reflect.Type, err error) error {
	root := typeText(t)
	if t.Kind() == reflect.Pointer {
		root = "(" + root + ")"
	}
	if p, ok := err.(*pathError); ok {
		p.path = append(p.path, root)
		return p
	}
	return fmt.Errorf("%s: %w", typeText(t), err)
}

// typeText returns a type as text, for an error.
func typeText(t reflect.Type) string {
	if t == nil {
		return "nil"
	}
	if s := t.String(); len(s) <= 200 {
		return s
	}
	return t.Kind().String() + " type"
}

var errCycle = errors.New("the value contains itself: only values without cycles can be copied to another process")

func cyclic(err error) bool { return err != nil && errors.Is(err, errCycle) }

var errDeep = fmt.Errorf("the value is nested more than %d levels deep", MaxDepth)

// keyStep returns the step of a path for the key k of a map. Unlike package
// fmt, keyStep calls no method of the key, because it also runs on
// goroutines that user code must not block.
func keyStep(k reflect.Value) string {
	switch {
	case k.Kind() == reflect.String:
		s := k.String()
		if len(s) > 40 {
			s = s[:40] + "..."
		}
		return "[" + strconv.Quote(s) + "]"
	case k.Kind() == reflect.Bool:
		return "[" + strconv.FormatBool(k.Bool()) + "]"
	case k.CanInt():
		return "[" + strconv.FormatInt(k.Int(), 10) + "]"
	case k.CanUint():
		return "[" + strconv.FormatUint(k.Uint(), 10) + "]"
	case k.CanFloat():
		return "[" + strconv.FormatFloat(k.Float(), 'g', -1, k.Type().Bits()) + "]"
	}
	return "[key of type " + typeText(k.Type()) + "]"
}
