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
	maxRivals        = 8    // points in a round, without the base
	minRounds        = 6    // for a confidence of 95%
	maxRounds        = 25   // more rounds do not help on a noisy machine
	dropRounds       = 4    // rounds before a point can be dropped
	dropShare        = 0.9  // of the best throughput; a point that is below in all rounds is dropped
	maxIntervalRatio = 1.15 // of the ends of an interval that is narrow enough
)

// rounds measures the points that may be the best repeatedly, until the verdict
// is clear or the time is over.
func (t *trial) rounds(ctx context.Context) error {
	live := t.rivals()
	for t.round = 1; t.round <= maxRounds; t.round++ {
		left := t.Budget - t.since() - t.base.cost // for the last measurement of the base
		for cost(live) > left && len(live) > 2 {
			live = slices.Delete(live, len(live)-1, len(live)) // the slowest one
		}
		if cost(live) > left {
			break
		}
		order := slices.Clone(live)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, p := range order {
			t.next = t.round * 7 % t.inputs // the same inputs for all points
			err := t.measure(ctx, p)
			if skipped, ok := errors.AsType[openError](err); ok && p != t.base {
				t.skipped = append(t.skipped, skipped.Error())
				live = slices.DeleteFunc(live, func(q *point) bool { return q == p })
			} else if err != nil {
				return err
			}
		}
		t.report.Rounds = t.round
		live = t.prune(live)
		if t.round >= minRounds && t.decided(live) {
			break
		}
	}
	return nil
}

// cost returns the time of one measurement of each point.
func cost(points []*point) (sum time.Duration) {
	for _, p := range points {
		sum += p.cost
	}
	return sum
}

// rivals returns the base and the points that may be the best, by decreasing
// throughput.
func (t *trial) rivals() []*point {
	leader := t.leader()
	var all []*point
	for _, p := range t.points {
		if p != t.base && p.lastRate()*(1+2*t.rateError(p)) >= minRivalShare*leader.lastRate() && !t.failsMore(p) {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b *point) int { return cmp.Compare(b.lastRate(), a.lastRate()) })
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

// prune drops the points that were worse than the best in all of several
// rounds.
func (t *trial) prune(live []*point) []*point {
	best := t.best(live)
	return slices.DeleteFunc(live, func(p *point) bool {
		if p == t.base || p == best {
			return false
		}
		ratios := ratios(p, best)
		worse := len(ratios) >= dropRounds && slices.Max(ratios) < dropShare
		if worse {
			p.close()
		}
		return worse
	})
}

// decided reports whether more rounds would not change the verdict.
func (t *trial) decided(live []*point) bool {
	chosen := t.simplest(live)
	if gain := t.gain(chosen); gain.High > maxIntervalRatio*gain.Low {
		return false
	}
	for _, p := range live {
		if p == chosen {
			continue
		}
		// p may be better by 5%, and the two are not known to be equal.
		if r := intervalOf(ratios(p, chosen)); r.High > minGain && r.High > maxIntervalRatio*r.Low {
			return false
		}
	}
	return true
}

// ratios returns the throughput of p as a multiple of that of q, for each round
// in which both were measured. Without such a round, it returns the ratio of
// their first measurements.
func ratios(p, q *point) (all []float64) {
	for _, a := range p.samples {
		for _, b := range q.samples {
			if a.round == b.round && a.round > 0 && b.rate > 0 {
				all = append(all, a.rate/b.rate)
			}
		}
	}
	if all == nil && q.samples[0].rate > 0 {
		all = []float64{p.samples[0].rate / q.samples[0].rate}
	}
	return all
}

// rateError returns the relative error of a single measurement of a point,
// which is due to the different durations of tasks: two standard errors of the
// mean.
func (t *trial) rateError(p *point) float64 {
	if len(p.samples) == 0 || t.spread == 0 {
		return 0
	}
	return 2 * t.spread / math.Sqrt(float64(max(1, p.lastTasks)))
}
