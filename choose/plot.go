package choose

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"concert/choose/usage"
	"concert/internal/units"
)

// chart is a drawing of throughput by concurrency, 480 units wide.
type chart struct {
	Height  int
	FootY   int
	Log     bool
	Rows    []gridRow
	Columns []label
	Series  []series
}

type gridRow struct {
	X1, X2, Y, TextX, TextY float64
	Text                    string
}

type label struct {
	X, Y float64
	Text string
}

type series struct {
	Name, Class, Path, Sample string
	Marks                     []mark
}

type mark struct {
	X, Y        float64
	Chosen      bool
	Interval    string // the path of the interval; empty if the point has no interval
	Shape, Text string
}

const (
	chartHeight    = 290
	left, right    = 52.0, 470.0
	top, bottom    = 22.0, 248.0
	maxLinearRatio = 20 // above this ratio of the largest to the smallest throughput, the scale is logarithmic
	seriesColors   = 6
)

// scale maps values to positions. A scale is linear or logarithmic.
type scale struct {
	from, to  float64 // the ends of the range of values
	low, high float64 // the positions of the two ends
	log       bool
}

func (s scale) at(v float64) float64 {
	if s.log {
		v = max(v, s.from)
		return round(s.low + (s.high-s.low)*math.Log(v/s.from)/math.Log(s.to/s.from))
	}
	return round(s.low + (s.high-s.low)*(v-s.from)/(s.to-s.from))
}

func round(x float64) float64 { return math.Round(10*x) / 10 }

// curves returns the drawing of the points, or nil if there is only one level
// or no task succeeded.
func (r *Report) curves() *chart {
	models := r.models()
	highest, maxRate, minRate := 1, 0.0, math.Inf(1)
	for _, p := range r.Points {
		highest = max(highest, p.Concurrency)
		maxRate = max(maxRate, p.Rate.Median, p.Rate.High)
		if p.Rate.Median > 0 {
			minRate = min(minRate, p.Rate.Median)
		}
	}
	if highest == 1 || maxRate == 0 {
		return nil
	}
	c := &chart{Height: chartHeight, FootY: chartHeight - 4, Log: maxRate > maxLinearRatio*minRate}
	x := scale{1, float64(highest), left, right, true}
	y := scale{0, maxRate * 1.08, bottom, top, false}
	if c.Log {
		y = scale{minRate / 1.3, maxRate * 1.3, bottom, top, true}
	}
	for _, v := range ticks(y) {
		at := y.at(v)
		c.Rows = append(c.Rows, gridRow{left, right, at, left - 6, at + 4, units.Number(v)})
	}
	for n := 1; n <= highest; n *= 2 {
		c.Columns = append(c.Columns, label{x.at(float64(n)), bottom + 18, fmt.Sprint(n)})
	}
	for i, name := range models {
		s := series{Name: name, Class: fmt.Sprintf("s%d", i%seriesColors), Sample: symbol(i, 7, 5, 4)}
		var path strings.Builder
		for _, p := range r.Points {
			if p.Model != name {
				continue
			}
			m := mark{
				X: x.at(float64(p.Concurrency)), Y: y.at(p.Rate.Median), Chosen: r.chosen(p),
				Text: fmt.Sprintf("%s: %s tasks per second, %s", pointName(name, p.Concurrency), units.Number(p.Rate.Median), gainText(p.Gain)),
			}
			m.Shape = symbol(i, m.X, m.Y, 3.5)
			if p.Rate.Confidence > 0 {
				m.Interval = fmt.Sprintf("M%g %gh8m-4 0V%gm-4 0h8", m.X-4, y.at(p.Rate.Low), y.at(p.Rate.High))
			}
			s.Marks = append(s.Marks, m)
			fmt.Fprintf(&path, "%s%g %g", map[bool]string{true: "M", false: "L"}[path.Len() == 0], m.X, m.Y)
		}
		s.Path = path.String()
		c.Series = append(c.Series, s)
	}
	return c
}

// models returns the names of the models that have points.
func (r *Report) models() (names []string) {
	for _, p := range r.Points {
		if !slices.Contains(names, p.Model) {
			names = append(names, p.Model)
		}
	}
	return names
}

// ticks returns four to eight round values on a scale.
func ticks(s scale) (all []float64) {
	if s.log {
		for _, factors := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
			all = all[:0]
			for p := math.Pow(10, math.Floor(math.Log10(s.from))); p <= s.to; p *= 10 {
				for _, f := range factors {
					if v := p * f; v >= s.from && v <= s.to {
						all = append(all, v)
					}
				}
			}
			if len(all) <= 8 {
				break
			}
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10(s.to/4)))
	for _, f := range []float64{1, 2, 5, 10} {
		if s.to/(step*f) <= 7 {
			step *= f
			break
		}
	}
	for v := 0.0; v <= s.to; v += step {
		all = append(all, v)
	}
	return all
}

// symbol returns the mark of a series as an SVG path. The marks of series
// differ in shape, so that a reader need not distinguish colors.
func symbol(i int, x, y, r float64) string {
	switch i % 5 {
	case 0: // square
		return fmt.Sprintf("M%g %gh%gv%gh%gz", x-r, y-r, 2*r, 2*r, -2*r)
	case 1: // disc
		return fmt.Sprintf("M%g %ga%g %g 0 1 0 %g 0a%g %g 0 1 0 %g 0z", x-r, y, r, r, 2*r, r, r, -2*r)
	case 2: // triangle
		return fmt.Sprintf("M%g %gl%g %gh%gz", x, y-1.2*r, 1.2*r, 2.1*r, -2.4*r)
	case 3: // diamond
		return fmt.Sprintf("M%g %gl%g %gl%g %gl%g %gz", x, y-1.3*r, 1.3*r, 1.3*r, -1.3*r, 1.3*r, -1.3*r, -1.3*r)
	}
	return fmt.Sprintf("M%g %gl%g %gh%gz", x, y+1.2*r, 1.2*r, -2.1*r, -2.4*r) // triangle, upside down
}

// timeline is a drawing of the tasks of the recommended point, by worker and
// time, in its last measurement.
type timeline struct {
	Height float64
	Ticks  []tick
	Rows   []gridRow // some rows have a number, and a line below
	Bars   []bar
	Text   string
}

type tick struct {
	X, Y, TextY float64
	Text        string
}

type bar struct {
	Class               string
	X, Y, Width, Height float64
}

const (
	maxRows          = 64   // the maximum number of rows in a timeline
	minLabelDistance = 20.0 // the minimum distance between the numbers of rows
)

// timeline returns the drawing of the tasks, or nil if there are none.
func (r *Report) timeline() *timeline {
	p := r.point(r.Verdict.Model, r.Verdict.Concurrency)
	if p == nil || len(p.Spans) == 0 {
		return nil
	}
	spans := p.Spans
	var end time.Duration
	rows := 0
	type row struct {
		worker int
		until  time.Duration
	}
	var busy []row // a worker has one row for each task that it runs at the same time
	placed := make([]int, len(spans))
	for i, s := range spans {
		placed[i] = slices.IndexFunc(busy, func(r row) bool { return r.worker == s.Worker && r.until <= s.Start })
		if placed[i] < 0 {
			placed[i] = len(busy)
			busy = append(busy, row{worker: s.Worker})
		}
		busy[placed[i]].until = s.End
		end = max(end, s.End)
	}
	rows = min(len(busy), maxRows)
	// Draw only the first tasks, about twelve for each row.
	if wanted := spans[min(len(spans), 12*rows)-1].End; wanted < end {
		end = wanted
	}
	if end <= 0 {
		return nil // the clock is so coarse that all tasks begin and end at the same time
	}
	const first, last = 28.0, 474.0 // the positions of the ends of the time axis
	height := max(6, min(16, 260/float64(rows)))
	t := &timeline{Height: round(height*float64(rows) + 22)}
	x := scale{0, end.Seconds(), first, last, false}
	step := 2
	for float64(step)*height < minLabelDistance {
		step *= 2
	}
	for i := 1; i <= rows; i++ {
		if i == 1 || i%step == 0 {
			at := height * float64(i)
			t.Rows = append(t.Rows, gridRow{first, last, round(at - height*0.1), first - 6, round(at - height*0.4 + 4), fmt.Sprint(i)})
		}
	}
	for i, s := range spans {
		if placed[i] >= rows || s.Start >= end {
			continue
		}
		class := "fill"
		if s.Failed {
			class = "failed"
		}
		from, to := x.at(s.Start.Seconds()), x.at(min(s.End, end).Seconds())
		t.Bars = append(t.Bars, bar{class, from, round(float64(placed[i]) * height), round(max(0.4, to-from-0.6)), round(height * 0.8)})
	}
	for _, v := range ticks(scale{0, end.Seconds(), 0, 1, false}) {
		at := x.at(v)
		if v > end.Seconds()*0.97 {
			continue
		}
		t.Ticks = append(t.Ticks, tick{at, round(height * float64(rows)), round(height*float64(rows) + 15), durationText(time.Duration(v * 1e9))})
	}
	t.Text = fmt.Sprintf("%s: the first %s of the last measurement. Each row is a worker or a slot of a worker, and each bar a task.", capitalize(pointName(p.Model, p.Concurrency)), durationText(end))
	if len(busy) > rows {
		t.Text += fmt.Sprintf(" The first %d of %d rows.", rows, len(busy))
	}
	return t
}

func quantityText(u Profile, what usage.Quantity) string {
	switch what {
	case usage.CPUTime:
		return fmt.Sprintf("%s (%s)", durationText(u.CPU), percent(u.CPUShare()))
	case usage.RunDelay:
		return durationText(u.RunDelay)
	case usage.Bytes:
		return fmt.Sprintf("%s, %s", units.Bytes(u.Read), units.Bytes(u.Written))
	case usage.PeakMemory:
		return units.Bytes(u.Memory)
	case usage.Switches:
		return fmt.Sprintf("%d, %d forced", u.Switches, u.Forced)
	}
	return ""
}
