package choose

import (
	"fmt"
	"math"

	"concert/choose/usage"
)

// Kind says what a run of the work mostly does when it runs alone.
type Kind string

const (
	CPUBound    Kind = "CPU-bound" // a run computes for at least 75% of its time
	IOBound     Kind = "I/O-bound" // a run computes for at most 25% of its time
	Mixed       Kind = "mixed"     // a run computes for a share in between
	UnknownKind Kind = "unknown"   // this system does not measure CPU time
)

const (
	cpuBound          = 0.75 // the minimum share of CPU time of CPU-bound work
	ioBound           = 0.25 // the maximum share of CPU time of I/O-bound work
	severalProcessors = 1.25 // the share of CPU time above which a run computes on several processors
	kindMargin        = 0.05 // an interval that exceeds a bound by at most this share does not make the kind unclear
)

// KindVerdict is the first answer of a report: the kind of the work, and what
// follows from it. It is from the profile, so it needs far fewer measurements
// than the recommended concurrency, and other programs disturb it less.
type KindVerdict struct {
	Kind      Kind      `json:"kind"`
	Certainty Certainty `json:"certainty"` // Clear or Unclear
	// CPUShare is the CPU time of a run as a share of its elapsed time without
	// the run-queue delay. It is above 1 if a run computes on several
	// processors. It is the median of the runs of the profile. It has no
	// interval if runs are too short to measure them one by one.
	CPUShare Interval `json:"cpu_share"`
	Sentence string   `json:"sentence"`
}

// kindOf returns the kind of work with a share of CPU time.
func kindOf(share float64) Kind {
	switch {
	case share >= cpuBound:
		return CPUBound
	case share <= ioBound:
		return IOBound
	}
	return Mixed
}

// ends returns the kinds of work with the lowest and with the highest share of
// CPU time in the interval.
func (k *KindVerdict) ends() (low, high Kind) {
	return kindOf(k.CPUShare.Low + kindMargin), kindOf(k.CPUShare.High - kindMargin)
}

// manyThreads reports whether a run computes on several processors.
func (k *KindVerdict) manyThreads() bool { return k.CPUShare.Median > severalProcessors }

// tasksFor returns the number of CPU-bound tasks that keep n processors
// busy.
func (k *KindVerdict) tasksFor(n int) int {
	if !k.manyThreads() {
		return n
	}
	return max(1, int(math.Ceil(float64(n)/k.CPUShare.Median-0.1))) // 0.1 because a share is not exact
}

// kind returns the kind of the work. The parameter shares has the share of
// CPU time of each run of the profile. It is empty if the runs were too
// short.
func (r *Report) kind(shares []float64) KindVerdict {
	u := &r.Profile.Usage
	if !u.Knows(usage.CPUTime) {
		return KindVerdict{Kind: UnknownKind, Certainty: Unclear, Sentence: "The kind of the work is unknown, because its CPU time is unknown."}
	}
	share := u.CPUShare()
	k := KindVerdict{Kind: kindOf(share), Certainty: Clear, CPUShare: Interval{Median: share, Low: share, High: share}}
	if len(shares) > 0 {
		k.CPUShare = intervalOf(shares)
	}
	low, high := k.ends()
	n := count(r.Machine.Processors, "processor")
	switch {
	case k.CPUShare.High-k.CPUShare.Low > 2*kindMargin && low != high:
		k.Certainty = Unclear
		k.Sentence = fmt.Sprintf("%s or %s: a run computes for %s to %s of its time.", capitalize(string(low)), high, percent(k.CPUShare.Low), percent(k.CPUShare.High))
	case k.Kind == CPUBound && k.manyThreads():
		k.Sentence = fmt.Sprintf("CPU-bound: a run computes on %.1f of the %s, so ", k.CPUShare.Median, n)
		if tasks := k.tasksFor(r.Machine.Processors); tasks > 1 {
			k.Sentence += fmt.Sprintf("run %s concurrently.", count(tasks, "task"))
		} else {
			k.Sentence += "concurrent tasks gain little."
		}
	case k.Kind == CPUBound:
		k.Sentence = fmt.Sprintf("CPU-bound: a run computes for %s of its time, so run one task for each of the %s.", percent(share), n)
		if r.Machine.Processors == 1 {
			k.Sentence = fmt.Sprintf("CPU-bound: a run computes for %s of its time, and there is one processor, so concurrency gains nothing.", percent(share))
		} else if u.Wall < tinyRun {
			k.Sentence = fmt.Sprintf("CPU-bound: a run computes for %s of its time, which is only %s, so concurrency gains nothing if a task costs more than that.", percent(share), durationText(u.Wall))
		}
	case k.Kind == IOBound:
		k.Sentence = fmt.Sprintf("I/O-bound: a run waits for %s of its time, so run many tasks concurrently.", percent(1-share))
	default:
		k.Sentence = fmt.Sprintf("Mixed: a run computes for %s of its time and waits for the rest, so run more tasks than the %s concurrently.", percent(share), n)
	}
	return k
}
