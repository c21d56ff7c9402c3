// Package prefetch decides how many tasks of quick functions are sent to a
// worker in advance, so that the worker need not wait for the next task.
// Clients use it when they send tasks, and workers use it when they request
// tasks.
package prefetch

import (
	"cmp"
	"time"
)

// Time is the total run time of the tasks that are sent in advance for a slot.
const Time = 20 * time.Millisecond

const (
	maxCalls = 256                    // maximum number of calls in advance for each slot
	slow     = 100 * time.Millisecond // calls that take longer are not sent in advance
)

// Calls returns the number of calls that are sent in advance for each slot,
// in addition to the running call. The parameter is the mean run time of a
// call, or 0 if it is unknown.
func Calls(mean time.Duration) int {
	switch {
	case mean == 0 || mean > slow:
		return 0
	case mean > Time:
		return 1
	}
	return int(min(maxCalls, Time/max(mean, Time/maxCalls)))
}

// Mean returns the moving mean of run times, including the new measurement
// d. The parameter mean is the previous result of Mean, or 0 before the
// first measurement. The result is never 0.
func Mean(mean, d time.Duration) time.Duration {
	mean = cmp.Or(mean, d)
	return max(1, mean+(d-mean)/8)
}
