package choose

import (
	"testing"
	"time"

	"concert"
	"concert/choose/usage"
)

// TestLikely_Loss: a loss that was measured once contradicts the kind of
// CPU-bound work only if no other programs used the processors, or if tasks are
// so short that the executor takes longer than the task.
func TestLikely_Loss(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		run    time.Duration
		others float64
		model  int // of the recommended point
	}{
		{"idle machine", 5 * time.Millisecond, 0.05, 0},
		{"busy machine", 5 * time.Millisecond, 0.9, 1},
		{"busy machine, tiny tasks", 5 * time.Microsecond, 0.9, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "processes", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear}
			tr.report.Machine = Machine{Processors: 2, Others: c.others}
			tr.report.Profile.Usage = usage.Usage{Wall: c.run, CPU: c.run}
			base := tr.add(0, 1)
			base.samples = []sample{{0, 100}}
			tr.add(1, 2).samples = []sample{{0, 28}}
			if p := tr.likely(tr.finalists()); p == nil || p.model != c.model {
				t.Errorf("likely() = %+v, want a point of model %d", p, c.model)
			}
		})
	}
}

// TestLikely_SimplestForWaits: after few measurements, a model that seems
// better does not replace a simpler model for I/O-bound work.
func TestLikely_SimplestForWaits(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name        string
		first       float64 // the throughput of the simpler model
		model       int     // of the recommended point
		concurrency int
	}{
		{"alike", 660, 1, 64},
		{"clearly worse", 300, 2, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}, {Name: "an event loop", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: IOBound, Certainty: Clear}
			tr.report.Machine = Machine{Processors: 2, Others: 0.8}
			tr.add(0, 1).samples = []sample{{0, 100}}
			tr.add(1, 16).samples = []sample{{0, c.first / 2}}
			tr.add(1, 64).samples = []sample{{0, c.first}}
			tr.add(2, 64).samples = []sample{{0, 980}}
			if p := tr.likely(tr.finalists()); p == nil || p.model != c.model || p.level != c.concurrency {
				t.Errorf("likely() = %+v, want model %d with concurrency %d", p, c.model, c.concurrency)
			}
		})
	}
}
