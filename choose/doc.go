// Package choose measures how to run a piece of work concurrently: under which
// model (sequentially, goroutines, processes, interpreters, ...), how many
// tasks at once, how much that gains, and how sure the answer is.
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
// The executors to try are arguments, because this package knows none. Package
// concert/choose/models has lists of them.
//
// # The model
//
//	profile               explore                    rounds                        answer
//	run it alone,   -->   each model, at levels  --> the points that may be   -->  the simplest point that
//	read the clocks       1, 2, 4, ... while         the best, again and           is as good as the best
//	                      that gains                 again, in random order
//
// A point is a model at a level. The level is the number of tasks that run
// concurrently. All points run the same inputs, in turn and many times, so the
// work must be repeatable. If there are many inputs, choose takes a sample from
// all parts of the list, as large as there is time to run alone. A time and a
// number of runs limit the cost.
//
// The profile is of runs with nothing else to do: wall time, CPU time, and the
// time in which the work was ready to run while another thread had the
// processor. The rest is wait:
//
//	wait = wall time - CPU time - run-queue delay
//
// Without the run-queue delay, a busy machine would look like slow I/O. Each
// number is from the best source that the machine has. The report lists the
// numbers for which there is no source.
//
// # How a point is measured
//
// A slice of a point is a Map over its executor. The first n results are
// dropped as a warm-up, where n is the level, and so are the results after the
// last input. So neither the filling nor the emptying of the pool counts. Tasks
// often end in bursts, all workers at once, and a count from the middle of one
// burst to the middle of another would be wrong by a part of a burst. So the
// rate is computed from the mean time between a result and the one that is a
// whole multiple of n later. If tasks are so long that each worker runs only
// one or two, the rate is their number divided by the time until the last has
// ended. Only successful runs count.
//
// A round measures every remaining point once, in random order; the first model
// at its first level is always among them. Points are compared within rounds,
// by the ratio of their rates in the same round. So it does not matter if the
// machine becomes slower or faster. The reported gain is the median of these
// ratios, and the interval is between two of them: of k independent repeats,
// the i-th smallest and the i-th largest enclose the true median, except with
// twice the probability that a fair coin shows one side fewer than i times in k
// throws (the sign test; Conover, Practical Nonparametric Statistics, 3.2). The
// interval is the narrowest one with 95%. With fewer than six rounds it is the
// whole range, and Confidence has its lower probability. The first point is
// measured again at the end; the difference from the beginning is the drift.
//
// The rounds end when the answer is clear (no remaining point could be better
// by 5%, and the gain is known to within 15%), or when the time is over.
//
// # The answer
//
// The answer is the point of the simplest model, at its lowest level, among the
// points within 5% of the best, and those within 10% that cannot be
// distinguished from the best. The models are given from the simplest to the
// least simple. This is the meaning of "no clear winner": take the simpler one.
//
// The answer is about the measurements: these inputs, this machine, these
// levels. If the highest level tried was the best, it says so, and says nothing
// about higher ones. If rounds disagree, the answer is that it cannot tell, and
// why.
//
// If a model has six levels or more, Gunther's Universal Scalability Law
// (Guerrilla Capacity Planning, 2007, ch. 5) is fitted to them for the drawing.
// The answer does not depend on it.
//
// # The corners
//
// The search stops after two levels in a row that gain nothing, so it does not
// find a gain beyond these.
//
// If a function starts goroutines of its own, they use CPU time of other
// threads. The profile then takes the CPU time of the process, if that is more,
// so nothing else should run in the process. If the cost of the work changes
// from run to run (a cache that fills, a file that exists the second time), the
// measurement is of repeated runs. Work that another program does on request,
// such as a server, counts as wait, even on the same machine.
package choose
