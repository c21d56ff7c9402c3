package executor

import (
	"fmt"
	"runtime"
	"strings"
)

// PanicError is the error of a task that panicked.
//
// Every executor recovers panics, because a future must settle and a pool must
// continue. The panic of a plain goroutine ends the program. The panic of a
// task does not, because the code that waits for the outcome receives it as an
// error. To raise the panic again, call panic with this error.
type PanicError struct {
	// Value is the argument of panic. For a panic in another process, it is the
	// text of the argument.
	Value any
	// Task is the name of the task's function, as [Task.Name]. It is empty if
	// other code panicked.
	Task string
	// Input is the input of the call that panicked. It is nil for a task of
	// Submit or Go without a label.
	Input *Input

	where   string    // names the code that panicked, if it is not a task; then the text of the error includes the stack
	callers []uintptr // the stack at the panic; nil if the panic was in another process
	text    string    // the stack as text, if the panic was in another process
}

// NewPanicError returns the error for a panic with this value. It is for
// authors of executors. The deferred function that recovers the value must
// call NewPanicError directly, while the frames that panicked are still on
// the stack.
func NewPanicError(value any) *PanicError {
	var pcs [64]uintptr
	n := runtime.Callers(3, pcs[:]) // 3 skips Callers, NewPanicError and the deferred function
	return &PanicError{Value: value, callers: append([]uintptr(nil), pcs[:n]...)}
}

// Error returns a text with the value and, if it is known, the name of the
// input or of the function. The text contains the stack only if the panic is
// raised again on another goroutine, like a panic in the inputs of a Map.
func (e *PanicError) Error() string {
	if e.where != "" {
		return "concert: " + e.where + " panicked: " + panicText(e.Value) + "\n\n" + e.Stack()
	}
	if e.Input != nil {
		return "concert: " + e.Input.String() + ": task panicked: " + panicText(e.Value)
	}
	if e.Task != "" {
		return "concert: " + escaped(e.Task) + ": task panicked: " + panicText(e.Value)
	}
	return "concert: task panicked: " + panicText(e.Value)
}

// Unwrap returns the value when it is an error.
func (e *PanicError) Unwrap() error { err, _ := e.Value.(error); return err }

// Stack returns the stack at the panic, the innermost call first, in the style
// of package runtime/debug. Each call of Stack formats the stack again.
func (e *PanicError) Stack() string {
	if e.callers == nil {
		return e.text
	}
	var b strings.Builder
	frames := runtime.CallersFrames(e.callers)
	for {
		f, more := frames.Next()
		if f.Function != "" && f.Function != "runtime.gopanic" {
			fmt.Fprintf(&b, "%s(...)\n\t%s:%d\n", f.Function, f.File, f.Line)
		}
		if !more {
			return b.String()
		}
	}
}

// Format prints the text for all verbs. Under %+v it prints the stack as well.
func (e *PanicError) Format(s fmt.State, verb rune) {
	switch {
	case verb == 'v' && s.Flag('+'):
		fmt.Fprintf(s, "%s\n\n%s", e.Error(), e.Stack())
	case verb == 'q':
		fmt.Fprintf(s, "%q", e.Error())
	default:
		fmt.Fprint(s, e.Error())
	}
}
