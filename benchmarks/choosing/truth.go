package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"concert"
)

// point is a model at a level.
type point struct {
	Model string
	Level int
}

// String returns the point as it is in the tables.
func (p point) String() string {
	if p.Level == 1 {
		return p.Model
	}
	return fmt.Sprintf("%s, %d", p.Model, p.Level)
}

// points returns the points of a workload up to a level.
func (w *workload) points(highest int) (all []point) {
	for _, m := range w.models {
		levels := m.Levels
		if m.Open == nil {
			levels = []int{1}
		} else if levels == nil {
			levels = w.levels
		}
		for _, n := range levels {
			if n <= highest {
				all = append(all, point{m.Name, n})
			}
		}
	}
	return all
}

// truth measures the throughput of all points of a workload, in tasks per
// second. After one round, only points that are at least half as good as the
// best point remain. They are measured in two more rounds. Then only points
// that may be good remain, and are measured in five more rounds.
func truth(ctx context.Context, w *workload, highest int, length time.Duration) (map[point]float64, error) {
	rates := map[point]float64{}
	points := w.points(highest)
	for _, stage := range []struct {
		rounds int
		least  float64 // the minimum share of the best throughput for a point in this stage
	}{{1, 0}, {2, 0.5}, {5, 0.75}} {
		best := 0.0
		for _, p := range points {
			best = max(best, rates[p])
		}
		points = slices.DeleteFunc(points, func(p point) bool { return rates[p] < stage.least*best })
		measured, err := sweep(ctx, w, points, stage.rounds, length)
		if err != nil {
			return nil, err
		}
		for p, r := range measured {
			rates[p] = r
		}
	}
	return rates, nil
}

// bestOf returns the point with the highest throughput. If several points are
// equal, it returns the first of them by name and level.
func bestOf(rates map[point]float64) point {
	var all []point
	for p := range rates {
		all = append(all, p)
	}
	return slices.MinFunc(all, func(a, b point) int {
		return cmp.Or(cmp.Compare(rates[b], rates[a]), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Level, b.Level))
	})
}

// compared measures a point together with the best point. From the ratio of
// the two and the known throughput of the best point, it computes and returns
// the throughput of the point.
func compared(ctx context.Context, w *workload, p point, rates map[point]float64, length time.Duration) (float64, error) {
	best := bestOf(rates)
	both, err := sweep(ctx, w, []point{p, best}, 5, length)
	if err != nil {
		return 0, err
	}
	return both[p] / both[best] * rates[best], nil
}

// sweep measures points in rounds, in random order, and returns their
// throughput in tasks per second. The speed of the machine changes from round
// to round. So in each round, sweep divides the throughput of each point by the
// mean throughput of the round. The result for a point is the median of the
// point's ratios, multiplied by the median of the rounds' means.
func sweep(ctx context.Context, w *workload, points []point, n int, length time.Duration) (map[point]float64, error) {
	ratios := map[point][]float64{}
	var rounds []float64 // the geometric mean of each round
	for range n {
		rates := map[point]float64{}
		order := slices.Clone(points)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, p := range order {
			rate, err := measure(ctx, w, p, length)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			rates[p] = rate
		}
		logs := 0.0
		for _, r := range rates {
			logs += math.Log(r)
		}
		mean := math.Exp(logs / float64(len(rates)))
		rounds = append(rounds, mean)
		for p, r := range rates {
			ratios[p] = append(ratios[p], r/mean)
		}
	}
	slices.Sort(rounds)
	medians := map[point]float64{}
	for p, r := range ratios {
		slices.Sort(r)
		medians[p] = r[len(r)/2] * rounds[len(rounds)/2]
	}
	return medians, nil
}

// measure returns the throughput of a point. If at least 3% of the processor
// time was steal time, it repeats the measurement. It makes at most four
// measurements. It returns the measurement with the least steal time.
func measure(ctx context.Context, w *workload, p point, length time.Duration) (rate float64, err error) {
	lowest := math.Inf(1)
	for range 4 {
		before := readStat()
		r, err := measureOnce(ctx, w, p, length)
		if err != nil {
			return 0, err
		}
		stolen := readStat().stolenSince(before)
		if stolen < lowest {
			lowest, rate = stolen, r
		}
		if stolen < 0.03 {
			break
		}
	}
	return rate, nil
}

// measureOnce measures a point once. It doubles the number of tasks until they
// take the given time.
func measureOnce(ctx context.Context, w *workload, p point, length time.Duration) (float64, error) {
	var ex concert.Executor
	if open := w.model(p.Model).Open; open != nil {
		var err error
		if ex, err = open(p.Level, nil); err != nil {
			return 0, err
		}
		defer ex.Close()
	}
	if err := w.run(ctx, ex, 2*p.Level); err != nil { // warm up the executor
		return 0, err
	}
	for tasks := 4 * p.Level; ; tasks *= 2 {
		begin := time.Now()
		if err := w.run(ctx, ex, tasks); err != nil {
			return 0, err
		}
		if took := time.Since(begin); took >= length {
			return float64(tasks) / took.Seconds(), nil
		}
	}
}
