// Package benchmarks compares concert with other libraries, in one process and
// one run. It is a separate module, so that users of concert do not download
// these libraries. docs/performance.md has the results, and says how to repeat
// the measurements.
package benchmarks

import (
	"context"
	"iter"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/goroutines"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"
	conciter "github.com/sourcegraph/conc/iter"
	concpool "github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
)

const (
	workers = 4
	round   = 10_000 // number of tasks that a submitter submits before it receives their results
)

var ctx = context.Background()

func nop(_ context.Context, n int) (int, error) { return n, nil }

// micro computes for about a microsecond.
func micro(_ context.Context, n int) (int, error) {
	x := uint64(n)
	for range 700 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return int(x >> 33), nil
}

type function = func(context.Context, int) (int, error)

// pools are the compared libraries. The function run submits n tasks to a
// library, from the given number of goroutines. A library with "typed" in its
// name returns the result of each task.
var pools = []struct {
	name string
	run  func(b *testing.B, fn function, submitters, n int)
}{
	{"concert typed", func(b *testing.B, fn function, submitters, n int) {
		ex := goroutines.New(workers, nil)
		defer ex.Close()
		share(submitters, n, func(n int) {
			futures := make([]*concert.Future[int], n)
			for i := range n {
				futures[i] = concert.Submit(ctx, ex, fn, i)
			}
			if _, err := concert.Gather(ctx, futures...); err != nil {
				b.Error(err)
			}
		})
	}},
	{"pond ResultGroup typed", func(b *testing.B, fn function, submitters, n int) {
		p := pond.NewResultPool[int](workers)
		defer p.StopAndWait()
		share(submitters, n, func(n int) {
			g := p.NewGroup()
			for i := range n {
				g.SubmitErr(func() (int, error) { return fn(ctx, i) })
			}
			if _, err := g.Wait(); err != nil {
				b.Error(err)
			}
		})
	}},
	{"conc ResultPool typed", func(b *testing.B, fn function, submitters, n int) {
		share(submitters, n, func(n int) {
			p := concpool.NewWithResults[int]().WithMaxGoroutines(workers).WithErrors()
			for i := range n {
				p.Go(func() (int, error) { return fn(ctx, i) })
			}
			if _, err := p.Wait(); err != nil {
				b.Error(err)
			}
		})
	}},
	{"pond", func(b *testing.B, fn function, submitters, n int) {
		p := pond.NewPool(workers)
		share(submitters, n, func(n int) {
			var wg sync.WaitGroup
			wg.Add(n)
			for i := range n {
				p.Go(func() { fn(ctx, i); wg.Done() })
			}
			wg.Wait()
		})
		p.StopAndWait()
	}},
	{"ants", func(b *testing.B, fn function, submitters, n int) {
		p, err := ants.NewPool(workers)
		if err != nil {
			b.Fatal(err)
		}
		defer p.Release()
		share(submitters, n, func(n int) {
			var wg sync.WaitGroup
			wg.Add(n)
			for i := range n {
				if err := p.Submit(func() { fn(ctx, i); wg.Done() }); err != nil {
					b.Error(err)
				}
			}
			wg.Wait()
		})
	}},
	{"errgroup", func(b *testing.B, fn function, submitters, n int) {
		share(submitters, n, func(n int) {
			var g errgroup.Group
			g.SetLimit(workers)
			for i := range n {
				g.Go(func() error { _, err := fn(ctx, i); return err })
			}
			if err := g.Wait(); err != nil {
				b.Error(err)
			}
		})
	}},
	{"channel of funcs", func(b *testing.B, fn function, submitters, n int) {
		tasks := make(chan func(), 1024)
		for range workers {
			go func() {
				for f := range tasks {
					f()
				}
			}()
		}
		share(submitters, n, func(n int) {
			var wg sync.WaitGroup
			wg.Add(n)
			for i := range n {
				tasks <- func() { fn(ctx, i); wg.Done() }
			}
			wg.Wait()
		})
		close(tasks)
	}},
	{"channel of futures, a lower limit", func(b *testing.B, fn function, submitters, n int) {
		tasks := make(chan *future, 1024)
		for range workers {
			go func() {
				for f := range tasks {
					f.out, f.err = f.fn(ctx, f.in)
					f.round.Done()
				}
			}()
		}
		share(submitters, n, func(n int) {
			futures := make([]*future, n)
			var round sync.WaitGroup
			round.Add(n)
			for i := range n {
				futures[i] = &future{fn: fn, in: i, round: &round}
				tasks <- futures[i]
			}
			round.Wait()
			results := make([]int, n)
			for i, f := range futures {
				results[i] = f.out
			}
		})
		close(tasks)
	}},
}

// future is a task of the case "channel of futures". It has the same size as a
// task of concert, because most of the time is needed to allocate tasks and to
// collect them as garbage.
type future struct {
	fn    function
	in    int
	round *sync.WaitGroup // counts the tasks that are awaited together
	out   int
	err   error
	_     [12]*int
}

// share divides n tasks among the submitters, which are goroutines. Each
// submitter calls the function run once for each of its rounds, with the number
// of tasks of the round.
func share(submitters, n int, run func(n int)) {
	var wg sync.WaitGroup
	for s := range submitters {
		wg.Go(func() {
			mine := (s+1)*n/submitters - s*n/submitters
			for ; mine > 0; mine -= round {
				run(min(mine, round))
			}
		})
	}
	wg.Wait()
}

// BenchmarkPool measures the time per task that is needed to submit the task,
// to run it, and to receive its outcome.
func BenchmarkPool(b *testing.B) {
	for _, work := range []struct {
		name       string
		fn         function
		submitters int
	}{{"nop 1 submitter", nop, 1}, {"nop 8 submitters", nop, 8}, {"1us", micro, 1}} {
		for _, p := range pools {
			b.Run(work.name+"/"+p.name, func(b *testing.B) {
				b.ReportAllocs()
				before := selfStat(b)
				p.run(b, work.fn, work.submitters, b.N)
				selfStat(b).sub(before).reportCPU(b, b.N)
			})
		}
	}
}

func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// BenchmarkMap measures the time per item of a Map. The case "chunks and
// WaitGroup" shows the lower limit of this time, but needs all inputs and all
// results in memory at once.
func BenchmarkMap(b *testing.B) {
	for _, work := range []struct {
		name string
		fn   function
	}{{"nop", nop}, {"1us", micro}} {
		run := func(name string, f func(b *testing.B)) {
			b.Run(work.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				before := selfStat(b)
				f(b)
				selfStat(b).sub(before).reportCPU(b, b.N)
			})
		}
		run("concert Map", func(b *testing.B) {
			ex := goroutines.New(workers, nil)
			defer ex.Close()
			for _, err := range concert.Map(ctx, ex, work.fn, numbers(b.N)) {
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		run("concert MapUnordered", func(b *testing.B) {
			ex := goroutines.New(workers, nil)
			defer ex.Close()
			for _, err := range concert.MapUnordered(ctx, ex, work.fn, numbers(b.N)) {
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		run("conc iter.Map", func(b *testing.B) {
			inputs := make([]int, b.N)
			m := conciter.Mapper[int, int]{MaxGoroutines: workers}
			if _, err := m.MapErr(inputs, func(n *int) (int, error) { return work.fn(ctx, *n) }); err != nil {
				b.Fatal(err)
			}
		})
		run("chunks and WaitGroup", func(b *testing.B) {
			results := make([]int, b.N)
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for i := w * b.N / workers; i < (w+1)*b.N/workers; i++ {
						results[i], _ = work.fn(ctx, i)
					}
				})
			}
			wg.Wait()
		})
		run("loop", func(b *testing.B) {
			for i := range b.N {
				work.fn(ctx, i)
			}
		})
	}
}

// BenchmarkSleepers runs 10,000 naps of 10 ms on 1,000 workers. The ideal time
// is 100 ms.
func BenchmarkSleepers(b *testing.B) {
	ex := goroutines.New(1000, nil)
	defer ex.Close()
	nap := func(_ context.Context, n int) (int, error) { time.Sleep(10 * time.Millisecond); return n, nil }
	for b.Loop() {
		begin := time.Now()
		futures := make([]*concert.Future[int], 10_000)
		for i := range futures {
			futures[i] = concert.Submit(ctx, ex, nap, i)
		}
		if _, err := concert.Gather(ctx, futures...); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(begin))/float64(100*time.Millisecond), "x-ideal")
	}
}
