package adaptive

import (
	"fmt"
	"math"
)

// decideLocked makes the decision of the current phase. It reports false if the
// window does not show enough for a decision.
func (l *Limit) decideLocked(s sample) bool {
	switch l.phase {
	case climbing:
		return l.climbLocked(s)
	case holding:
		return l.holdLocked(s)
	}
	return l.judgeLocked(s)
}

// climbLocked makes the decision for a window while climbing. In this phase,
// l.best is the limit before the current one.
func (l *Limit) climbLocked(s sample) bool {
	why := "first measurement"
	switch {
	case s.few && l.limit != l.best: // there are fewer tasks than the limit, so the throughput at the limit is unknown
		l.phase, l.up = holding, false
		l.moveLocked(s, l.best, "fewer tasks than the limit")
		return true
	case s.few: // fewer tasks run than the limit allows: a higher limit cannot help
		if s.full {
			l.phase, l.up = holding, false
		}
		return s.full
	}
	if !l.measured && s.err > rough && !s.full {
		return false
	}
	if l.measured {
		gained, known := s.exceeds(l.bestRate, l.worthLocked(), s.full)
		if !known {
			return false
		}
		why = change(s.rate, l.bestRate.rate)
		if !gained {
			l.phase, l.up = holding, true
			l.moveLocked(s, l.best, why)
			return true
		}
	}
	l.best, l.bestRate, l.measured = l.limit, s.throughput, true
	if s.cpuBusy || s.rate == 0 || l.limit == l.opts.Max {
		l.phase, l.pause, l.up = holding, l.nextPause, false
		return true
	}
	l.moveLocked(s, min(2*l.limit, l.opts.Max), why)
	return true
}

// holdLocked makes the decision for a window with the best limit.
func (l *Limit) holdLocked(s sample) bool {
	if s.err > fair && l.window.results < max(fairResults, 2*l.limit) {
		return false
	}
	if l.updateBestRateLocked(s) {
		return true
	}
	if l.pause > 0 {
		l.pause--
		return true
	}
	if l.up && (s.cpuBusy || s.few || l.best == l.opts.Max) {
		l.up = false
	}
	if !l.up && l.best == l.opts.Min {
		l.up = true // try a higher limit after the next window, unless the processors are busy
		return true
	}
	from := l.best
	if s.few { // a limit above the number of running tasks has no effect
		from = min(from, max(1, int(math.Round(s.running))))
	}
	next, why := max(from-max(1, int(float64(from)*l.step/2)), l.opts.Min), "trying fewer"
	if l.up {
		next, why = min(l.best+max(1, int(float64(l.best)*l.step)), l.opts.Max), "trying more"
	}
	l.phase = trying
	l.moveLocked(s, next, why)
	return true
}

// updateBestRateLocked combines bestRate with the throughput of a new window
// at the same limit. If the two throughputs differ too much, the conditions
// have changed, and updateBestRateLocked reports true. The window may have
// begun before the change. Then its throughput is a mix of the old and the
// new conditions. So the next window measures the throughput again. After
// that window, a Limit tries another limit: a higher limit if the throughput
// has increased, and a lower limit otherwise.
func (l *Limit) updateBestRateLocked(s sample) (conditionsChanged bool) {
	if l.bestRate.rate == 0 { // this is the first window at this limit
		l.bestRate = s.throughput
		return false
	}
	ratio := s.rate / max(l.bestRate.rate, 1e-9)
	if ratio > changed || ratio < 1/changed {
		l.up = ratio > 1
		l.bestRate, l.nextPause, l.pause, l.step, l.refused = throughput{}, minPause, 0, largestStep, false
		return true
	}
	l.bestRate.rate += smoothing * (s.rate - l.bestRate.rate)
	l.bestRate.err = min(l.bestRate.err, s.err)
	return false
}

// judgeLocked makes the decision for a window with a limit that is tried.
func (l *Limit) judgeLocked(s sample) bool {
	good, known := s.exceeds(l.bestRate, l.worthLocked(), s.full)
	if !known && !s.few {
		return false
	}
	l.phase = holding
	why := change(s.rate, l.bestRate.rate)
	if !good || s.few && l.limit > l.best { // a limit above the number of running tasks has no effect
		l.pause, l.nextPause = l.nextPause, min(2*l.nextPause, maxPause)
		if l.refused {
			l.step = max(l.step/2, smallestStep)
		}
		l.up, l.refused = !l.up, !l.refused
		l.moveLocked(s, l.best, why)
		return true
	}
	// Measure the new limit again before the next try in this direction. The
	// limit is kept because the throughput of this window was good. So this
	// throughput is probably higher than the average at this limit.
	l.best, l.pause, l.nextPause, l.bestRate, l.refused = l.limit, 0, minPause, throughput{}, false
	l.recordLocked(Decision{s.now, l.limit, l.limit, s.rate, why})
	return true
}

// moveLocked changes the limit. The results of tasks that started under the
// previous limit will be ignored.
func (l *Limit) moveLocked(s sample, to int, why string) {
	l.recordLocked(Decision{s.now, l.limit, to, s.rate, why})
	l.skip = max(l.limit, to)
	l.limit = to
}

// recordLocked stores a decision and calls OnDecision.
func (l *Limit) recordLocked(d Decision) {
	if len(l.decisions) == keptDecisions {
		l.decisions = append(l.decisions[:0], l.decisions[1:]...)
	}
	l.decisions = append(l.decisions, d)
	if l.opts.OnDecision != nil {
		l.opts.OnDecision(d)
	}
}

// worthLocked returns the minimum throughput at which the current limit is
// better than the best limit, as a multiple of the throughput at the best
// limit.
func (l *Limit) worthLocked() float64 {
	return 1 + worthShare*(float64(l.limit)/float64(l.best)-1)
}

// change describes a change of throughput.
func change(now, before float64) string {
	if now == 0 && before == 0 {
		return "nothing succeeds"
	}
	if now >= before {
		return fmt.Sprintf("gained %.0f%%", 100*(now/max(before, 1e-9)-1))
	}
	return fmt.Sprintf("lost %.0f%%", 100*(1-now/before))
}
