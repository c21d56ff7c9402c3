// Package usage measures what a piece of work uses while it runs alone: CPU
// time, time in which it waits, bytes, memory and context switches.
//
// [Call] measures a Go function, and [Command] measures another program.
// Each number is from the best source that the system has. Usage.Sources
// lists the sources, and says which numbers are missing and why. On Linux
// the kernel provides all numbers. On other systems there is little more
// than the elapsed time.
package usage

import (
	"runtime"
	"time"
)

// Usage is what a run of the work used. A number that is missing is 0.
type Usage struct {
	Wall     time.Duration `json:"wall_ns"`      // elapsed time
	CPU      time.Duration `json:"cpu_ns"`       // CPU time, in user mode and in the kernel
	RunDelay time.Duration `json:"run_delay_ns"` // time in which the work was ready to run, but had no processor
	Read     int64         `json:"read"`         // bytes that system calls read, from files, pipes and sockets
	Written  int64         `json:"written"`      // bytes that system calls wrote, to files, pipes and sockets
	Memory   int64         `json:"memory"`       // the peak memory in bytes
	Switches int64         `json:"switches"`     // context switches because the work waited
	Forced   int64         `json:"forced"`       // context switches because another thread got the processor

	// Sources has an entry for each quantity except the elapsed time. The entry
	// says how the quantity was measured, or why it is missing.
	Sources []Source `json:"sources"`
}

// Quantity is a part of a Usage that may be missing.
type Quantity string

const (
	CPUTime    Quantity = "CPU time"               // Usage.CPU
	RunDelay   Quantity = "run-queue delay"        // Usage.RunDelay
	Bytes      Quantity = "bytes read and written" // Usage.Read and Written
	PeakMemory Quantity = "peak memory"            // Usage.Memory
	Switches   Quantity = "context switches"       // Usage.Switches and Forced
)

// Source says how a quantity was measured.
type Source struct {
	What Quantity `json:"what"`
	// From is the name of the source, such as "CLOCK_THREAD_CPUTIME_ID". It
	// is empty if the quantity is missing.
	From string `json:"from,omitempty"`
	// Why says why the quantity is missing, or what it does not include.
	Why string `json:"why,omitempty"`
}

// Knows reports whether a quantity was measured.
func (u *Usage) Knows(what Quantity) bool {
	for _, s := range u.Sources {
		if s.What == what {
			return s.From != ""
		}
	}
	return false
}

// Wait returns the time in which the work waited for something other than a
// processor: the elapsed time without the CPU time and the run-queue delay.
// Wait returns 0 if the CPU time and the run-queue delay together are longer
// than the elapsed time, as for work on several processors.
func (u *Usage) Wait() time.Duration { return max(0, u.Wall-u.CPU-u.RunDelay) }

// CPUShare returns the CPU time as a share of the elapsed time without the
// run-queue delay. It is 0 for work that only waits, 1 for work that only
// computes, and 2 for work that keeps two processors busy.
func (u *Usage) CPUShare() float64 {
	own := u.Wall - u.RunDelay
	if own <= 0 {
		return 1
	}
	return float64(u.CPU) / float64(own)
}

// addSource adds the source of a quantity, and what the quantity does not
// include.
func (u *Usage) addSource(what Quantity, from, why string) {
	u.Sources = append(u.Sources, Source{what, from, why})
}

// addMissing adds the reason why a quantity is missing.
func (u *Usage) addMissing(what Quantity, why string) {
	u.Sources = append(u.Sources, Source{What: what, Why: why})
}

// limitRunDelay limits the run-queue delay. Afterwards, the elapsed time
// without the delay is at least the parameter least, and at least the time
// in which all processors together can provide the CPU time. The measured
// delay may be longer, because it is read before and after the clocks.
func (u *Usage) limitRunDelay(least time.Duration) {
	least = max(least, u.CPU/time.Duration(runtime.NumCPU()))
	u.RunDelay = min(u.RunDelay, max(0, u.Wall-least))
}
