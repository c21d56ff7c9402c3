// Command choosing checks package choose: for workloads of which one knows what
// to expect, it measures every model at every level, by code that has nothing
// in common with that of choose, and then has choose say what to take, again
// and again. It prints how good what was said is, compared to the best there
// is.
//
//	go run ./benchmarks/choosing                    everything; it takes an hour or two
//	go run ./benchmarks/choosing -only cpu,wait -runs 3 -budget 10s
//	go run ./benchmarks/choosing -neighbor         next to a program that computes now and then
//
// The machine should have nothing else to do.
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

// good is the share of the best throughput that an answer has to reach.
const good = 0.85

func main() {
	processes.Main()
	log.SetFlags(0)
	runs := flag.Int("runs", 20, "how often to ask")
	budget := flag.Duration("budget", 20*time.Second, "of choose")
	only := flag.String("only", "", "names of workloads, with commas between them")
	most := flag.Int("max", 64, "the highest level")
	neighbor := flag.Bool("neighbor", false, "have a program beside it that computes, for half of the time")
	slot := flag.Duration("slot", 600*time.Millisecond, "for which each point is measured, several times")
	annoying := flag.Bool("annoy", false, "be that program")
	flag.Parse()
	if *annoying {
		beAnnoying()
		return
	}
	all, done, err := workloads()
	if err != nil {
		log.Fatal(err)
	}
	defer done()
	fmt.Printf("%s, %s/%s, %d processors; %d runs of at most %v each; levels up to %d\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), *runs, *budget, *most)
	fmt.Println("| work | the best there is | choose says | of the best | within 15% | cannot tell | wrong | took | stolen |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, w := range all {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), w.name) {
			continue
		}
		if err := examine(w, *runs, *most, *budget, *slot, *neighbor); err != nil {
			done()
			log.Fatalf("%s: %v", w.name, err)
		}
	}
}

// workload is something to choose for.
type workload struct {
	name   string
	about  string
	models []choose.Model
	levels []int // for the truth, of models that have none
	// run has an executor do so many tasks; nil means in a loop.
	run func(ctx context.Context, ex concert.Executor, tasks int) error
	// ask asks choose.
	ask func(ctx context.Context, opts *choose.Options) (*choose.Report, error)
}

// place is a model at a level.
type place struct {
	model, level int
}

func (w *workload) called(p place) string {
	if p.level == 1 {
		return w.models[p.model].Name
	}
	return fmt.Sprintf("%s, %d", w.models[p.model].Name, p.level)
}

// examine prints a line of the table, and the misses on the standard error.
func examine(w *workload, runs, most int, budget, slot time.Duration, beside bool) error {
	ctx := context.Background()
	var places []place
	for i, m := range w.models {
		levels := m.Levels
		if m.Open == nil {
			levels = []int{1}
		} else if levels == nil {
			levels = w.levels
		}
		for _, n := range levels {
			if n <= most {
				places = append(places, place{i, n})
			}
		}
	}
	truth, err := sweep(ctx, w, places, 3, slot)
	if err != nil {
		return err
	}
	said := make([]place, 0, runs)
	verdicts := make([]choose.Certainty, 0, runs)
	var reports []*choose.Report
	var took time.Duration
	for range runs {
		stop := func() {}
		if beside {
			if stop, err = annoy(); err != nil {
				return err
			}
		}
		report, err := w.ask(ctx, &choose.Options{Budget: budget, MaxConcurrency: most})
		stop()
		if err != nil {
			return err
		}
		a := report.Verdict
		i := slices.IndexFunc(w.models, func(m choose.Model) bool { return m.Name == a.Model })
		said = append(said, place{i, a.Concurrency})
		verdicts = append(verdicts, a.Certainty)
		reports = append(reports, report)
		took += report.Took
	}
	stolen := 0.0
	for _, r := range reports {
		stolen += r.Machine.Stolen / float64(runs)
	}
	// Measure the recommended and the best places again, concurrently and for
	// longer.
	final := slices.Clone(said)
	byTruth := func(a, b place) int { return cmp.Compare(truth[b], truth[a]) }
	slices.SortFunc(places, byTruth)
	final = append(final, places[:min(4, len(places))]...)
	slices.SortFunc(final, func(a, b place) int { return (a.model-b.model)*100_000 + a.level - b.level })
	final = slices.Compact(final)
	if truth, err = sweep(ctx, w, final, 9, slot); err != nil {
		return err
	}
	best := slices.MinFunc(final, byTruth) // the first
	within, unclear, wrong := 0, 0, 0
	var shares []float64
	answers := map[place]int{}
	for i, p := range said {
		share := truth[p] / truth[best]
		shares = append(shares, share)
		answers[p]++
		switch {
		case share >= good:
			within++
		case verdicts[i] == choose.Unclear:
			unclear++
		default:
			wrong++
		}
		if share < good || verdicts[i] == choose.Unclear {
			fmt.Fprintf(os.Stderr, "%s, run %d: %.2f of the best. %s\n%s", w.name, i+1, share, verdicts[i], reports[i])
		}
	}
	slices.Sort(shares)
	fmt.Printf("| %s | %s: %.4g/s | %s | %.2f to %.2f | %d of %d | %d | %d | %.1f s | %.0f%% |\n", w.about, w.called(best), truth[best],
		common(w, answers), shares[0], shares[len(shares)-1], within, runs, unclear, wrong, (took / time.Duration(runs)).Seconds(), 100*stolen)
	return nil
}

// common lists answers, the most frequent first.
func common(w *workload, answers map[place]int) string {
	var all []place
	for p := range answers {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b place) int { return answers[b] - answers[a] })
	var parts []string
	for _, p := range all {
		parts = append(parts, fmt.Sprintf("%s (%d)", w.called(p), answers[p]))
	}
	return strings.Join(parts, "; ")
}

// sweep measures places, each so many times and for about a slot, in random
// order, and returns how many tasks they do in a second: the median of what
// each did as a multiple of all in the same round, as the machine's speed
// changes from round to round, times what all did.
func sweep(ctx context.Context, w *workload, places []place, times int, slot time.Duration) (map[place]float64, error) {
	ratios := map[place][]float64{}
	var rounds []float64 // the geometric mean of all
	for range times {
		rates := map[place]float64{}
		order := slices.Clone(places)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, p := range order {
			rate, err := measure(ctx, w, p, slot)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.called(p), err)
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
	medians := map[place]float64{}
	for p, r := range ratios {
		slices.Sort(r)
		medians[p] = r[len(r)/2] * rounds[len(rounds)/2]
	}
	return medians, nil
}

// measure runs more and more tasks at a place, until they take as long as the
// slot. If the host of this machine took a part of its processors in this time,
// measure repeats it up to three times, and returns the least disturbed rate.
func measure(ctx context.Context, w *workload, p place, slot time.Duration) (rate float64, err error) {
	least := math.Inf(1)
	for range 4 {
		before := readStat()
		r, err := measureOnce(ctx, w, p, slot)
		if err != nil {
			return 0, err
		}
		stolen := readStat().stolenSince(before)
		if stolen < least {
			least, rate = stolen, r
		}
		if stolen < 0.03 {
			break
		}
	}
	return rate, nil
}

func measureOnce(ctx context.Context, w *workload, p place, slot time.Duration) (float64, error) {
	var ex concert.Executor
	if open := w.models[p.model].Open; open != nil {
		var err error
		if ex, err = open(p.level, nil); err != nil {
			return 0, err
		}
		defer ex.Close()
	}
	if err := w.run(ctx, ex, 2*p.level); err != nil { // warm up
		return 0, err
	}
	for tasks := 4 * p.level; ; tasks *= 2 {
		begin := time.Now()
		if err := w.run(ctx, ex, tasks); err != nil {
			return 0, err
		}
		if took := time.Since(begin); took >= slot {
			return float64(tasks) / took.Seconds(), nil
		}
	}
}
