// Package cluster compares concert's cluster with other job queues whose tasks
// outlive the program that submitted them: bare JetStream, on which concert is
// built, asynq on Redis, and River on PostgreSQL. These benchmarks are in a
// separate package because of the dependencies of these systems.
//
// Each benchmark does a fixed amount of work. Run the benchmarks with
// -benchtime 1x. To see only that they work, add -tasks 200. Workers and
// submitters are in the process of the benchmark. Each server is a separate
// process on this machine, to which clients connect by TCP. The benchmarks
// start Redis and PostgreSQL from Debian's packages redis-server and
// postgresql, and are skipped without them.
//
// # What is compared
//
// The systems differ. concert returns each result to the submitter of the
// task, and Map returns results in order. asynq and River return no results.
// They can store a result with its task, for a later query. In these
// benchmarks, a channel in this process notifies the submitters of asynq and
// River. Between a worker and a submitter in two programs, such a channel is
// not possible.
//
// On the other hand, asynq and River have features that concert lacks:
// scheduled and periodic tasks, priorities, unique tasks, a history. With
// River, a program can submit a task in a transaction. The task exists only if
// the transaction commits. For many users, this is the reason to choose River.
//
// # What survives what
//
//	                                  loss of the server's process      loss of power
//	concert, JetStream                nothing that was acknowledged     up to two minutes
//	Redis, appendfsync everysec       nothing that was acknowledged     up to a second or two
//	PostgreSQL                        nothing that was committed        nothing that was committed
//	PostgreSQL, asynchronous commit   up to 0.6 s                       up to 0.6 s
//
// JetStream's default is to call fsync every two minutes. So with one server,
// JetStream may lose more than the other systems. Three servers protect
// JetStream against a loss of power. Redis and PostgreSQL have the settings
// that are closest to JetStream's (second and last row). PostgreSQL's default
// (third row) is measured, too. Redis has all tasks in memory. JetStream and
// PostgreSQL have all tasks in files, and only the tasks in use in memory.
package cluster

import (
	"flag"
	"sync"
	"sync/atomic"
	"testing"
)

var tasks = flag.Int("tasks", 20_000, "number of tasks of a benchmark; slow benchmarks have fewer")

// submitters is the number of goroutines that submit tasks to asynq or River.
// There are several because each call waits for the server. The results were
// the same for 4 and for 48 goroutines.
const submitters = 16

// timed calls the function run, first with fewer tasks as a warm-up. run runs
// n tasks. timed reports the time per task.
func timed(b *testing.B, n int, run func(n int)) {
	b.Helper()
	run(n/10 + 1)
	for b.Loop() {
		run(n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
	b.ReportMetric(0, "ns/op")
}

// each calls a function n times, from k goroutines.
func each(k, n int, do func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range k {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				do(int(i))
			}
		})
	}
	all.Wait()
}

// check panics if err is not nil. If it called b.Fatal instead, other
// goroutines would wait forever.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
