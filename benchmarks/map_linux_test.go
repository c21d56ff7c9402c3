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
	"sync"
	"testing"
	"time"

	"concert"
	"concert/benchmarks/commands"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
)

// BenchmarkValues measures a Map of small values of several types, on worker
// processes and on interpreters of Python, and the pools of Python. The pools
// take turns, so that other programs affect all of them equally. It reports
// the median time per call, and the median processor time per call of all
// processes of a pool. Other programs affect the processor time less. Run it
// with -benchtime 1x.
func BenchmarkValues(b *testing.B) {
	pythontest.Need(b)
	number := func(i int) int { return i }
	text := func(i int) string { return fmt.Sprintf("a text of 30 characters %06d", i%1_000_000) }
	bytes := func(i int) []byte { return fmt.Appendf(nil, "bytes %094d", i%1_000_000) }
	mapValues(b, "int", number, remoteNop, pythonNop)
	mapValues(b, "text", text, remoteText, python.Func[string, string]("pool:nop"))
	mapValues(b, "bytes", bytes, remoteEcho, python.Func[[]byte, []byte]("pool:echo"))
	mapValues(b, "record", func(i int) record { return record{i, 2 * i, fmt.Sprintf("text%06d", i%1_000_000)} }, remoteRecord, python.Func[record, record]("pool:nop"))
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

const (
	valueRounds   = 5       // the number of turns of each pool
	valuesPerTurn = 400_000 // number of calls in a turn
)

// callCost is the wall time and the processor time of a call, in nanoseconds.
type callCost struct{ wall, used float64 }

// mapValues measures a Map in all pools. The parameter shape names the types of
// the inputs and results, and value returns an input.
func mapValues[In, Out any](b *testing.B, shape string, value func(i int) In, inGo, inPython func(context.Context, In) (Out, error)) {
	names := []string{"processes", "python"}
	turns := map[string]func() callCost{}
	for _, pool := range []string{"ProcessPoolExecutor", "Pool"} {
		for _, chunk := range []string{"1000", "10000"} {
			name := pool + ", chunks of " + chunk
			names = append(names, name)
			turns[name] = func() callCost { return pythonTurn(b, pool, shape, chunk) }
		}
	}
	costs := sync.OnceValue(func() map[string][]callCost {
		workers, err := processes.New(2, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer workers.Close()
		interpreters := newInterpreters(b)
		defer interpreters.Close()
		turns["processes"] = func() callCost { return mapTurn(b, workers, inGo, value) }
		turns["python"] = func() callCost { return mapTurn(b, interpreters, inPython, value) }
		costs := map[string][]callCost{}
		for range valueRounds {
			for _, name := range names {
				costs[name] = append(costs[name], turns[name]())
			}
		}
		return costs
	})
	for _, name := range names {
		b.Run(shape+"/"+name, func(b *testing.B) {
			all := costs()[name]
			wall := commands.Values(all, func(c callCost) float64 { return c.wall })
			used := commands.Values(all, func(c callCost) float64 { return c.used })
			report(b, commands.Median(wall), commands.Median(used))
		})
	}
}

// mapTurn measures a Map in a pool of concert.
func mapTurn[In, Out any](b *testing.B, p *processes.Pool, f func(context.Context, In) (Out, error), value func(i int) In) callCost {
	run := func(n int) {
		inputs := func(yield func(In) bool) {
			for i := 0; i < n && yield(value(i)); i++ {
			}
		}
		for _, err := range concert.Map(b.Context(), p, f, iter.Seq[In](inputs)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	run(10_000)
	before, begin := processorTime(b), time.Now()
	run(valuesPerTurn)
	took := time.Since(begin)
	return callCost{float64(took.Nanoseconds()) / valuesPerTurn, float64(processorTime(b)-before) / valuesPerTurn}
}

// pythonTurn measures a map in a pool of Python.
func pythonTurn(b *testing.B, pool, shape, chunk string) (c callCost) {
	out, err := exec.CommandContext(b.Context(), "python3", "pool.py", "values", pool, shape, chunk, strconv.Itoa(valuesPerTurn)).Output()
	if err == nil {
		_, err = fmt.Sscan(string(out), &c.wall, &c.used)
	}
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func report(b *testing.B, wall, used float64) {
	b.ReportMetric(wall, "ns/task")
	b.ReportMetric(used, "cpu-ns/task")
	b.ReportMetric(0, "ns/op")
}

// processorTime returns the processor time of this process and its children in
// nanoseconds.
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
