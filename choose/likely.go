package choose

import "slices"

const (
	minLockedGain  = 1.3  // if the gain under a lock is at least this, with full confidence, the tasks release the lock while they compute
	minSharedShare = 0.55 // while other programs compute, a model for CPU-bound work counts as equally good from this share of the best gain; under a lock, the share is 0.5 on two processors
	minAlikeShare  = 0.4  // after few measurements, a model for I/O-bound work counts as equally good from this share of the best gain
	maxLockedShare = 0.1  // the highest share of CPU time for which a lock does not limit I/O-bound work
	minLikelyGain  = 1.5  // I/O-bound and mixed work must gain this for a likely verdict
	minCPUGain     = 1.1  // CPU-bound work whose gain is clearly lower cannot use several processors
	maxCPULoss     = 0.6  // a gain below this is a loss, even if it was measured once
)

// likely returns the point that the kind of the work recommends if the
// measurements alone do not decide. It returns nil if the kind is not known, or
// if the measurements contradict the kind.
func (t *trial) likely(final []*point) *point {
	kind := t.report.Kind
	computes := kind.Kind == CPUBound
	if kind.Certainty != Clear {
		// One of two neighboring kinds is enough for a recommendation.
		low, high := kind.ends()
		if kind.Kind == UnknownKind || low == IOBound && high == CPUBound {
			return nil
		}
		computes = high == CPUBound
	}
	if t.base.rate().Median == 0 {
		return nil
	}
	var chosen *point
	if t.alwaysOne() {
		chosen = t.simplest(final)
	} else if computes {
		chosen = t.likelyForProcessors(final)
	} else if len(t.points) == 1 && len(t.models) > 1 {
		chosen = t.unmeasured()
	} else if chosen = t.likelyForMany(final); t.contradicts(chosen, final) {
		return nil
	} else if chosen.level == 1 && !t.alwaysOne() {
		chosen = t.likelyConcurrent(final)
	}
	if chosen == nil || chosen.failed*2 > chosen.tasks {
		return nil
	}
	return chosen
}

// contradicts reports whether the gain of the best point shows that work does
// not wait, contrary to its kind. While other programs use the processors, a
// low gain in a few measurements does not show it.
func (t *trial) contradicts(best *point, final []*point) bool {
	if best.level == 1 && !t.alwaysOne() {
		// No concurrency gains. The measurements of the best concurrency show
		// whether this is reliable.
		if best = t.likelyConcurrent(final); best == nil || len(best.samples) == 0 {
			return false
		}
	}
	gain, m := t.gain(best), &t.report.Machine
	reliable := gain.Confidence >= fullConfidence || m.Others+m.Stolen <= maxOthers
	return gain.Median < minLikelyGain && reliable
}

// likelyConcurrent returns the point with the largest gain above level 1. If
// possible, it chooses a model whose throughput no lock limits. If no such
// point was measured, it returns a point without measurements, or nil.
func (t *trial) likelyConcurrent(final []*point) *point {
	var all []*point
	for _, p := range final {
		if p.level > 1 && !t.limitedByLock(p) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return t.unmeasured()
	}
	return t.best(all)
}

// alwaysOne reports whether no model has a level above 1.
func (t *trial) alwaysOne() bool {
	return !slices.ContainsFunc(t.models, func(m Model) bool {
		levels := m.levels(t.MaxConcurrency)
		return len(levels) > 0 && levels[len(levels)-1] > 1
	})
}

// likelyForProcessors returns the point that is likely the best for CPU-bound
// work, which needs one task for each processor, or fewer if a run computes on
// several processors. It chooses among the points with about as many tasks,
// under models whose tasks can compute at the same time. It returns the base if
// it is clear that none of these points gains, as for work that holds a lock,
// or for very short tasks. If no such point was measured, it returns a point
// without measurements.
func (t *trial) likelyForProcessors(final []*point) *point {
	n := t.report.Kind.tasksFor(t.report.Machine.Processors)
	if n == 1 {
		return t.base
	}
	var fit, free []*point // fit has the points with n tasks, and with not many more; free has also the points with more tasks
	for _, p := range final {
		lowest := t.models[p.model].levels(t.MaxConcurrency)[0]
		gain := t.gain(p)
		unlocked := !t.models[p.model].Locked || gain.Confidence >= fullConfidence && gain.Low >= minLockedGain
		if p != t.base && unlocked && p.level >= n {
			free = append(free, p)
			if p.level <= max(2*n, lowest) {
				fit = append(fit, p)
			}
		}
	}
	// To pass a task to an executor takes about as long as a tiny task. So
	// tiny tasks gain little, although they compute.
	tiny := t.report.Profile.Wall < tinyRun
	if tiny && (len(fit) == 0 || t.gain(t.best(free)).Median < minCPUGain) {
		return t.base
	}
	if len(fit) == 0 {
		if p := t.unmeasured(); p != nil {
			return p
		}
		if best := t.best(final); best.level > 1 && t.gain(best).Median >= minCPUGain {
			return best // fewer tasks than processors
		}
		return t.base
	}
	gain := t.gain(t.best(free))
	// While other programs use the processors, one measurement does not show a
	// loss: the tasks may have had no processor.
	reliable := gain.Confidence >= fullConfidence || !t.disturbedByOthers()
	if gain.Median < maxCPULoss && reliable || gain.Confidence >= fullConfidence && gain.High < minCPUGain {
		return t.base
	}
	chosen := t.simplest(fit)
	if t.disturbedByOthers() {
		// The system divides the processors among all threads. So a model with
		// more threads seems better while other programs compute.
		least := minSharedShare * t.gain(t.best(fit)).Median
		i := slices.IndexFunc(fit, func(p *point) bool { return t.gain(p).Median >= least })
		if fit[i].model < chosen.model { // the points are in the order of the models
			chosen = fit[i]
		}
	}
	return chosen
}

// likelyForMany returns the point that is likely the best for work that waits.
// Such work gains from each level up to a limit, often the limit of a server.
// Too many tasks cost little, and too few cost much. So of the model that
// simplest chooses, likelyForMany returns the highest level that may be better.
// While I/O-bound tasks wait, all models are alike. So a model that seems
// better in a few measurements does not replace a simpler model. It does
// replace a model whose tasks share a lock and compute for more than a small
// part of their time. While other programs compute, this also applies to mixed
// work: a model with more threads then seems better.
func (t *trial) likelyForMany(final []*point) *point {
	chosen := t.simplest(final)
	io := t.report.Kind.Kind == IOBound
	if gain := t.gain(chosen); gain.Confidence < fullConfidence && (io || t.limitedByLock(chosen) || t.disturbedByOthers()) {
		least := minAlikeShare
		if !io {
			least = minSharedShare
		}
		i := slices.IndexFunc(final, func(p *point) bool {
			return p.level > 1 && !t.limitedByLock(p) && t.gain(p).Median >= least*gain.Median
		})
		if i >= 0 && (final[i].model < chosen.model || t.limitedByLock(chosen)) { // the points are in the order of the models
			chosen = t.best(slices.DeleteFunc(slices.Clone(final), func(p *point) bool { return p.model != final[i].model }))
		}
	}
	atLeast := minGain * t.gain(chosen).Median
	for _, p := range final {
		if p.model == chosen.model && p.level > chosen.level && t.gain(p).Median*(1+t.rateError(p)) > atLeast {
			chosen = p
		}
	}
	return chosen
}
