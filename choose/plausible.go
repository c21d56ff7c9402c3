package choose

import (
	"context"
	"sort"
)

// plausibleLevels returns the levels of a model that may be the best for the
// kind of the work.
//
//   - I/O-bound work needs many tasks, and the budget is limited. So of the
//     levels 1, 2, 4, 8, ... every second one is left out. t.refine later tries
//     the levels on both sides of the best one.
//   - CPU-bound work gains nothing from many more tasks than processors.
func (t *trial) plausibleLevels(m *Model) []int {
	levels := m.levels(t.MaxConcurrency)
	if t.report.Kind.Certainty != Clear || len(levels) < 3 {
		return levels
	}
	switch t.report.Kind.Kind {
	case IOBound:
		var some []int
		for i, n := range levels {
			if i == 0 || i == len(levels)-1 || n >= 4*some[len(some)-1] {
				some = append(some, n)
			}
		}
		return some
	case CPUBound:
		n := max(1, sort.SearchInts(levels, 4*t.report.Machine.Processors+1))
		return levels[:n]
	}
	return levels
}

// tooLong reports whether the measurement of a level would take too much of
// the budget if the level gained nothing. The parameter rate is the
// throughput of the next lower level. The parameter misses is the number of
// levels that gained nothing so far: after such a level, the limit is lower.
func (t *trial) tooLong(level int, rate float64, misses int) bool {
	limit := t.Budget / 4
	if misses > 0 {
		limit = t.Budget / 20
	}
	return float64(level) > rate*limit.Seconds()
}

// computesUnderLock reports whether the tasks of a model probably compute one
// by one. Then a level that gains nothing shows that higher levels gain nothing
// either.
func (t *trial) computesUnderLock(model int) bool {
	return t.models[model].Locked && t.report.Kind.Kind == CPUBound
}

// limitedByLock reports whether the tasks of a point share a lock that
// probably limits the throughput, because they compute for a large part of
// their time.
func (t *trial) limitedByLock(p *point) bool {
	return t.models[p.model].Locked && t.report.Kind.CPUShare.Median > maxLockedShare
}

// costsTooMuch reports whether a point cannot gain because its tasks are
// very short: a task takes more than N times the CPU time of a task at the
// base, where N is the number of processors. Only CPU time of this process
// counts. Unlike the throughput, CPU time does not depend on other programs.
func (t *trial) costsTooMuch(p *point) bool {
	return p != t.base && t.report.Kind.Kind == CPUBound && t.report.Profile.Wall < tinyRun && t.base.cpu > 0 &&
		p.cpu > float64(t.report.Machine.Processors)*t.base.cpu
}

// otherLoad is a share of the processor time. If other programs used more
// than this share, a measurement counts as disturbed.
const otherLoad = 0.15

// disturbed reports whether other programs used the processors during the last
// measurement of a point.
func (t *trial) disturbed(p *point) bool {
	m := &t.report.Machine
	own := p.lastRate() * t.report.Profile.CPU.Seconds() / float64(m.Processors)
	return p.busy >= 0 && p.busy-own > otherLoad
}

// comparePair measures two points again, one directly after the other, so that
// the load of other programs is about the same for both.
func (t *trial) comparePair(ctx context.Context, p, q *point) error {
	for _, point := range []*point{p, q} {
		t.next = 0 // begin with the same input for all points
		if err := t.measure(ctx, point); err != nil {
			return err
		}
	}
	return nil
}
