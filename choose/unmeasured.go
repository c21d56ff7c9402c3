package choose

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// The profile counts as the first measurement of the base if a run, or the
// import of a module, takes at least this part of the budget, or if MaxRuns is
// at most fewRuns. Then there is no time, or no run, to measure sequential
// execution twice.
const (
	aloneIsBasePart = 10
	fewRuns         = 20
)

// takeProfile adds the base, and uses the throughput of the profile as its
// first measurement. It does so only if the first model has no concurrency, and
// if runs are too long, or MaxRuns too low, to repeat the runs of the profile.
// It reports whether it added the base.
func (t *trial) takeProfile() bool {
	p := &t.report.Profile
	levels := t.models[0].levels(t.MaxConcurrency)
	if len(levels) != 1 || levels[0] != 1 || max(p.Wall, t.setup) < t.Budget/aloneIsBasePart && (t.MaxRuns == 0 || t.MaxRuns > fewRuns) {
		return false
	}
	base := t.add(0, 1)
	base.tasks, base.failed, base.lastTasks = p.Runs, p.Failed, p.Runs
	base.cost, base.mean, base.busy = p.Wall, p.Wall, -1
	succeeded := float64(p.Runs-p.Failed) / float64(p.Runs)
	base.samples = []sample{{0, succeeded / max(p.Wall, 1).Seconds()}}
	return true
}

// unmeasured returns a point without measurements, which Run can recommend.
// Run calls it if the kind of the work is known, and no time or no run is
// left for measurements. The model of the point is the simplest one that
// suits the kind and was not measured. Its level is ioBoundStart for
// I/O-bound work, and busyLevel for other work. The result is nil if there
// is no such model.
func (t *trial) unmeasured() *point {
	kind, wanted := t.report.Kind, t.busyLevel()
	if kind.Kind == IOBound {
		wanted = ioBoundStart
	}
	for i := range t.models {
		m := &t.models[i]
		levels := m.levels(t.MaxConcurrency)
		if t.tried(i) || m.Open == nil || m.Locked && kind.Kind != IOBound || len(levels) == 0 || levels[len(levels)-1] == 1 {
			continue
		}
		return &point{model: i, level: levels[min(sort.SearchInts(levels, wanted), len(levels)-1)]}
	}
	return nil
}

// tried reports whether a model was measured, or could not be opened.
func (t *trial) tried(model int) bool {
	return slices.Contains(t.unusable, model) || slices.ContainsFunc(t.points, func(p *point) bool { return p.model == model })
}

// busyLevel returns the lowest concurrency that keeps all processors busy with
// mixed work. For all other work, it is the number of processors.
func (t *trial) busyLevel() int {
	kind := t.report.Kind
	n := kind.tasksFor(t.report.Machine.Processors)
	if kind.Kind == Mixed {
		n = int(math.Ceil(float64(n) / kind.CPUShare.Median))
	}
	return n
}

// whyUnmeasured returns the reason why a point has no measurements, as a part
// of a sentence.
func (t *trial) whyUnmeasured() string {
	if !t.enoughRuns(t.report.Machine.Processors) {
		return "no run was left to measure it"
	}
	if t.setup >= t.Budget/aloneIsBasePart && t.setup > t.report.Profile.Wall {
		return fmt.Sprintf("there was no time to measure it, because the first run takes %s longer than others, for example to import a module, and the budget is %s", durationText(t.setup), durationText(t.Budget))
	}
	if t.report.Profile.Wall < t.Budget/aloneIsBasePart {
		return fmt.Sprintf("there was no time to measure it within %s", durationText(t.Budget))
	}
	return fmt.Sprintf("there was no time to measure it, because a run takes %s and the budget is %s", durationText(t.report.Profile.Wall), durationText(t.Budget))
}
