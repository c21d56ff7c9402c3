package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"concert/choose"
)

// scenario has the conditions of a run of package choose.
type scenario struct {
	Budget time.Duration
	Load   float64 // the share of one processor that another program uses, from 0 to 1
	Bursts bool
}

// allScenarios returns the scenarios of the tables, for each different budget.
// A program that computes all of the time has no bursts.
func allScenarios(budgets ...time.Duration) (all []scenario) {
	for i, b := range budgets {
		if slices.Contains(budgets[:i], b) {
			continue
		}
		all = append(all, scenario{b, 0, false}, scenario{b, 0.25, false}, scenario{b, 0.25, true},
			scenario{b, 0.5, false}, scenario{b, 0.5, true}, scenario{b, 1, false})
	}
	return all
}

// load returns the load as text.
func (s scenario) load() string {
	switch {
	case s.Load == 0:
		return "idle"
	case s.Bursts:
		return fmt.Sprintf("%.0f%%, bursts", 100*s.Load)
	}
	return fmt.Sprintf("%.0f%%", 100*s.Load)
}

// outcome is the result of a run of package choose.
type outcome struct {
	Scenario  scenario
	Kind      choose.Kind
	Point     point // the recommendation
	Certainty choose.Certainty
	Took      time.Duration
	Stolen    float64 // the share of steal time in the processor time
	Report    string  // the report of package choose as text
}

// measured is the throughput of a point, without package choose.
type measured struct {
	Point point
	Rate  float64
}

// entry is a line of the file with the results. The first line has the machine.
// Other lines have a workload, and either the throughput of its points or a
// run.
type entry struct {
	Machine  string     `json:",omitempty"`
	Workload string     `json:",omitempty"`
	Truth    []measured `json:",omitempty"`
	Run      *outcome   `json:",omitempty"`
}

// study measures workloads in scenarios.
type study struct {
	workloads []*workload
	scenarios []scenario
	runs      int // the number of runs for each workload and scenario
	highest   int // the highest concurrency
	length    time.Duration

	file  *os.File // nil if the results are not kept
	truth map[string]map[point]float64
	done  map[string][]outcome
}

// machine returns a text that must be the same for all results of a file.
func (s *study) machine() string {
	return fmt.Sprintf("%s, %s/%s, %d processors, concurrency up to %d", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), s.highest)
}

// open reads the results of an interrupted study from the named file, and
// prepares to append to it. An empty name means that there is no file.
func (s *study) open(name string) (err error) {
	s.truth, s.done = map[string]map[point]float64{}, map[string][]outcome{}
	if name == "" {
		return nil
	}
	if s.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return err
	}
	text, err := io.ReadAll(s.file)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1 // the last line is incomplete if the command was killed while it wrote
	if err := s.file.Truncate(int64(whole)); err != nil {
		return err
	}
	if _, err := s.file.Seek(int64(whole), io.SeekStart); err != nil {
		return err
	}
	if whole == 0 {
		return s.add(entry{Machine: s.machine()})
	}
	for line := range bytes.Lines(text[:whole]) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("%s: %w: remove the file, or use another one", name, err)
		}
		if e.Machine != "" && e.Machine != s.machine() {
			return fmt.Errorf("%s has the results of %s, and this is %s: use another file", name, e.Machine, s.machine())
		}
		s.use(e)
	}
	return nil
}

// use adds an entry to the results in memory.
func (s *study) use(e entry) {
	for _, m := range e.Truth {
		if s.truth[e.Workload] == nil {
			s.truth[e.Workload] = map[point]float64{}
		}
		s.truth[e.Workload][m.Point] = m.Rate
	}
	if e.Run != nil {
		s.done[e.Workload] = append(s.done[e.Workload], *e.Run)
	}
}

// add adds an entry to the results in memory and to the file.
func (s *study) add(e entry) error {
	s.use(e)
	if s.file == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = s.file.Write(append(line, '\n'))
	return err
}

// ran returns the number of finished runs of a workload in a scenario.
func (s *study) ran(id string, c scenario) (n int) {
	for _, o := range s.done[id] {
		if o.Scenario == c {
			n++
		}
	}
	return n
}

// measure makes all measurements that are not done yet. Each repetition covers
// all workloads and scenarios, so that an interrupted study has some results of
// each.
func (s *study) measure(ctx context.Context) error {
	left := 0
	for _, w := range s.workloads {
		for _, c := range s.scenarios {
			left += max(0, s.runs-s.ran(w.id, c))
		}
	}
	begin, made := time.Now(), 0
	for n := range s.runs {
		for _, w := range s.workloads {
			if len(s.truth[w.id]) == 0 {
				rates, err := truth(ctx, w, s.highest, s.length)
				if err != nil {
					return fmt.Errorf("%s: %w", w.id, err)
				}
				if err := s.add(entry{Workload: w.id, Truth: listed(rates)}); err != nil {
					return err
				}
			}
			for _, c := range s.scenarios {
				if s.ran(w.id, c) > n {
					continue
				}
				if err := s.run(ctx, w, c); err != nil {
					return fmt.Errorf("%s: %w", w.id, err)
				}
				made++
				rest := time.Since(begin) / time.Duration(made) * time.Duration(left-made)
				fmt.Fprintf(os.Stderr, "%s, budget %v, load %s: %d of %d runs are done; about %v left\n", w.id, c.Budget, c.load(), made, left, rest.Round(time.Minute))
			}
		}
	}
	return s.complete(ctx)
}

// listed returns rates as a list.
func listed(rates map[point]float64) (all []measured) {
	for p, r := range rates {
		all = append(all, measured{p, r})
	}
	return all
}

// run runs package choose once.
func (s *study) run(ctx context.Context, w *workload, c scenario) error {
	if c.Load > 0 {
		stop, err := neighbor{c.Load, c.Bursts}.start()
		if err != nil {
			return err
		}
		defer stop()
	}
	r, err := w.choose(ctx, &choose.Options{Budget: c.Budget, MaxConcurrency: s.highest})
	if err != nil {
		return err
	}
	return s.add(entry{Workload: w.id, Run: &outcome{
		Scenario: c, Kind: r.Kind.Kind, Point: point{r.Verdict.Model, r.Verdict.Concurrency}, Certainty: r.Verdict.Certainty,
		Took: r.Took, Stolen: r.Machine.Stolen, Report: r.String(),
	}})
}

// complete measures the recommended points that are at levels between the
// levels of the truth.
func (s *study) complete(ctx context.Context) error {
	for _, w := range s.workloads {
		for _, o := range s.done[w.id] {
			if _, ok := s.truth[w.id][o.Point]; ok {
				continue
			}
			rate, err := compared(ctx, w, o.Point, s.truth[w.id], s.length)
			if err != nil {
				return fmt.Errorf("%s: %w", w.id, err)
			}
			if err := s.add(entry{Workload: w.id, Truth: []measured{{o.Point, rate}}}); err != nil {
				return err
			}
		}
	}
	return nil
}
