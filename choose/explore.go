package choose

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sort"
	"time"
)

const (
	better  = 1.05 // what is more than so many times another is better
	fullCPU = 0.95 // busy processors that are as good as all
	rival   = 0.7  // of the best that was seen while exploring: what is less is not looked at again

	exploreShare = 0.6 // of the budget may be over before the rounds begin
)

// explore measures points once, to find those that may be the best.
//
// The first model that has levels is climbed from the lowest. The others begin
// where the best is so far, and go from there as long as that gains. Then the
// levels on both sides of the best are tried.
func (t *trial) explore(ctx context.Context) error {
	climbed := false
	parts := len(t.models) + 1 // of the time; the first one that is climbed has two
	for i := range t.models {
		levels := t.models[i].levels(t.MaxConcurrency)
		if len(levels) == 0 {
			continue
		}
		start := 0
		if climbed {
			start = t.start(levels)
		}
		climbed = climbed || len(levels) > 1
		if t.measured() && t.base.explored() == 0 {
			return fmt.Errorf("%w, or among others of its kind: %s: %s", ErrFails, t.models[t.base.model].Name, said(t.base.err))
		}
		part := i + 1
		if climbed {
			part++
		}
		t.until = t.exploreTime() * time.Duration(part) / time.Duration(parts)
		err := t.climb(ctx, i, levels, start)
		broken, ok := errors.AsType[errModel](err)
		switch {
		case ok && t.measured():
			t.broken = append(t.broken, broken.Error())
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
		return errors.New("choose: no model has a level that could be tried")
	}
	t.until = t.exploreTime()
	err := t.refine(ctx)
	broken, ok := errors.AsType[errModel](err)
	switch {
	case ok:
		t.broken = append(t.broken, broken.Error())
	case !errors.Is(err, errStop) || ctx.Err() != nil:
		return err
	}
	return nil
}

// exploreTime is when exploring ends, since the beginning.
func (t *trial) exploreTime() time.Duration { return time.Duration(exploreShare * float64(t.Budget)) }

// start returns the index of the level at which a further model is begun: that
// of the best point so far, but at least the number of processors, and no more
// than could be waited for if this model had them run one after another.
func (t *trial) start(levels []int) int {
	wanted := max(t.leader().level, runtime.GOMAXPROCS(0))
	bearable := int(t.Budget / 20 / max(t.report.Profile.Wall, 1))
	wanted = max(1, min(wanted, bearable))
	i := sort.SearchInts(levels, wanted)
	if i == len(levels) || i > 0 && levels[i] > wanted {
		i--
	}
	return i
}

// measured reports whether there is something to compare with.
func (t *trial) measured() bool { return t.base != nil && len(t.base.samples) > 0 }

// try measures a point, unless the time for that is over. Of each model one
// point is measured while there is any time for exploring.
func (t *trial) try(ctx context.Context, model, level int) (*point, error) {
	until := t.until
	if !slices.ContainsFunc(t.points, func(p *point) bool { return p.model == model }) {
		until = t.exploreTime()
	}
	if t.measured() && t.since() > until {
		t.report.Untried = append(t.report.Untried, pointName(t.models[model].Name, level))
		return nil, errStop
	}
	p := t.add(model, level)
	t.next = 0 // the same inputs for all
	if err := t.slice(ctx, p); err != nil {
		t.drop(p)
		if errors.Is(err, errStop) {
			t.report.Untried = append(t.report.Untried, pointName(t.models[model].Name, level))
		}
		return nil, err
	}
	return p, nil
}

// climb tries a model at the level of index start, and from there up while that
// gains; if it does not at all, down while that loses nothing.
func (t *trial) climb(ctx context.Context, model int, levels []int, start int) error {
	p, err := t.try(ctx, model, levels[start])
	if err != nil {
		return err
	}
	best, rate, misses := start, p.explored(), 0
	for i := start + 1; i < len(levels) && misses < 4 && !(start > 0 && misses >= 2 && t.behind(p)); i++ {
		p, err = t.try(ctx, model, levels[i])
		if err != nil {
			return err
		}
		if r := p.explored(); r > better*rate && !t.failsMore(p) {
			best, rate, misses = i, r, 0
			continue
		}
		if misses += 2; t.chance(p) > 0.1 {
			misses-- // it may have gained: a few tasks of very different lengths do not tell
		}
		if p.busy >= fullCPU {
			break
		}
	}
	if best > start {
		return nil
	}
	for i := start - 1; i >= 0; i-- {
		p, err := t.try(ctx, model, levels[i])
		if err != nil {
			return err
		}
		if r := p.explored(); r < better*rate && (t.behind(p) || r*better < rate) {
			break
		}
		rate = max(rate, p.explored())
	}
	return nil
}

// behind reports whether another model did clearly more with no more tasks at a
// time.
func (t *trial) behind(p *point) bool {
	for _, q := range t.points {
		if q.model != p.model && q.level <= p.level && p.explored() < rival*q.explored() {
			return true
		}
	}
	return false
}

// refine tries levels between the lowest that is as good as the best and its
// neighbors.
func (t *trial) refine(ctx context.Context) error {
	best := t.leader()
	if m := t.models[best.model]; m.Open == nil || m.Levels != nil {
		return nil
	}
	for _, p := range t.points { // they are by level
		if p.model == best.model && p.explored()*better >= best.explored() {
			best = p
			break
		}
	}
	lower, higher := 0, 0
	for _, p := range t.points {
		switch {
		case p.model != best.model:
		case p.level < best.level:
			lower = p.level
		case p.level > best.level && higher == 0:
			higher = p.level
		}
	}
	for _, neighbor := range []int{lower, higher} {
		if neighbor == 0 {
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
	return nil
}

// failing is the share of runs by which a point may fail more often than the
// first one, beyond what chance does.
const failing = 0.02

// failsMore reports whether a point clearly fails more often than the first
// one: by three standard deviations of the difference of two shares.
func (t *trial) failsMore(p *point) bool {
	if p == t.base || p.failed == 0 {
		return false
	}
	n, m := float64(max(1, p.tasks)), float64(max(1, t.base.tasks))
	both := float64(p.failed+t.base.failed) / (n + m)
	chance := 3 * math.Sqrt(both*(1-both)*(1/n+1/m))
	return p.fails()-t.base.fails() > failing+chance
}

// fails returns the share of its runs that failed.
func (p *point) fails() float64 { return float64(p.failed) / float64(max(1, p.tasks)) }

// leader returns the point that did most when it was explored, of those that do
// not fail for being many.
func (t *trial) leader() (best *point) {
	for _, p := range t.points {
		if len(p.samples) > 0 && !t.failsMore(p) && (best == nil || p.explored() > best.explored()) {
			best = p
		}
	}
	return best
}

// closeOthers closes what will not be measured again.
func (t *trial) closeOthers() {
	least := rival * t.leader().explored()
	for _, p := range t.points {
		if p.explored() < least && p != t.base {
			p.close()
		}
	}
}

// pointName returns the name of a point for texts.
func pointName(model string, level int) string {
	if level == 1 {
		return model
	}
	return fmt.Sprintf("%s with concurrency %d", model, level)
}
