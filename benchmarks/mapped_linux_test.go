package benchmarks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
)

// arrays has the array of each size, which a worker makes once. So the
// benchmark only measures the return of a result.
var arrays = make(map[int][]float64)

func arrayOf(n int) []float64 {
	if arrays[n] == nil {
		v := make([]float64, n)
		for i := range v {
			v[i] = 1
		}
		arrays[n] = v
	}
	return arrays[n]
}

var (
	mapArray = concert.Register("mapped array", func(_ context.Context, n int) (*concert.Mapped[float64], error) {
		return concert.NewMapped(arrayOf(n)), nil
	})
	copyArray = concert.Register("copied array", func(_ context.Context, n int) ([]float64, error) { return arrayOf(n), nil })

	mapFromPython  = python.Source[int, *concert.Mapped[float64]]("of", arrayInPython)
	copyFromPython = python.Source[int, []float64]("of", arrayInPython)
)

const arrayInPython = `
import array

arrays = {}

def of(n):
    if n not in arrays:
        arrays[n] = array.array("d", [1.0]) * n
    return arrays[n]
`

// cost is the time and the page faults that a result costs in the process of
// the submitter.
type cost struct{ wall, processor, faults float64 }

// costOf measures fn.
func costOf(fn func()) (c cost) {
	usage := func() (u syscall.Rusage) { syscall.Getrusage(syscall.RUSAGE_SELF, &u); return u }
	before, start := usage(), time.Now()
	fn()
	c.wall = float64(time.Since(start).Microseconds()) / 1000
	after := usage()
	c.processor = float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano()) / 1e6
	c.faults = float64(after.Minflt - before.Minflt)
	return c
}

// BenchmarkMapped compares results of a worker that are mapped with results
// that are copied. If a program drops each result before it receives the next
// one, it reuses the memory of the copies. So another case keeps four results.
// The runs alternate, and each reads every page. The metrics are medians for
// one result. The memory is the sum for this process and its worker.
func BenchmarkMapped(b *testing.B) {
	for _, size := range []int{1, 64, 256} {
		for _, keeps := range []int{1, 4} {
			b.Run(fmt.Sprintf("go/%dMiB/keeps%d", size, keeps), func(b *testing.B) {
				p, err := processes.New(1, nil)
				if err != nil {
					b.Fatal(err)
				}
				defer p.Close()
				measureMapped(b, p, size, keeps, mapArray, copyArray)
			})
			b.Run(fmt.Sprintf("python/%dMiB/keeps%d", size, keeps), func(b *testing.B) {
				pythontest.Need(b)
				p, err := python.New(1, nil)
				if err != nil {
					b.Fatal(err)
				}
				defer p.Close()
				measureMapped(b, p, size, keeps, mapFromPython, copyFromPython)
			})
		}
	}
}

func measureMapped(b *testing.B, p concert.Executor, size, keeps int, mapped func(context.Context, int) (*concert.Mapped[float64], error), copied func(context.Context, int) ([]float64, error)) {
	n := size << 20 / 8
	read := func(v []float64) {
		sum := 0.0
		for i := 0; i < len(v); i += 512 {
			sum += v[i]
		}
		if sum != float64(n/512) {
			b.Errorf("the sum is %v", sum)
		}
	}
	ways := map[string]func() (release func()){
		"mapped": func() func() {
			h, err := concert.Submit(b.Context(), p, mapped, n).Result(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			read(h.Value())
			return func() { h.Close() }
		},
		"copied": func() func() {
			v, err := concert.Submit(b.Context(), p, copied, n).Result(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			read(v)
			return func() { runtime.KeepAlive(v) }
		},
	}
	ways["mapped"]()() // the worker makes the array
	costs, memory := make(map[string][]cost), make(map[string]float64)
	for range b.N {
		for round := range 8 {
			for way, run := range ways {
				if keeps == 1 {
					runtime.GC() // the next copy reuses memory
				} else {
					debug.FreeOSMemory() // the next copies need new memory, as in a program that keeps more and more results
				}
				before := 0.0
				if round == 0 {
					debug.FreeOSMemory()
					time.Sleep(3 * time.Second) // the pool releases its shared memory
					before = usedMiB()
				}
				c := costOf(func() {
					var releases []func()
					for range keeps {
						releases = append(releases, run())
					}
					if round == 0 {
						memory[way] = usedMiB() - before
					}
					for _, release := range releases {
						release()
					}
				})
				if round > 0 { // the first round measures the memory
					costs[way] = append(costs[way], c)
				}
			}
		}
	}
	for way, all := range costs {
		report := func(unit string, of func(cost) float64) {
			var v []float64
			for _, c := range all {
				v = append(v, of(c)/float64(keeps))
			}
			slices.Sort(v)
			b.ReportMetric(v[len(v)/2], way+unit)
		}
		report("-ms", func(c cost) float64 { return c.wall })
		report("-cpu-ms", func(c cost) float64 { return c.processor })
		report("-faults", func(c cost) float64 { return c.faults })
		b.ReportMetric(memory[way]/float64(keeps), way+"-MiB")
	}
	b.ReportMetric(0, "ns/op")
}

// usedMiB returns the memory of this process and its children. A page that
// several processes have mapped counts once.
func usedMiB() (mib float64) {
	pids := []string{"self"}
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		pids = append(pids, strings.Fields(string(text))...)
	}
	for _, pid := range pids {
		text, _ := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		for line := range strings.Lines(string(text)) {
			var kb float64
			if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kb); n == 1 {
				mib += kb / 1024
			}
		}
	}
	return mib
}
