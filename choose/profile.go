package choose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"concert/choose/usage"
	"concert/executor"
)

const (
	profilePart     = 20                     // the profile takes about a 20th of the budget
	profileRuns     = 30                     // the profile has at most 30 runs, or one for each input if that is more
	profileRunsPart = 5                      // the profile has at most a fifth of MaxRuns
	tinyRun         = 200 * time.Microsecond // if a run is shorter, one measurement covers many runs in a row
)

// The number of inputs that are used. The minimum is used even if there is no
// time to run each of these inputs alone.
const (
	minInputs = 8
	maxInputs = 10 * profileRuns
)

// sampleOf returns the indexes of the inputs to use, in their order of use.
// If n is large, successive indexes are far apart. So even the first few
// inputs are from all parts of the list.
func sampleOf(n int) []int {
	stride := 1
	if n > profileRuns {
		for stride = int(float64(n) * 0.618); gcd(stride, n) != 1; stride++ {
		}
	}
	sample := make([]int, min(n, maxInputs))
	for i := range sample {
		sample[i] = i * stride % n
	}
	return sample
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// profile runs the work alone. The first run imports modules, opens
// connections and fills caches. So it usually does not count: after its
// success, the second run has the same input, and replaces it. But if there
// is no time for a third run, the second run has the next input, and both
// runs count, because inputs may differ in cost.
func (t *trial) profile(ctx context.Context) error {
	ctx, stop := context.WithTimeoutCause(ctx, t.Budget, fmt.Errorf("%w of %v", ErrTooLong, t.Budget))
	defer stop()
	p := &t.report.Profile
	var sum usage.Usage
	measured := 0 // the number of runs in sum
	cpu := readProcessors()
	until := t.begin.Add(t.Budget / profilePart)
	input, again := 0, false // again: whether the second run has the input of the first one
	defer func() {
		t.spread = relativeDeviation(t.times)
		// All points use the same inputs: the inputs that the profile has run,
		// but at least the first minInputs inputs.
		t.inputs = min(t.inputs, max(len(t.times), minInputs))
	}()
	for i := 0; ; i++ {
		before, start := readProcessors(), time.Now()
		used, err := t.alone(ctx, input%t.inputs, 1)
		if i == 0 {
			t.setup = time.Since(start) - used.Wall
			until = until.Add(t.setup)
		}
		t.runs++
		t.times = append(t.times, Span{End: used.Wall})
		if ctx.Err() != nil {
			return t.profileEnded(context.Cause(ctx), used)
		}
		p.Runs++
		if err != nil {
			p.Failed++
			if p.FirstErr == "" {
				p.FirstErr = errorLine(err)
			}
		}
		if i == 1 && again && p.FirstErr == "" { // the second run replaces the first one, which does not count
			sum, measured, p.Fastest, p.Slowest, p.Runs = usage.Usage{}, 0, used.Wall, used.Wall, 1
			cpu, t.shares, t.times = before, nil, t.times[1:]
		}
		third := time.Now().Add(2*used.Wall).Before(until) && (t.MaxRuns == 0 || t.MaxRuns/profileRunsPart > 2)
		again = i == 0 && err == nil && (t.inputs == 1 || third)
		if !again {
			input++
		}
		if err == nil || used.Wall > 0 { // false if the run failed and its usage is unknown
			measured++
			addUsage(&sum, used)
			t.shares = append(t.shares, used.CPUShare())
			if p.Fastest == 0 || used.Wall < p.Fastest {
				p.Fastest = used.Wall
			}
			p.Slowest = max(p.Slowest, used.Wall)
		}
		if t.outOfRuns() || i+1 >= max(t.inputs, 2) && p.Failed > i {
			break
		}
		late := !time.Now().Add(used.Wall).Before(until)
		if p.Failed > i && i+1 < t.inputs && t.since() < t.Budget/2 {
			continue // other inputs may succeed
		}
		few := t.MaxRuns > 0 && i+1 >= max(1, t.MaxRuns/profileRunsPart)
		if late || few || i+1 >= profileRuns && input >= t.inputs {
			break
		}
	}
	addSteal(&sum, cpu)
	p.Usage = perRun(sum, max(1, measured))
	if p.Failed >= p.Runs {
		return fmt.Errorf("%w: %s", ErrFails, p.FirstErr)
	}
	if t.Profile == nil && p.Wall < tinyRun && p.Failed == 0 {
		t.profileTiny(ctx, until)
	}
	return nil
}

// profileEnded returns the error of a profile whose context has ended. If a
// run took longer than the budget, the part of the run that was measured may
// show the kind of the work. Then the error states the kind.
func (t *trial) profileEnded(cause error, used usage.Usage) error {
	if !errors.Is(cause, ErrTooLong) || !used.Knows(usage.CPUTime) || used.Wall == 0 {
		return cause
	}
	r := Report{Machine: t.report.Machine, Profile: Profile{Usage: used}}
	return fmt.Errorf("%w, so nothing was compared: increase the budget. The first %s of the run show this: %s", cause, durationText(used.Wall), r.kind(nil).Sentence)
}

// profileTiny measures many runs in a row, because reading the clocks takes
// longer than one run.
func (t *trial) profileTiny(ctx context.Context, until time.Time) {
	p := &t.report.Profile
	for times := 16; ; times *= 2 {
		if t.MaxRuns > 0 && t.runs+times > t.MaxRuns {
			return
		}
		cpu := readProcessors()
		used, err := t.alone(ctx, 0, times)
		addSteal(&used, cpu)
		t.runs += times
		if err != nil || ctx.Err() != nil {
			return
		}
		p.Usage, p.Runs = perRun(used, times), times
		t.shares = nil // reading the clocks takes part of the time of a single run
		p.Fastest, p.Slowest = p.Wall, p.Wall
		if used.Wall > 20*time.Millisecond || time.Now().After(until) {
			return
		}
	}
}

// alone runs the work several times in a row, from input i on, and returns what
// the runs used. Options.Profile, if set, runs it only once.
func (t *trial) alone(ctx context.Context, i, times int) (used usage.Usage, err error) {
	if t.Profile != nil {
		return t.Profile(ctx, t.sample[i])
	}
	used = usage.Repeat(times, func() {
		if e := t.callRecovered(ctx, i); e != nil {
			err = e
		}
		i = (i + 1) % t.inputs
	})
	return used, err
}

// callRecovered calls the work. It returns a panic as an error, as executors
// do.
func (t *trial) callRecovered(ctx context.Context, i int) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = executor.NewPanicError(v)
		}
	}()
	return t.call(ctx, i)
}

// outOfRuns reports whether the work has run MaxRuns times.
func (t *trial) outOfRuns() bool { return t.MaxRuns > 0 && t.runs >= t.MaxRuns }

// enoughRuns reports whether enough runs are left to measure a level. With
// fewer tasks than the level, some workers would have no task.
func (t *trial) enoughRuns(level int) bool { return t.MaxRuns == 0 || t.runs+level <= t.MaxRuns }

// addUsage adds the usage of a run to the sum of several runs. The memory of
// sum is the maximum of all runs.
func addUsage(sum *usage.Usage, run usage.Usage) {
	sum.Wall += run.Wall
	sum.CPU += run.CPU
	sum.RunDelay += min(run.RunDelay, run.Wall)
	sum.Read += run.Read
	sum.Written += run.Written
	sum.Switches += run.Switches
	sum.Forced += run.Forced
	sum.Memory = max(sum.Memory, run.Memory)
	sum.Sources = run.Sources
}

// addSteal adds steal time to sum.RunDelay: the steal time since an earlier
// reading, which is the parameter before. The kernel of a virtual machine
// counts steal time as neither CPU time nor run-queue delay. The kernel
// counts steal time in ticks of 10 ms, for all processors together. Ticks
// are too coarse for a short run, so sum should be the sum of several runs.
// addSteal does not add more than the wait that is left: the elapsed time
// without the CPU time and the delay.
func addSteal(sum *usage.Usage, before processors) {
	steal := readProcessors().stolenFrom(before, sum.CPU)
	if steal <= 0 {
		return
	}
	sum.RunDelay = max(sum.RunDelay, min(sum.RunDelay+steal, sum.Wall-sum.CPU))
	for i, s := range sum.Sources {
		if s.What == usage.RunDelay {
			sum.Sources = slices.Clone(sum.Sources)
			sum.Sources[i].From = strings.TrimPrefix(s.From+" and the steal time of /proc/stat", " and ")
		}
	}
}

// perRun returns the mean usage of n runs. The parameter sum is the usage of
// these runs together.
func perRun(sum usage.Usage, n int) usage.Usage {
	sum.Wall /= time.Duration(n)
	sum.CPU /= time.Duration(n)
	sum.RunDelay /= time.Duration(n)
	sum.Read /= int64(n)
	sum.Written /= int64(n)
	sum.Switches /= int64(n)
	sum.Forced /= int64(n)
	return sum
}
