package concert

import (
	"context"

	"concert/executor"
)

// Input identifies the input of a task in errors, events and logs. It has the
// fields
//
//   - Name, the name of the task's function;
//   - Index, the index of the input in its Map, from 0 up, or -1 for a task of
//     [Submit] or [Go];
//   - Label, the label that [WithLabel] or [WithInputLabels] has set, or "".
//
// Tasks of Submit and Go without a label have a nil Input. [InputOf] finds the
// Input in an error. Its String method returns the text that error messages
// contain, as in "thumbnail: input 17 (cat.jpg)". The text of a nil Input is
// empty.
type Input = executor.Input

// InputOf returns the index and the label of the task that failed with the
// error err. It returns nil in two cases. Either the task was submitted by
// Submit or Go without a label. Or the executor shares memory with its
// caller, and the function of the task returned err: such an executor passes
// the error on unchanged. In a Map, use [MapIndexed], which returns the
// index with every error.
//
//	if in := concert.InputOf(err); in != nil {
//		log.Printf("input %d, %s: %v", in.Index, in.Label, err)
//	}
//
// InputOf uses [errors.As] to find the first error in the chain of err that has
// a method TaskInput, as [PanicError], [RemoteError] and processes.WorkerError
// do.
func InputOf(err error) *Input {
	return executor.InputOf(err)
}

// WithLabel returns a context that gives a label to the tasks that are
// submitted with it, by [Submit], [Go] or a Map: for example, the name of
// the file that a task processes. The events of these tasks have the label.
// [InputOf] finds the label in their errors. If one of these tasks submits
// another task, that task does not get the label. A cluster sends the first
// 256 bytes of the label with the task, for the logs and errors of workers
// and for dead letters. WithLabel panics if ctx is nil.
func WithLabel(ctx context.Context, label string) context.Context {
	return executor.WithLabel(ctx, label)
}

// WithInputLabels returns a context for [Map], [MapUnordered] and [MapIndexed].
// With this context, label(input) is the label of each input of the Map:
//
//	ctx = concert.WithInputLabels(ctx, func(path string) string { return filepath.Base(path) })
//
// The function label is called once for each input, on the goroutine that
// iterates the inputs. Its panic counts as a panic in the inputs. If the
// inputs of a Map have another type than In, they get no labels.
// WithInputLabels panics if ctx or label is nil.
func WithInputLabels[In any](ctx context.Context, label func(In) string) context.Context {
	return executor.WithInputLabels(ctx, label)
}
