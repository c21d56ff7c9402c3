package choose

import (
	"strings"
	"testing"
	"time"

	"concert"
	"concert/choose/usage"
)

// TestLikely_Loss: a loss that was measured once must contradict the kind of
// CPU-bound work only in two cases. In the first case, the machine is idle,
// and more tasks gain nothing either. In the second case, tasks are so short
// that the executor takes longer than the task.
func TestLikely_Loss(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		run    time.Duration
		others float64
		rate   float64 // the throughput with two tasks; 0 if it was not measured
		more   float64 // the throughput with more tasks; 0 if it was not measured
		model  int     // of the recommended point
	}{
		{"idle machine", 5 * time.Millisecond, 0.05, 28, 0, 0},
		{"idle machine, more tasks gain", 5 * time.Millisecond, 0.05, 28, 210, 1},
		{"busy machine", 5 * time.Millisecond, 0.9, 28, 0, 1},
		{"busy machine, not measured", 5 * time.Millisecond, 0.9, 0, 0, 1},
		{"busy machine, tiny tasks", 5 * time.Microsecond, 0.9, 66, 0, 0},
		{"busy machine, tiny tasks, not measured", 5 * time.Microsecond, 0.9, 0, 0, 0},
		{"busy machine, tiny tasks that gain", 5 * time.Microsecond, 0.9, 170, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "processes", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear}
			tr.report.Machine = Machine{Processors: 2, Others: c.others}
			tr.report.Profile.Usage = usage.Usage{Wall: c.run, CPU: c.run}
			base := tr.add(0, 1)
			base.samples = []sample{{0, 100}}
			if c.rate > 0 {
				tr.add(1, 2).samples = []sample{{0, c.rate}}
			}
			if c.more > 0 {
				tr.add(1, 8).samples = []sample{{0, c.more}}
			}
			if p := tr.likely(tr.finalists()); p == nil || p.model != c.model {
				t.Errorf("likely() = %+v, want a point of model %d", p, c.model)
			}
		})
	}
}

// TestLikely_ShownForMore: if only a point with many more tasks than processors
// gains, the sentence must not say that the measurements show no gain.
func TestLikely_ShownForMore(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for more, want := range map[float64]string{
		210: "The measurements show it only for processes with concurrency 8: 2.1x",
		105: "The measurements do not show it: 0.90x",
	} {
		tr := &trial{models: []Model{Sequential(), {Name: "processes", Open: open}}}
		tr.MaxConcurrency = 64
		tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear}
		tr.report.Machine = Machine{Processors: 2, Others: 0.6}
		tr.report.Profile.Usage = usage.Usage{Wall: 200 * time.Millisecond, CPU: 200 * time.Millisecond}
		tr.add(0, 1).samples = []sample{{0, 100}}
		tr.add(1, 4).samples = []sample{{0, 90}}
		tr.add(1, 8).samples = []sample{{0, more}}
		if tr.decide(tr.finalists(), false); !strings.Contains(tr.report.Verdict.Sentence, want) {
			t.Errorf("the sentence has no %q: %s", want, tr.report.Verdict.Sentence)
		}
	}
}

// TestLikely_SeveralProcessors: if a run computes on several processors, Run
// must recommend fewer tasks, because fewer tasks keep all processors busy.
func TestLikely_SeveralProcessors(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		share float64 // of CPU time
		level int     // the recommended concurrency
	}{{1, 8}, {1.1, 8}, {2, 4}, {3.9, 2}, {4.1, 2}, {7.9, 1}} {
		tr := &trial{models: []Model{Sequential(), {Name: "processes", Open: open}}}
		tr.MaxConcurrency = 64
		tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear, CPUShare: Interval{Median: c.share}}
		tr.report.Machine = Machine{Processors: 8, Others: 0.6}
		tr.report.Profile.Usage = usage.Usage{Wall: time.Second, CPU: time.Second}
		tr.add(0, 1).samples = []sample{{0, 100}}
		tr.decide(tr.finalists(), false)
		if v := tr.report.Verdict; v.Certainty != Likely || v.Concurrency != c.level {
			t.Errorf("a run computes on %.1f of 8 processors: %s, %d tasks; want %d", c.share, v.Certainty, v.Concurrency, c.level)
		}
	}
}

// TestLikely_SimplestForWaits: after few measurements, a model that seems
// somewhat better must not replace a simpler model for I/O-bound work. But
// if tasks compute for part of their time, Run must avoid a simpler model
// with a lock, because the lock limits the throughput.
func TestLikely_SimplestForWaits(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name         string
		share        float64 // of CPU time
		first, other float64 // the throughput of the simpler model, and of the other one
		locked       int     // the model with a lock
		model        int     // of the recommended point
	}{
		{"alike", 0.02, 660, 980, 0, 1},
		{"clearly worse", 0.02, 300, 980, 0, 2},
		{"with a lock, little CPU time", 0.02, 660, 980, 1, 1},
		{"with a lock, more CPU time", 0.2, 660, 980, 1, 2},
		{"the better one has a lock", 0.2, 660, 980, 2, 1},
		{"the better one is the simpler one, with a lock", 0.2, 980, 660, 1, 2},
		{"mixed, the better one has a lock", 0.5, 660, 980, 2, 1},
		{"mixed, the better one has more threads", 0.5, 660, 980, 0, 1},
		{"mixed, clearly worse", 0.5, 450, 980, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "first", Open: open}, {Name: "second", Open: open}}}
			tr.models[c.locked].Locked = true
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: kindOf(c.share), Certainty: Clear, CPUShare: Interval{Median: c.share}}
			tr.report.Machine = Machine{Processors: 2, Others: 0.8}
			tr.add(0, 1).samples = []sample{{0, 100}}
			tr.add(1, 16).samples = []sample{{0, c.first / 3}}
			tr.add(1, 64).samples = []sample{{0, c.first}}
			tr.add(2, 64).samples = []sample{{0, c.other}}
			if p := tr.likely(tr.finalists()); p == nil || p.model != c.model || p.level != 64 {
				t.Errorf("likely() = %+v, want model %d with concurrency 64", p, c.model)
			}
		})
	}
}

// TestLikely_SimplestForProcessors: while other programs compute, a model
// with more threads seems better for CPU-bound work. It must replace a
// simpler model only if the tasks of the simpler model seem to share a lock.
func TestLikely_SimplestForProcessors(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		first  float64 // the throughput of the simpler model
		others float64
		model  int // of the recommended point
	}{
		{"busy machine", 102, 0.7, 1},
		{"busy machine, lock", 80, 0.7, 2},
		{"idle machine", 102, 0.05, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}, {Name: "processes", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear}
			tr.report.Machine = Machine{Processors: 2, Others: c.others}
			tr.report.Profile.Usage = usage.Usage{Wall: time.Millisecond, CPU: time.Millisecond}
			tr.add(0, 1).samples = []sample{{0, 100}}
			tr.add(1, 2).samples = []sample{{0, c.first}}
			tr.add(2, 2).samples = []sample{{0, 168}}
			if p := tr.likely(tr.finalists()); p == nil || p.model != c.model {
				t.Errorf("likely() = %+v, want a point of model %d", p, c.model)
			}
		})
	}
}

// TestLikely_NeighboringKinds: if the share of CPU time leaves two neighboring
// kinds possible, Run must recommend a point.
func TestLikely_NeighboringKinds(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name      string
		low, high float64 // the ends of the interval of the share of CPU time
		level     int     // of the recommended point; 0 means that none is recommended
	}{
		{"mixed or CPU-bound", 0.6, 0.95, 2},
		{"I/O-bound or mixed", 0.1, 0.5, 16},
		{"I/O-bound or CPU-bound", 0.1, 0.9, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "processes", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: Mixed, Certainty: Unclear, CPUShare: Interval{Median: (c.low + c.high) / 2, Low: c.low, High: c.high}}
			tr.report.Machine = Machine{Processors: 2}
			tr.report.Profile.Usage = usage.Usage{Wall: time.Millisecond, CPU: time.Millisecond / 2}
			tr.add(0, 1).samples = []sample{{0, 100}}
			tr.add(1, 2).samples = []sample{{0, 190}}
			tr.add(1, 16).samples = []sample{{0, 400}}
			level := 0
			if p := tr.likely(tr.finalists()); p != nil {
				level = p.level
			}
			if level != c.level {
				t.Errorf("likely() has concurrency %d, want %d", level, c.level)
			}
		})
	}
}

// TestLikely_LowGainOfWaits: a low gain must contradict the kind of
// I/O-bound and mixed work only if the gain is reliable.
func TestLikely_LowGainOfWaits(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		others float64
		rate   float64
		level  int // of the recommended point; 0 means that none is recommended
	}{
		{"idle machine", 0.05, 127, 0},
		{"busy machine", 0.8, 127, 4},
		{"busy machine, no gain", 0.8, 80, 4},
		{"idle machine, no gain", 0.05, 80, 0},
		{"busy machine, not measured", 0.8, 0, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "processes", Open: open}}}
			tr.MaxConcurrency = 64
			tr.report.Kind = KindVerdict{Kind: Mixed, Certainty: Clear, CPUShare: Interval{Median: 0.4, Low: 0.4, High: 0.4}}
			tr.report.Machine = Machine{Processors: 2, Others: c.others}
			tr.add(0, 1).samples = []sample{{0, 100}}
			if c.rate > 0 {
				tr.add(1, 4).samples = []sample{{0, c.rate}}
			}
			level := 0
			if p := tr.likely(tr.finalists()); p != nil {
				level = p.level
			}
			if level != c.level {
				t.Errorf("likely() has concurrency %d, want %d", level, c.level)
			}
		})
	}
}

// TestFinalists_TinyTasks: an executor may need more CPU time for a tiny
// task than all processors have in the time of one sequential task. Then its
// high throughput shows only that other programs disturbed the measurements,
// and Run must not recommend it.
func TestFinalists_TinyTasks(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name  string
		run   time.Duration
		cpu   float64 // the CPU time of a task on the executor, as a multiple of that in a loop
		model int     // of the recommended point
	}{
		{"tiny tasks", time.Microsecond, 2.5, 0},
		{"short tasks", 100 * time.Microsecond, 1.2, 1},
		{"long tasks", 10 * time.Millisecond, 2.5, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "goroutines", Open: open}}}
			tr.MaxConcurrency = 2
			tr.report.Kind = KindVerdict{Kind: CPUBound, Certainty: Clear}
			tr.report.Machine = Machine{Processors: 2, Others: 0.6}
			tr.report.Profile.Usage = usage.Usage{Wall: c.run, CPU: c.run}
			base, other := tr.add(0, 1), tr.add(1, 2)
			base.samples, other.samples = []sample{{0, 100}}, []sample{{0, 170}}
			base.cpu = 1e-6
			other.cpu = c.cpu * base.cpu
			if chosen := tr.decide(tr.finalists(), false); chosen.model != c.model {
				t.Errorf("the recommended point is of model %d, want %d: %s", chosen.model, c.model, tr.report.Verdict.Sentence)
			}
		})
	}
}

// TestLikely_NoMeasuredGain: if the kind of the work recommends a point that
// lost in the measurements, the sentence must not give the loss as the reason.
func TestLikely_NoMeasuredGain(t *testing.T) {
	open := func(int, concert.Observer) (concert.Executor, error) { return nil, nil }
	for _, c := range []struct {
		name  string
		share float64 // of CPU time
		want  string
	}{
		{"waits", 0.02, "Use processes with concurrency 4: such work usually gains from concurrent tasks. The measurements do not show it: 0.31x"},
		{"computes", 1, "Use processes with concurrency 4: on 2 processors, such work can gain up to 2x. The measurements do not show it: 0.31x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trial{models: []Model{Sequential(), {Name: "processes", Open: open, Levels: []int{4, 8}}}}
			tr.MaxConcurrency, tr.Budget = 64, time.Second
			tr.report.Kind = KindVerdict{Kind: kindOf(c.share), Certainty: Clear, CPUShare: Interval{Median: c.share, Low: c.share, High: c.share}}
			tr.report.Machine = Machine{Processors: 2, Others: 0.8}
			tr.report.Profile.Usage = usage.Usage{Wall: 10 * time.Millisecond, CPU: time.Duration(c.share * 1e7)}
			for i, p := range []*point{tr.add(0, 1), tr.add(1, 4)} {
				p.tasks, p.samples = 10, []sample{{0, []float64{100, 31}[i]}}
			}
			tr.decide(tr.finalists(), false)
			if v := tr.report.Verdict; v.Certainty != Likely || !strings.Contains(v.Sentence, c.want) {
				t.Errorf("%s: %s\nwant %s", v.Certainty, v.Sentence, c.want)
			}
		})
	}
}
