package concert

import "concert/executor"

// Mapped is a handle of a large slice of numbers that a function returns. It is
// made by [NewMapped].
//
// A function with such a result asks the executor not to copy the slice to the
// submitter. If the workers are processes, the worker writes the slice to
// memory, and the executor maps this memory in the submitter's process, if it
// can. (The name refers to mapped memory, as in mmap, and not to [Map].) The
// submitter owns the handle, and calls Close when it no longer needs the slice.
//
// The methods are safe for concurrent use. Copies of a handle have the same
// slice.
type Mapped[E executor.Number] struct {
	mapped[E]
}

// mapped is an alias, so that the embedded field is not exported.
type mapped[E executor.Number] = executor.Mapped[E]

// NewMapped returns a handle of v, as the result of a function.
//
//	func render(ctx context.Context, s Scene) (*concert.Mapped[float32], error) {
//		pixels := make([]float32, s.Width*s.Height)
//		...
//		return concert.NewMapped(pixels), nil
//	}
//
// The submitter uses the slice, and then releases it:
//
//	image, err := concert.Submit(ctx, ex, render, scene).Result(ctx)
//	if err != nil { ... }
//	defer image.Close()
//	show(image.Value())
//
// A function with such a result works with every executor. The executor
// determines whether the result is mapped or copied:
//
//   - With goroutines, loop and other executors in this process, the submitter
//     gets the handle itself, and Value returns v.
//   - With processes on Linux, the worker copies a slice of at least 256 KiB
//     into memory that nothing can change afterward, and the submitter's
//     process maps this memory. Without a handle, the worker and the
//     submitter's process each copy the slice. The submitter's process needs
//     memory for both copies at the same time.
//   - With Python on Linux, the same holds for bytes, an array.array, and an
//     array or a memoryview of one dimension with numbers of type E. An array of
//     another type is converted, if the conversion is exact.
//   - In all other cases, the submitter gets a copy, as without a handle:
//     with a cluster, with smaller slices, with a sandbox, and on other
//     systems. The submitter also gets a copy if the program has 4,096
//     mapped results, or if the system permits no further mapped memory.
//
// Each mapped result takes new memory. Copies can reuse memory. So copies
// take less time if a program drops each result before it gets the next one.
//
// The result itself must be the handle, or a pointer to it. A handle within
// another value, such as a field of a struct, arrives as a copy. So does a
// handle in an argument; use [Share] for arguments. Functions in Python have no
// such arguments and fields: the task fails.
//
// The function returns a new handle of a new slice for each call. After that,
// it uses neither, because the submitter may change the slice and close the
// handle. In the same process, the submitter gets the same slice and handle.
func NewMapped[E executor.Number](v []E) *Mapped[E] {
	return &Mapped[E]{executor.NewMapped(v)}
}

// Value returns the slice. The program may change its elements. Changes are
// visible only in this process.
//
// The slice is valid until Close is called or the handle is unreachable,
// even if the worker or the executor ends before. Go's garbage collector
// knows the handle, but not the mapped memory. So keep the handle while the
// program uses the slice, for example by a deferred Close. A program that
// uses the slice later may end with the fatal error "unexpected fault
// address". If the slice is in the argument of a task, an executor uses it
// until the task has ended, and sometimes for a moment after the task was
// canceled. If a program may close the handle at such a moment, it must pass
// a copy of the slice, or the handle itself.
//
// Value panics if the handle is nil, zero or closed.
func (m *Mapped[E]) Value() []E {
	if m == nil {
		panic("concert: Value of a nil Mapped: make it with NewMapped")
	}
	return m.mapped.Value()
}

// Close releases the memory of the slice. After that, the program must not use
// the slice. If the program does not call Close, the memory is released some
// time after the handle has become unreachable.
//
// Close may be called several times, and for a nil handle. It returns nil.
func (m *Mapped[E]) Close() error {
	if m == nil {
		return nil
	}
	return m.mapped.Close()
}

// MarshalBinary implements [encoding.BinaryMarshaler]. The result contains the
// slice. It is an error if the handle is closed.
func (m Mapped[E]) MarshalBinary() ([]byte, error) { return m.mapped.MarshalBinary() }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It copies the slice.
func (m *Mapped[E]) UnmarshalBinary(b []byte) error { return m.mapped.UnmarshalBinary(b) }
