package choose

import (
	"strings"
	"testing"
	"time"

	"concert/choose"
)

// step returns a step of Run after the given number of points were measured.
func step(points int) choose.Step {
	s := choose.Step{
		Model: "threads of 2 interpreters", Concurrency: 128, Elapsed: 7400 * time.Millisecond, Runs: 12345, Round: 3, Best: -1,
		Kind: &choose.KindVerdict{Kind: choose.IOBound, Sentence: "I/O-bound: a run waits for 98% of its time, so run many tasks concurrently."},
	}
	for i := range points {
		rate := float64(50 * (i + 1))
		s.Points = append(s.Points, choose.Point{
			Model: "threads", Concurrency: i + 1, Rounds: 6,
			Rate: choose.Interval{Median: rate}, Gain: choose.Interval{Median: rate / 50, Low: rate / 60, High: rate / 40, Confidence: 0.97},
		})
		s.Best = i
	}
	return s
}

// TestLive_Lines: the lines must say what runs, what kind of work it is, the
// throughput of each point, and which point is the best.
func TestLive_Lines(t *testing.T) {
	var f follower
	f.Budget = 20 * time.Second
	got := strings.Join(f.lines(step(2), 60, 24), "\n")
	want := `7 s of 20s, 12,345 runs. Now: threads of 2 interpreters ...
I/O-bound: a run waits for 98% of its time, so run many ...

  threads    1       50/s #################
> threads    2      100/s #################################
Best so far: threads with concurrency 2: 1.67x to 2.5x (...`
	if got != want {
		t.Errorf("lines:\n%s\nwant:\n%s", got, want)
	}
}

// TestLive_FitsTerminal: with any number of points, the lines must fit the
// terminal. The best point must be among them.
func TestLive_FitsTerminal(t *testing.T) {
	var f follower
	for _, size := range [][2]int{{80, 24}, {20, 10}, {1, 1}, {200, 60}} {
		for points := range 70 {
			lines := f.lines(step(points), size[0], size[1])
			if len(lines) > max(size[1]-1, 9) {
				t.Errorf("%d points: %d lines on %d rows", points, len(lines), size[1])
			}
			best := points == 0
			for _, line := range lines {
				if len([]rune(line)) >= max(2, size[0]) {
					t.Errorf("%d points: %q on %d columns", points, line, size[0])
				}
				best = best || strings.HasPrefix(line, ">") || size[0] == 1
			}
			if !best {
				t.Errorf("%d points: the best point is missing: %q", points, lines)
			}
		}
	}
}

// TestLive_Draw: the lines of a step must replace those of the step before it,
// and clear must remove them.
func TestLive_Draw(t *testing.T) {
	var out strings.Builder
	v := liveView{w: &out}
	v.draw([]string{"a", "b"})
	v.draw([]string{"c"})
	v.draw(nil)
	v.draw(nil)
	if want := "a\nb\n\x1b[2A\r\x1b[Jc\n\x1b[1A\r\x1b[J"; out.String() != want {
		t.Errorf("draw wrote %q, want %q", out.String(), want)
	}
}
