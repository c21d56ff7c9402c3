package python

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"concert"
)

// Error is a Python exception. To find it in the error of a task, use
// [errors.As]. To print it with its traceback, use %+v, which also works for
// the error of a task.
type Error struct {
	// Type is the name of its type, with the module unless that is builtins:
	// "ValueError", "json.decoder.JSONDecodeError".
	Type string
	// Message is str() of it.
	Message string
	// Traceback is what Python prints of it, chained exceptions included: the
	// last 64 KiB.
	Traceback string
	// Notes are those added by add_note.
	Notes []string
	// Bases are the types that its type is derived from.
	Bases []string
}

// Error returns the type and the message, as the last line of a traceback has
// them.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// Format prints Error for all verbs, and for %+v Traceback after it.
func (e *Error) Format(s fmt.State, verb rune) {
	if verb == 'v' && s.Flag('+') && e.Traceback != "" {
		io.WriteString(s, e.Error()+"\n"+strings.TrimSuffix(e.Traceback, "\n"))
		return
	}
	fmt.Fprintf(s, strings.ReplaceAll(fmt.FormatString(s, verb), "#", ""), e.Error())
}

// Is reports whether target is the [Type] of the exception, or of a base of it.
func (e *Error) Is(target error) bool {
	t, ok := target.(Type)
	return ok && (string(t) == e.Type || slices.Contains(e.Bases, string(t)))
}

// Type is the name of a type of exceptions, for [errors.Is], as except clauses
// have it: errors.Is(err, python.Type("OSError")) is also true of a
// FileNotFoundError.
type Type string

// Error returns the name.
func (t Type) Error() string { return string(t) }

func init() { concert.RegisterErrorType[*Error]("python.Error") }
