package get

import "context"

// untilCtrlC calls f, and returns at once when ctx ends, even if f does not:
// reading a list from the standard input may block.
func untilCtrlC[T any](ctx context.Context, f func() (T, error)) (result T, err error) {
	type answer struct {
		result T
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		result, err := f()
		done <- answer{result, err}
	}()
	select {
	case a := <-done:
		return a.result, a.err
	case <-ctx.Done():
		return result, context.Cause(ctx)
	}
}
