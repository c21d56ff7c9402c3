package choose

import (
	"cmp"
	"slices"

	"concert/choose/usage"
)

const (
	cpuBound = 0.75 // the minimum share of CPU time of CPU-bound work
	ioBound  = 0.25 // the maximum share of CPU time of I/O-bound work
)

const (
	equalShare      = 0.95 // a point with at least this share of the best throughput is as good as the best point
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
	final := t.finalists()
	chosen := t.simplest(final)
	t.decide(chosen, final, interrupted)
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
// whose tasks clearly fail more often than the tasks of the base. A point that
// was in no round is compared by its first measurement.
func (t *trial) finalists() (final []*point) {
	for _, p := range t.points {
		if !t.failsMore(p) {
			final = append(final, p)
		}
	}
	return final
}

// gain returns the throughput of a point as a multiple of the throughput of the
// base.
func (t *trial) gain(p *point) Interval { return intervalOf(t.ratios(p, t.base)) }

// best returns the point with the largest gain.
func (t *trial) best(points []*point) *point {
	return slices.MaxFunc(points, func(a, b *point) int { return cmp.Compare(t.gain(a).Median, t.gain(b).Median) })
}

// simplest returns the point to recommend. Several points may be as good as the
// best. Among these points, simplest chooses the first model, and of this model
// the lowest level.
func (t *trial) simplest(points []*point) *point {
	best := t.best(points)
	chosen := best
	for _, p := range points {
		r := intervalOf(t.ratios(p, best))
		good := r.Median >= equalShare || r.Median >= maybeEqualShare && r.High >= 1 && r.Confidence > 0
		if good && (p.model < chosen.model || p.model == chosen.model && p.level < chosen.level) {
			chosen = p
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

// decide sets the verdict of the report.
func (t *trial) decide(chosen *point, final []*point, interrupted bool) {
	m := &t.models[chosen.model]
	a := &t.report.Verdict
	*a = Verdict{Certainty: Clear, Model: m.Name, Concurrency: chosen.level, Gain: t.gain(chosen), Reasons: []string{}, Caveats: []string{}}
	if m.Code != nil {
		a.Code = m.Code(chosen.level)
	}
	ties := t.ties(chosen, final)
	if len(ties) > 0 {
		a.Certainty = Tie
	}
	seriousCaveats := t.seriousCaveats(chosen, final, interrupted)
	if len(seriousCaveats) > 0 {
		a.Certainty = Unclear
	}
	a.Sentence = t.sentence(chosen, ties, seriousCaveats)
	a.Reasons = t.reasons(chosen, final)
	a.Caveats = t.minorCaveats(chosen)
	if m.Note != "" {
		a.Caveats = append(a.Caveats, m.Note)
	}
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
