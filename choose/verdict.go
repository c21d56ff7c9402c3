package choose

import (
	"slices"

	"concert/choose/internal/stats"
	"concert/choose/usage"
)

const (
	cpuBound = 0.75 // share of CPU time from which on work is called CPU-bound
	ioBound  = 0.25 // and up to which it is called I/O-bound
)

// finish makes the report of what was measured.
func (t *trial) finish(interrupted bool) {
	r := &t.report
	r.Runs, r.Inputs, r.Budget = t.runs, t.inputs, t.Budget
	r.Took = t.since()
	if t.last > 0 {
		if first := t.base.samples[0].rate; first > 0 {
			r.Drift = t.last/first - 1
		}
	}
	final := t.finalists()
	chosen := t.simplest(final)
	t.answer(chosen, final, interrupted)
	r.Points = nil
	for _, p := range t.points {
		r.Points = append(r.Points, t.describe(p, p == chosen))
	}
	r.Fits = map[string]*Fit{}
	for i, m := range t.models {
		var levels []int
		var rates []float64
		for _, p := range t.points {
			if rate := p.rate().Median; p.model == i && rate > 0 {
				levels, rates = append(levels, p.level), append(rates, rate)
			}
		}
		if fit := stats.FitUSL(levels, rates); fit != nil {
			r.Fits[m.Name] = (*Fit)(fit)
		}
	}
}

// finalists are the points that an answer may name: those that took part in
// rounds.
func (t *trial) finalists() (final []*point) {
	for _, p := range t.points {
		if t.failsMore(p) {
			continue
		}
		if p == t.base || t.report.Rounds == 0 || p.samples[len(p.samples)-1].round > 0 {
			final = append(final, p)
		}
	}
	return final
}

// rate is what the point did in rounds, or when it was explored if there were
// none.
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

func (t *trial) describe(p *point, chosen bool) Point {
	d := Point{
		Model: t.models[p.model].Name, Concurrency: p.level, Rate: p.rate(), Gain: t.gain(p),
		Rounds: len(p.samples) - 1, Tasks: p.tasks, Failed: p.failed, Busy: p.busy,
	}
	if base := t.base.rate().Median; d.Rounds == 0 && base > 0 {
		d.Gain = Interval{Median: d.Rate.Median / base}
	}
	if p.err != nil {
		d.FirstErr = said(p.err)
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

// answer says which point to take.
func (t *trial) answer(chosen *point, final []*point, interrupted bool) {
	m := &t.models[chosen.model]
	a := &t.report.Verdict
	*a = Verdict{Certainty: Clear, Model: m.Name, Concurrency: chosen.level, Gain: t.gain(chosen), Reasons: []string{}, Caveats: []string{}}
	if m.Code != nil {
		a.Code = m.Code(chosen.level)
	}
	equals := t.equals(chosen, final)
	if len(equals) > 0 {
		a.Certainty = Tie
	}
	doubts := t.doubts(chosen, final, interrupted)
	if len(doubts) > 0 {
		a.Certainty = Unclear
	}
	a.Sentence = t.sentence(chosen, equals, doubts)
	a.Reasons = t.reasons(chosen, final)
	a.Caveats = t.caveats(chosen)
	if m.Note != "" {
		a.Caveats = append(a.Caveats, m.Note)
	}
}

// equals returns the names of other models that are as good.
func (t *trial) equals(chosen *point, final []*point) (names []string) {
	best := t.best(final)
	for _, p := range final {
		if p.model == chosen.model {
			continue
		}
		name := t.models[p.model].Name
		r := intervalOf(ratios(p, best))
		if (r.Median >= asGood || r.Median >= noWorse && r.High >= 1) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
