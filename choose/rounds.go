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
	mostRivals   = 8
	fewestRounds = 6    // for an interval of 95%
	mostRounds   = 25   // more do not make a noisy machine quiet
	roundsToDrop = 4    // rounds in which a point is worse, each time, before it is not measured again
	surely       = 0.9  // worse than that
	known        = 1.15 // the gain is, if its interval is from one end to the other no more than so many times
)

// rounds measures the points that may be the best again and again, until it is
// clear which is, or time is up.
func (t *trial) rounds(ctx context.Context) error {
	live := t.rivals()
	for t.round = 1; t.round <= mostRounds; t.round++ {
		left := t.Budget - t.since() - t.base.cost // which is measured once more at the end
		for cost(live) > left && len(live) > 2 {
			live = slices.Delete(live, len(live)-1, len(live)) // the slowest of them
		}
		if cost(live) > left {
			break
		}
		order := slices.Clone(live)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, p := range order {
			t.next = t.round * 7 % t.inputs // the same inputs for all
			err := t.slice(ctx, p)
			if broken, ok := errors.AsType[errModel](err); ok && p != t.base {
				t.broken = append(t.broken, broken.Error())
				live = slices.DeleteFunc(live, func(q *point) bool { return q == p })
			} else if err != nil {
				return err
			}
		}
		t.report.Rounds = t.round
		live = t.prune(live)
		if t.round >= fewestRounds && t.decided(live) {
			break
		}
	}
	return nil
}

func cost(points []*point) (sum time.Duration) {
	for _, p := range points {
		sum += p.cost
	}
	return sum
}

// rivals returns the first point, and those that may be the best: the best ones
// first.
func (t *trial) rivals() []*point {
	leader := t.leader()
	var all []*point
	for _, p := range t.points {
		if p != t.base && p.explored()*(1+2*t.chance(p)) >= rival*leader.explored() && !t.failsMore(p) {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b *point) int { return cmp.Compare(b.explored(), a.explored()) })
	// Of each model the best one has to be among them.
	var first, rest []*point
	for _, p := range all {
		if slices.ContainsFunc(first, func(q *point) bool { return q.model == p.model }) {
			rest = append(rest, p)
		} else {
			first = append(first, p)
		}
	}
	all = append(first, rest...)
	if len(all) > mostRivals {
		all = all[:mostRivals]
	}
	return append([]*point{t.base}, all...)
}

// prune leaves out points that were worse than the best in each of several
// rounds.
func (t *trial) prune(live []*point) []*point {
	best := t.best(live)
	return slices.DeleteFunc(live, func(p *point) bool {
		if p == t.base || p == best {
			return false
		}
		ratios := ratios(p, best)
		worse := len(ratios) >= roundsToDrop && slices.Max(ratios) < surely
		if worse {
			p.close()
		}
		return worse
	})
}

// decided reports whether more rounds would not change the answer.
func (t *trial) decided(live []*point) bool {
	chosen := t.simplest(live)
	if gain := t.gain(chosen); gain.High > known*gain.Low {
		return false
	}
	for _, p := range live {
		if p == chosen {
			continue
		}
		// Better by 5%, perhaps? Then again, it may be clear that it is as
		// good.
		if r := intervalOf(ratios(p, chosen)); r.High > better && r.High > known*r.Low {
			return false
		}
	}
	return true
}

// ratios returns what p did in each round as a multiple of what q did; of
// exploring if there were no rounds.
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

// chance is by what share the rate of a point may be off, if it was measured
// once, as tasks take different times: two standard errors of a mean, by the
// times of all tasks that were looked at.
func (t *trial) chance(p *point) float64 {
	if len(p.samples) == 0 || t.spread == 0 {
		return 0
	}
	return 2 * t.spread / math.Sqrt(float64(max(1, p.last)))
}

// gain compares a point to the first.
func (t *trial) gain(p *point) Interval { return intervalOf(ratios(p, t.base)) }

// best returns the point of the largest gain.
func (t *trial) best(points []*point) *point {
	return slices.MaxFunc(points, func(a, b *point) int { return cmp.Compare(t.gain(a).Median, t.gain(b).Median) })
}

const (
	asGood  = 0.95 // of the best is as good as the best
	noWorse = 0.90 // of the best is, too, if it cannot be told from it
)

// simplest returns the point to take: of those as good as the best the one of
// the first model, at the lowest level.
func (t *trial) simplest(points []*point) *point {
	best := t.best(points)
	chosen := best
	for _, p := range points {
		r := intervalOf(ratios(p, best))
		good := r.Median >= asGood || r.Median >= noWorse && r.High >= 1 && r.Confidence > 0
		if good && (p.model < chosen.model || p.model == chosen.model && p.level < chosen.level) {
			chosen = p
		}
	}
	return chosen
}
