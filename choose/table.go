package choose

import (
	"fmt"
	"math"
	"strings"

	"concert/internal/units"
)

// String is the report as text: the answer, the line to use, the table, the
// reasons and the caveats.
func (r *Report) String() string {
	var b strings.Builder
	b.WriteString(r.Verdict.Sentence + "\n")
	if r.Verdict.Code != "" {
		b.WriteString("\n  " + r.Verdict.Code + "\n")
	}
	b.WriteString("\n" + r.Table())
	for _, lines := range [][]string{r.Verdict.Reasons, r.Verdict.Caveats} {
		if len(lines) > 0 {
			b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
		}
	}
	return b.String()
}

// Table has a line for each point, of 80 columns at most unless a model has a
// long name; an arrow marks the one of the answer.
func (r *Report) Table() string {
	width := len("model")
	split := false
	for _, p := range r.Points {
		width = max(width, len([]rune(p.Model)))
		split = split || p.Split != nil
	}
	var b strings.Builder
	line := func(mark, model, level, rate, gain, time, bar string) {
		text := fmt.Sprintf("%s %-*s %4s %8s  %-20s %7s %s", mark, width, model, level, rate, gain, time, bar)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	if split {
		line(" ", "model", "n", "a second", "gain", "a task", "")
	} else {
		line(" ", "model", "n", "a second", "gain", "", "")
	}
	for _, p := range r.Points {
		mark, gain, took := " ", units.Times(p.Gain.Median), ""
		if p.Model == r.Verdict.Model && p.Concurrency == r.Verdict.Concurrency {
			mark = ">"
		}
		if p.Gain.Confidence > 0 {
			gain = spelled(p.Gain)
		}
		if p.Split != nil {
			took = length(p.Split.CPU + p.Split.Wait + p.Split.Queue)
		}
		line(mark, p.Model, fmt.Sprint(p.Concurrency), units.Number(p.Rate.Median), gain, took, p.Split.bar())
	}
	if split {
		b.WriteString("\n  n: tasks at a time. A task: C computes, w waits, q queues for its turn.\n")
	} else {
		b.WriteString("\n  n: tasks at a time\n")
	}
	return b.String()
}

const barWidth = 10

// bar shows where the time of a task goes.
func (s *Split) bar() string {
	if s == nil {
		return ""
	}
	all := float64(max(1, s.CPU+s.Wait+s.Queue))
	computes := int(math.Round(barWidth * float64(s.CPU) / all))
	waits := int(math.Round(barWidth*float64(s.CPU+s.Wait)/all)) - computes
	return strings.Repeat("C", computes) + strings.Repeat("w", waits) + strings.Repeat("q", barWidth-computes-waits)
}
