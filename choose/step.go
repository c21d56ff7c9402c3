package choose

import (
	"slices"
	"time"
)

// Step says what Run will do next (the profile or a measurement), and what
// Run has found so far.
type Step struct {
	Model       string        // name of the model; empty for the profile
	Concurrency int           // the concurrency; 0 for the profile
	Elapsed     time.Duration // the time since the start of Run
	Runs        int           // the number of runs of the work so far
	Round       int           // the number of the round; 0 during the profile and the exploration
	Profile     *Profile      // nil before the profile is complete
	Kind        *KindVerdict  // nil before the profile is complete
	Points      []Point       // the points that were measured, in the order of Report.Points
	Best        int           // the index in Points of the point that would be recommended now, or -1
}

// String returns the step as text: "alone", or "goroutines with concurrency 8".
func (s Step) String() string {
	if s.Model == "" {
		return "alone"
	}
	return pointName(s.Model, s.Concurrency)
}

// announce calls Options.OnStep before a point is measured.
func (t *trial) announce(p *point) {
	if t.OnStep == nil {
		return
	}
	s := Step{
		Model: t.models[p.model].Name, Concurrency: p.level, Elapsed: t.since(), Runs: t.runs, Round: t.round,
		Profile: &t.report.Profile, Kind: &t.report.Kind, Best: -1,
	}
	var measured []*point
	for _, q := range t.points {
		if len(q.samples) > 0 {
			measured = append(measured, q)
			s.Points = append(s.Points, t.describe(q, false))
		}
	}
	if len(measured) > 0 {
		s.Best = slices.Index(measured, t.simplest(slices.DeleteFunc(slices.Clone(measured), t.failsMore)))
	}
	t.OnStep(s)
}
