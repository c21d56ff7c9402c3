// Command choosing checks the verdicts of package choose. It measures each
// workload under every model at every level, without package choose. Then it
// runs package choose repeatedly, and compares the recommended points to the
// best point.
//
//	go run ./benchmarks/choosing             all workloads, in one or two hours
//	go run ./benchmarks/choosing -only cpu,wait -runs 3 -budget 10s
//	go run ./benchmarks/choosing -load 0.5 -bursts   beside a program that computes half of the time
//	go run ./benchmarks/choosing -adaptive           package adaptive instead, in four minutes
//
// With -adaptive it compares the adaptive limit to the best fixed limit, on
// HTTP servers that handle some number of requests concurrently.
//
// Nothing else should run on the machine.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"concert"
	"concert/choose"
	"concert/processes"
)

// good is the share of the best throughput that a recommended point must reach.
const good = 0.85

func main() {
	processes.Main()
	log.SetFlags(0)
	runs := flag.Int("runs", 20, "how often to run choose, for each workload")
	budget := flag.Duration("budget", 20*time.Second, "time limit of each run of choose")
	only := flag.String("only", "", "names of workloads, separated by commas")
	highest := flag.Int("max", 64, "highest concurrency")
	load := flag.Float64("load", 0, "while choose measures, run a program that uses this share of one processor, 0 to 1")
	bursts := flag.Bool("bursts", false, "the program of -load computes in bursts of up to 0.7 s, and not steadily")
	length := flag.Duration("length", 600*time.Millisecond, "how long to measure a point")
	tuning := flag.Bool("adaptive", false, "compare the adaptive limit to fixed limits, and do not run choose")
	compute := flag.Bool("compute", false, "run as the program that -load starts")
	flag.Parse()
	if *load < 0 || *load > 1 {
		log.Fatal("-load takes a number from 0 to 1")
	}
	other := neighbor{*load, *bursts}
	if *compute {
		other.run()
		return
	}
	if *tuning {
		if err := compareAdaptive(context.Background(), *highest, *length, other); err != nil {
			log.Fatal(err)
		}
		return
	}
	all, done, err := workloads()
	if err != nil {
		log.Fatal(err)
	}
	defer done()
	fmt.Printf("%s, %s/%s, %d processors; %d runs of at most %v each; concurrency up to %d\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), *runs, *budget, *highest)
	fmt.Println("| work | best point | recommended | of the best | kind right | within 15% | likely | not sure | wrong | duration | steal time |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	for _, w := range all {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), w.id) {
			continue
		}
		if err := examine(w, *runs, *highest, *budget, *length, other); err != nil {
			done()
			log.Fatalf("%s: %v", w.id, err)
		}
	}
}

// workload is one kind of work, for which package choose recommends a model and
// a concurrency.
type workload struct {
	id     string
	about  string
	kind   choose.Kind // the true kind
	models []choose.Model
	levels []int // the levels to measure for a model that lists no levels itself
	// run runs tasks on an executor. If ex is nil, it runs them in a plain
	// loop.
	run func(ctx context.Context, ex concert.Executor, tasks int) error
	// choose runs package choose for the workload.
	choose func(ctx context.Context, opts *choose.Options) (*choose.Report, error)
}

// point is a model at a level.
type point struct {
	model, level int
}

// name returns the name of a point.
func (w *workload) name(p point) string {
	if p.level == 1 {
		return w.models[p.model].Name
	}
	return fmt.Sprintf("%s, %d", w.models[p.model].Name, p.level)
}

// examine prints a line of the table. It prints the reports of bad and unclear
// verdicts to the standard error.
func examine(w *workload, runs, highest int, budget, length time.Duration, other neighbor) error {
	ctx := context.Background()
	var points []point
	for i, m := range w.models {
		levels := m.Levels
		if m.Open == nil {
			levels = []int{1}
		} else if levels == nil {
			levels = w.levels
		}
		for _, n := range levels {
			if n <= highest {
				points = append(points, point{i, n})
			}
		}
	}
	truth, err := sweep(ctx, w, points, 3, length)
	if err != nil {
		return err
	}
	recommended := make([]point, 0, runs)
	certainties := make([]choose.Certainty, 0, runs)
	var reports []*choose.Report
	var took time.Duration
	for range runs {
		stop := func() {}
		if other.load > 0 {
			if stop, err = other.start(); err != nil {
				return err
			}
		}
		report, err := w.choose(ctx, &choose.Options{Budget: budget, MaxConcurrency: highest})
		stop()
		if err != nil {
			return err
		}
		v := report.Verdict
		i := slices.IndexFunc(w.models, func(m choose.Model) bool { return m.Name == v.Model })
		recommended = append(recommended, point{i, v.Concurrency})
		certainties = append(certainties, v.Certainty)
		reports = append(reports, report)
		took += report.Took
	}
	stolen := 0.0
	for _, r := range reports {
		stolen += r.Machine.Stolen / float64(runs)
	}
	// Measure the recommended points and the best points again, together and in
	// more rounds.
	final := slices.Clone(recommended)
	byTruth := func(a, b point) int { return cmp.Compare(truth[b], truth[a]) }
	slices.SortFunc(points, byTruth)
	final = append(final, points[:min(4, len(points))]...)
	slices.SortFunc(final, func(a, b point) int { return (a.model-b.model)*100_000 + a.level - b.level })
	final = slices.Compact(final)
	if truth, err = sweep(ctx, w, final, 9, length); err != nil {
		return err
	}
	best := slices.MinFunc(final, byTruth) // the first of the points with the best throughput
	within, likely, unclear, wrong, kind := 0, 0, 0, 0, 0
	var shares []float64
	counts := map[point]int{}
	for i, p := range recommended {
		share := truth[p] / truth[best]
		shares = append(shares, share)
		counts[p]++
		if reports[i].Kind.Kind == w.kind {
			kind++
		}
		switch {
		case share >= good:
			within++
		case certainties[i] == choose.Likely:
			likely++
		case certainties[i] == choose.Unclear:
			unclear++
		default:
			wrong++
		}
		if share < good || certainties[i] == choose.Unclear {
			fmt.Fprintf(os.Stderr, "%s, run %d: %.2f of the best. %s\n%s", w.id, i+1, share, certainties[i], reports[i])
		}
	}
	slices.Sort(shares)
	fmt.Printf("| %s | %s: %.4g/s | %s | %.2f to %.2f | %d of %d | %d of %d | %d | %d | %d | %.1f s | %.0f%% |\n", w.about, w.name(best), truth[best],
		byFrequency(w, counts), shares[0], shares[len(shares)-1], kind, runs, within, runs, likely, unclear, wrong, (took / time.Duration(runs)).Seconds(), 100*stolen)
	return nil
}

// byFrequency returns a text that lists points, the most frequent first.
func byFrequency(w *workload, counts map[point]int) string {
	var all []point
	for p := range counts {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b point) int { return counts[b] - counts[a] })
	var parts []string
	for _, p := range all {
		parts = append(parts, fmt.Sprintf("%s (%d)", w.name(p), counts[p]))
	}
	return strings.Join(parts, "; ")
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
				return nil, fmt.Errorf("%s: %w", w.name(p), err)
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
// time was steal time, it measures again, at most four times in all. It returns
// the measurement with the least steal time.
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
	if open := w.models[p.model].Open; open != nil {
		var err error
		if ex, err = open(p.level, nil); err != nil {
			return 0, err
		}
		defer ex.Close()
	}
	if err := w.run(ctx, ex, 2*p.level); err != nil { // warm up the executor
		return 0, err
	}
	for tasks := 4 * p.level; ; tasks *= 2 {
		begin := time.Now()
		if err := w.run(ctx, ex, tasks); err != nil {
			return 0, err
		}
		if took := time.Since(begin); took >= length {
			return float64(tasks) / took.Seconds(), nil
		}
	}
}
