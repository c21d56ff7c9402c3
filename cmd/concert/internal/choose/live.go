package choose

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"concert/choose"
	"concert/cmd/concert/internal/cli"
	"concert/internal/units"
)

// liveView shows the steps of Run on a terminal. Each step replaces the lines
// of the step before it.
type liveView struct {
	w     io.Writer
	drawn int // the number of lines that are on the terminal
}

func (v *liveView) draw(lines []string) {
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", v.drawn)
	}
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	v.drawn = len(lines)
	io.WriteString(v.w, b.String())
}

// size returns the size of the terminal, or 80 columns and 24 rows.
func (v *liveView) size() (columns, rows int) {
	if f, ok := v.w.(*os.File); ok {
		if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return 80, 24
}

// lines returns what is known at a step, as lines that fit the terminal: what
// runs now, the kind of the work, a plot of the throughput, and the best point.
func (f *follower) lines(s choose.Step, columns, rows int) []string {
	now := s.String()
	if s.Round > 0 {
		now += fmt.Sprintf(", round %d", s.Round)
	}
	all := []string{fmt.Sprintf("%.0f s of %s, %s runs. Now: %s", s.Elapsed.Seconds(), shortTime(f.Budget), cli.Thousands(int64(s.Runs)), now)}
	if s.Kind != nil {
		all = append(all, s.Kind.Sentence)
	}
	if len(s.Points) > 0 {
		best := s.Points[s.Best]
		plotted, left := plot(s, columns, rows-6)
		all = append(append(all, ""), plotted...)
		if left > 0 {
			all = append(all, fmt.Sprintf("  (and %d that are slower)", left))
		}
		all = append(all, fmt.Sprintf("Best so far: %s: %s", choose.Step{Model: best.Model, Concurrency: best.Concurrency}, gain(best)))
	}
	for i, line := range all {
		all[i] = cut(line, columns-1) // without the last column, because terminals use it in different ways
	}
	return all
}

// gain returns the gain of a point, and the number of its measurements.
func gain(p choose.Point) string {
	switch {
	case p.Gain.Confidence == 0:
		return units.Times(p.Gain.Median) + ", measured once"
	case p.Rounds < 6:
		return fmt.Sprintf("%s to %s, in %d rounds", units.Times(p.Gain.Low), units.Times(p.Gain.High), p.Rounds)
	}
	return fmt.Sprintf("%s to %s (%.0f%% confidence)", units.Times(p.Gain.Low), units.Times(p.Gain.High), 100*p.Gain.Confidence)
}

// plot draws a bar for the throughput of each point. If there are more points
// than rows, it leaves the slowest ones out, and returns their number.
func plot(s choose.Step, columns, rows int) (lines []string, left int) {
	shown := make([]int, len(s.Points)) // indexes of points
	width, highest := 0, 0.0
	for i, p := range s.Points {
		shown[i] = i
		width = max(width, utf8.RuneCountInString(p.Model))
		highest = max(highest, p.Rate.Median)
	}
	for len(shown) > max(rows, 3) {
		slowest := slices.MinFunc(shown, func(a, b int) int {
			return int(math.Copysign(1, s.Points[a].Rate.Median-s.Points[b].Rate.Median))
		})
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == slowest })
		left++
	}
	for _, i := range shown {
		p, mark := s.Points[i], " "
		if i == s.Best {
			mark = ">"
		}
		text := fmt.Sprintf("%s %-*s %4d %8s/s ", mark, width, p.Model, p.Concurrency, units.Number(p.Rate.Median))
		room := max(0, columns-1-utf8.RuneCountInString(text))
		if highest > 0 {
			text += strings.Repeat("#", int(math.Round(float64(room)*p.Rate.Median/highest)))
		}
		lines = append(lines, text)
	}
	return lines, left
}

// cut shortens a line to a number of columns.
func cut(line string, columns int) string {
	r := []rune(line)
	if len(r) <= columns {
		return line
	}
	if columns < 4 {
		return string(r[:max(0, columns)])
	}
	return string(r[:columns-3]) + "..."
}
