// Package cluster compares concert's cluster with other job queues whose tasks
// survive their programs: bare JetStream, on which concert is built, asynq on
// Redis, and River on PostgreSQL. It is a package of its own because of the
// dependencies of these systems.
//
// Each benchmark does a fixed amount of work: run with -benchtime 1x; with
// -tasks 200 to see only that it works. Workers and submitters are in the
// benchmark's process, servers in processes of their own, which are reached by
// TCP on this machine. What Redis and PostgreSQL are is started here, from
// Debian's packages redis-server and postgresql; without them it is left out.
//
// # What is compared
//
// They do not do the same. concert hands each result back to who submitted the
// task, and Map does so in order. asynq and River return nothing, though they
// can store a result with its task, for a later query: here a channel in this
// process notifies their submitters, which two programs do not have. On the
// other hand they have much that concert has not: scheduled and periodic tasks,
// priorities, unique ones, a history. With River a task can exist exactly if
// its submitter's transaction commits, which for many is the reason to take it.
//
// # What survives what
//
//	                                  loss of the server's process      loss of power
//	concert, JetStream                nothing that was acknowledged     up to two minutes
//	Redis, appendfsync everysec       nothing that was acknowledged     up to a second or two
//	PostgreSQL                        nothing that was committed        nothing that was committed
//	PostgreSQL, asynchronous commit   up to 0.6 s                       up to 0.6 s
//
// So JetStream, whose default is to fsync every two minutes, promises less than
// the others where there is one server: its answer to a loss of power is three
// of them. Of the peers' settings those in the second and the last row are
// nearest to it, and PostgreSQL's own is measured, too. Redis has all tasks in
// memory; JetStream and PostgreSQL have them in files and what is used in
// memory.
package cluster

import (
	"flag"
	"sync"
	"sync/atomic"
	"testing"
)

var tasks = flag.Int("tasks", 20_000, "tasks of a benchmark with many of them; slower ones have fewer")

// submitters is how many goroutines submit to a peer whose calls wait for its
// server. A quarter and three times as many made no difference.
const submitters = 16

// timed reports what each of n tasks costs, after some that warm it up.
func timed(b *testing.B, n int, run func(n int)) {
	b.Helper()
	run(n/10 + 1)
	for b.Loop() {
		run(n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
	b.ReportMetric(0, "ns/op")
}

// each does n things, k at a time.
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

// check panics if something fails of which others wait for the end: they would
// for ever.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
