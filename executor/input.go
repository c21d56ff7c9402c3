package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"
)

// Input identifies the input of a task in errors, events and logs: by the index
// in its Map, and by the label that the caller has set. Tasks of [Submit] and
// [Go] without a label have a nil Input. [InputOf] finds the Input in an error.
type Input struct {
	// Name is the name of the task's function, as [Task.Name].
	Name string
	// Index is the index of the input in its Map, from 0 up. It is -1 for a
	// task of Submit or Go.
	Index int64
	// Label is the label that [WithLabel] or [WithInputLabels] has set, or "".
	Label string
}

// String returns the text with which errors name the input: "thumbnail:
// input 17 (cat.jpg)". Control characters of the label are escaped. For a
// nil Input, the text is empty, so callers that join texts need no
// condition.
func (in *Input) String() string {
	if in == nil {
		return ""
	}
	text := in.Name
	if in.Index >= 0 {
		text += fmt.Sprintf(": input %d", in.Index)
	}
	if in.Label != "" {
		text += " (" + escaped(in.Label) + ")"
	}
	return text
}

// escaped returns the text with an escape sequence in place of each character
// that is not printable. A terminal may interpret such characters as commands.
func escaped(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	quoted := fmt.Sprintf("%+q", text)
	return quoted[1 : len(quoted)-1]
}

// labelKey is the context key of labels: a string, or a func(In) string for the
// inputs of a Map.
type labelKey struct{}

// WithLabel implements concert.WithLabel.
func WithLabel(ctx context.Context, label string) context.Context {
	if ctx == nil {
		panic("concert: WithLabel with a nil context")
	}
	return context.WithValue(ctx, labelKey{}, label)
}

// WithInputLabels implements concert.WithInputLabels.
func WithInputLabels[In any](ctx context.Context, label func(In) string) context.Context {
	if ctx == nil || label == nil {
		panic("concert: WithInputLabels with a nil context or function")
	}
	return context.WithValue(ctx, labelKey{}, label)
}

// input returns the Input of a task of Submit, Go or Relay. It returns nil if
// the task has no label and its Call has no Input.
func (t *Task) input() *Input {
	if r, ok := t.job.(*relay); ok && r.is.Input != nil {
		return r.is.Input
	}
	label, _ := t.ctx.Parent.Value(labelKey{}).(string)
	if label == "" {
		return nil
	}
	return &Input{t.Name(), -1, label}
}

// labels stores the labels of a Map's inputs until the consumer receives their
// results. A nil *labels means that the inputs have no labels.
type labels[In any] struct {
	of func(In) string

	mu     sync.Mutex
	labels map[int64]string // guarded by mu; the key is the index of the input; nil if all inputs have the same label
}

// newLabels returns the labels of a Map with this context, or nil if neither
// WithLabel nor WithInputLabels has set a label.
func newLabels[In any](ctx context.Context) *labels[In] {
	switch of := ctx.Value(labelKey{}).(type) {
	case string:
		if of != "" {
			return &labels[In]{of: func(In) string { return of }}
		}
	case func(In) string:
		return &labels[In]{of: of, labels: make(map[int64]string)}
	}
	return nil
}

// add calls the program's function for the label of an input, and stores the
// label.
func (l *labels[In]) add(index int64, in In) {
	if l == nil || l.labels == nil {
		return
	}
	label := l.of(in)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.labels[index] = label
}

// get returns the label of the input with this index.
func (l *labels[In]) get(index int64) string {
	switch {
	case l == nil:
		return ""
	case l.labels == nil:
		var none In
		return l.of(none)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.labels[index]
}

// remove deletes the label of an input whose result the consumer has received.
func (l *labels[In]) remove(index int64) {
	if l == nil || l.labels == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.labels, index)
}

// input returns the Input of the item with this index.
func (m *mapRun[In, Out]) input(index int64) *Input {
	return &Input{m.id.name(), m.indexes.get(index), m.labels.get(index)}
}

// InputOf implements concert.InputOf.
func InputOf(err error) *Input {
	var e inputCarrier
	if errors.As(err, &e) {
		return e.TaskInput()
	}
	return nil
}

// inputCarrier is an error with the input of the call that failed.
type inputCarrier interface {
	error
	TaskInput() *Input
}

// TaskInput returns e.Input, for [InputOf].
func (e *PanicError) TaskInput() *Input { return e.Input }

// TaskInput returns e.Input, for [InputOf].
func (e *RemoteError) TaskInput() *Input { return e.Input }

// TaskInput returns the input of the call to which the value belongs, for
// [InputOf].
func (e *valueError) TaskInput() *Input { return e.in }

// failure returns the error for the task's future if the task has failed
// with err. It adds the task's input to err, and the name of the function to
// a *PanicError. Do not call failure for an error that a function of the
// program returned in this process: see withInput.
func (t *Task) failure(err error) error {
	err = withInput(err, t.input)
	if e, ok := err.(*PanicError); ok && e.Task == "" {
		c := *e
		c.Task = t.Name()
		return &c
	}
	return err
}

// inputError adds the Input of a call to an error without a field for the
// Input.
type inputError struct {
	in  *Input
	err error
}

// Error names the input and the error.
func (e *inputError) Error() string {
	text, of := e.err.Error(), e.in.String()
	if strings.Contains(text, of) {
		return text // the text of err names the input already
	}
	return "concert: " + of + ": " + strings.TrimPrefix(text, "concert: ")
}

// Unwrap returns the error without the input.
func (e *inputError) Unwrap() error { return e.err }

// TaskInput returns the input, for [InputOf].
func (e *inputError) TaskInput() *Input { return e.in }

// withInput returns err, the error of a task, with the input of the task. It
// changes a copy and not err itself, because other code may use the same error.
// Do not call it for an error that a function of the program returned in this
// process.
func withInput(err error, input func() *Input) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(inputCarrier); ok && e.TaskInput() != nil {
		return err
	}
	in := input()
	if in == nil {
		return err
	}
	switch e := err.(type) {
	case *PanicError:
		c := *e
		c.Input, c.Task = in, cmp.Or(c.Task, in.Name)
		return &c
	case *valueError:
		return &valueError{e.what, e.name, in, e.err}
	case *RemoteError:
		c := *e
		c.Input = in
		return &c
	}
	return &inputError{in, err}
}
