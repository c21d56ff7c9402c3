package choose

import (
	"context"
	"runtime"
)

// Alone calls fn with in, on an operating system thread that does nothing else
// meanwhile, and says what the call used. It has no other way to know: a
// goroutine has no CPU time that could be read. What goroutines that fn starts
// use is counted if that is more than the thread's own, by the whole process's
// clock; so the rest of the program should be idle.
//
// The work of other programs is told apart, as run-queue delay; what the host
// of a virtual machine takes is not, and counts as waiting.
//
// A panic in fn passes through.
func Alone[In, Out any](ctx context.Context, fn func(context.Context, In) (Out, error), in In) (out Out, used Usage, err error) {
	used = alone(1, func() { out, err = fn(ctx, in) })
	return out, used, err
}

// alone measures times calls of f in a row, and returns what they used
// together.
func alone(times int, f func()) Usage {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := newMeter()
	for range times {
		f()
	}
	used := m.stop()
	used.bound()
	return used
}
