// Package choose measures how to run a piece of work concurrently: under which
// model (sequentially, on goroutines, in processes, in interpreters, ...), at
// which concurrency, how much that gains, and how certain the verdict is.
//
//	report, err := choose.Run(ctx, fetch, urls, []choose.Model{
//		choose.Sequential(),
//		{Name: "goroutines", Open: func(n int, o concert.Observer) (concert.Executor, error) {
//			return goroutines.New(n, &goroutines.Options{Observer: o}), nil
//		}},
//	}, nil)
//	fmt.Println(report.Verdict.Sentence)
//
// may print
//
//	I/O-bound: 3% CPU. Use goroutines with concurrency 32: 28.4x (25.9 to 30.2) over
//	sequential execution; higher concurrency, up to 128, gains nothing measurable.
//
// This package imports no executors: they are arguments of Run. Package
// concert/choose/models has lists of them. Package concert/choose/usage
// measures a single run.
//
// # Steps
//
//	profile             explore                  rounds                      verdict
//	run it alone,   --> each model, at levels --> the points that may be --> the simplest point
//	read the clocks     1, 2, 4, ... while       the best, repeatedly,       that is as good
//	                    throughput increases     in random order             as the best
//
// A level is a concurrency: a number of tasks that run at the same time. A
// point is a model at a level. A measurement is the throughput of a point in
// one interval. All points run the same inputs, in turn and many times, so the
// work must be repeatable. If there are many inputs, Run uses a sample from all
// parts of the list, as large as there is time to run alone. A time limit and a
// number of runs limit the cost.
//
// The profile is of runs without other load: elapsed time, CPU time, and the
// run-queue delay, in which the work was ready to run but had no processor. The
// rest is wait:
//
//	wait = elapsed time - CPU time - run-queue delay
//
// Without the run-queue delay, a busy machine would look like slow I/O. The
// report lists the numbers that the system does not provide.
//
// # Measurements
//
// A measurement is a Map over the executor of a point. At level n, the first n
// results do not count, because the workers start then, and neither do the
// results after the last input, when workers become idle. Workers often finish
// at the same time, so results arrive in bursts. A count that begins and ends
// within bursts would be wrong by part of a burst. So the rate is computed from
// the mean time between two results, of which the second is a whole multiple of
// n results later. If tasks are so long that each worker runs only one or two,
// the rate is their number divided by the time until the last one ends. Only
// successful runs count.
//
// A round measures every remaining point once, in random order. The base, which
// is the first model at its first level, is part of each round. Points are
// compared within rounds, by the ratio of their rates, so it does not matter if
// the machine becomes slower or faster. The reported gain is the median of
// these ratios. Its interval contains the true median with a probability of
// 95%, by the sign test (Conover, Practical Nonparametric Statistics, 3.2).
// With fewer than six rounds the interval is the whole range, and
// Interval.Confidence has its lower probability. The base is measured again at
// the end; the difference from the first measurement is the drift.
//
// After a round, points that were left out join the next one if they may be the
// best now, because the first measurement of another point was too high. A
// point that was in no round is compared by its first measurement, and the
// report says so. The recommended point has been in rounds, if there was time.
//
// The rounds end when the verdict is clear (no remaining point could be better
// by 5%, and the ends of the interval of the gain differ by at most 15%), or
// when the time is over.
//
// # The verdict
//
// Run recommends the point of the simplest model, at its lowest level, among
// the points within 5% of the best, and those within 10% that cannot be
// distinguished from the best. The order of the models is from the simplest to
// the least simple. So if there is no clear winner, the simpler model wins.
//
// The verdict is about the measurements: these inputs, this machine, these
// levels. If the highest level was the best, the report says so, and says
// nothing about higher levels. If measurements disagree, the verdict is
// [Unclear], and says why.
//
// # Limitations
//
// The search stops after two successive levels that gain nothing. It does not
// find a gain at higher levels.
//
// If a function starts goroutines, they use CPU time on other threads. The
// profile then uses the CPU time of the process, if that is more, so nothing
// else should run in the process. If the cost of the work changes from run to
// run (a cache that fills, a file that exists the second time), the measurement
// is of repeated runs. Work that another program does on request, such as a
// server, counts as wait, even on the same machine.
package choose
