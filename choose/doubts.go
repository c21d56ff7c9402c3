package choose

import (
	"fmt"
	"math"
	"slices"

	"concert/internal/units"
)

// Bounds beyond which an answer is only a guess.
const (
	wide          = 2.0 // an interval whose ends are so many times apart says little
	rivalry       = 1.3 // what another point may be better by, if that is not known any better, is a doubt
	chancy        = 0.6 // what a rate may be off by, as tasks take different times, that makes it worthless
	upended       = 1.0 // is more than drifting
	busyNeighbors = 0.3 // of the processors, used by others or stolen, is too much to say anything for sure
)

// doubts are the reasons why the answer is no more than a guess.
func (t *trial) doubts(chosen *point, final []*point, interrupted bool) (all []string) {
	if interrupted {
		all = append(all, fmt.Sprintf("it was interrupted after %s", length(t.since())))
	}
	if len(t.points) == 1 && len(t.models) > 1 {
		return append(all, fmt.Sprintf("there was time for %s only", t.models[t.base.model].Name))
	}
	if t.base.rate().Median == 0 || chosen.failed*2 > chosen.tasks {
		return append(all, fmt.Sprintf("%d of %d runs failed", chosen.failed, chosen.tasks))
	}
	if t.gain(chosen).Confidence == 0 {
		all = append(all, "each level was measured only once (a larger budget measures more often)")
	}
	if was, is := t.base.samples[0].rate, t.base.rate().Median; math.Abs(t.report.Drift) > upended || max(was, is) > (1+upended/2)*min(was, is) {
		all = append(all, "the speed of the work changed too much during the measurement")
	}
	if c := 2 * t.spread / math.Sqrt(float64(t.base.tasks)); c > chancy {
		all = append(all, fmt.Sprintf("tasks take very different times, and %s was tried with %d of them", pointName(t.models[t.base.model].Name, t.base.level), t.base.tasks))
	}
	// What was given up after a few tasks of very different lengths.
	for _, p := range t.points {
		if c := t.chance(p); c > chancy/2 && !slices.Contains(final, p) && p.explored()*(1+c) > rivalry*chosen.rate().Median {
			all = append(all, fmt.Sprintf("tasks take very different times, and %s was tried with %d of them", pointName(t.models[p.model].Name, p.level), p.last))
			break
		}
	}
	if m := &t.report.Machine; m.Others+m.Stolen > busyNeighbors {
		all = append(all, m.disturbance())
	}
	gain := t.gain(chosen)
	if gain.High > wide*gain.Low {
		all = append(all, fmt.Sprintf("repeats disagree: its gain was from %s to %s", units.Times(gain.Low), units.Times(gain.High)))
	}
	for _, p := range final {
		r := intervalOf(ratios(p, chosen))
		if p != chosen && r.Confidence > 0 && r.High > rivalry && r.High > known*r.Low {
			all = append(all, fmt.Sprintf("%s reached from %s to %s of its throughput", pointName(t.models[p.model].Name, p.level), units.Times(r.Low), units.Times(r.High)))
			break
		}
	}
	if chosen != t.base && gain.Confidence > 0 && gain.Low < 1 {
		all = append(all, "there may be no gain")
	}
	return all
}
