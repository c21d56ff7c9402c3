package python

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"concert"
)

// Error is a Python exception. To find it in the error of a task, use
// [errors.As]. To print it with its traceback, use %+v. This also works for
// the error of a task.
type Error struct {
	// Type is the name of the exception's type. The module is a part of the
	// name, except for builtin types: "ValueError",
	// "json.decoder.JSONDecodeError".
	Type string
	// Message is the text of the exception, as str() returns it.
	Message string
	// Traceback is the traceback that Python prints, with chained
	// exceptions. If the traceback is longer than 65,536 characters, this is
	// only its end.
	Traceback string
	// Notes are the texts that add_note has added.
	Notes []string
	// Bases are the names of the types from which Type is derived.
	Bases []string
}

// Error returns the type and the message, like the last line of a traceback.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// Format prints the text that Error returns. For %+v, it also prints Traceback.
func (e *Error) Format(s fmt.State, verb rune) {
	if verb == 'v' && s.Flag('+') && e.Traceback != "" {
		io.WriteString(s, e.Error()+"\n"+strings.TrimSuffix(e.Traceback, "\n"))
		return
	}
	fmt.Fprintf(s, strings.ReplaceAll(fmt.FormatString(s, verb), "#", ""), e.Error())
}

// Is reports whether target is the [Type] of the exception or of one of its
// Bases.
func (e *Error) Is(target error) bool {
	t, ok := target.(Type)
	return ok && (string(t) == e.Type || slices.Contains(e.Bases, string(t)))
}

// Type is the name of a type of exceptions, for [errors.Is]. As in an except
// clause, the name of a base type matches derived types:
// errors.Is(err, python.Type("OSError")) is also true for a FileNotFoundError.
type Type string

// Error returns the name.
func (t Type) Error() string { return string(t) }

func init() { concert.RegisterErrorType[*Error]("python.Error") }
