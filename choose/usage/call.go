package usage

import (
	"context"
	"runtime"
)

// Call calls fn with in, and returns what the call used. It runs fn on the
// goroutine of the caller, on an operating system thread that does nothing else
// in the meantime, because the system counts CPU time per thread and not per
// goroutine. If fn starts goroutines, they run on other threads. So if the
// whole process used more CPU time than the thread, that counts instead. The
// rest of the program should be idle.
//
// Time that other programs use is not part of the result. Steal time of a
// virtual machine counts as wait.
//
// A panic of fn reaches the caller.
func Call[In, Out any](ctx context.Context, fn func(context.Context, In) (Out, error), in In) (out Out, used Usage, err error) {
	used = Repeat(1, func() { out, err = fn(ctx, in) })
	return out, used, err
}

// Repeat calls f n times, and returns what all calls used together. It measures
// calls that are shorter than a microsecond, for which reading the clocks takes
// too long. It is as accurate as [Call], under the same conditions.
func Repeat(n int, f func()) Usage {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := newMeter()
	for range n {
		f()
	}
	used := m.stop()
	used.limitRunDelay()
	return used
}
