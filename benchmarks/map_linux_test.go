package benchmarks

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"concert"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
)

// BenchmarkValues measures a Map of small values of several types, on worker
// processes and on interpreters of Python, and the pools of Python. It reports
// the time per call, and the processor time of all processes of a pool per
// call, which other programs change less. Run it with -benchtime 1x.
func BenchmarkValues(b *testing.B) {
	pythontest.Need(b)
	number := func(i int) int { return i }
	text := func(i int) string { return fmt.Sprintf("text%06d", i%1_000_000) }
	mapValues(b, "int", number, remoteNop, pythonNop)
	mapValues(b, "text", text, remoteText, python.Func[string, string]("pool:nop"))
	mapValues(b, "bytes", func(i int) []byte { return []byte(text(i)) }, remoteEcho, python.Func[[]byte, []byte]("pool:echo"))
	mapValues(b, "record", func(i int) record { return record{i, 2 * i, text(i)} }, remoteRecord, python.Func[record, record]("pool:nop"))
	mapValues(b, "int to text", number, remoteFormat, python.Func[int, string]("pool:text"))
}

type record struct {
	A, B int
	S    string
}

var (
	remoteText   = concert.Register("text", func(_ context.Context, s string) (string, error) { return s, nil })
	remoteRecord = concert.Register("record", func(_ context.Context, r record) (record, error) { return r, nil })
	remoteFormat = concert.Register("format", func(_ context.Context, n int) (string, error) { return fmt.Sprintf("value %06d", n), nil })
)

// mapValues measures a Map in all pools. The parameter shape names the types of
// the inputs and results, and value returns an input.
func mapValues[In, Out any](b *testing.B, shape string, value func(i int) In, inGo, inPython func(context.Context, In) (Out, error)) {
	const n = 400_000
	values := func(n int) iter.Seq[In] {
		return func(yield func(In) bool) {
			for i := 0; i < n && yield(value(i)); i++ {
			}
		}
	}
	measure := func(b *testing.B, p *processes.Pool, f func(context.Context, In) (Out, error)) {
		defer p.Close()
		run := func(n int) {
			for _, err := range concert.Map(b.Context(), p, f, values(n)) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		run(10_000)
		before := processorTime(b)
		for b.Loop() {
			run(n)
		}
		report(b, float64(b.Elapsed().Nanoseconds())/float64(b.N*n), float64(processorTime(b)-before)/float64(b.N*n))
	}
	b.Run(shape+"/processes", func(b *testing.B) {
		p, err := processes.New(2, nil)
		if err != nil {
			b.Fatal(err)
		}
		measure(b, p, inGo)
	})
	b.Run(shape+"/python", func(b *testing.B) { measure(b, newInterpreters(b), inPython) })
	for _, pool := range []string{"ProcessPoolExecutor", "Pool"} {
		for _, chunk := range []int{1000, 10_000} {
			b.Run(fmt.Sprint(shape, "/", pool, ", chunks of ", chunk), func(b *testing.B) {
				out, err := exec.CommandContext(b.Context(), "python3", "pool.py", "values", pool, shape, strconv.Itoa(chunk), strconv.Itoa(n)).Output()
				var wall, used float64
				if err == nil {
					_, err = fmt.Sscan(string(out), &wall, &used)
				}
				if err != nil {
					b.Fatal(err)
				}
				report(b, wall, used)
			})
		}
	}
}

func report(b *testing.B, wall, used float64) {
	b.ReportMetric(wall, "ns/task")
	b.ReportMetric(used, "cpu-ns/task")
	b.ReportMetric(0, "ns/op")
}

// processorTime returns the nanoseconds for which this process and its children
// have used the processors.
func processorTime(b *testing.B) (total int64) {
	threads := "/proc/self/task/*/"
	lists, _ := filepath.Glob(threads + "children")
	for _, list := range lists {
		pids, _ := os.ReadFile(list) // a thread that has ended has no children
		for pid := range strings.FieldsSeq(string(pids)) {
			total += threadsTime("/proc/" + pid + "/task/*/schedstat")
		}
	}
	if total == 0 {
		b.Fatal("no worker process found in /proc")
	}
	return total + threadsTime(threads+"schedstat")
}

func threadsTime(pattern string) (total int64) {
	names, _ := filepath.Glob(pattern)
	for _, name := range names {
		text, _ := os.ReadFile(name)
		if used, _, ok := strings.Cut(string(text), " "); ok {
			n, _ := strconv.ParseInt(used, 10, 64)
			total += n
		}
	}
	return total
}
