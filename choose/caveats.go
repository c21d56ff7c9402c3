package choose

import (
	"fmt"
	"math"

	"concert/internal/units"
)

// Bounds above which a verdict is Unclear.
const (
	guessIntervalRatio = 2.0  // the high end of the interval of the gain, as a multiple of the low end
	guessRivalGain     = 1.18 // the high end of the interval for the ratio of another point's throughput to the throughput of the chosen point; 1/0.85, because a verdict is right if it is within 15% of the best
	maxRateError       = 0.6  // the relative error that a single measurement has because the durations of tasks differ
	maxDrift           = 1.0
	maxLinearGain      = 1.25 // the gain, as a multiple of the concurrency
	maxOthers          = 0.3  // the share of the processor time that other programs and other machines used
	minNeeded          = 0.15 // if I/O-bound work needs more than this share of the processor time, other programs disturb it
)

// Bounds above which there is a caveat.
const (
	reportOthers = 0.1 // the share of the processor time that other programs and other machines used
	reportDrift  = 0.25
)

// risingCaveat is the reason why a higher concurrency may be better.
const risingCaveat = "the throughput was still rising, and no higher concurrency was measured"

// seriousCaveats returns the reasons why the verdict is Unclear, as parts of
// a sentence. If the verdict is certain, there are no reasons.
func (t *trial) seriousCaveats(chosen *point, final []*point, interrupted bool) (all []string) {
	if interrupted {
		all = append(all, fmt.Sprintf("it was interrupted after %s", durationText(t.since())))
	}
	if len(chosen.samples) == 0 {
		if !interrupted {
			all = append(all, t.whyUnmeasured())
		}
		return all
	}
	if len(t.points) == 1 && len(t.models) > 1 && !t.alwaysOne() {
		return append(all, fmt.Sprintf("there was time for %s only", t.models[t.base.model].Name))
	}
	if t.base.rate().Median == 0 || chosen.failed*2 > chosen.tasks {
		return append(all, fmt.Sprintf("%d of %d runs failed", chosen.failed, chosen.tasks))
	}
	gain := t.gain(chosen)
	if gain.Median > maxLinearGain*float64(chosen.level) {
		all = append(all, fmt.Sprintf("%s is more than %s can gain, so %s was measured while the machine was slow", units.Times(gain.Median), count(chosen.level, "concurrent task"), t.name(t.base)))
	}
	if gain.Confidence == 0 {
		more := " (a budget over " + durationText(t.Budget) + " measures more often)"
		switch {
		case interrupted:
			more = "" // neither the budget nor the runs are the reason
		case t.runsEnded || t.outOfRuns():
			more = fmt.Sprintf(" (more than %s measure more often)", count(t.MaxRuns, "run"))
		}
		all = append(all, t.measuredOnce(chosen)+more)
	}
	if t.openAbove(chosen) {
		all = append(all, risingCaveat)
	}
	if t.speedChanged() {
		all = append(all, "the speed of the work changed too much during the measurements")
	}
	fewTasks := func(p *point, tasks int) string {
		return fmt.Sprintf("the durations of tasks differ much, and only %[2]d were measured with %[1]s", t.name(p), tasks)
	}
	if e := 2 * t.spread / math.Sqrt(float64(t.base.tasks)); e > maxRateError {
		all = append(all, fewTasks(t.base, t.base.tasks))
	}
	// A point that was in no round has only one measurement. If this
	// measurement had few tasks, the point may be better than the chosen point.
	for _, p := range t.points {
		if e := t.rateError(p); e > maxRateError/2 && t.report.Rounds > 0 && p.rounds() == 0 && t.gain(p).Median*(1+e) > guessRivalGain*gain.Median {
			all = append(all, fewTasks(p, p.lastTasks))
			break
		}
	}
	if t.disturbedByOthers() {
		all = append(all, t.report.Machine.disturbance())
	}
	if untried := t.untriedModels(); len(untried) > 0 && (chosen == t.base || t.limitedByLock(chosen)) {
		all = append(all, "there was no time for "+joinAnd(untried))
	}
	if gain.High > guessIntervalRatio*gain.Low {
		all = append(all, fmt.Sprintf("measurements differ: the gain was from %s to %s", units.Times(gain.Low), units.Times(gain.High)))
	}
	for _, p := range final {
		r := intervalOf(t.ratios(p, chosen))
		if p != chosen && r.Confidence > 0 && r.High > guessRivalGain && r.High > maxIntervalRatio*r.Low {
			all = append(all, fmt.Sprintf("%s reached from %s to %s of the throughput of the best guess", t.name(p), units.Times(r.Low), units.Times(r.High)))
			break
		}
	}
	if chosen != t.base && t.computesUnderLock(chosen.model) && (gain.Confidence < fullConfidence || gain.Low < minLockedGain) {
		all = append(all, fmt.Sprintf("tasks of %s share a lock, and its gain was measured in only %s", t.name(chosen), count(chosen.rounds(), "round")))
	}
	if p := t.doubtfulLoss(final); chosen == t.base && p != nil {
		all = append(all, fmt.Sprintf("such work usually gains on %s, and %s was measured only %s", count(t.report.Machine.Processors, "processor"), t.name(p), count(len(p.samples), "time")))
	}
	if chosen != t.base && gain.Confidence > 0 && gain.Low < 1 {
		all = append(all, "there may be no gain")
	}
	return all
}

// untriedModels returns the names of the models without a lock for which there
// was no time.
func (t *trial) untriedModels() (names []string) {
	for i := range t.models {
		m := &t.models[i]
		if !t.tried(i) && m.Open != nil && !m.Locked && len(m.levels(t.MaxConcurrency)) > 0 {
			names = append(names, m.Name)
		}
	}
	return names
}

// doubtfulLoss returns the best point with which CPU-bound work should gain,
// if few measurements show no gain. It returns nil if there is no such
// point, if the point was measured often, or if it clearly loses.
func (t *trial) doubtfulLoss(final []*point) *point {
	if t.report.Kind.Kind != CPUBound || t.report.Kind.Certainty != Clear || t.report.Kind.tasksFor(t.report.Machine.Processors) == 1 || t.report.Profile.Wall < tinyRun {
		return nil
	}
	var best *point
	for _, p := range final {
		if p != t.base && !t.models[p.model].Locked && p.level >= t.report.Machine.Processors && (best == nil || t.gain(p).Median > t.gain(best).Median) {
			best = p
		}
	}
	if best == nil || t.gain(best).Confidence >= fullConfidence || t.gain(best).Median < maxCPULoss {
		return nil
	}
	return best
}

// disturbedByOthers reports whether other programs and other machines used so
// much processor time that the gains are not reliable. I/O-bound work is not
// disturbed if it needs little processor time, even at the highest throughput
// that was measured.
func (t *trial) disturbedByOthers() bool {
	m := &t.report.Machine
	if m.Others+m.Stolen <= maxOthers {
		return false
	}
	best := t.leader()
	needed := 0.0
	if best != nil {
		needed = best.lastRate() * t.report.Profile.CPU.Seconds() / float64(max(1, m.Processors))
	}
	return t.report.Kind.Kind != IOBound || needed > minNeeded
}

// speedChanged reports whether the speed of the work changed so much during the
// measurements that the gains are not reliable.
func (t *trial) speedChanged() bool {
	first, median := t.base.samples[0].rate, t.base.rate().Median
	return math.Abs(t.report.Drift) > maxDrift || max(first, median) > (1+maxDrift/2)*min(first, median)
}

// minorCaveats returns sentences about the limits of the verdict.
func (t *trial) minorCaveats(chosen *point) (all []string) {
	r := &t.report
	if gain := t.gain(chosen); len(chosen.samples) == 0 {
		// The sentence says that the point was not measured.
	} else if gain.Confidence == 0 {
		all = append(all, capitalize(t.measuredOnce(chosen))+", so there is no interval.")
	} else if gain.Confidence < fullConfidence {
		all = append(all, fmt.Sprintf("With %s, the confidence of the intervals is %s; a larger budget raises the confidence to 95%%.", count(chosen.rounds(), "round"), percent(gain.Confidence)))
	}
	if once := t.notInRounds(); len(once) > 0 {
		all = append(all, fmt.Sprintf("Measured only once, before the rounds: %s.", joinAnd(once)))
	}
	if t.inputs < t.totalInputs {
		all = append(all, fmt.Sprintf("%d of %d inputs were used.", t.inputs, t.totalInputs))
	}
	if len(r.Untried) > 0 {
		all = append(all, fmt.Sprintf("Not tried, because no time or no run was left: %s.", joinAnd(r.Untried)))
	}
	for _, s := range t.skipped {
		all = append(all, "Not tried: "+s+".")
	}
	for _, p := range t.points {
		if t.failsMore(p) {
			all = append(all, fmt.Sprintf("%s was left out, because %d of %d tasks failed. The first error: %s", capitalize(t.name(p)), p.failed, p.tasks, errorLine(p.err)))
			break
		}
	}
	if chosen.failed > 0 {
		all = append(all, fmt.Sprintf("%d of %d tasks failed. The first error: %s", chosen.failed, chosen.tasks, errorLine(chosen.err)))
	}
	if m := &r.Machine; m.Others+m.Stolen > reportOthers && !t.disturbedByOthers() {
		all = append(all, capitalize(m.disturbance())+".")
	}
	if r.Remeasured > 0 {
		all = append(all, fmt.Sprintf("%s repeated, because steal time was more than a tenth of the processor time of this virtual machine.",
			count(r.Remeasured, "measurement")+plural(r.Remeasured, " was", " were")))
	}
	if math.Abs(r.Drift) > reportDrift {
		what := "higher"
		if r.Drift < 0 {
			what = "lower"
		}
		text := fmt.Sprintf("At the end, the throughput of %s was %s %s than at the beginning.", t.name(t.base), percent(math.Abs(r.Drift)), what)
		switch {
		case len(chosen.samples) == 0 || chosen == t.base || t.speedChanged(): // a changed speed is a serious caveat
		case chosen.rounds() == 0:
			text += fmt.Sprintf(" The gain of %s may be wrong, because it was not measured in a round.", t.name(chosen))
		default:
			text += " The gains are still right, because each round compares the points with each other."
		}
		all = append(all, text)
	}
	for _, s := range r.Profile.Sources {
		if s.From == "" {
			all = append(all, fmt.Sprintf("No %s: %s.", s.What, s.Why))
		}
	}
	if r.Profile.Failed > 0 {
		all = append(all, fmt.Sprintf("In the profile, %d of %d runs failed. The first error: %s", r.Profile.Failed, r.Profile.Runs, r.Profile.FirstErr))
	}
	return all
}

// measuredOnce returns a text that says why the gain of a point has no
// interval: there was no round, the point was in no round, or there was only
// one round.
func (t *trial) measuredOnce(p *point) string {
	switch {
	case t.report.Rounds == 0:
		return "each level was measured once"
	case p.rounds() == 0:
		return t.name(p) + " was measured once"
	}
	return "there was time for one round of measurements"
}

// notInRounds returns the names of the points that may be the best, but were in
// no round. Such points exist because a round has at most maxRivals points, and
// because the rounds end when the time is over or the verdict is clear.
func (t *trial) notInRounds() (names []string) {
	for _, p := range t.points {
		if t.report.Rounds > 0 && p.rounds() == 0 && !p.dropped && t.mayBeBest(p) {
			names = append(names, t.name(p))
		}
	}
	return names
}
