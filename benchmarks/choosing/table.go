package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"concert/choose"
)

// good is the share of the best throughput that a recommended point must reach.
const good = 0.85

// count has the numbers of the verdicts of a cell or a line of a table.
type count struct {
	runs, kind, within, likely, unclear, wrong int
	lowest                                     float64 // the lowest share of the best throughput
	took                                       time.Duration
	stolen                                     float64 // the sum of the shares of steal time of all runs
}

// add counts a verdict whose point has a share of the best throughput.
func (c *count) add(o outcome, kind choose.Kind, share float64) {
	if c.runs == 0 || share < c.lowest {
		c.lowest = share
	}
	c.runs++
	c.took += o.Took
	c.stolen += o.Stolen
	if o.Kind == kind {
		c.kind++
	}
	switch {
	case share >= good:
		c.within++
	case o.Certainty == choose.Likely:
		c.likely++
	case o.Certainty == choose.Unclear:
		c.unclear++
	default:
		c.wrong++
	}
}

// String returns the text of a cell: the number of verdicts within 15% of the
// best throughput, the certainty of the other verdicts, and the lowest share.
func (c *count) String() string {
	if c.runs == 0 {
		return ""
	}
	text := fmt.Sprintf("%d/%d", c.within, c.runs)
	for _, other := range []struct {
		n    int
		name string
	}{{c.likely, "likely"}, {c.unclear, "not sure"}, {c.wrong, "wrong"}} {
		if other.n > 0 {
			text += fmt.Sprintf(", %d %s", other.n, other.name)
		}
	}
	return fmt.Sprintf("%s (%.2f)", text, c.lowest)
}

// print writes the tables, and the reports of wrong and unclear verdicts to
// failures.
func (s *study) print(w, failures io.Writer) {
	fmt.Fprintln(w, s.machine())
	budgets := map[time.Duration][]scenario{}
	for _, c := range s.scenarios {
		budgets[c.Budget] = append(budgets[c.Budget], c)
	}
	for _, b := range slices.Sorted(maps.Keys(budgets)) {
		fmt.Fprintf(w, "\nBudget %v:\n\n| work | best point | recommended |", b)
		for _, c := range budgets[b] {
			fmt.Fprintf(w, " %s |", c.load())
		}
		fmt.Fprintf(w, "\n|---|---|---|%s\n", strings.Repeat("---|", len(budgets[b])))
		for _, load := range s.workloads {
			s.printLine(w, failures, load, budgets[b])
		}
	}
	fmt.Fprint(w, "\n| budget | load | runs | kind right | within 15% | likely | not sure | wrong | duration | steal time |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range s.scenarios {
		var sum count
		for _, load := range s.workloads {
			s.each(load, c, func(o outcome, share float64) { sum.add(o, load.kind, share) })
		}
		n := max(1, sum.runs)
		fmt.Fprintf(w, "| %v | %s | %d | %d | %d | %d | %d | %d | %.1f s | %.0f%% |\n", c.Budget, c.load(), sum.runs, sum.kind, sum.within, sum.likely, sum.unclear, sum.wrong,
			(sum.took / time.Duration(n)).Seconds(), 100*sum.stolen/float64(n))
	}
}

// each calls f for all runs of a workload in a scenario, with the share of the
// best throughput.
func (s *study) each(w *workload, c scenario, f func(o outcome, share float64)) {
	rates := s.truth[w.id]
	for _, o := range s.done[w.id] {
		if o.Scenario == c {
			f(o, rates[o.Point]/rates[bestOf(rates)])
		}
	}
}

// printLine writes the line of a workload.
func (s *study) printLine(w, failures io.Writer, load *workload, scenarios []scenario) {
	rates := s.truth[load.id]
	if len(rates) == 0 {
		return
	}
	points := map[point]int{}
	var cells []string
	for _, c := range scenarios {
		var cell count
		s.each(load, c, func(o outcome, share float64) {
			cell.add(o, load.kind, share)
			points[o.Point]++
			if o.Kind != load.kind || o.Certainty == choose.Unclear || share < good && o.Certainty != choose.Likely {
				fmt.Fprintf(failures, "%s, budget %v, load %s: %.2f of the best, %s\n%s\n", load.id, c.Budget, c.load(), share, o.Certainty, o.Report)
			}
		})
		cells = append(cells, cell.String())
	}
	best := bestOf(rates)
	fmt.Fprintf(w, "| %s | %s: %.4g/s | %s | %s |\n", load.about, best, rates[best], byFrequency(points), strings.Join(cells, " | "))
}

// byFrequency returns a text that lists points, the most frequent first.
func byFrequency(points map[point]int) string {
	all := slices.SortedFunc(maps.Keys(points), func(a, b point) int {
		return cmp.Or(points[b]-points[a], cmp.Compare(a.Model, b.Model), a.Level-b.Level)
	})
	var parts []string
	for _, p := range all {
		parts = append(parts, fmt.Sprintf("%s (%d)", p, points[p]))
	}
	return strings.Join(parts, "; ")
}
