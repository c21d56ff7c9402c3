// Package prefetch decides how many tasks of quick functions wait in a worker,
// so that the worker need not wait for the next one. Clients send so many tasks
// for each slot, and workers ask for so many.
package prefetch

import "time"

// Time is the running time of the tasks that wait for a slot.
const Time = 20 * time.Millisecond

const (
	maxCalls = 256                    // for each slot
	slow     = 100 * time.Millisecond // tasks that take longer do not wait in a worker
)

// Calls returns how many calls should wait for each slot, in addition to the
// running one. mean is the mean running time of a call, or 0 if it is unknown.
func Calls(mean time.Duration) int {
	switch {
	case mean == 0 || mean > slow:
		return 0
	case mean > Time:
		return 1
	}
	return int(min(maxCalls, Time/max(mean, Time/maxCalls)))
}

// Mean returns a moving mean after one more measurement. It is never 0. The
// first mean is 0.
func Mean(mean, d time.Duration) time.Duration {
	if mean == 0 {
		mean = d
	}
	return max(1, mean+(d-mean)/8)
}
