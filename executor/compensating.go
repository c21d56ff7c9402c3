package executor

import (
	"reflect"
	"runtime"
)

// serveName is the name that package runtime has for carrier.serve.
var serveName = runtime.FuncForPC(reflect.ValueOf((*carrier).serve).Pointer()).Name()

// Compensating reports whether the calling goroutine runs a task for a worker
// of any group while that worker's own goroutine is blocked. The stack of the
// goroutine says so. The call takes some microseconds. An executor uses it in
// Close, which has no context, to find out whether one of its own tasks calls.
func Compensating() bool {
	var pcs [64]uintptr
	for skip := 0; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		frames := runtime.CallersFrames(pcs[:n])
		for more := n > 0; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if f.Function == serveName {
				return true
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}
