package lazy

import "fmt"

// Errorf returns an error like that of fmt.Errorf, which formats its text only
// when its Error method is called. So an executor can wrap errors of the
// program, whose Error methods may misbehave, while it holds a lock or on a
// goroutine that it needs. The error wraps all arguments that are errors.
func Errorf(format string, args ...any) error {
	e := &formatted{format: format, args: args}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			e.wrapped = append(e.wrapped, err)
		}
	}
	return e
}

type formatted struct {
	format  string
	args    []any
	wrapped []error
}

// Error formats the text.
func (e *formatted) Error() string { return fmt.Errorf(e.format, e.args...).Error() }

// Unwrap returns the arguments that are errors.
func (e *formatted) Unwrap() []error { return e.wrapped }
