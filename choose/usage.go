package choose

import (
	"slices"
	"strings"
	"time"
)

// Usage is what a run of the work used.
type Usage struct {
	Wall     time.Duration `json:"wall_ns"`      // from start to end
	CPU      time.Duration `json:"cpu_ns"`       // time on a processor, in programs and in the kernel
	RunDelay time.Duration `json:"run_delay_ns"` // ready to run, and another had the processor
	Read     int64         `json:"read"`         // bytes, by system calls: files, pipes, sockets
	Written  int64         `json:"written"`      // likewise
	Memory   int64         `json:"memory"`       // bytes of memory at its peak
	Switches int64         `json:"switches"`     // times that it waited and gave up the processor by itself
	Forced   int64         `json:"forced"`       // times that the processor was taken from it

	// Sources says of each quantity where it is from, or why it is missing;
	// then it is 0.
	Sources []Source `json:"sources"`
}

// Quantity is something that a Usage tells.
type Quantity string

// The quantities. Wall time is always known.
const (
	CPUTime    Quantity = "CPU time"
	RunDelay   Quantity = "run-queue delay"
	Bytes      Quantity = "bytes read and written"
	PeakMemory Quantity = "peak memory"
	Switches   Quantity = "context switches"
)

// Source says where a quantity is from.
type Source struct {
	What Quantity `json:"what"`
	From string   `json:"from,omitempty"` // "CLOCK_THREAD_CPUTIME_ID"; empty if it is missing
	Why  string   `json:"why,omitempty"`  // it is missing, or what it leaves out
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

// Wait returns the time in which the work neither ran nor could have: the wall
// time without the CPU time and the run-queue delay. It is not below 0, as it
// would be for work on several processors at once.
func (u *Usage) Wait() time.Duration { return max(0, u.Wall-u.CPU-u.RunDelay) }

// CPUShare returns the share of its time that the work computed, were it not
// for others that had the processor: 0 for work that only waits, 1 for work
// that only computes, 2 for work that keeps two processors busy.
func (u *Usage) CPUShare() float64 {
	own := u.Wall - u.RunDelay
	if own <= 0 {
		return 1
	}
	return float64(u.CPU) / float64(own)
}

// from says where a quantity is from, and what it leaves out.
func (u *Usage) from(what Quantity, from, why string) {
	u.Sources = append(u.Sources, Source{what, from, why})
}

// missing says why a quantity is not known.
func (u *Usage) missing(what Quantity, why string) {
	u.Sources = append(u.Sources, Source{What: what, Why: why})
}

// add adds up what two runs used; of memory the larger counts.
func (u *Usage) add(v Usage) {
	u.Wall += v.Wall
	u.CPU += v.CPU
	u.RunDelay += v.RunDelay
	u.Read += v.Read
	u.Written += v.Written
	u.Switches += v.Switches
	u.Forced += v.Forced
	u.Memory = max(u.Memory, v.Memory)
	u.Sources = v.Sources
}

// bound has the run-queue delay be no more than the wall time leaves: it is
// read a moment before and after.
func (u *Usage) bound() { u.RunDelay = min(u.RunDelay, max(0, u.Wall-u.CPU)) }

// host adds to the run-queue delay what the host of a virtual machine took of
// the work's time since before: the kernel of the machine counts that as
// neither. It is told for all processors together, in ticks, so u should be the
// sum of some runs.
func (u *Usage) host(before processors) {
	took := readProcessors().stolenFrom(before, u.CPU)
	if took <= 0 {
		return
	}
	u.RunDelay += took
	u.bound()
	for i, s := range u.Sources {
		if s.What == RunDelay {
			u.Sources = slices.Clone(u.Sources)
			u.Sources[i].From = strings.TrimPrefix(s.From+" and the steal time of /proc/stat", " and ")
		}
	}
}

// per returns the mean of n runs whose sum u is.
func (u Usage) per(n int) Usage {
	u.Wall /= time.Duration(n)
	u.CPU /= time.Duration(n)
	u.RunDelay /= time.Duration(n)
	u.Read /= int64(n)
	u.Written /= int64(n)
	u.Switches /= int64(n)
	u.Forced /= int64(n)
	return u
}
