// Package choose says how to run a piece of work concurrently, by trying it: which model
// (one after another, goroutines, processes, interpreters, ...), how many at a time, what
// that gains, and how sure it is.
//
//	report, err := choose.Run(ctx, fetch, urls, []choose.Model{
//		choose.OneAfterAnother(),
//		{Name: "goroutines", Open: func(n int, o concert.Observer) (concert.Executor, error) {
//			return goroutines.New(n, &goroutines.Options{Observer: o}), nil
//		}},
//	}, nil)
//	fmt.Println(report.Answer.Sentence)
//
// may print
//
//	I/O-bound: 3% CPU. Use goroutines, 32 at a time: 28.4x (25.9 to 30.2) over one after
//	another; more gains nothing measurable.
//
// The executors to try are arguments: this package knows none.
//
// # The model
//
//	profile               explore                    rounds                        answer
//	run it alone,   -->   each model, at levels  --> the points that may be   -->  the simplest point that
//	read the clocks       1, 2, 4, ... while         the best, again and           is as good as the best
//	                      that gains                 again, in random order
//
// A point is a model at a level, the level being how many tasks run at a time. Everything is
// run with the same inputs, in turn, again and again: the work has to be one that may be
// repeated. Of many inputs those are used that there was time to run alone, from all parts of the
// list. What it costs is bounded by a time, and by a number of runs.
//
// The profile is of runs that have the machine to themselves: wall time, CPU time, and the
// time in which the work could have run and another thread had the processor. What is left is
// wait:
//
//	wait = wall time - CPU time - run-queue delay
//
// Without the last a busy machine would look like slow I/O. Each number is taken from the best
// source that the machine has; what it has none for is listed.
//
// # How a point is measured
//
// One slice of a point is a Map over its executor. The first n results, n being the level, are dropped, as
// warming up, and so is what comes when there are no more inputs; so neither the filling nor the
// emptying of the pool counts. Tasks often end in bursts, all workers at once, and to count from somewhere in one
// burst to somewhere in another would be off by part of a burst: the rate is taken from the mean time between
// a result and the one that is a whole multiple of n later. Of tasks so long that each worker
// can run no more than one or two, it is their number by the time until the last has ended. Only runs that
// succeed count.
//
// A round measures every point that is left once, in random order, the first model at its first
// level always among them. Points are compared within rounds, by the ratio of what they did in
// the same round, so that a machine that gets slower, or faster, does not decide. The middle of these
// ratios is what is reported, and the interval is from one of them to another: of k independent
// repeats, the i-th from the bottom and the i-th from the top enclose the true median except
// with the probability that a fair coin shows one side fewer than i times in k throws, twice
// (the sign test; Conover, Practical Nonparametric Statistics, 3.2). The interval is the
// narrowest that does so with 95%; with fewer than six rounds it is all there is, and Confidence
// says how little that is. The first point is measured once more at the very end: how much
// that differs from its beginning is the drift.
//
// The rounds end when the answer is clear (nothing that is left could be better by 5%, and
// the gain is known to within 15%), or when time is up.
//
// # The answer
//
// Among the points that are within 5% of the best, or cannot be told from it and are within 10%,
// the one of the simplest model is taken, and of that the lowest level. Models are given from the
// simplest to the least simple. That is all there is to "no clear winner: take the simpler".
//
// It speaks of what was measured: these inputs, this machine, these levels. When the best
// was the highest level tried it says so, and does not say what a higher one would do. When rounds
// disagree, the answer is that it cannot tell, and why.
//
// With six levels of a model or more, Gunther's Universal Scalability Law (Guerrilla Capacity
// Planning, 2007, ch. 5) is fitted to them, to be drawn; the answer does not depend on it.
//
// # The corners
//
// Climbing stops when two levels in a row gain nothing, so what gains only beyond these is not found.
//
// A function that starts goroutines of its own uses CPU time that is not its thread's: the
// profile takes the process's instead if that is more, so nothing else should go on in it.
// Work whose cost changes from run to run (a cache that fills, a file that exists the second time) is
// measured as it is when repeated. Work that another program does on request, a server's say, counts as
// wait, also if that server is this machine's.
package choose
