package choose

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	maxRivals        = 8    // the maximum number of points in a round, without the base
	minRounds        = 6    // the minimum number of rounds; six values give an interval with a confidence of 95%
	maxRounds        = 25   // the maximum number of rounds; more do not help on a noisy machine
	minHalfWaves     = 2    // the minimum number of tasks that each worker runs in half of a measurement
	dropRounds       = 4    // no point is dropped before this number of rounds
	dropShare        = 0.9  // the share of the best throughput; a point that is below this share in all rounds is dropped
	maxDriftPart     = 20   // the drift is measured only if a measurement of the base takes less than this part of the budget
	maxIntervalRatio = 1.15 // an interval is narrow enough if its high end is at most this multiple of its low end
)

// rounds repeatedly measures the points that may be the best, until the verdict
// is clear or the time is over. If tasks are short, a round measures each point
// twice, see canHalve.
func (t *trial) rounds(ctx context.Context) error {
	var live []*point
	for t.round = 1; t.round <= maxRounds; t.round++ {
		live = t.rivals(live)
		left := t.Budget - t.since()
		if t.base.cost < t.Budget/maxDriftPart {
			left -= t.base.cost // for the last measurement of the base
		}
		for t.cost(live) > left && len(live) > 2 {
			live = slices.Delete(live, len(live)-1, len(live)) // there is no time for all points: leave out the slowest
		}
		if t.cost(live) > left {
			break
		}
		order := slices.Clone(live)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		if t.halved = t.canHalve(live); t.halved {
			back := slices.Clone(order)
			slices.Reverse(back)
			order = append(order, back...)
		}
		for _, p := range order {
			if p.dropped {
				continue
			}
			t.next = t.round * 7 % t.inputs // begin with the same input for all points of a round
			err := t.measure(ctx, p)
			if skipped, ok := errors.AsType[openError](err); ok && p != t.base {
				t.skipped = append(t.skipped, skipped.Error())
				p.dropped = true
				live = slices.DeleteFunc(live, func(q *point) bool { return q == p })
			} else if err != nil {
				return err
			}
		}
		if t.halved {
			for _, p := range live {
				p.joinHalves()
			}
		}
		t.halved = false
		t.report.Rounds = t.round
		live = t.prune(live)
		if t.round >= minRounds && t.decided(live) {
			break
		}
	}
	return nil
}

// canHalve reports whether the measurements of a round can be halved. Then the
// round measures each point twice, in the order A B C C B A, so that a load
// that becomes higher or lower affects all points alike. A half must be long
// enough for minHalfWaves tasks of each worker.
func (t *trial) canHalve(points []*point) bool {
	t.halved = true
	defer func() { t.halved = false }()
	return !slices.ContainsFunc(points, func(p *point) bool {
		plan := t.planFor(p, p.lastRate())
		return plan.tasks > 0 || plan.length.Seconds()*p.lastRate() < float64(minHalfWaves*p.level)
	})
}

// joinHalves replaces the two measurements of a round by their mean.
func (p *point) joinHalves() {
	n := len(p.samples)
	if n >= 2 && p.samples[n-1].round == p.samples[n-2].round {
		p.samples[n-2].rate = (p.samples[n-2].rate + p.samples[n-1].rate) / 2
		p.samples = p.samples[:n-1]
		p.cost *= 2
	}
}

// cost returns the time of one measurement of each point.
func (t *trial) cost(points []*point) (sum time.Duration) {
	for _, p := range points {
		sum += p.cost
		if p.ex == nil && t.models[p.model].Open != nil {
			sum += t.setup // of a new executor
		}
	}
	return sum
}

// rivals returns the points for the next round: the base, and at most maxRivals
// other points. Candidates are the points of the last round and all points that
// may be the best. A round can show that the first measurement of a point was
// too high. Then points that seemed much slower may be the best. The point that
// would be recommended now comes first, then the best candidate of every other
// model, and then the remaining candidates. Within these groups, points are
// sorted by decreasing gain.
func (t *trial) rivals(last []*point) []*point {
	var all []*point
	for _, p := range t.points {
		if p != t.base && !p.dropped && (slices.Contains(last, p) || t.mayBeBest(p)) {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b *point) int { return cmp.Compare(t.gain(b).Median, t.gain(a).Median) })
	// This point would be recommended now, so it must be in the next round.
	if i := slices.Index(all, t.simplest(t.finalists())); i > 0 {
		chosen := all[i]
		copy(all[1:], all[:i])
		all[0] = chosen
	}
	// The best point of each model comes first.
	var first, rest []*point
	for _, p := range all {
		if slices.ContainsFunc(first, func(q *point) bool { return q.model == p.model }) {
			rest = append(rest, p)
		} else {
			first = append(first, p)
		}
	}
	all = append(first, rest...)
	if len(all) > maxRivals {
		all = all[:maxRivals]
	}
	return append([]*point{t.base}, all...)
}

// mayBeBest reports whether a point may have the largest gain.
func (t *trial) mayBeBest(p *point) bool {
	best := t.gain(t.best(t.finalists())).Median
	return !t.failsMore(p) && !t.costsTooMuch(p) && t.gain(p).Median*(1+2*t.rateError(p)) >= minRivalShare*best
}

// prune drops a point if there were at least dropRounds rounds, and if the
// point was clearly slower than the best point in all of these rounds. It never
// drops the base.
func (t *trial) prune(live []*point) []*point {
	best := t.best(live)
	return slices.DeleteFunc(live, func(p *point) bool {
		if p == t.base || p == best {
			return false
		}
		ratios := t.ratios(p, best)
		worse := len(ratios) >= dropRounds && slices.Max(ratios) < dropShare
		if worse {
			p.dropped = true
			p.close()
		}
		return worse
	})
}

// decided reports whether the verdict is clear: more rounds would not change
// it. The result is false until the point that would be recommended has been
// in minRounds rounds.
func (t *trial) decided(live []*point) bool {
	chosen := t.simplest(t.finalists())
	if chosen.rounds() < minRounds {
		return false
	}
	if gain := t.gain(chosen); gain.High > maxIntervalRatio*gain.Low {
		return false
	}
	for _, p := range live {
		if p == chosen {
			continue
		}
		if p.rounds() < minRounds {
			return false
		}
		// The point p may be better by 5%, and it is not known whether the
		// points p and chosen are equal.
		if r := intervalOf(t.ratios(p, chosen)); r.High > minGain && r.High > maxIntervalRatio*r.Low {
			return false
		}
	}
	return true
}

// ratios returns the throughput of p as a multiple of the throughput of q, for
// each round in which both points were measured. Without such a round, ratios
// returns the ratio of the gains of p and q. The gain of a point that was in no
// round is the ratio of the first measurements of this point and the base.
// A point without measurements has no ratios.
func (t *trial) ratios(p, q *point) (all []float64) {
	if len(p.samples) == 0 || len(q.samples) == 0 {
		return nil
	}
	for _, a := range p.samples {
		for _, b := range q.samples {
			if a.round == b.round && a.round > 0 && b.rate > 0 {
				all = append(all, a.rate/b.rate)
			}
		}
	}
	if all != nil {
		return all
	}
	from, to := p.samples[0].rate, q.samples[0].rate
	if q != t.base {
		from, to = t.gain(p).Median, t.gain(q).Median
	}
	if to > 0 {
		all = []float64{from / to}
	}
	return all
}

// rateError returns the relative error that a single measurement of a point has
// because the durations of tasks differ. It is two standard errors of the mean.
func (t *trial) rateError(p *point) float64 {
	if len(p.samples) == 0 || t.spread == 0 {
		return 0
	}
	return 2 * t.spread / math.Sqrt(float64(max(1, p.lastTasks)))
}
