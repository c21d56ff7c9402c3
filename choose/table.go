package choose

import (
	"fmt"
	"math"
	"strings"

	"concert/internal/units"
)

// String returns the report as text: the verdict, the code, the table, the
// reasons and the caveats.
func (r *Report) String() string {
	var b strings.Builder
	b.WriteString(r.Verdict.Sentence + "\n")
	if code := r.Verdict.CodeLines(); len(code) > 0 {
		b.WriteString("\n  " + strings.Join(code, "\n  ") + "\n")
	}
	b.WriteString("\n" + r.Table())
	for _, lines := range [][]string{r.Verdict.Reasons, r.Verdict.Caveats} {
		if len(lines) > 0 {
			b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
		}
	}
	return b.String()
}

// Table returns a table with a line for each point. An arrow marks the
// recommended point. Lines have at most 80 columns if the names of models have
// at most 22 characters.
func (r *Report) Table() string {
	width := len("model")
	split := false
	for _, p := range r.Points {
		width = max(width, len([]rune(p.Model)))
		split = split || p.Split != nil
	}
	var b strings.Builder
	line := func(mark, model, level, rate, gain, time, bar string) {
		text := fmt.Sprintf("%s %-*s %4s %8s  %-20s %8s %s", mark, width, model, level, rate, gain, time, bar)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	if split {
		line(" ", "model", "n", "tasks/s", "gain", "duration", "")
	} else {
		line(" ", "model", "n", "tasks/s", "gain", "", "")
	}
	for _, p := range r.Points {
		mark, gain, took := " ", units.Times(p.Gain.Median), ""
		if p.Model == r.Verdict.Model && p.Concurrency == r.Verdict.Concurrency {
			mark = ">"
		}
		if p.Gain.Confidence > 0 {
			gain = gainText(p.Gain)
		}
		if p.Split != nil {
			took = durationText(p.Split.CPU + p.Split.Wait + p.Split.Queue)
		}
		line(mark, p.Model, fmt.Sprint(p.Concurrency), units.Number(p.Rate.Median), gain, took, p.Split.bar())
	}
	if split {
		b.WriteString("\n  n: concurrency. A task: C computes, w waits, q queues behind other tasks.\n")
	} else {
		b.WriteString("\n  n: concurrency\n")
	}
	return b.String()
}

const barWidth = 10

// bar draws the parts of the duration of a task.
func (s *Split) bar() string {
	if s == nil {
		return ""
	}
	all := float64(max(1, s.CPU+s.Wait+s.Queue))
	computes := int(math.Round(barWidth * float64(s.CPU) / all))
	waits := int(math.Round(barWidth*float64(s.CPU+s.Wait)/all)) - computes
	return strings.Repeat("C", computes) + strings.Repeat("w", waits) + strings.Repeat("q", barWidth-computes-waits)
}
