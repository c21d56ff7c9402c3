package choose

import (
	"cmp"
	"slices"

	"concert/choose/usage"
)

const (
	equalShare      = 0.95 // a point with at least this share of the best throughput is as good as the best point
	enoughShare     = 0.88 // if CPU-bound work reaches this share of the best throughput, more tasks than processors are not recommended
	maybeEqualShare = 0.90 // a point with at least this share is as good, too, if its throughput cannot be distinguished from the best
)

// buildReport completes the report from the measurements.
func (t *trial) buildReport(interrupted bool) {
	r := &t.report
	r.Runs, r.Inputs, r.Budget = t.runs, t.inputs, t.Budget
	r.Took = t.since()
	if t.finalRate > 0 {
		if first := t.base.samples[0].rate; first > 0 {
			r.Drift = t.finalRate/first - 1
		}
	}
	t.discardIncompleteRound()
	chosen := t.decide(t.finalists(), interrupted)
	r.Points = nil
	for _, p := range t.points {
		r.Points = append(r.Points, t.describe(p, p == chosen))
	}
}

// discardIncompleteRound removes the measurements of a round that ended early,
// because rates and gains refer to complete rounds.
func (t *trial) discardIncompleteRound() {
	for _, p := range t.points {
		p.samples = slices.DeleteFunc(p.samples, func(s sample) bool { return s.round > t.report.Rounds })
	}
}

// finalists returns the points that can be recommended: all points except those
// whose tasks clearly fail more often than the tasks of the base, or for which
// costsTooMuch is true. A point that was in no round is compared by its first
// measurement.
func (t *trial) finalists() (final []*point) {
	for _, p := range t.points {
		if !t.failsMore(p) && !t.costsTooMuch(p) {
			final = append(final, p)
		}
	}
	return final
}

// gain returns the throughput of a point as a multiple of the throughput of the
// base.
func (t *trial) gain(p *point) Interval { return intervalOf(t.ratios(p, t.base)) }

func (t *trial) best(points []*point) *point {
	return slices.MaxFunc(points, func(a, b *point) int { return cmp.Compare(t.gain(a).Median, t.gain(b).Median) })
}

// simplest returns the point to recommend. Several points may be as good as the
// best. Among these points, simplest chooses the first model, and of this model
// the lowest level.
//
// Even for CPU-bound work, more tasks than processors gain a little: other
// tasks run while one task is passed to a worker. But each worker takes
// memory. So for CPU-bound work, simplest chooses a lower level of the same
// model if this level keeps the processors busy and reaches enoughShare.
func (t *trial) simplest(points []*point) *point {
	best := t.best(points)
	chosen := best
	for _, p := range points {
		if asGood(intervalOf(t.ratios(p, best))) && (p.model < chosen.model || p.model == chosen.model && p.level < chosen.level) {
			chosen = p
		}
	}
	if k := &t.report.Kind; k.Kind == CPUBound && k.Certainty == Clear {
		for _, p := range points {
			if p.model == chosen.model && p.level < chosen.level && p.level >= t.busyLevel() && intervalOf(t.ratios(p, best)).Median >= enoughShare {
				chosen = p
			}
		}
	}
	return chosen
}

// rounds returns the number of rounds in which a point was measured.
func (p *point) rounds() (n int) {
	for _, s := range p.samples {
		if s.round > 0 {
			n++
		}
	}
	return n
}

// rate returns the throughput of a point in rounds. If the point was in no
// round, rate returns the throughput of the point's first measurement.
func (p *point) rate() Interval {
	var rates []float64
	for _, s := range p.samples {
		if s.round > 0 {
			rates = append(rates, s.rate)
		}
	}
	if rates == nil {
		rates = []float64{p.samples[0].rate}
	}
	return intervalOf(rates)
}

// describe returns a point for the report.
func (t *trial) describe(p *point, chosen bool) Point {
	d := Point{
		Model: t.models[p.model].Name, Concurrency: p.level, Rate: p.rate(), Gain: t.gain(p),
		Rounds: p.rounds(), Tasks: p.tasks, Failed: p.failed, Busy: p.busy,
	}
	if p.err != nil {
		d.FirstErr = errorLine(p.err)
	}
	if alone := &t.report.Profile.Usage; p.mean > 0 && alone.Knows(usage.CPUTime) {
		s := Split{CPU: min(alone.CPU, p.mean), Queue: max(0, p.mean-alone.Wall)}
		s.Wait = max(0, p.mean-s.CPU-s.Queue)
		d.Split = &s
	}
	if chosen {
		d.Spans = p.spans
		slices.SortFunc(d.Spans, func(a, b Span) int { return int(a.Start - b.Start) })
		d.Spans = d.Spans[:min(len(d.Spans), 1000)]
	}
	return d
}

// decide sets the verdict of the report, and returns the recommended point. If
// there are serious caveats, the kind of the work may still recommend a point.
// After an interruption, this point is a guess.
func (t *trial) decide(final []*point, interrupted bool) *point {
	chosen := t.simplest(final)
	serious := t.seriousCaveats(chosen, final, interrupted)
	certainty := Clear
	if len(serious) > 0 {
		certainty = Unclear
		if p := t.likely(final); p != nil && (!interrupted || len(serious) > 1) {
			chosen = p
			if !interrupted {
				certainty = Likely
			}
			if own := t.seriousCaveats(p, final, interrupted); len(own) > 0 {
				serious = own
			}
		}
	}
	ties := t.ties(chosen, final)
	if certainty == Clear && len(ties) > 0 {
		certainty = Tie
	}
	m := &t.models[chosen.model]
	a := &t.report.Verdict
	*a = Verdict{Certainty: certainty, Model: m.Name, Concurrency: chosen.level, Gain: t.gain(chosen)}
	a.EqualUpTo, a.Rising = t.equalUpTo(chosen), t.rising(chosen)
	if m.Code != nil {
		a.Code = m.Code(chosen.level)
	}
	if m.PythonCode != nil {
		a.PythonCode = m.PythonCode(chosen.level)
	}
	a.Sentence = t.sentence(chosen, ties, serious)
	a.Reasons = t.reasons(chosen, final)
	a.Caveats = append([]string{}, t.minorCaveats(chosen)...)
	if certainty == Likely {
		for _, s := range serious[1:] { // the sentence contains the first serious caveat
			a.Caveats = append(a.Caveats, capitalize(s)+".")
		}
	}
	if m.Note != "" {
		a.Caveats = append(a.Caveats, m.Note)
	}
	return chosen
}

// equalUpTo returns the highest level of the model of a point that is as
// good as this point. All measured levels between the two must be as good,
// too.
func (t *trial) equalUpTo(chosen *point) int {
	highest := chosen.level
	for _, p := range t.points { // the points are in the order of rising levels
		if p.model != chosen.model || p.level <= chosen.level {
			continue
		}
		r := intervalOf(t.ratios(p, chosen))
		if !asGood(r) || t.failsMore(p) {
			break
		}
		highest = p.level
	}
	return highest
}

// rising reports whether a point has the highest level of its model that was
// measured, and a higher throughput than the levels below it and the base.
func (t *trial) rising(chosen *point) bool {
	if !t.highest(chosen) {
		return false
	}
	lower := 0.0
	for _, p := range t.points {
		if (p.model == chosen.model || p == t.base) && p.level < chosen.level {
			lower = max(lower, t.gain(p).Median)
		}
	}
	return lower > 0 && t.gain(chosen).Median > minGain*lower
}

// highest reports whether a point has the highest level of its model that was
// measured.
func (t *trial) highest(p *point) bool {
	return !slices.ContainsFunc(t.points, func(q *point) bool { return q.model == p.model && q.level > p.level })
}

// openAbove reports whether levels above the level of a point may be better. If
// so, the throughput was rising, no higher level was measured, and the kind of
// the work does not exclude higher levels.
func (t *trial) openAbove(p *point) bool {
	levels := t.plausibleLevels(&t.models[p.model])
	enough := t.report.Kind.Kind == CPUBound && p.level >= t.busyLevel()
	return len(levels) > 0 && p.level < levels[len(levels)-1] && !enough && t.rising(p)
}

// asGood reports whether a point is as good as the best point. The parameter is
// the throughput of the point as a multiple of the best throughput.
func asGood(r Interval) bool {
	return r.Median >= equalShare || r.Median >= maybeEqualShare && r.High >= 1 && r.Confidence > 0
}

// ties returns the names of the other models that have a point as good as the
// best point.
func (t *trial) ties(chosen *point, final []*point) (names []string) {
	best := t.best(final)
	for _, p := range final {
		if p.model == chosen.model {
			continue
		}
		name := t.models[p.model].Name
		r := intervalOf(t.ratios(p, best))
		if (r.Median >= equalShare || r.Median >= maybeEqualShare && r.High >= 1) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
