package choose

import (
	"context"
	"math"
)

// refine tries levels on both sides of the lowest good level of the best model.
// The lowest good level is the lowest one whose throughput, multiplied by
// minGain, reaches the best throughput. refine tries a level between the lowest
// good level and the next lower level that was tried, and a level between the
// lowest good level and the next higher one. If the levels that were tried are
// far apart, refine does that twice. For CPU-bound work, it tries no further
// levels above the number of processors.
func (t *trial) refine(ctx context.Context) error {
	if m := t.models[t.leader().model]; m.Open == nil || m.Levels != nil {
		return nil
	}
	for range 2 {
		lower, best, higher := t.neighbors()
		for _, neighbor := range []int{lower, higher} {
			if neighbor == 0 || neighbor == higher && t.report.Kind.Kind == CPUBound && best.level >= t.report.Machine.Processors {
				continue
			}
			between := int(math.Round(math.Sqrt(float64(neighbor * best.level))))
			if between == neighbor || between == best.level {
				continue
			}
			if _, err := t.try(ctx, best.model, between); err != nil {
				return err
			}
		}
		if lower, best, _ := t.neighbors(); best.level < 2*lower || lower == 0 {
			break
		}
	}
	return nil
}

// neighbors returns the lowest good level of the best model, and the next lower
// and the next higher level that were tried, or 0. The level of sequential
// execution counts as a level of each model.
func (t *trial) neighbors() (lower int, best *point, higher int) {
	best = t.leader()
	for _, p := range t.points { // the points are in the order of rising levels
		if p.model == best.model && p.lastRate()*minGain >= best.lastRate() {
			best = p
			break
		}
	}
	for _, p := range t.points {
		switch {
		case p.model != best.model:
		case p.level < best.level:
			lower = p.level
		case p.level > best.level && higher == 0:
			higher = p.level
		}
	}
	if lower == 0 && best.level > 1 && t.baseIsSequential() {
		lower = 1
	}
	return lower, best, higher
}
