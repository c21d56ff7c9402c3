package benchmarks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"concert"
	"concert/internal/pythontest"
	"concert/processes"
	"concert/python"
)

// These benchmarks measure functions in Python that are called from Go. They
// compare concert with two other ways. One is a common way today: HTTP servers
// that answer with JSON. The other is ProcessPoolExecutor, which is called
// from Python. concert, the HTTP servers and ProcessPoolExecutor each have two
// interpreters. Run with -benchtime 1x.

var (
	pythonNop    = python.Func[int, int]("pool:nop")
	pythonFloats = python.Func[[]float64, []float64]("pool:echo")
)

// interpreters makes a pool of two interpreters, and measures the function
// run, which runs n tasks in this pool.
func interpreters(b *testing.B, n int, run func(p *processes.Pool)) {
	p := newInterpreters(b)
	defer p.Close()
	timed(b, p, n, pythonNop, run)
}

func newInterpreters(b *testing.B) *processes.Pool {
	pythontest.Need(b)
	p, err := python.New(2, &python.Options{Path: []string{"."}})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// servers measures the function run. run gets a function as its argument, and
// calls it n times. Each of these calls sends a request to one of two
// processes of server.py.
func servers(b *testing.B, n int, run func(call func(i int, function string, argument, result any))) {
	var urls []string
	for range 2 {
		urls = append(urls, "http://"+start(b, exec.Command("python3", "server.py")))
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	call := func(i int, function string, argument, result any) {
		body, err := json.Marshal(map[string]any{"function": function, "argument": argument})
		if err != nil {
			b.Fatal(err)
		}
		resp, err := client.Post(urls[i%2], "application/json", bytes.NewReader(body))
		if err != nil {
			b.Error(err)
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		answer := struct{ Result any }{result}
		if err == nil {
			err = json.Unmarshal(text, &answer)
		}
		if err != nil {
			b.Error(err)
		}
	}
	for i := range 100 {
		call(i, "nop", i, new(int))
	}
	for b.Loop() {
		run(call)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
	b.ReportMetric(0, "ns/op")
	client.CloseIdleConnections()
}

func BenchmarkPython(b *testing.B) {
	b.Run("one at a time/concert", func(b *testing.B) {
		interpreters(b, 5000, func(p *processes.Pool) {
			for i := range 5000 {
				concert.Submit(ctx, p, pythonNop, i).Result(ctx)
			}
		})
	})
	b.Run("one at a time/HTTP", func(b *testing.B) {
		servers(b, 2000, func(call func(i int, function string, argument, result any)) {
			for i := range 2000 {
				call(i, "nop", i, new(int))
			}
		})
	})
	b.Run("one at a time/ProcessPoolExecutor", func(b *testing.B) { inPython(b, "pool.py", "round", 2000) })
	b.Run("outstanding/concert", func(b *testing.B) {
		interpreters(b, 50_000, func(p *processes.Pool) {
			futures := make([]*concert.Future[int], 50_000)
			for i := range futures {
				futures[i] = concert.Submit(ctx, p, pythonNop, i)
			}
			for _, f := range futures {
				f.Result(ctx)
			}
		})
	})
	b.Run("outstanding/HTTP, 64 at a time", func(b *testing.B) {
		servers(b, 5000, func(call func(i int, function string, argument, result any)) {
			each(64, 5000, func(i int) { call(i, "nop", i, new(int)) })
		})
	})
	b.Run("outstanding/ProcessPoolExecutor", func(b *testing.B) { inPython(b, "pool.py", "outstanding", 10_000) })
	b.Run("map/concert", func(b *testing.B) {
		interpreters(b, 200_000, func(p *processes.Pool) {
			for range concert.Map(ctx, p, pythonNop, numbers(200_000)) {
			}
		})
	})
	b.Run("map/ProcessPoolExecutor, chunks of 1000", func(b *testing.B) { inPython(b, "pool.py", "map 1000", 200_000) })
	big := make([]float64, 64<<20/8)
	for i := range big {
		big[i] = float64(i) / 3
	}
	b.Run("64 MiB of float64 both ways/concert", func(b *testing.B) {
		interpreters(b, 5, func(p *processes.Pool) {
			for range 5 {
				concert.Submit(ctx, p, pythonFloats, big).Result(ctx)
			}
		})
	})
	b.Run("64 MiB of float64 both ways/HTTP", func(b *testing.B) {
		servers(b, 1, func(call func(i int, function string, argument, result any)) {
			call(0, "echo", big, new([]float64))
		})
	})
	b.Run("64 MiB of float64 both ways/ProcessPoolExecutor", func(b *testing.B) { inPython(b, "pool.py", "floats", 5) })
	// The time includes the start of the interpreters. For ProcessPoolExecutor,
	// it also includes the start of the interpreter that runs
	// ProcessPoolExecutor.
	b.Run("first result/concert", func(b *testing.B) {
		for b.Loop() {
			p := newInterpreters(b)
			if _, err := concert.Submit(ctx, p, pythonNop, 1).Result(ctx); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			p.Close()
			b.StartTimer()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/task")
		b.ReportMetric(0, "ns/op")
	})
	for _, method := range []string{"fork", "spawn"} {
		b.Run(fmt.Sprint("first result/ProcessPoolExecutor, ", method), func(b *testing.B) {
			for range b.N {
				cmd := exec.Command("python3", "pool.py", "now", method)
				out, err := cmd.StdoutPipe()
				if err != nil {
					b.Fatal(err)
				}
				begin := time.Now()
				if err := cmd.Start(); err != nil {
					b.Skip("there is no python3")
				}
				if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
					b.Fatal(err)
				}
				took := time.Since(begin)
				if err := cmd.Wait(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(took.Nanoseconds()), "ns/task")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}
