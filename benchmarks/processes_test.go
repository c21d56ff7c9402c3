package benchmarks

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/internal/pythontest"
	"concert/processes"
)

// These benchmarks measure tasks in worker processes. They compare concert with
// Python's ProcessPoolExecutor and multiprocessing.Pool, each with two workers,
// and with two bare pipes. Package goplugin measures hashicorp/go-plugin. Each
// benchmark does a fixed amount of work, so run it with -benchtime 1x.

func TestMain(m *testing.M) {
	processes.Main()
	if len(os.Args) == 2 && os.Args[1] == "echo" { // the process at the other ends of the two bare pipes
		io.Copy(os.Stdout, os.Stdin)
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		serve(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

var (
	remoteNop  = concert.Register("nop", func(_ context.Context, n int) (int, error) { return n, nil })
	remoteExit = concert.Register("exit", func(context.Context, int) (int, error) { os.Exit(3); return 0, nil })
	remoteStat = concert.Register("stat", func(context.Context, int) (processStat, error) { return statOf(os.Getpid()) })
	remoteEcho = concert.Register("echo", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
)

// inPython runs a Python program, which runs n operations of a kind and prints
// the time per operation. inPython reports this time.
func inPython(b *testing.B, program, kind string, n int) {
	pythontest.Need(b)
	timedPython(b, "python3", program, kind, strconv.Itoa(n))
}

// timedPython runs a command that prints the time per operation, and reports
// this time.
func timedPython(b *testing.B, command ...string) {
	for range b.N {
		out, err := exec.CommandContext(b.Context(), command[0], command[1:]...).Output()
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(ns, "ns/task")
		b.ReportMetric(0, "ns/op")
	}
}

// pool measures the function run, which runs n tasks in a pool of two workers.
func pool(b *testing.B, n int, run func(p *processes.Pool)) {
	p, err := processes.New(2, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	timed(b, p, n, remoteNop, run)
}

// After a warm-up, timed calls the function run, which runs n tasks in a pool,
// and reports the time per task.
func timed(b *testing.B, p *processes.Pool, n int, nop func(context.Context, int) (int, error), run func(p *processes.Pool)) {
	for _, err := range concert.Map(b.Context(), p, nop, numbers(100)) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		run(p)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkProcesses(b *testing.B) {
	b.Run("one at a time/concert", func(b *testing.B) {
		pool(b, 10_000, func(p *processes.Pool) {
			for i := range 10_000 {
				concert.Submit(ctx, p, remoteNop, i).Result(ctx)
			}
		})
	})
	b.Run("one at a time/ProcessPoolExecutor", func(b *testing.B) { inPython(b, "pool.py", "round", 2000) })
	b.Run("one at a time/two pipes", func(b *testing.B) {
		self, err := os.Executable()
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(self, "echo")
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 64)
		for b.Loop() {
			for range 10_000 {
				in.Write(buf)
				io.ReadFull(out, buf)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*10_000), "ns/task")
		b.ReportMetric(0, "ns/op")
		in.Close()
		cmd.Wait()
	})
	for _, k := range []int{16, 64, 1024} {
		b.Run(fmt.Sprint(k, " in flight/concert"), func(b *testing.B) {
			pool(b, 100_000, func(p *processes.Pool) {
				each(k, 100_000, func(i int) { concert.Submit(ctx, p, remoteNop, i).Result(ctx) })
			})
		})
		b.Run(fmt.Sprint(k, " in flight/ProcessPoolExecutor"), func(b *testing.B) { inPython(b, "pool.py", fmt.Sprint("flight ", k), 5000) })
	}
	b.Run("outstanding/concert", func(b *testing.B) {
		pool(b, 100_000, func(p *processes.Pool) {
			futures := make([]*concert.Future[int], 100_000)
			for i := range futures {
				futures[i] = concert.Submit(ctx, p, remoteNop, i)
			}
			for _, f := range futures {
				f.Result(ctx)
			}
		})
	})
	b.Run("outstanding/ProcessPoolExecutor", func(b *testing.B) { inPython(b, "pool.py", "outstanding", 10_000) })
	b.Run("map/concert", func(b *testing.B) {
		pool(b, 500_000, func(p *processes.Pool) {
			for range concert.Map(ctx, p, remoteNop, numbers(500_000)) {
			}
		})
	})
	for _, kind := range []string{"map 1", "map 1000", "map 10000"} {
		n := 500_000
		if kind == "map 1" {
			n = 10_000
		}
		b.Run(strings.Replace(kind, "map ", "map/ProcessPoolExecutor, chunks of ", 1), func(b *testing.B) { inPython(b, "pool.py", kind, n) })
	}
	b.Run("map/Pool, chunks of 10000", func(b *testing.B) { inPython(b, "pool.py", "Pool.map 10000", 500_000) })
	b.Run("64 MiB both ways/concert", func(b *testing.B) {
		big := make([]byte, 64<<20)
		pool(b, 5, func(p *processes.Pool) {
			for range 5 {
				concert.Submit(ctx, p, remoteEcho, big).Result(ctx)
			}
		})
	})
	b.Run("64 MiB both ways/concert, one worker", largeValues)
	b.Run("64 MiB both ways/ProcessPoolExecutor", func(b *testing.B) { inPython(b, "pool.py", "large", 5) })
	b.Run("first result/concert", func(b *testing.B) {
		for b.Loop() {
			p, err := processes.New(2, nil)
			if err != nil {
				b.Fatal(err)
			}
			concert.Submit(ctx, p, remoteNop, 1).Result(ctx)
			p.Close()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/task")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("first result/ProcessPoolExecutor, fork", func(b *testing.B) { inPython(b, "pool.py", "first", 1) })
	// The time from a task that ends its worker to the result of the next task,
	// with one worker. Before, the worker has finished a task. Otherwise, the
	// pool would pause before it starts the next worker.
	b.Run("after a death/concert", func(b *testing.B) {
		p, err := processes.New(1, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		var took time.Duration
		for range b.N {
			if _, err := concert.Submit(ctx, p, remoteNop, 1).Result(ctx); err != nil {
				b.Fatal(err)
			}
			time.Sleep(time.Second) // so the standby worker is ready
			begin := time.Now()
			concert.Submit(ctx, p, remoteExit, 1)
			if _, err := concert.Submit(ctx, p, remoteNop, 1).Result(ctx); err != nil {
				b.Fatal(err)
			}
			took += time.Since(begin)
		}
		b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/task")
		b.ReportMetric(0, "ns/op")
	})
}

// largeValues sends 64 MiB to one worker and back. It measures the first five
// round trips and the next five. A page fault makes the system provide memory
// for a page. Later round trips reuse the memory of the first ones.
func largeValues(b *testing.B) {
	big := bytes.Repeat([]byte{1}, 64<<20)
	for range b.N {
		p, err := processes.New(1, nil)
		if err != nil {
			b.Fatal(err)
		}
		stat := func() processStat {
			worker, err := concert.Submit(ctx, p, remoteStat, 0).Result(ctx)
			if err != nil {
				b.Fatal(err)
			}
			return selfStat(b).add(worker)
		}
		for _, which := range []string{"first", "later"} {
			before, begin := stat(), time.Now()
			for range 5 {
				concert.Submit(ctx, p, remoteEcho, big).Result(ctx)
			}
			took := time.Since(begin)
			used := stat().sub(before)
			b.ReportMetric(float64(took.Milliseconds())/5, "ms/"+which)
			b.ReportMetric(float64(used.CPU.Milliseconds())/5, "cpu-ms/"+which)
			b.ReportMetric(float64(used.Faults)/5, "faults/"+which)
		}
		p.Close()
	}
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
