package concert

import (
	"errors"
	"strings"
)

// InputOf returns which input of a Map, or which task with a label, an error is
// about. It is nil if the error does not say so: if the task was one of Submit
// or Go without a label; and if a function on an executor that shares memory with
// its caller has returned the error, which is then passed on as it is. For the
// results of a Map, [MapIndexed] gives the index with any error.
//
//	if in := concert.InputOf(err); in != nil {
//		log.Printf("input %d, %s: %v", in.Index, in.Label, err)
//	}
//
// An error that says so has a method TaskInput, as [PanicError], [RemoteError]
// and processes.WorkerError do; InputOf finds the first one in the chain of err,
// by [errors.As].
func InputOf(err error) *Input {
	var e inputCarrier
	if errors.As(err, &e) {
		return e.TaskInput()
	}
	return nil
}

// inputCarrier is an error that says which input it is about.
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

// inputError is the error of a task that does not itself say which input it is
// about.
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

// withInput returns the error of a task with what the task is of. The error
// itself may belong to others. It is not for an error that a function of the
// program has returned in this process.
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
		c.Input = in
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
