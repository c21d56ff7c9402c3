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
//	I/O-bound: a run waits for 97% of its time, so run many tasks concurrently.
//	Use goroutines with concurrency 32: 28.4x (25.9 to 30.2) over sequential
//	execution; 32 to 64 are equally good; higher concurrency, up to 256, gains
//	nothing measurable.
//
// A report has two answers, each with its own certainty: the kind of the work
// with its consequence ([KindVerdict]), and the model with its concurrency
// ([Verdict]). On a busy machine the kind is usually clear, even if the
// measurements do not show which concurrency is the best.
//
// This package imports no executors: the models, which are arguments of Run,
// open them. Package concert/choose/models has lists of them. Package
// concert/choose/usage measures a single run.
//
// # Steps
//
//	profile             explore                  rounds                      verdict
//	run it alone,   --> each model, at levels --> the points that may be --> the simplest point
//	read the clocks     that suit the kind,      the best, repeatedly,       that is as good
//	     |              while throughput         in random order             as the best
//	     v              increases
//	the kind
//
// A level is a concurrency: a number of tasks that run at the same time. A
// point is a model at a level. A measurement is the throughput of a point in
// one interval. All points use the same inputs, again and again. So the work
// must be repeatable. If there are many inputs, Run uses a sample from all
// parts of the list. The sample has the inputs that the profile had time to
// run, but at least eight. The budget and the maximum number of runs limit
// the cost.
//
// The profile measures single runs without other load. It has their elapsed
// time, CPU time, and run-queue delay: the time in which the work was ready to
// run but had no processor. The rest of the elapsed time is wait:
//
//	wait = elapsed time - CPU time - run-queue delay
//
// Without the run-queue delay, work on a busy machine would look like work with
// slow I/O. The report lists the numbers that the system does not provide.
//
// The kind follows from the share of CPU time, and decides which levels are
// measured. For I/O-bound work, Run measures the levels 16, 64 and 256 while
// throughput increases. If no level above 16 increases it, Run measures lower
// levels. Then it measures levels around the best one. For CPU-bound work, Run
// measures levels up to four times the number of processors. If a run, or the
// import of a module, takes more than a tenth of the budget, the profile is
// also the measurement of sequential execution, because there is no time to
// repeat it. After sequential execution, no other model is measured at level 1.
// If the tasks of a model compute under a lock, Run measures no higher level of
// this model after the first one that gains nothing. If throughput was still
// rising when the time of a model was over, higher levels are measured before
// the levels on both sides of the best one. If other programs used the
// processors while a level seemed to gain nothing, the level and the best one
// before it are measured again, one directly after the other.
//
// # Measurements
//
// A measurement is a Map over the executor of a point. At level n, two kinds of
// results do not count: the first n results, because the workers start then,
// and the results after the last input, because workers become idle then.
// Workers often finish at the same time, so results arrive in bursts. A count
// that begins or ends within a burst would be wrong by part of a burst. So the
// rate is computed from pairs of results: the second result of a pair is a
// multiple of n results later than the first. The mean time between the two
// results gives the rate. If tasks are so long that each worker runs only a
// few, the rate is the number of tasks divided by the time until the last task
// ends. Only successful runs count.
//
// A round measures every remaining point, in random order. If tasks are short,
// the measurements take half of the usual time, and the round continues in the
// reverse order: A B C C B A. So a load that becomes higher or lower during a
// round affects all points alike. The base, which is the first model at its
// first level, is part of each round. Points are compared within rounds, by the
// ratio of their rates, so it does not matter if the machine becomes slower or
// faster between rounds. The reported gain is the median of these ratios. The
// interval of the gain contains the true median with a probability of at least
// 95%, by the sign test (Conover, Practical Nonparametric Statistics, 3.2).
// With fewer than six rounds the interval is from the lowest to the highest
// ratio, and Interval.Confidence has the probability, which is lower. The base
// is measured again at the end. The difference from the first measurement is
// the drift.
//
// A round may show that the first measurement of a point was too high. Then
// points that were left out may be the best, and join the next round. A point
// that was in no round is compared by its first measurement, and the report
// says so. The recommended point has been in rounds, if there was time.
//
// The rounds end when the time is over, or earlier if the verdict is clear. The
// verdict is clear if no remaining point could be better by 5%, and if the ends
// of the interval of the gain differ by at most 15%.
//
// # The verdict
//
// The candidates are the points within 5% of the best point, and the points
// within 10% that cannot be distinguished from the best point. Among the
// candidates, Run recommends the point of the simplest model, at its lowest
// level. The order of the models is from the simplest to the least simple. So
// if there is no clear winner, Run recommends the simpler model. For CPU-bound
// work, Run prefers a lower level of the same model if this level keeps all
// processors busy and reaches 88% of the best throughput.
//
// The verdict is about the measurements: these inputs, this machine, these
// levels. If the highest level was the best, the report says so, and says
// nothing about higher levels. If throughput was rising and there was no time
// for a higher level that is permitted, the verdict is [Likely].
//
// If measurements disagree, or if there was time for few of them, the kind of
// the work decides, and the verdict is [Likely]. For CPU-bound work, Run then
// recommends a model without a lock, and about as many tasks as processors. If
// a run computes on several processors, it recommends fewer tasks. For other
// work, it recommends the highest level that may be better. If a single run
// takes so long that no concurrency was measured, Run recommends one that was
// not measured: as many tasks as keep the processors busy, or 16 tasks for
// I/O-bound work. If the kind is unknown, or may be CPU-bound as well as
// I/O-bound, or if the measurements contradict the kind, the verdict is
// [Unclear]. In all cases it says why.
//
// # Limitations
//
// The search stops after two successive levels that gain nothing. It stops
// after one such level if all processors are busy. It stops after up to four
// such levels if the durations of tasks differ much. It also stops before a
// level whose measurement could take a quarter of the budget. So Run does not
// find a gain at higher levels.
//
// If a function starts goroutines, these goroutines use CPU time on other
// threads. Then the profile has the CPU time of the whole process, so nothing
// else should run in the process. If the cost of the work changes from run to
// run (a cache that fills, a file that exists the second time), the report is
// about repeated runs. Work that another program, such as a server, does for a
// request counts as wait, even on the same machine.
package choose
