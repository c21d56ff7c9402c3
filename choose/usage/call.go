package usage

import (
	"context"
	"runtime"
)

// Call calls fn with an argument, and returns what the call used. It runs fn
// on the goroutine of the caller. The system counts CPU time per thread and
// not per goroutine. So in the meantime, the thread of this goroutine runs
// no other goroutine. Goroutines that fn starts run on other threads. So if
// the whole process used more CPU time than the thread, Call returns the CPU
// time of the process. For this reason, the rest of the program should be
// idle.
//
// On Linux, the CPU time of commands that fn runs and awaits counts, too. The
// other numbers of commands do not count. Use [Command] to measure a command.
//
// If other programs use the processor while fn is ready to run, this time
// counts as run-queue delay. Steal time of a virtual machine counts as wait.
//
// A panic of fn reaches the caller.
func Call[In, Out any](ctx context.Context, fn func(context.Context, In) (Out, error), in In) (out Out, used Usage, err error) {
	used = Repeat(1, func() { out, err = fn(ctx, in) })
	return out, used, err
}

// Repeat calls f n times, and returns what all calls used together. It is
// for very short calls: to read the clocks before and after each call would
// take longer than the call. The conditions of [Call] apply.
func Repeat(n int, f func()) Usage {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := newMeter()
	for range n {
		f()
	}
	used, thread := m.stop()
	used.limitRunDelay(thread)
	return used
}
