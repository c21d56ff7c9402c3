package executor

import (
	"cmp"
	"errors"
	"strings"
)

// InputOf is concert.InputOf, for that package.
func InputOf(err error) *Input {
	var e inputCarrier
	if errors.As(err, &e) {
		return e.TaskInput()
	}
	return nil
}

// inputCarrier is an error that knows the input it belongs to.
type inputCarrier interface {
	error
	TaskInput() *Input
}

// TaskInput returns e.Input, for [InputOf].
func (e *PanicError) TaskInput() *Input { return e.Input }

// TaskInput returns e.Input, for [InputOf].
func (e *RemoteError) TaskInput() *Input { return e.Input }

// TaskInput returns which input the value belongs to, for [InputOf].
func (e *valueError) TaskInput() *Input { return e.in }

// failure returns the error that the future of the task returns for err: with
// the input, or with the name of the function that panicked. The restrictions
// of withInput apply.
func (t *Task) failure(err error) error {
	err = withInput(err, t.input)
	if e, ok := err.(*PanicError); ok && e.Task == "" {
		c := *e
		c.Task = t.Name()
		return &c
	}
	return err
}

// inputError adds the input to an error that has no field for it.
type inputError struct {
	in  *Input
	err error
}

// Error names the input and the error.
func (e *inputError) Error() string {
	text, of := e.err.Error(), e.in.String()
	if strings.Contains(text, of) {
		return text // an error that it wraps names the input
	}
	return "concert: " + of + ": " + strings.TrimPrefix(text, "concert: ")
}

// Unwrap returns the error.
func (e *inputError) Unwrap() error { return e.err }

// TaskInput returns the input, for [InputOf].
func (e *inputError) TaskInput() *Input { return e.in }

// withInput returns the error of a task with the input of the task. It copies
// err and does not change it, since other code may use the same error. Do not
// call it for an error that a function of the program returned in this process.
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
