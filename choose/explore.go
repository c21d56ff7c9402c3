package choose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"
)

const (
	minGain       = 1.05 // a throughput counts as better than another one if it is more than this multiple of the other
	allBusy       = 0.95 // the share of processor time at which all processors count as busy
	minRivalShare = 0.7  // the share of the best throughput below which a point is not measured in rounds
	exploreShare  = 0.6  // the share of the budget for the profile and the exploration
)

// explore measures points once, to find the points that may be the best.
//
// For each model, explore begins at one level, and tries higher levels while
// throughput increases. For CPU-bound work, the first level is the number of
// processors. For I/O-bound work, the first model with several levels begins at
// about ioBoundStart. For other work, it begins at its lowest level above 1.
// Later models begin at about the level of the best point so far. Finally,
// explore tries levels above the best point while throughput increases, and
// levels on both sides of it. If a single run takes a large part of the budget,
// the profile counts as the measurement of sequential execution.
func (t *trial) explore(ctx context.Context) error {
	climbed := false
	parts := len(t.models) + 1 // the time is divided into this number of parts; the first model with several levels gets two parts
	profiled := t.takeProfile()
	for turn, i := range t.modelOrder() {
		levels := t.plausibleLevels(&t.models[i])
		if len(levels) == 0 || profiled && i == 0 {
			continue
		}
		start, clear := 0, t.report.Kind.Certainty == Clear && len(levels) > 1
		switch {
		case clear && t.report.Kind.Kind == CPUBound:
			start = t.start(levels, t.report.Machine.Processors)
		case climbed:
			start = t.start(levels, max(t.leader().level, t.report.Machine.Processors))
		case clear && t.report.Kind.Kind == IOBound:
			start = t.start(levels, ioBoundStart)
		}
		if levels[start] == 1 && len(levels) > 1 && t.baseIsSequential() {
			start = 1
			if profiled {
				start = min(sort.SearchInts(levels, max(2, t.busyLevel())), len(levels)-1)
			}
		}
		first := !climbed && len(levels) > 1 // the first model with several levels
		climbed = climbed || first
		if t.measured() && t.base.lastRate() == 0 {
			return fmt.Errorf("%w, or with the first model, %s: %s", ErrFails, t.models[t.base.model].Name, errorLine(t.base.err))
		}
		if m := &t.models[i]; m.Locked && !first && t.measured() && t.tooLong(levels[start], t.base.lastRate(), 0) {
			t.leaveOut(i, levels[start])
			continue
		}
		part := turn + 1
		if climbed {
			part++
		}
		t.exploreUntil = t.exploreTime() * time.Duration(part) / time.Duration(parts)
		if first && clear && t.report.Kind.Kind == IOBound && !(t.models[i].Locked && t.report.Kind.CPUShare.Median > maxLockedShare) {
			t.exploreUntil = t.exploreTime() // for I/O-bound work, the level matters more than the model
		}
		err := t.climb(ctx, i, levels, start)
		skipped, ok := errors.AsType[openError](err)
		switch {
		case ok && t.measured():
			t.skipped = append(t.skipped, skipped.Error())
			t.unusable = append(t.unusable, i)
		case errors.Is(err, errStop) && t.measured():
			if ctx.Err() != nil || t.outOfRuns() {
				return err
			}
		case err != nil:
			return err
		}
		t.closeOthers()
	}
	if !t.measured() {
		return fmt.Errorf("choose: no model can be tried, because every level of every model is above Options.MaxConcurrency, which is %d: raise MaxConcurrency, or give a model a lower level", t.MaxConcurrency)
	}
	t.exploreUntil = t.exploreTime()
	err := t.raise(ctx)
	if err == nil {
		err = t.refine(ctx)
	}
	skipped, ok := errors.AsType[openError](err)
	switch {
	case ok:
		t.skipped = append(t.skipped, skipped.Error())
	case !errors.Is(err, errStop) || ctx.Err() != nil:
		return err
	}
	return nil
}

// modelOrder returns the indexes of the models in the order in which explore
// tries them. The first model is the first one, because it has the base. For
// work that computes, models under a lock are the last ones, because they gain
// little unless the tasks release the lock.
func (t *trial) modelOrder() (order []int) {
	kind := t.report.Kind.Kind
	var last []int
	for i, m := range t.models {
		if i > 0 && m.Locked && (kind == CPUBound || kind == Mixed) {
			last = append(last, i)
		} else {
			order = append(order, i)
		}
	}
	return append(order, last...)
}

// exploreTime returns the time from the start of Run to the end of the
// exploration.
func (t *trial) exploreTime() time.Duration { return time.Duration(exploreShare * float64(t.Budget)) }

// ioBoundStart is the level at which the exploration of I/O-bound work begins.
const ioBoundStart = 16

// start returns the index of the first level of a model to try: the wanted
// level, or the next lower one. A level above the number of processors is too
// high if so many sequential tasks would take more than a 20th of the budget,
// or if fewer runs are left. Then start returns a lower level.
func (t *trial) start(levels []int, wanted int) int {
	affordable := int(t.Budget / 20 / max(t.report.Profile.Wall, 1))
	if t.MaxRuns > 0 {
		affordable = min(affordable, t.MaxRuns-t.runs)
	}
	wanted = max(1, min(wanted, max(affordable, t.report.Machine.Processors)))
	i := sort.SearchInts(levels, wanted)
	if i == len(levels) || i > 0 && levels[i] > wanted {
		i--
	}
	return i
}

// measured reports whether the base has been measured.
func (t *trial) measured() bool { return t.base != nil && len(t.base.samples) > 0 }

// try measures a new point, unless the time for the model is over. The first
// point of a model may use all of the time for exploration.
func (t *trial) try(ctx context.Context, model, level int) (*point, error) {
	until := t.exploreUntil
	if !slices.ContainsFunc(t.points, func(p *point) bool { return p.model == model }) {
		until = t.exploreTime()
	}
	if t.measured() && (t.since() > until || t.since()+t.setup > t.Budget) {
		t.leaveOut(model, level)
		return nil, errStop
	}
	t.tryAgain(model, level)
	p := t.add(model, level)
	t.next = 0 // begin with the same input for all points
	if err := t.measure(ctx, p); err != nil {
		t.drop(p)
		if errors.Is(err, errStop) {
			t.leaveOut(model, level)
		}
		return nil, err
	}
	return p, nil
}

// leaveOut adds a point to Report.Untried. The point may be tried again: see
// the method raise.
func (t *trial) leaveOut(model, level int) {
	t.tryAgain(model, level)
	t.report.Untried = append(t.report.Untried, pointName(t.models[model].Name, level))
}

// tryAgain removes a point from Report.Untried.
func (t *trial) tryAgain(model, level int) {
	name := pointName(t.models[model].Name, level)
	t.report.Untried = slices.DeleteFunc(t.report.Untried, func(other string) bool { return other == name })
}

// baseIsSequential reports whether the level of the base is 1. Then no other
// model is tried at level 1, where it can gain almost nothing.
func (t *trial) baseIsSequential() bool { return t.measured() && t.base.level == 1 }

// climb tries levels[start] of a model and then the levels above it, while
// throughput increases. If no higher level increases throughput, climb tries
// the levels below levels[start], while throughput does not decrease. If
// levels[start] shows that the tasks compute one by one under a lock, climb
// tries no other level.
func (t *trial) climb(ctx context.Context, model int, levels []int, start int) error {
	p, err := t.try(ctx, model, levels[start])
	if err != nil {
		return err
	}
	best, rate, misses := start, p.lastRate(), 0
	leader := p
	if t.baseIsSequential() && levels[start] > 1 && rate <= minGain*t.base.lastRate() {
		if misses = 2; t.computesUnderLock(model) {
			return nil
		}
	}
	for i := start + 1; i < len(levels) && misses < 4 && !(start > 0 && misses >= 2 && t.clearlySlower(p)); i++ {
		if t.tooLong(levels[i], p.lastRate(), misses) {
			t.leaveOut(model, levels[i])
			break
		}
		p, err = t.try(ctx, model, levels[i])
		if err != nil {
			return err
		}
		if p.lastRate() <= minGain*rate && t.disturbed(p) {
			if err := t.comparePair(ctx, leader, p); err != nil {
				return err
			}
			rate = leader.lastRate()
		}
		if r := p.lastRate(); r > minGain*rate && !t.failsMore(p) {
			best, rate, misses, leader = i, r, 0, p
			continue
		}
		if misses += 2; t.rateError(p) > 0.1 {
			misses-- // a few tasks of very different durations do not show whether there is a gain
		}
		if p.busy >= allBusy || t.computesUnderLock(model) {
			break
		}
	}
	if best > start {
		return nil
	}
	for i := start - 1; i >= 0; i-- {
		if levels[i] == 1 && t.baseIsSequential() {
			break
		}
		p, err := t.try(ctx, model, levels[i])
		if err != nil {
			return err
		}
		if r := p.lastRate(); r < minGain*rate && (t.clearlySlower(p) || r*minGain < rate) {
			break
		}
		rate = max(rate, p.lastRate())
	}
	return nil
}

// raise tries levels above the best point so far, while openAbove is true for
// the best point. The search may have stopped before the highest useful level,
// because the time of the model was over, or because the next level would have
// taken too long if it gained nothing. raise tries a level only if the first
// tasks of all its workers probably end within a part of the budget.
func (t *trial) raise(ctx context.Context) error {
	best := t.leader()
	for t.openAbove(best) {
		limit := t.Budget / 4
		if best.lastRate() > minLinear*float64(best.level)*t.base.lastRate()/float64(t.base.level) {
			limit *= 2
		}
		highest := int(min(best.lastRate()*limit.Seconds(), float64(4*best.level)))
		levels := t.models[best.model].levels(t.MaxConcurrency)
		i := sort.SearchInts(levels, highest+1) - 1
		if i < 0 || levels[i] <= best.level {
			return nil
		}
		p, err := t.try(ctx, best.model, levels[i])
		if err != nil {
			return err
		}
		if p.lastRate() <= minGain*best.lastRate() || t.failsMore(p) {
			return nil
		}
		best = p
	}
	return nil
}

// clearlySlower reports whether another model, at the level of p or below, has
// a clearly higher throughput than p.
func (t *trial) clearlySlower(p *point) bool {
	for _, q := range t.points {
		if q.model != p.model && q.level <= p.level && p.lastRate() < minRivalShare*q.lastRate() {
			return true
		}
	}
	return false
}

// leader returns the point with the highest throughput in its last measurement.
// It ignores points that fail more often than the base.
func (t *trial) leader() (best *point) {
	for _, p := range t.points {
		if len(p.samples) > 0 && !t.failsMore(p) && (best == nil || p.lastRate() > best.lastRate()) {
			best = p
		}
	}
	return best
}

// closeOthers closes the executors of points that will not be measured again.
func (t *trial) closeOthers() {
	lowest := minRivalShare * t.leader().lastRate()
	for _, p := range t.points {
		if p.lastRate() < lowest && p != t.base {
			p.close()
		}
	}
}
