package concert

import (
	"context"

	"concert/executor"
)

// Shared is a handle of a value that many calls use. It is made by [Share].
//
// A handle may be part of an argument, at any depth: a field of a struct, an
// element of a slice or a map, or the argument itself. A function in another
// process receives a handle with the same value, and calls Value. A function in
// Python or another language receives the value in place of the handle. Copies
// of a handle have the same value. The methods are safe for concurrent use.
type Shared[T any] struct {
	handle[T]
}

// handle is an alias, so that the embedded field is not exported.
type handle[T any] = executor.Shared[T]

// Share stores v once, for many calls of ex, and returns its handle. Without a
// handle, each call that has v in its argument would copy v.
//
//	grid, err := concert.Share(ctx, ex, values) // values is a []float64 of 256 MiB
//	if err != nil { ... }
//	defer grid.Close()
//	for sum, err := range concert.Map(ctx, ex, sumRow, rows(grid)) { ... }
//
// with
//
//	type row struct {
//		Grid *concert.Shared[[]float64]
//		N    int
//	}
//
//	func sumRow(ctx context.Context, r row) (float64, error) {
//		grid := r.Grid.Value()
//		...
//	}
//
// Share works with every executor. What it saves depends on ex:
//
//   - With goroutines, loop and other executors in this process, calls get the
//     handle itself, and Value returns v.
//   - With processes, all workers use one copy of v in shared memory. If v is a
//     string, a []byte, or a slice of numbers such as []float64, workers read
//     this memory directly. (Exactly these types, and not []int or a named
//     type.) A value of another type is decoded once in each worker. On systems
//     other than Linux, each worker gets v once, through a pipe.
//   - With Python, all interpreters use one copy of v in shared memory, as with
//     processes. Arrays within v are not copied either. Package python says
//     what a function receives.
//   - With a cluster, the first call that uses v stores it on the servers, and
//     each worker downloads it once. The worker passes v to its own executor,
//     so a pool of processes there has v once in shared memory. If functions in
//     Go and in Python use v, the servers have v once for each language, unless
//     v is a string, a []byte or a slice of numbers. Package cluster says when
//     v is deleted or stored again.
//   - If processes.Options.Command is set without SharedCodec, or if the
//     executor does not implement executor.Sharer, each call copies v, as
//     without a handle. So does each call of another executor than ex.
//
// The program must not change v afterward. On Linux, each large value in a pool
// of processes uses one file descriptor.
//
// If ex is a pool of processes or of interpreters, Share encodes v before it
// returns. The error is an error of this encoding, an error of the executor,
// such as [ErrClosed], or [context.Cause] of ctx. If ex is a cluster, the first
// call that uses v encodes it. If it cannot encode v, the call fails. Share
// panics if ctx or ex is nil.
func Share[T any](ctx context.Context, ex Executor, v T) (*Shared[T], error) {
	h, err := executor.Share(ctx, ex, v)
	if err != nil {
		return nil, err
	}
	return &Shared[T]{h}, nil
}

// Value returns the value. All calls in a process get the same value, so they
// must not change it.
//
// In a worker of a pool of processes, a string, a []byte or a slice of numbers
// is read-only memory that the pool shares with all workers. A call that writes
// to it crashes its worker, and fails with a processes.WorkerError. The memory
// is valid until the call returns. A call that keeps the value for longer, for
// example in a global variable, must copy it: the memory is unmapped after the
// handle is closed.
//
// Value panics if the handle is nil or zero.
func (s *Shared[T]) Value() T {
	if s == nil {
		panic("concert: Value of a nil Shared: make it with Share")
	}
	return s.handle.Value()
}

// Close releases the copies of the value in the executor and its workers. If a
// program does not call Close, they are released when no handle is reachable
// and all calls that use them have settled, or when the executor is closed.
//
// Close does not wait. Running calls keep the value. Call Close when the
// calls have settled: if a call in another process has not started when a
// handle in its argument is closed, the call fails. In this process, Value
// returns the value even after Close.
//
// Close may be called several times. It returns nil.
func (s *Shared[T]) Close() error {
	if s == nil {
		return nil
	}
	return s.handle.Close()
}

// MarshalBinary implements [encoding.BinaryMarshaler]. The result contains the
// value. It is an error if the handle is closed.
func (s Shared[T]) MarshalBinary() ([]byte, error) {
	return s.handle.MarshalBinary()
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. The value may
// refer to the memory of b.
func (s *Shared[T]) UnmarshalBinary(b []byte) error {
	return s.handle.UnmarshalBinary(b)
}

// MarshalJSON implements json.Marshaler. The result is the JSON of the value.
// It is an error if the handle is closed.
func (s Shared[T]) MarshalJSON() ([]byte, error) {
	return s.handle.MarshalJSON()
}

// UnmarshalJSON implements json.Unmarshaler. It decodes the value.
func (s *Shared[T]) UnmarshalJSON(b []byte) error {
	return s.handle.UnmarshalJSON(b)
}
