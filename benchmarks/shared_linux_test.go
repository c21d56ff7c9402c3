package benchmarks

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
)

// rowOf and rowCopy are arguments for a part of an array. rowOf has a handle
// of the array, and rowCopy has the array itself.
type (
	rowOf struct {
		Array *concert.Shared[[]float64]
		I, N  int
	}
	rowCopy struct {
		Array []float64
		I, N  int
	}
)

var (
	sumShared = concert.Register("sum of a shared array", func(_ context.Context, r rowOf) (float64, error) {
		return sumPart(r.Array.Value(), r.I, r.N), nil
	})
	sumCopy = concert.Register("sum of a copied array", func(_ context.Context, r rowCopy) (float64, error) {
		return sumPart(r.Array, r.I, r.N), nil
	})
	slowPid = concert.Register("process", func(context.Context, int) (int, error) {
		time.Sleep(50 * time.Millisecond)
		return os.Getpid(), nil
	})
)

// rowOfPython and rowCopyPython are the same arguments for functions in
// Python.
type (
	rowOfPython struct {
		Array *concert.Shared[python.Array[float64]]
		I, N  int
	}
	rowCopyPython struct {
		Array python.Array[float64]
		I, N  int
	}
)

// sumInPython sums a part of an array. It also has the function slow_pid.
const sumInPython = `
import os, time

def sum_part(r):
    a, i, n = r["Array"], r["I"], r["N"]
    return float(a[len(a) * i // n : len(a) * (i + 1) // n].sum())

def slow_pid(_):
    time.sleep(0.05)
    return os.getpid()
`

var (
	sumSharedPython = python.Source[rowOfPython, float64]("sum_part", sumInPython)
	sumCopyPython   = python.Source[rowCopyPython, float64]("sum_part", sumInPython)
	slowPidPython   = python.Source[int, int]("slow_pid", sumInPython)
)

func sumPart(a []float64, i, n int) (sum float64) {
	for _, v := range a[len(a)*i/n : len(a)*(i+1)/n] {
		sum += v
	}
	return sum
}

const (
	sharedMiB   = 256
	sharedCalls = 1000
	copyCalls   = 10 // the number of calls with a copy; each copies sharedMiB
)

// BenchmarkShared measures calls that use parts of one array of 256 MiB, with
// four workers. The time includes the time to share the array. The memory is
// the increase in the workers until the last call has ended, divided by the
// size of the array.
func BenchmarkShared(b *testing.B) {
	array := make([]float64, sharedMiB<<17)
	for i := range array {
		array[i] = 1
	}
	b.Run("Share/concert", func(b *testing.B) {
		sums(b, goPool(b), slowPid, sharedCalls, sumShared, func(p *processes.Pool) (func(i int) rowOf, func() error) {
			shared, err := concert.Share(b.Context(), p, array)
			if err != nil {
				b.Fatal(err)
			}
			return func(i int) rowOf { return rowOf{shared, i, sharedCalls} }, shared.Close
		})
	})
	b.Run("copies/concert", func(b *testing.B) {
		sums(b, goPool(b), slowPid, copyCalls, sumCopy, func(*processes.Pool) (func(i int) rowCopy, func() error) {
			return func(i int) rowCopy { return rowCopy{array, i, copyCalls} }, func() error { return nil }
		})
	})
	b.Run("Share/python", func(b *testing.B) {
		sums(b, pythonPool(b), slowPidPython, sharedCalls, sumSharedPython, func(p *processes.Pool) (func(i int) rowOfPython, func() error) {
			shared, err := concert.Share(b.Context(), p, python.Array[float64]{Data: array})
			if err != nil {
				b.Fatal(err)
			}
			return func(i int) rowOfPython { return rowOfPython{shared, i, sharedCalls} }, shared.Close
		})
	})
	b.Run("copies/python", func(b *testing.B) {
		sums(b, pythonPool(b), slowPidPython, copyCalls, sumCopyPython, func(*processes.Pool) (func(i int) rowCopyPython, func() error) {
			return func(i int) rowCopyPython { return rowCopyPython{python.Array[float64]{Data: array}, i, copyCalls} }, func() error { return nil }
		})
	})
	array = nil
	b.Run("Share/joblib", func(b *testing.B) { sharedInPython(b, "joblib", sharedCalls) })
	b.Run("Share/shared_memory", func(b *testing.B) { sharedInPython(b, "shared_memory", sharedCalls) })
	b.Run("copies/ProcessPoolExecutor", func(b *testing.B) { sharedInPython(b, "copies", copyCalls) })
}

func goPool(b *testing.B) *processes.Pool {
	p, err := processes.New(4, nil)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func pythonPool(b *testing.B) *processes.Pool {
	needNumPy(b)
	p, err := python.New(4, &python.Options{Interpreter: debianPython, Import: []string{"numpy"}})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func needNumPy(b *testing.B) {
	pythontest.Need(b)
	if err := exec.Command(debianPython, "-c", "import numpy, joblib").Run(); err != nil {
		b.Skip("no numpy or no joblib")
	}
}

// sums runs n calls of the function sum in the workers of p. The function
// pidOf returns the process of a worker. The function begin returns the
// arguments of the calls.
func sums[T any](b *testing.B, p *processes.Pool, pidOf func(context.Context, int) (int, error), n int, sum func(context.Context, T) (float64, error), begin func(*processes.Pool) (argument func(i int) T, end func() error)) {
	defer p.Close()
	pids := make(map[int]bool)
	for pid, err := range concert.Map(b.Context(), p, pidOf, numbers(32)) {
		if err != nil {
			b.Fatal(err)
		}
		pids[pid] = true
	}
	before, added := memoryOf(b, pids), 0
	for b.Loop() {
		argument, end := begin(p)
		inputs := func(yield func(T) bool) {
			for i := 0; i < n && yield(argument(i)); i++ {
			}
		}
		total, calls := 0.0, 0
		for s, err := range concert.Map(b.Context(), p, sum, inputs) {
			if err != nil {
				b.Fatal(err)
			}
			if calls++; calls == n {
				added = max(added, memoryOf(b, pids)-before)
			}
			total += s
		}
		if total != sharedMiB<<17 {
			b.Fatalf("the sum is %v", total)
		}
		end()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
	b.ReportMetric(float64(added)/(sharedMiB<<20), "sizes")
	b.ReportMetric(0, "ns/op")
}

// memoryOf returns the memory of processes in bytes. Memory that several
// processes share counts once.
func memoryOf(b *testing.B, pids map[int]bool) (bytes int) {
	for pid := range pids {
		text, err := os.ReadFile(fmt.Sprint("/proc/", pid, "/smaps_rollup"))
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			kb := 0
			if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kb); n == 1 {
				bytes += kb << 10
			}
		}
	}
	return bytes
}

func sharedInPython(b *testing.B, kind string, n int) {
	needNumPy(b)
	timedPython(b, debianPython, "shared.py", kind, fmt.Sprint(sharedMiB), fmt.Sprint(n))
}
