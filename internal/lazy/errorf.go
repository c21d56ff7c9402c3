package lazy

import "fmt"

// Errorf does the same as fmt.Errorf, but formats the text later: when the
// Error method of the result is called. Error methods of the program may
// block or panic. Errorf does not call them. So an executor can wrap such
// errors while it holds a lock, or on a goroutine that it needs. The error
// wraps all arguments that are errors.
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
