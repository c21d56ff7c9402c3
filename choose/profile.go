package choose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"concert/choose/usage"
	"concert/executor"
)

const (
	profileShare = 20                     // the profile may take one part in so many of the budget
	profileRuns  = 30                     // and has no more runs, unless they are tiny
	tiny         = 200 * time.Microsecond // runs shorter than that are measured many in a row
)

// Of the inputs so many are used: the first number even if there was no time to
// run each of them alone.
const (
	fewestInputs = 8
	mostInputs   = 10 * profileRuns
)

// sampleOf returns which of n inputs to use, in their order of use: if there
// are many, in large steps, so that the first ones are of all parts of the
// list.
func sampleOf(n int) []int {
	stride := 1
	if n > profileRuns {
		for stride = int(float64(n) * 0.618); gcd(stride, n) != 1; stride++ {
		}
	}
	sample := make([]int, min(n, mostInputs))
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

// profile runs the work alone. The first run counts only if there is time for
// no other: it imports modules, opens connections and fills caches.
func (t *trial) profile(ctx context.Context) error {
	ctx, stop := context.WithTimeoutCause(ctx, t.Budget, fmt.Errorf("%w: it was stopped after %v", ErrTooLong, t.Budget))
	defer stop()
	p := &t.report.Profile
	var sum usage.Usage
	cpu := readProcessors()
	until := t.begin.Add(t.Budget / profileShare)
	defer func() {
		t.spread = spread(t.times)
		// From now on the same inputs for all, and such as are warm.
		t.inputs = min(t.inputs, max(len(t.times), fewestInputs))
	}()
	for i := 0; ; i++ {
		before := readProcessors()
		used, err := t.alone(ctx, i%t.inputs, 1)
		t.runs++
		t.times = append(t.times, Span{End: used.Wall})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p.Runs++
		if err != nil {
			p.Failed++
			if p.FirstErr == "" {
				p.FirstErr = said(err)
			}
		}
		if i == 1 && p.FirstErr == "" { // not the first
			sum, p.Fastest, p.Slowest, p.Runs = usage.Usage{}, used.Wall, used.Wall, 1
			cpu = before
		}
		addUsage(&sum, used)
		if p.Fastest == 0 || used.Wall < p.Fastest {
			p.Fastest = used.Wall
		}
		p.Slowest = max(p.Slowest, used.Wall)
		if t.outOfRuns() || i+1 >= max(t.inputs, 2) && p.Failed > i {
			break
		}
		late := !time.Now().Add(used.Wall).Before(until)
		if p.Failed > i && i+1 < t.inputs && t.since() < t.Budget/2 {
			continue // it may be the inputs
		}
		if late || i+1 >= profileRuns && i+1 >= t.inputs {
			break
		}
	}
	addSteal(&sum, cpu)
	p.Usage = perRun(sum, p.Runs)
	if p.Failed >= p.Runs {
		return fmt.Errorf("%w: %s", ErrFails, p.FirstErr)
	}
	if t.Profile == nil && p.Wall < tiny && p.Failed == 0 {
		t.profileTiny(ctx, until)
	}
	return nil
}

// profileTiny measures runs in a row, as reading the clocks takes longer than
// one.
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
		p.Fastest, p.Slowest = p.Wall, p.Wall
		if used.Wall > 20*time.Millisecond || time.Now().After(until) {
			return
		}
	}
}

// alone runs the work so many times, beginning with input i.
func (t *trial) alone(ctx context.Context, i, times int) (used usage.Usage, err error) {
	if t.Profile != nil {
		return t.Profile(ctx, t.sample[i])
	}
	used = usage.Repeat(times, func() {
		if e := t.guarded(ctx, i); e != nil {
			err = e
		}
		i = (i + 1) % t.inputs
	})
	return used, err
}

// guarded calls the work; a panic is an error, as on an executor.
func (t *trial) guarded(ctx context.Context, i int) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = executor.NewPanicError(v)
		}
	}()
	return t.call(ctx, i)
}

// outOfRuns reports whether the work has been run as often as it may.
func (t *trial) outOfRuns() bool { return t.MaxRuns > 0 && t.runs >= t.MaxRuns }

// addUsage adds the usage of a run to the sum of several. Of memory it keeps
// the maximum.
func addUsage(sum *usage.Usage, run usage.Usage) {
	sum.Wall += run.Wall
	sum.CPU += run.CPU
	sum.RunDelay += min(run.RunDelay, max(0, run.Wall-run.CPU))
	sum.Read += run.Read
	sum.Written += run.Written
	sum.Switches += run.Switches
	sum.Forced += run.Forced
	sum.Memory = max(sum.Memory, run.Memory)
	sum.Sources = run.Sources
}

// addSteal adds the steal time since before to the run-queue delay. The kernel
// of a virtual machine counts it as neither CPU time nor run-queue delay. The
// kernel has it in ticks, for all processors together, so sum should be of
// several runs.
func addSteal(sum *usage.Usage, before processors) {
	steal := readProcessors().stolenFrom(before, sum.CPU)
	if steal <= 0 {
		return
	}
	sum.RunDelay = min(sum.RunDelay+steal, max(0, sum.Wall-sum.CPU))
	for i, s := range sum.Sources {
		if s.What == usage.RunDelay {
			sum.Sources = slices.Clone(sum.Sources)
			sum.Sources[i].From = strings.TrimPrefix(s.From+" and the steal time of /proc/stat", " and ")
		}
	}
}

// perRun returns the mean of n runs whose sum is given.
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
