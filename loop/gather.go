package loop

import "context"

// Gather runs the functions as coroutines, concurrently, and returns their
// values in order. The first error cancels the others, as in [WithGroup].
// Gather returns when all have ended. After an error, it returns the errors
// joined, and no values.
func Gather[T any](ctx context.Context, fns ...func(ctx context.Context) (T, error)) ([]T, error) {
	values := make([]T, len(fns))
	err := WithGroup(ctx, func(_ context.Context, g *Group) error {
		for i, fn := range fns {
			g.spawn(plain(func(ctx context.Context) (err error) {
				values[i], err = fn(ctx)
				return err
			}), entry(fn), 0)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// Outcome is the value and the error that a function returned.
type Outcome[T any] struct {
	Value T
	Err   error
}

// Outcomes runs the functions as coroutines, concurrently, and returns their
// outcomes in order. An error does not cancel the others, but the end of ctx
// does. It corresponds to asyncio's gather with return_exceptions.
func Outcomes[T any](ctx context.Context, fns ...func(ctx context.Context) (T, error)) []Outcome[T] {
	outcomes := make([]Outcome[T], len(fns))
	tasks := make([]*Task, len(fns))
	WithGroup(ctx, func(_ context.Context, g *Group) error {
		for i, fn := range fns {
			tasks[i] = g.spawn(plain(func(ctx context.Context) (err error) {
				outcomes[i].Value, err = fn(ctx)
				return err
			}), entry(fn), 0)
			tasks[i].contained = true
		}
		return nil
	})
	for i, t := range tasks {
		outcomes[i].Err = t.err // also a panic, or that it never began
	}
	return outcomes
}

// First runs the functions as coroutines, concurrently. It returns the number
// and the result of the one that ends first. The others are canceled, and have
// ended when First returns; an error of theirs is lost. If ctx ends first, the
// number is that of the first function that returns. First panics without
// functions.
func First[T any](ctx context.Context, fns ...func(ctx context.Context) (T, error)) (i int, v T, err error) {
	if len(fns) == 0 {
		panic("loop: First without functions")
	}
	var first *Task
	var values = make([]T, len(fns))
	tasks := make([]*Task, len(fns))
	WithGroup(ctx, func(_ context.Context, g *Group) error {
		for i, fn := range fns {
			tasks[i] = g.spawn(plain(func(ctx context.Context) (err error) {
				defer func() {
					if first == nil {
						first = tasks[i]
						g.Cancel()
					}
				}()
				values[i], err = fn(ctx)
				return err
			}), entry(fn), 0)
			tasks[i].contained = true
		}
		return nil
	})
	for i, t := range tasks {
		if t == first {
			return i, values[i], t.err
		}
	}
	return 0, v, tasks[0].err // none has begun
}
