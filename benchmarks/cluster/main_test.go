// Package cluster compares concert's cluster with other job queues whose tasks
// survive their programs: bare JetStream, on which concert is built, asynq on
// Redis, and River on PostgreSQL. It is a package of its own because of the
// dependencies of these systems.
//
// Each benchmark does a fixed amount of work. Run the benchmarks with
// -benchtime 1x, or with -tasks 200 in order to see only that they work.
// Workers and submitters are in the process of the benchmark. Servers are in
// processes of their own on this machine, and are connected by TCP. The
// benchmarks start Redis and PostgreSQL from Debian's packages redis-server and
// postgresql, and are skipped without them.
//
// # What is compared
//
// The systems differ. concert returns each result to the submitter of the task,
// and Map returns results in order. asynq and River return no results. They can
// store a result with its task, for a later query. Here, a channel in this
// process notifies their submitters; two programs do not have such a channel.
// On the other hand, they have features that concert lacks: scheduled and
// periodic tasks, priorities, unique tasks, a history. With River, a task can
// exist exactly if the transaction of its submitter commits, which for many
// users is the reason to choose it.
//
// # What survives what
//
//	                                  loss of the server's process      loss of power
//	concert, JetStream                nothing that was acknowledged     up to two minutes
//	Redis, appendfsync everysec       nothing that was acknowledged     up to a second or two
//	PostgreSQL                        nothing that was committed        nothing that was committed
//	PostgreSQL, asynchronous commit   up to 0.6 s                       up to 0.6 s
//
// JetStream's default is to fsync every two minutes, so with one server it
// promises less than the other systems. Its protection against a loss of power
// is three servers. The settings of other systems in the second and the last
// row are the nearest to it, and PostgreSQL's default is measured, too. Redis
// has all tasks in memory. JetStream and PostgreSQL have them in files, and in
// memory only what is in use.
package cluster

import (
	"flag"
	"sync"
	"sync/atomic"
	"testing"
)

var tasks = flag.Int("tasks", 20_000, "tasks of a benchmark with many of them; slower ones have fewer")

// submitters is the number of goroutines that submit to another library whose
// calls wait for its server. A quarter and three times as many made no
// difference.
const submitters = 16

// timed reports the time for each of n tasks, after a warm-up.
func timed(b *testing.B, n int, run func(n int)) {
	b.Helper()
	run(n/10 + 1)
	for b.Loop() {
		run(n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
	b.ReportMetric(0, "ns/op")
}

// each calls a function n times, k times concurrently.
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

// check panics if err is not nil. An ordinary failure would leave other
// goroutines waiting forever.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
