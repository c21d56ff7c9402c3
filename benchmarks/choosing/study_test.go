package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/choose"
)

// TestStudy_Continues: a study that is killed while it writes a line must
// continue with the next run, and must not measure the truth again. Its tables
// must have all runs.
func TestStudy_Continues(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results")
	chosen := 0
	work := &workload{
		id: "nap", about: "naps", kind: choose.IOBound, levels: []int{1},
		models: []choose.Model{choose.Sequential()},
		run:    func(context.Context, concert.Executor, int) error { return nil },
	}
	work.choose = func(context.Context, *choose.Options) (*choose.Report, error) {
		chosen++
		r := &choose.Report{Kind: choose.KindVerdict{Kind: choose.IOBound}}
		r.Verdict = choose.Verdict{Certainty: choose.Clear, Model: "sequential execution", Concurrency: 2}
		return r, nil
	}
	best := point{"sequential execution", 1}
	start := func(highest int) (*study, error) {
		s := &study{workloads: []*workload{work}, runs: 2, highest: highest, scenarios: []scenario{{Budget: time.Second}, {Budget: 5 * time.Second}}}
		return s, s.open(file)
	}
	s, err := start(64)
	if err != nil {
		t.Fatal(err)
	}
	truth := []measured{{best, 100}, {point{best.Model, 2}, 50}}
	if err := s.add(entry{Workload: "nap", Truth: truth}); err != nil {
		t.Fatal(err)
	}
	if err := s.run(t.Context(), work, s.scenarios[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.file.WriteString(`{"Workload":"nap","Run":{"Sc`); err != nil {
		t.Fatal(err)
	}
	s.file.Close()

	if s, err = start(64); err != nil {
		t.Fatal(err)
	}
	if err := s.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if chosen != 4 || s.truth["nap"][best] != 100 {
		t.Errorf("%d runs of choose, and the throughput of the best point is %v; want 4 and 100", chosen, s.truth["nap"][best])
	}
	var out, failures strings.Builder
	s.print(&out, &failures)
	for _, want := range []string{
		"| naps | sequential execution: 100/s | sequential execution, 2 (2) | 0/2, 2 wrong (0.50) |",
		"| 5s | idle | 2 | 2 | 0 | 0 | 0 | 2 | 0.0 s | 0% |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if n := strings.Count(failures.String(), "0.50 of the best, clear"); n != 4 {
		t.Errorf("%d reports of wrong verdicts, want 4", n)
	}
	if _, err := start(8); err == nil || !strings.Contains(err.Error(), "use another file") {
		t.Errorf("a file of another machine: %v", err)
	}
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "\n") != 6 {
		t.Errorf("%v, the file is\n%s", err, text)
	}
}

// TestAllScenarios_EqualBudgets: with -budget 5s, both budgets are equal, and
// the tables must have each load only once.
func TestAllScenarios_EqualBudgets(t *testing.T) {
	one, two := allScenarios(5*time.Second), allScenarios(5*time.Second, 5*time.Second)
	if !slices.Equal(one, two) {
		t.Errorf("%d scenarios for the same budget twice, want %d", len(two), len(one))
	}
}

// TestNamed: if no workload has a name, named must return an error.
func TestNamed(t *testing.T) {
	all := []*workload{{id: "cpu"}, {id: "wait"}}
	if some, err := named(all, []string{"wait"}); err != nil || len(some) != 1 || some[0] != all[1] {
		t.Errorf("the workload wait: %v, %v", some, err)
	}
	if some, err := named(all, []string{"wait", "slep"}); err == nil || !strings.Contains(err.Error(), `"slep"`) {
		t.Errorf("an unknown name: %v, %v", some, err)
	}
}
